"""The two oracles of gradients agree with each other, and with scfx's gradient, where both apply."""

from __future__ import annotations

import numpy as np
import pytest
from gradient_checks import directions
from gradient_oracle import difference_along, every_component, pyscf_gradient
from molecules import distorted, molecule

import scfx


@pytest.mark.parametrize(
    ("name", "multiplicity", "functional"), [("H2O", 1, "pbe"), ("NH2", 2, "pbe"), ("H2O", 1, "r2scan")]
)
def test_pyscfs_gradient_with_response_is_the_derivative_of_our_energy(
    name, multiplicity, functional, registry
):
    (system,) = distorted(molecule(name, 0, multiplicity), 1)
    theirs = pyscf_gradient(system, functional, "sto-3g", 0, registry)
    along = directions(system, 2)
    ours = difference_along(
        system, along, functional=functional, basis="sto-3g", backend="libcint", grid=0, registry=registry
    )
    np.testing.assert_allclose(ours, np.einsum("cax,ax->c", along, theirs), rtol=0, atol=1e-7)


def test_without_response_pyscfs_gradient_pulls_the_molecule_as_a_whole(registry):
    # What makes the response the default: at level 0 the usual gradient has a net force.
    (system,) = distorted(molecule("H2O"), 1)
    bare = pyscf_gradient(system, "pbe", "sto-3g", 0, registry, grid_response=False)
    whole = pyscf_gradient(system, "pbe", "sto-3g", 0, registry)
    assert np.abs(bare.sum(axis=0)).max() > 1e-5
    assert np.abs(whole.sum(axis=0)).max() < 1e-12


def test_a_cell_without_oracle_in_pyscf_is_refused(registry):
    with pytest.raises(ValueError, match="take differences"):
        pyscf_gradient(molecule("NH2", 0, 2), "hse06", "sto-3g", 0, registry)


def test_directions_by_component_give_the_gradient_itself():
    system = scfx.System.from_arrays(["H", "H"], [[0, 0, 0], [0, 0, 0.8]])
    found = difference_along(
        system, every_component(2), functional="hf", basis="sto-3g", backend="libcint"
    ).reshape(2, 3)
    np.testing.assert_allclose(found[:, :2], 0, atol=1e-9)
    assert found[1, 2] == pytest.approx(-found[0, 2], abs=1e-9)
