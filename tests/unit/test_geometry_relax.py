"""Relaxations reach the minima that the literature has, and depend on their own start alone."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_fake import SpringSolver
from molecules import distorted, molecule, moved
from scfx_geometry.connectivity import bonds, rearrangement
from scfx_geometry.criteria import CRITERIA, criteria_of
from scfx_geometry.relax import relax

import scfx

LEVEL = {"functional": "hf", "basis": "sto-3g", "threads": 1}


@pytest.fixture(scope="module")
def solver(registry):
    return scfx.Solver(scfx.SCFSpec.create({**LEVEL, "properties": ["gradient"]}), registry)


def distance(system, i, j):
    x = system.positions_angstrom
    return float(np.linalg.norm(x[i] - x[j]))


def angle(system, i, j, k):
    x = system.positions_angstrom
    a, b = x[i] - x[j], x[k] - x[j]
    return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


# ---- minima --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["berny", "ase-bfgs"])
def test_water_relaxes_to_the_minimum_of_the_literature(solver, optimizer):
    start = distorted(molecule("H2O"), 1, seed=3, size=0.1)
    (done,) = relax(solver, start, optimizer, "gau_tight", trajectory=True)
    assert (done.status, done.reason, done.rearranged) == ("converged", "", "")
    # CCCBDB (NIST SRD 101), calculated geometries, HF/STO-3G: H2O 0.9894 angstrom, 100.03 degrees, -74.965901 hartree.
    assert distance(done.system, 0, 1) == pytest.approx(0.9894, abs=2e-4)
    assert distance(done.system, 0, 2) == pytest.approx(0.9894, abs=2e-4)
    assert angle(done.system, 1, 0, 2) == pytest.approx(100.03, abs=0.02)
    assert done.energy == pytest.approx(-74.965901, abs=1e-6)
    assert abs(done.energy_difference) < 1e-8
    assert len(done.frames) == done.steps
    assert done.frames[-1].energy < done.frames[0].energy


def test_hydrogen_relaxes_to_the_bond_length_of_szabo_and_ostlund(solver):
    (done,) = relax(solver, [molecule("H2")], criteria="gau_tight")
    # Szabo and Ostlund, Modern Quantum Chemistry (1996), section 3.8.1: 1.346 bohr for STO-3G.
    assert np.linalg.norm(done.system.positions[0] - done.system.positions[1]) == pytest.approx(
        1.346, abs=5e-4
    )


def test_ase_over_the_calculator_finds_the_same_minimum(solver, registry):
    from ase import Atoms
    from ase.optimize import BFGS

    from scfx.ase import SCFX

    start = molecule("H2O")
    atoms = Atoms(start.symbols, start.positions_angstrom, calculator=SCFX(registry=registry, **LEVEL))
    BFGS(atoms, logfile=None).run(fmax=1e-3)
    (done,) = relax(solver, [start], criteria={"fmax": 1e-3})
    assert done.energy * 27.211386245988 == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
    assert distance(done.system, 0, 1) == pytest.approx(atoms.get_distance(0, 1), abs=5e-4)
    assert angle(done.system, 1, 0, 2) == pytest.approx(atoms.get_angle(1, 0, 2), abs=0.1)


def test_a_path_depends_on_its_own_start_alone(solver):
    starts = distorted(molecule("H2O"), 4, seed=1, size=0.1)
    together = relax(solver, [molecule("H2"), *starts], lanes=2, trajectory=True)[1:]
    (alone,) = relax(solver, [starts[2]], trajectory=True)
    assert (together[2].energy, together[2].steps) == (alone.energy, alone.steps)
    for ours, theirs in zip(together[2].frames, alone.frames, strict=True):
        np.testing.assert_array_equal(ours.positions, theirs.positions)
        np.testing.assert_array_equal(ours.gradient, theirs.gradient)
        assert ours.energy == theirs.energy


# ---- constraints ---------------------------------------------------------------------------------------------------


def test_a_kept_distance_stays_and_the_rest_relaxes(solver):
    start = molecule("H2O")
    kept = [{"keep": "distance", "atoms": [0, 1]}]
    (done,) = relax(solver, [start], "ase-bfgs", "gau", constraints=kept)
    assert done.converged
    assert distance(done.system, 0, 1) == pytest.approx(distance(start, 0, 1), abs=1e-5)
    assert distance(done.system, 0, 2) == pytest.approx(0.99, abs=0.01)


def test_a_kept_atom_stays(solver):
    start = distorted(molecule("H2O"), 1, seed=2)[0]
    (done,) = relax(solver, [start], "ase-bfgs", constraints=[{"keep": "atoms", "atoms": [1]}])
    assert done.converged
    np.testing.assert_allclose(done.system.positions[1], start.positions[1], rtol=0, atol=1e-14)


# ---- how rows end --------------------------------------------------------------------------------------------------


def named(system, name):
    return scfx.System(system.atomic_numbers, system.positions, system.charge, system.multiplicity, name)


def test_what_does_not_converge_costs_its_own_row_only():
    springs = SpringSolver(lost=("bad",))
    good, bad = named(molecule("H2O"), "good"), named(molecule("H2O"), "bad")
    first, second = relax(springs, [bad, good])
    assert (first.status, first.steps) == ("not_relaxed", 0)
    assert first.reason == "SCF of step 1: made not to converge"
    assert second.converged


def test_a_molecule_that_the_solver_raises_about_costs_its_own_row_only():
    class Refusing(SpringSolver):
        def solve(self, systems, **options):
            for system in systems:
                if system.name == "bad":
                    raise ZeroDivisionError("no such thing")
                if system.name == "worse":
                    raise scfx.ConfigError("scf.grid", "is no grid")
            return super().solve(systems, **options)

    good, bad, worse = (named(molecule("H2O"), name) for name in ("good", "bad", "worse"))
    first, second = relax(Refusing(), [bad, good])
    assert first.reason == "SCF of step 1: ZeroDivisionError: no such thing"
    assert second.converged
    with pytest.raises(scfx.ConfigError, match="is no grid"):  # of all of them
        relax(Refusing(), [worse, good])


def test_the_step_limit_is_said():
    (done,) = relax(SpringSolver(), distorted(molecule("CH4"), 1, size=0.3), max_steps=2)
    assert (done.status, done.steps) == ("not_relaxed", 2)
    assert "max_steps = 2" in done.reason
    assert done.energy is not None


def test_an_error_of_the_optimizer_is_said(monkeypatch):
    from scfx_geometry.optimizers.berny import Berny

    def fail(self, *given):
        raise RuntimeError("The trust radius got too small, check forces?")

    monkeypatch.setattr(Berny, "advance", fail)
    (done,) = relax(SpringSolver(), [molecule("H2O")])
    assert done.status == "not_relaxed"
    assert done.reason == "berny after step 1: RuntimeError: The trust radius got too small, check forces?"


def test_another_solution_from_the_standard_guess_is_recorded():
    (same,) = relax(SpringSolver(), [molecule("H2O")])
    assert not same.another_solution
    (done,) = relax(SpringSolver(other_solution=1e-3), distorted(molecule("H2O"), 1))
    assert done.another_solution
    assert done.energy_difference == pytest.approx(1e-3)


def test_a_broken_bond_is_recorded():
    (done,) = relax(SpringSolver(factor=1.6), [molecule("H2")])
    assert (done.status, done.rearranged) == ("converged", "broke 0-1")


def test_done_molecules_leave_and_the_next_take_their_places():
    springs = SpringSolver()
    near, far = molecule("CH4"), distorted(molecule("CH4"), 1, size=0.4)[0]
    systems = [named(near, "a"), named(far, "b"), named(near, "c")]
    relax(springs, systems, lanes=2)
    assert springs.calls[0] == ["a", "b"]
    assert ["b", "c"] in springs.calls


def test_bonds_are_those_of_the_structure_formula():
    assert bonds(molecule("CH3OH")) == {(0, 1), (0, 2), (0, 3), (0, 4), (1, 5)}
    water = molecule("H2O")
    torn = moved(water, water.positions * np.array([1.0, 3.0, 3.0]))
    assert rearrangement(water, torn) == "broke 0-1, 0-2"
    assert rearrangement(torn, water) == "formed 0-1, 0-2"


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "newton"}, "available: ase-bfgs, .*berny, geometric"),
        ({"criteria": "tight"}, "gau_tight"),
        ({"criteria": {"fmax": -1.0}}, "fmax"),
        ({"constraints": [{"keep": "distance", "atoms": [0, 1]}]}, "cannot keep constraints; use geometric"),
        (
            {"optimizer": "ase-bfgs", "constraints": [{"keep": "atoms", "atoms": [3]}]},
            "has atoms 0 to 2, got 3",
        ),
        ({"optimizer": "ase-bfgs", "constraints": [{"keep": "torsion", "atoms": [0, 1]}]}, "needs 4 atoms"),
        ({"max_steps": 0}, "max_steps"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_calculation(options, message):
    springs = SpringSolver()
    with pytest.raises(scfx.InputError, match=message):
        relax(springs, [molecule("H2O")], **options)
    assert not springs.calls


def test_a_solver_without_gradients_is_refused(registry):
    plain = scfx.Solver(scfx.SCFSpec.create(LEVEL), registry)
    with pytest.raises(scfx.InputError, match="properties = \\['gradient'\\]"):
        relax(plain, [molecule("H2O")])


def test_criteria_have_gaussians_values():
    # Gaussian 16 manual, keyword Opt: maximum and RMS force, maximum and RMS displacement.
    values = {
        name: (c.gradient_max, c.gradient_rms, c.step_max, c.step_rms)
        for name, c in CRITERIA.items()
        if name != "fmax"
    }
    assert values == {
        "gau": (4.5e-4, 3e-4, 1.8e-3, 1.2e-3),
        "gau_tight": (1.5e-5, 1e-5, 6e-5, 4e-5),
        "gau_loose": (2.5e-3, 1.7e-3, 1e-2, 6.7e-3),
    }
    assert criteria_of({"fmax": 0.01}).fmax == 0.01
