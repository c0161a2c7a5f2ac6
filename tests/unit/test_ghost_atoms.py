"""Ghost atoms: functions and grid points of an element without its nucleus, as PySCF computes them."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import molecule

import scfx

#: Hydrogen fluoride, and 2.8 angstrom along its axis the place of a second one.
DIMER = [["F", [0, 0, 0]], ["H", [0, 0, 0.917]], ["F", [0, 0.1, 2.8]], ["H", [0, 0.9, 3.2]]]


def half(which: slice) -> list:
    return [[s if which.start <= i < which.stop else f"ghost-{s}", r] for i, (s, r) in enumerate(DIMER)]


def dimer() -> scfx.System:
    return scfx.System.from_arrays([s for s, _ in DIMER], [r for _, r in DIMER])


def test_a_fragment_in_the_basis_of_the_whole_is_pyscfs(registry):
    from pyscf import dft, gto

    whole = dimer()
    first, second = whole.with_ghosts([2, 3]), whole.with_ghosts([0, 1])
    alone = scfx.System.from_arrays(["F", "H"], [r for _, r in DIMER[:2]])
    solver = scfx.Solver(functional="b3lyp", basis="sto-3g", grid=1, backend="libcint", registry=registry)
    result = solver.solve([whole, first, second, alone])
    for system, part, energy in zip(
        (first, second), (slice(0, 2), slice(2, 4)), result.energy[1:3], strict=True
    ):
        mole = gto.M(atom=half(part), basis="sto-3g", verbose=0)
        assert scfx.System.from_pyscf(mole) == system
        reference = dft.RKS(mole, xc="b3lyp")
        reference.grids.level = 1
        assert energy == pytest.approx(reference.kernel(), abs=2e-8)
    # More functions lower a fragment's energy but for the grid's noise: the counterpoise correction is an attraction.
    assert result.energy[1] < result.energy[3] - 1e-4
    assert result.nao.tolist() == [12, 12, 12, 6]
    # What the ghosts' functions hold is counted at the ghosts, and nothing at their nuclei.
    charges = result.mulliken_charges
    assert charges is not None
    assert charges[1].sum() == pytest.approx(0, abs=1e-8)
    assert -0.1 < charges[1][2:].sum() < 0.1


def test_simd_and_libcint_agree_on_ghosts(registry):
    system = dimer().with_ghosts([2, 3])
    energies = [
        scfx.solve(system, "hf", "sto-3g", backend, registry=registry).energy[0] for backend in ("simd", "libcint")
    ]  # fmt: skip
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)


def test_the_order_of_atoms_does_not_matter_to_what_is_a_ghost(registry):
    system = dimer().with_ghosts([0, 1])
    order = [1, 3, 0, 2]
    turned = scfx.System.from_arrays(
        system.atomic_numbers[order], system.positions[order], "bohr", ghosts=system.ghost[order]
    )
    result = scfx.solve([system, turned], "hf", "sto-3g", "libcint", registry=registry, quadrupole=True)
    assert result.energy[0] == pytest.approx(result.energy[1], abs=1e-10)
    assert result.quadrupole is not None
    np.testing.assert_allclose(result.quadrupole[0], result.quadrupole[1], atol=1e-6)


def test_a_ghost_of_an_element_with_a_core_potential_has_none(registry):
    from pyscf import gto, scf

    atoms = [["H", [0, 0, 0]], ["H", [0, 0, 0.74]], ["ghost-I", [0, 0, 2.5]]]
    mole = gto.M(atom=atoms, basis="def2-svp", ecp={"I": "def2-svp"}, verbose=0)
    system = scfx.System.from_arrays([s for s, _ in atoms], [r for _, r in atoms])
    energy = scfx.solve(system, "hf", "def2-svp", "libcint", registry=registry).energy[0]
    assert energy == pytest.approx(scf.RHF(mole).kernel(), abs=2e-8)


def test_dispersion_is_of_atoms_that_are_there(registry):
    part = dimer().with_ghosts([2, 3])
    real = part.without_ghosts()
    assert (real.natm, real.ghosts) == (2, None)
    result = scfx.solve([part, real], "pbe-d3bj", "sto-3g", "libcint", grid=0, registry=registry)
    assert result.dispersion_energy is not None
    assert result.dispersion_energy[0] == result.dispersion_energy[1] != 0


def test_written_orbitals_say_that_a_ghost_has_no_charge(registry, tmp_path):
    from scfx.export import to_molden

    result = scfx.solve(
        dimer().with_ghosts([2, 3]), "hf", "sto-3g", "libcint", registry=registry, return_density=True
    )
    text = to_molden(result, tmp_path / "a.molden").read_text()
    assert [line.split()[2] for line in text.splitlines()[4:8]] == ["9", "1", "0", "0"]


def test_what_makes_no_sense_of_ghosts_is_refused():
    with pytest.raises(scfx.InputError, match="has no nucleus"):
        scfx.System.from_arrays(["@He"], [[0, 0, 0]])
    with pytest.raises(scfx.InputError, match=r"expected some of 0\.\.2"):
        molecule("H2O").with_ghosts([3])
    with pytest.raises(scfx.InputError, match="expected 2 of True and False"):
        scfx.System.from_arrays(["H", "H"], [[0, 0, 0], [0, 0, 1]], ghosts=[True])
    with pytest.raises(scfx.InputError, match="possible: 2"):
        scfx.System.from_arrays(["H", "@H"], [[0, 0, 0], [0, 0, 1]])
