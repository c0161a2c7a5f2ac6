"""Gradients of fitted Coulomb and exchange energies: they are the derivative of exactly the fitted energy."""

from __future__ import annotations

import numpy as np
import pytest
from gradient_checks import (
    difference,
    directions,
    in_system_order,
    random_symmetric,
    two_electron_energy,
)
from molecules import molecule
from scfx_libcint.backend import LibcintBackend

import scfx
from scfx.abstract import AbstractBasisSource
from scfx.contracts.derivatives import TwoElectronEnergy
from scfx.contracts.fitting import AbstractFittingBackend
from scfx.energy.two_electron.fitted import FittedTwoElectron, unpacked
from scfx.energy.two_electron.fitted_gradient import _blocks, fitted_gradient
from scfx.errors import InputError
from scfx.model.basis import BasisSet, Shell
from scfx.model.batch import Batch
from scfx.model.elements import SYMBOLS

ONLY = np.zeros(1, dtype=np.int32)
FITTING = "def2-universal-jkfit"
#: Its auxiliary basis orders the atoms otherwise than its orbital basis does, and both otherwise than it itself.
SYSTEM = scfx.System.from_arrays(
    ["H", "O", "H"], [[-0.3, 1.5, 0.4], [0.1, -0.2, 0.3], [1.6, -0.7, -0.2]], unit="bohr"
)


def _auxiliary(name: str, registry: scfx.Registry) -> BasisSet:
    return BasisSet.from_source(registry.basis(name), [1, 8])


def _batch(system: scfx.System, basis: str, registry: scfx.Registry) -> Batch:
    numbers = {int(z) for z in system.atomic_numbers}
    return Batch.from_systems([system], BasisSet.from_source(registry.basis(basis), numbers))


def _contrary(basis: BasisSet) -> BasisSet:
    """So few functions on oxygen that hydrogen's atoms come first in a batch."""
    return BasisSet("contrary", {8: basis.shells[8][:5], 1: basis.shells[1]})


@pytest.mark.parametrize("nspin", [1, 2])
@pytest.mark.parametrize("operator", ["coulomb", "erf"])
@pytest.mark.parametrize("basis", ["def2-svp", "6-31g(2df,p)-qm9"])
def test_fitted_gradient_is_the_fitted_energys_derivative(basis, operator, nspin, registry):
    # All spherical functions, and Cartesian d beside spherical f.
    if basis != "def2-svp" and nspin == 2:
        basis = "6-31g*"
    backend, auxiliary = LibcintBackend(), _auxiliary(FITTING, registry)
    omega = 0.0 if operator == "coulomb" else 0.33
    part = TwoElectronEnergy(operator, omega, coulomb=0.9, exchange=0.4)
    batch = _batch(SYSTEM, basis, registry)
    density = random_symmetric(5, nspin, batch.nao, batch.nao)

    def energy(system: scfx.System) -> float:
        at = _batch(system, basis, registry)
        with FittedTwoElectron(backend, at, auxiliary, operator, omega, 2**31) as fitted:
            return two_electron_energy([(part, fitted)], density)

    found = fitted_gradient(
        backend, batch, 0, auxiliary, density, part.coulomb, part.exchange, operator, omega
    )
    found = in_system_order(batch, 0, found)
    (along,) = directions(SYSTEM, 1)
    scale = np.abs(found).max()
    # A random density is far from any molecule's: tight functions, which erf does not see, count as much as others.
    within = 1e-8 * scale if operator == "coulomb" else 5e-8
    assert np.sum(found * along) == pytest.approx(difference(energy, SYSTEM, along), abs=within)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-10 * scale)


def test_auxiliary_functions_stay_with_their_atoms_when_batches_order_atoms_differently(registry):
    backend, auxiliary = LibcintBackend(), _contrary(_auxiliary(FITTING, registry))
    batch = _batch(SYSTEM, "def2-svp", registry)
    fitting = Batch.from_systems([SYSTEM], auxiliary)
    assert batch.atom_order.tolist() == [[1, 0, 2]]
    assert fitting.atom_order.tolist() == [[0, 2, 1]]
    density = random_symmetric(5, 1, batch.nao, batch.nao)

    def energy(system: scfx.System) -> float:
        at = _batch(system, "def2-svp", registry)
        with FittedTwoElectron(backend, at, auxiliary, "coulomb", 0.0, 2**31) as fitted:
            return two_electron_energy([(TwoElectronEnergy(exchange=1.0), fitted)], density)

    found = in_system_order(batch, 0, fitted_gradient(backend, batch, 0, auxiliary, density, 1.0, 1.0))
    (along,) = directions(SYSTEM, 1)
    scale = np.abs(found).max()
    assert np.sum(found * along) == pytest.approx(difference(energy, SYSTEM, along), abs=1e-8 * scale)


def test_linearly_dependent_auxiliary_functions_are_left_out_of_the_derivative_as_of_the_energy(registry):
    # Two shells that are all but one: their difference is left out.
    plain = _auxiliary(FITTING, registry)
    shell = plain.shells[8][2]
    twin = Shell.normalised(0, shell.exponents * (1.0 + 1e-7), np.ones(len(shell.exponents)))
    auxiliary = BasisSet(
        "twins", {**plain.shells, 8: (*plain.shells[8][:3], twin, twin, *plain.shells[8][3:])}
    )
    backend = LibcintBackend()
    batch = _batch(SYSTEM, "sto-3g", registry)
    density = random_symmetric(5, 2, batch.nao, batch.nao)
    part = TwoElectronEnergy(coulomb=1.0, exchange=1.0)

    def energy(system: scfx.System) -> float:
        at = _batch(system, "sto-3g", registry)
        with FittedTwoElectron(backend, at, auxiliary, "coulomb", 0.0, 2**31) as fitted:
            return two_electron_energy([(part, fitted)], density)

    found = in_system_order(batch, 0, fitted_gradient(backend, batch, 0, auxiliary, density, 1.0, 1.0))
    (along,) = directions(SYSTEM, 1)
    assert np.sum(found * along) == pytest.approx(difference(energy, SYSTEM, along), abs=1e-6)


