"""One-electron matrices by name, against PySCF and against what the dipole and the quadrupole are made of."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import molecule
from scfx_bse.source import BasisSetExchangeSource
from scfx_libcint.backend import LibcintBackend
from scfx_libcint.environment import environment

from scfx.errors import CapabilityError
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch
from scfx.properties.quadrupole import quadrupole
from scfx.testing.backend_batches import sample_batch
from scfx.testing.compare import symmetric_matrices


def _water(basis: str) -> Batch:
    system = molecule("H2O")
    return Batch.from_systems(
        [system], BasisSet.from_source(BasisSetExchangeSource(basis), system.atomic_numbers)
    )


@pytest.mark.parametrize("basis", ["6-31g*", "cc-pvtz"])
def test_second_moments_are_pyscfs(basis):
    batch = _water(basis)
    origin = np.array([[0.4, -0.2, 1.1]])
    found = LibcintBackend().one_electron_matrices(batch, ["second_moment"], origin)["second_moment"]
    about_zero = environment(batch, 0).one_electron("rr").reshape(3, 3, batch.nao, batch.nao)
    one = LibcintBackend().one_electron(batch)
    linear = np.einsum("x,yij->xyij", origin[0], one.dipole[0])
    shifted = about_zero - linear - linear.swapaxes(0, 1)
    shifted = shifted + np.einsum("x,y,ij->xyij", origin[0], origin[0], one.overlap[0])
    np.testing.assert_allclose(found[0], shifted, rtol=0, atol=1e-11)


def test_second_moments_contracted_with_a_density_are_the_quadrupole():
    batch = sample_batch(2)
    density = symmetric_matrices(4, (len(batch), batch.nao, batch.nao))
    numbers = batch.atomic_numbers
    origins = np.einsum("ba,bax->bx", numbers, batch.positions) / numbers.sum(axis=1)[:, None]
    second = LibcintBackend().one_electron_matrices(batch, ["second_moment"], origins)["second_moment"]
    for entry in range(len(batch)):
        away = batch.positions[entry] - origins[entry]
        moment = np.einsum("a,ax,ay->xy", batch.nuclear_charges[entry], away, away)
        moment -= np.einsum("xyij,ij->xy", second[entry], density[entry])
        expected = 1.5 * moment - 0.5 * np.trace(moment) * np.eye(3)
        np.testing.assert_allclose(
            quadrupole(batch, entry, density[entry][None]), expected, rtol=0, atol=1e-10
        )


def test_matrices_of_the_backend_come_by_their_names_and_nothing_else():
    batch = sample_batch(1)
    backend = LibcintBackend()
    found = backend.one_electron_matrices(batch, ["kinetic", "overlap", "nuclear", "dipole"])
    assert list(found) == ["kinetic", "overlap", "nuclear", "dipole"]
    for name, matrix in backend.one_electron(batch)._asdict().items():
        np.testing.assert_array_equal(found[name], matrix)
    assert backend.one_electron_matrices(batch, []) == {}


def test_a_name_that_no_matrix_has_is_refused_with_those_that_there_are():
    with pytest.raises(CapabilityError, match=r"no .* named 'octupole'; it has overlap, .*second_moment"):
        LibcintBackend().one_electron_matrices(sample_batch(1), ["overlap", "octupole"])
