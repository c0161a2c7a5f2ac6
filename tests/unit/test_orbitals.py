"""AO values and gradients equal PySCF's `eval_gto` up to f functions, Cartesian and spherical, shell by shell."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import distorted, molecule
from pyscf_oracle import pyscf_mole

import scfx
from scfx.energy.orbitals import evaluate_orbitals
from scfx.model.basis import BasisSet, cart_to_sph, cartesian_powers


def _points(count: int = 200) -> np.ndarray:
    return np.random.default_rng(3).normal(scale=2.5, size=(count, 3))


def _batch(systems, basis, registry):
    numbers = {int(z) for system in systems for z in system.atomic_numbers}
    return scfx.Batch.from_systems(systems, BasisSet.from_source(registry.basis(basis), numbers))


@pytest.mark.parametrize(
    "basis", ["sto-3g", "6-31g*", "6-311g**", "def2-svp", "cc-pvtz", "cc-pvqz"]
)  # Cartesian d; spherical d; f; g
def test_values_and_gradients_equal_pyscf(registry, basis):
    systems = distorted(molecule("H2CO"), 2)
    batch = _batch(systems, basis, registry)
    points = np.stack([_points(), _points() + 0.3])
    values = evaluate_orbitals(batch, points, derivatives=True)
    assert values.shape == (2, 4, batch.nao, 200)
    for b, system in enumerate(systems):
        assert batch.atom_order[b].tolist() == [0, 1, 2, 3]
        mole = pyscf_mole(system, basis, registry)
        kind = "GTOval_cart_deriv1" if mole.cart else "GTOval_sph_deriv1"
        expected = np.swapaxes(mole.eval_gto(kind, points[b]), 1, 2)
        scale = np.abs(expected).max(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(values[b] / scale, expected / scale, rtol=0, atol=2e-14)


def test_cartesian_d_and_spherical_f_in_one_basis(registry):
    # QM9's 6-31G(2df,p); PySCF has one flag for the molecule, so each shell is compared with the run that has its kind.
    batch = _batch([molecule("HF")], "6-31g(2df,p)-qm9", registry)
    layout = batch.layout
    values = evaluate_orbitals(batch, _points()[None], derivatives=True)[0]
    assert set(zip(layout.angular_momentum, layout.cartesian, strict=True)) == {
        (0, False), (1, False), (2, True), (3, False),
    }  # fmt: skip
    for s, l in enumerate(layout.angular_momentum):
        atom, first = layout.atom[s], layout.primitive_offset[s]
        part = slice(first, layout.primitive_offset[s + 1])
        d = _points() - batch.positions[0, atom]
        r2 = np.sum(d**2, axis=1)
        radial = np.exp(-np.outer(batch.exponents[0, part], r2)).T @ batch.coefficients[0, part]
        factor = {0: 1 / np.sqrt(4 * np.pi), 1: np.sqrt(3 / (4 * np.pi))}.get(l, 1.0)
        cartesian = np.stack(
            [factor * radial * np.prod(d ** np.array(p), axis=1) for p in cartesian_powers(l)]
        )
        expected = cartesian if layout.cartesian[s] else cart_to_sph(l).T @ cartesian
        found = values[0, layout.ao_offset[s] : layout.ao_offset[s + 1]]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("basis", ["6-31g(2df,p)-qm9", "def2-svp"])
def test_gradients_are_the_derivatives_of_the_values(registry, basis):
    batch, points, step = _batch([molecule("HF")], basis, registry), _points(20), 1e-5
    gradient = evaluate_orbitals(batch, points[None], derivatives=True)[0, 1:]
    for x in range(3):
        shift = step * np.eye(3)[x]
        ahead, behind = (evaluate_orbitals(batch, (points + s * shift)[None])[0, 0] for s in (1, -1))
        np.testing.assert_allclose(gradient[x], (ahead - behind) / (2 * step), rtol=0, atol=2e-8)


def test_a_point_on_a_nucleus_is_no_exception(registry):
    batch = _batch([molecule("HF")], "def2-svp", registry)
    values = evaluate_orbitals(batch, batch.positions, derivatives=True)
    assert np.isfinite(values).all()


def test_functions_are_normalised_over_space(registry):
    # ∫ φ² on a fine grid, against the overlap's diagonal: 1 for spherical functions.
    from scfx.grid import GridSpec, batch_grids

    batch = _batch([molecule("HF")], "def2-svp", registry)
    points, weights = batch_grids(batch.atomic_numbers, batch.positions, GridSpec(4))[0]
    values = evaluate_orbitals(batch, points[None])[0, 0]
    np.testing.assert_allclose((values**2) @ weights, 1.0, rtol=0, atol=1e-5)