def test_blocks_of_auxiliary_shells_add_up_to_the_whole(registry, monkeypatch):
    backend, auxiliary = LibcintBackend(), _auxiliary(FITTING, registry)
    assert isinstance(backend, AbstractFittingBackend)
    batch = _batch(SYSTEM, "6-31g*", registry)
    layout = Batch.from_systems([SYSTEM], auxiliary).layout
    whole = backend.three_index(batch, 0, auxiliary)
    density = random_symmetric(5, 1, batch.nao, batch.nao)
    at_once = fitted_gradient(backend, batch, 0, auxiliary, density, 1.0, 1.0)
    monkeypatch.setattr("scfx.energy.two_electron.fitted_gradient.BLOCK", 10_000)
    blocks = list(_blocks(layout, batch.nao))
    assert len(blocks) > 5
    assert [b[0][0] for b in blocks[1:]] == [b[0][1] for b in blocks[:-1]]
    parts = [backend.three_index(batch, 0, auxiliary, shells=shells) for shells, _ in blocks]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=0, atol=1e-13)
    in_blocks = fitted_gradient(backend, batch, 0, auxiliary, density, 1.0, 1.0)
    np.testing.assert_allclose(in_blocks, at_once, rtol=0, atol=1e-10)


def test_short_range_integrals_are_what_the_long_range_leaves(registry):
    backend, auxiliary = LibcintBackend(), _auxiliary(FITTING, registry)
    batch = _batch(SYSTEM, "sto-3g", registry)
    for method in (backend.three_index, backend.two_index):
        full, long, short = (
            method(batch, 0, auxiliary, operator, omega)
            for operator, omega in (("coulomb", 0.0), ("erf", 0.4), ("erfc", 0.4))
        )
        np.testing.assert_allclose(short, full - long, rtol=0, atol=1e-10)
    with pytest.raises(InputError, match=r"omega: got 0\.0, expected a positive"):
        backend.two_index(batch, 0, auxiliary, "erf", 0.0)
    with pytest.raises(InputError, match=r"omega: got 0\.4 for the Coulomb operator"):
        backend.three_index(batch, 0, auxiliary, "coulomb", 0.4)


def test_lower_triangles_are_unpacked_row_by_row():
    full = random_symmetric(1, 3, 5, 5)
    rows, columns = np.tril_indices(5)
    assert (unpacked(full[:, rows, columns]) == full).all()


@pytest.mark.parametrize(
    "functional", ["hf", *(pytest.param(name, marks=pytest.mark.slow) for name in ("pbe", "wb97x"))]
)
@pytest.mark.parametrize(
    ("fitted", "backend"),
    [
        ("jk", "simd"), ("j", "libcint"),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("j", "simd"), ("jk", "libcint"))),
    ],
)  # fmt: skip
def test_gradient_of_a_fitted_energy_is_its_derivative(fitted, backend, functional, registry):
    fitting = {"basis": FITTING, "fitted": fitted}
    options = {"functional": functional, "basis": "sto-3g", "backend": backend, "grid": 0, "threads": 1}
    options |= {"density_fitting": fitting, "convergence": "tight", "registry": registry}
    system = molecule("NH2", 0, 2)
    found = scfx.solve(system, properties="gradient", **options).raise_for_status().gradient[0]
    (along,) = directions(system, 1)
    numeric = difference(lambda s: float(scfx.solve(s, **options).energy[0]), system, along, 0.01)
    assert np.sum(found * along) == pytest.approx(numeric, abs=1e-7)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-9)


class FromPySCF(AbstractBasisSource):
    """A basis set of PySCF's own tables, for one that the Basis Set Exchange lacks."""

    def __init__(self, name: str):
        self.name = name

    def shells(self, atomic_number: int) -> list[Shell]:
        from pyscf.gto import basis

        return [
            Shell.normalised(l, *np.transpose(rows))
            for l, *rows in basis.load(self.name, SYMBOLS[atomic_number])
        ]

    def definition(self) -> dict[str, str]:
        return {"basis": self.name}


# github:MolSSI/QCEngine@a97b469, qcengine/programs/tests/standard_suite_ref.py (BSD-3-Clause): Psi4, J and K fitted.
def test_fitted_hartree_fock_gradient_of_the_standard_suite(registry):
    system = scfx.System.from_arrays(["H", "F"], [[0, 0, -1.64558411], [0, 0, 0.08729475]], unit="bohr")
    result = scfx.solve(
        system,
        "hf",
        "cc-pvdz",
        "libcint",
        density_fitting=FromPySCF("cc-pvdz-jkfit"),
        properties="gradient",
        convergence="tight",
        threads=1,
        registry=registry,
    ).raise_for_status()
    assert result.energy[0] == pytest.approx(-100.019400605629, abs=1e-7)
    found = result.gradient[0]
    np.testing.assert_allclose(found[:, 2], [-0.0197887676, 0.0197887676], rtol=0, atol=1e-7)
