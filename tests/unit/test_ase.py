"""The ASE calculator: energies and forces of `scfx.solve` in ASE's units, and ASE's own algorithms over it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import CalculatorSetupError
from ase.calculators.fd import calculate_numerical_forces
from ase.optimize import BFGS

import scfx
from scfx.ase import SCFX, evaluate
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

CHEAP = {"functional": "hf", "basis": "sto-3g", "backend": "simd", "precision": "float64", "threads": 1}


def water() -> Atoms:
    return Atoms("OH2", [[0, 0, 0.12], [0, 0.76, -0.48], [0.02, -0.76, -0.48]])


def test_results_are_those_of_solve_in_units_of_ase():
    atoms = water()
    atoms.calc = SCFX(**CHEAP)
    forces, energy = atoms.get_forces(), atoms.get_potential_energy()
    direct = scfx.solve(scfx.System.from_ase(atoms), properties="gradient", **CHEAP)
    assert energy == direct.energy[0] * HARTREE_IN_EV
    np.testing.assert_array_equal(forces, -direct.gradient[0] * (HARTREE_IN_EV / BOHR_IN_ANGSTROM))
    np.testing.assert_allclose(atoms.get_dipole_moment(), direct.dipole[0] * BOHR_IN_ANGSTROM, rtol=1e-12)
    assert atoms.get_charges().sum() == pytest.approx(0, abs=1e-9)
    assert atoms.calc.results["free_energy"] == energy
    assert atoms.calc.results["assumed"] == ["charge", "multiplicity"]


def test_forces_are_the_derivative_of_the_energy():
    atoms = water()
    atoms.calc = SCFX(**CHEAP)
    numeric = calculate_numerical_forces(atoms, eps=1e-4, iatoms=[1])
    np.testing.assert_allclose(
        atoms.get_forces()[[1]], numeric, atol=1e-5
    )  # ASE's differences have two points


def test_results_are_kept_until_something_changes(monkeypatch):
    solved = []
    original = scfx.Solver.solve
    monkeypatch.setattr(scfx.Solver, "solve", lambda *a, **k: solved.append(1) or original(*a, **k))
    atoms = water()
    atoms.calc = SCFX(**CHEAP)
    atoms.get_forces()
    atoms.get_forces()
    atoms.get_potential_energy()
    assert len(solved) == 1
    atoms.positions[1] += 0.01
    atoms.get_potential_energy()
    assert len(solved) == 2


def test_relaxation_from_the_previous_density_ends_where_the_guess_does():
    ends, iterations = [], []
    for guess in ("atomic", "previous"):
        atoms = water()
        atoms.calc = SCFX(guess=guess, **CHEAP)
        assert BFGS(atoms, logfile=None).run(fmax=0.005, steps=20)
        ends.append(atoms.get_potential_energy())
        iterations.append(atoms.get_distance(0, 1))
    assert ends[0] == pytest.approx(ends[1], abs=1e-6)
    # Hartree-Fock/STO-3G's optimum of water: NIST CCCBDB, release 22 (0.9894 angstrom).
    assert iterations[0] == pytest.approx(0.9894, abs=2e-3)


def test_charge_and_multiplicity_come_from_the_atoms_or_the_arguments():
    radical = Atoms("OH", [[0, 0, 0], [0, 0, 0.98]], info={"charge": 0, "spin": 2})
    radical.calc = SCFX(**CHEAP)
    assert radical.get_potential_energy() < 0
    assert radical.calc.results["assumed"] == []
    anion = Atoms("OH", [[0, 0, 0], [0, 0, 0.98]])
    anion.calc = SCFX(charge=-1, **CHEAP)
    assert anion.get_potential_energy() != radical.get_potential_energy()
    contrary = Atoms("OH", [[0, 0, 0], [0, 0, 0.98]], info={"charge": -1, "multiplicity": 2})
    contrary.calc = SCFX(**CHEAP)
    with pytest.raises(CalculatorSetupError, match="multiplicity"):
        contrary.get_potential_energy()


def test_what_cannot_be_computed_as_asked_is_refused():
    with pytest.raises(CalculatorSetupError, match="convergance"):
        SCFX(convergance="tight")
    periodic = water()
    periodic.set_cell([9, 9, 9])
    periodic.pbc = True
    periodic.calc = SCFX(**CHEAP)
    with pytest.raises(CalculatorSetupError, match=r"[Pp]eriodic"):
        periodic.get_potential_energy()


def test_many_images_are_solved_in_batches_and_come_back_with_their_results():
    images = [water() for _ in range(3)]
    for k, atoms in enumerate(images):
        atoms.positions[1, 1] += 0.02 * k
    done = evaluate(images, **CHEAP)
    alone = images[2].copy()
    alone.calc = SCFX(**CHEAP)
    np.testing.assert_array_equal(done[2].get_forces(), alone.get_forces())
    assert images[2].calc is None


@pytest.mark.slow
def test_examples_relax_to_the_known_bond_lengths():
    """HF/STO-3G: 1.346 bohr in H2 and 1.871 bohr in water (Szabo and Ostlund, Modern Quantum Chemistry, chapter 3)."""
    parts = _example()
    assert parts["geometric"]() == pytest.approx(1.346 * BOHR_IN_ANGSTROM, abs=0.001)
    assert parts["bfgs"]() == pytest.approx(1.871 * BOHR_IN_ANGSTROM, abs=0.002)


@pytest.mark.slow
def test_the_examples_vibration_is_the_curvature_of_pyscfs_energy():
    from ase import units
    from pyscf import gto, scf

    def energy(distance):
        return (
            scf.RHF(gto.M(atom=f"H 0 0 0; H 0 0 {distance}", basis="sto-3g", verbose=0)).kernel()
            * HARTREE_IN_EV
        )

    r, h = 0.71223, 0.01
    curvature = (
        16 * (energy(r + h) + energy(r - h)) - energy(r + 2 * h) - energy(r - 2 * h) - 30 * energy(r)
    ) / (12 * h**2)
    mass = Atoms("H").get_masses()[0] / 2
    quantum = units._hbar * 1e10 / np.sqrt(units._e * units._amu) * np.sqrt(curvature / mass)  # eV
    assert _example()["vibrations"]() == pytest.approx(quantum / units.invcm, rel=2e-3)


@pytest.mark.slow
def test_the_band_of_the_example_climbs_to_planar_ammonia():
    level = {"functional": "hf", "basis": "sto-3g", "threads": 1}
    planar = Atoms("NH3", [[0, 0, 0], *([np.cos(a), np.sin(a), 0] for a in 2 * np.pi / 3 * np.arange(3))])
    pyramid = planar.copy()
    pyramid.positions[0, 2] = 0.35
    ends = []
    for atoms in (planar, pyramid):
        atoms.calc = SCFX(**level)
        BFGS(atoms, logfile=None).run(fmax=0.01)
        ends.append(atoms.get_potential_energy())
    assert _example()["neb"]() == pytest.approx(ends[0] - ends[1], abs=0.02)


@pytest.mark.slow
def test_the_dynamics_of_the_example_stays_near_its_minimum():
    energies = _example()["langevin"]()
    assert energies.shape == (5,)
    assert np.ptp(energies) < 0.5  # eV; 300 K are 0.026


def _example():
    import runpy
    from pathlib import Path

    return runpy.run_path(str(Path(__file__).parents[2] / "examples" / "ase_dynamics.py"))["PARTS"]
