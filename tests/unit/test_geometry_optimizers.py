"""Every optimiser holds its contract, and what cannot be had is refused by name before any SCF."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from geometry_fake import SpringSolver
from molecules import distorted, molecule
from scfx_geometry.constraints import constraints_of
from scfx_geometry.criteria import criteria_of
from scfx_geometry.optimizers import OFFERS, optimizer_of
from scfx_geometry.relax import relax

import scfx
from scfx.testing import check_optimizer

HERE = [offer.name for offer in OFFERS if offer.name != "sella"]


@pytest.mark.parametrize("name", HERE)
def test_optimizer_holds_its_contract(registry, name):
    check_optimizer(registry.optimizer(name))


@pytest.mark.parametrize("name", HERE)
def test_optimizers_find_the_same_minimum_by_fmax(registry, name):
    # A limit per molecule that every one keeps: methane, springs.
    (done,) = relax(
        SpringSolver(), distorted(molecule("CH4"), 1, size=0.1), name, {"fmax": 0.01}, max_steps=400
    )
    assert done.converged, done.reason
    assert np.linalg.norm(done.gradient, axis=1).max() * 51.422 < 0.01


def test_angles_and_torsions_are_kept(registry):
    start = distorted(molecule("CH4"), 1, size=0.2)[0]
    for name in ("geometric", "ase-bfgs"):
        for keep, atoms in (("angle", (1, 0, 2)), ("torsion", (1, 0, 2, 3))):
            constraint = {"keep": keep, "atoms": atoms}
            (done,) = relax(SpringSolver(), [start], name, constraints=[constraint])
            assert done.converged, (name, keep, done.reason)
            before, after = (_measured(s, atoms) for s in (start, done.system))
            assert before == pytest.approx(after, abs=0.05), (name, keep)


def _measured(system, atoms):
    from ase import Atoms

    made = Atoms(numbers=system.atomic_numbers, positions=system.positions_angstrom)
    return made.get_angle(*atoms) if len(atoms) == 3 else made.get_dihedral(*atoms)


class Broken(scfx.AbstractOptimizer):
    name = "broken"
    summary = "moves what it is given"
    distributions = ("none",)

    def __init__(self, system, criteria, constraints):
        pass

    def advance(self, positions, energy, gradient):
        positions -= gradient
        return positions


def test_an_optimizer_that_breaks_its_contract_is_found_out():
    with pytest.raises(AssertionError, match="changes the positions"):
        check_optimizer(Broken)


class Descent(scfx.AbstractOptimizer):
    name = "descent"
    summary = "steepest descent"
    distributions = ("none",)

    def __init__(self, system, criteria, constraints):
        self._criteria = criteria

    def advance(self, positions, energy, gradient):
        step = -0.5 * gradient
        return None if self._criteria.met(gradient, step) else positions + step


def test_a_plugins_optimizer_is_chosen_by_name():
    module = ModuleType("third")

    @scfx.hookimpl
    def scfx_register_optimizers():
        return [scfx.Offer("descent", f"{__name__}:Descent", summary="steepest descent")]

    module.scfx_register_optimizers = scfx_register_optimizers
    sys.modules[__name__].Descent = Descent
    registry = scfx.Registry.from_plugins({"third": module})
    solver = SpringSolver()
    solver.registry = registry
    check_optimizer(registry.optimizer("descent"))
    (done,) = relax(solver, [molecule("H2O")], "descent", max_steps=400)
    assert done.converged
    assert relax(SpringSolver(), [molecule("H2O")], Descent, max_steps=400)[0].energy == done.energy
    with pytest.raises(scfx.InputError, match=r"optimizer.*'berny'.*descent"):
        relax(solver, [molecule("H2O")], "berny")
    assert len(solver.calls) == done.steps + 1  # nothing was computed for what was refused


def test_unknown_optimizers_and_constraints_that_cannot_be_kept_are_refused(registry):
    with pytest.raises(scfx.InputError, match=r"task\.optimizer.*bernie.*ase-bfgs.*berny.*geometric"):
        optimizer_of("bernie", registry, key="task.optimizer")
    kept = constraints_of([{"keep": "atoms", "atoms": [0]}])
    with pytest.raises(scfx.InputError, match="'berny' cannot keep constraints"):
        optimizer_of("berny", registry, kept)
    if importlib.util.find_spec("sella") is None:
        with pytest.raises(scfx.InputError, match="sella"):
            optimizer_of("sella", registry)


def test_a_library_with_a_loop_of_its_own_is_fed_from_outside(monkeypatch):
    """Sella's adapter, with ASE's BFGS in Sella's place: Sella itself is an extra that this suite does not need."""
    from ase.optimize import BFGS
    from scfx_geometry.optimizers.own_loop import Sella

    def minimiser(atoms, order, internal, logfile):
        assert (order, internal) == (0, True)
        return BFGS(atoms, logfile=logfile)

    monkeypatch.setitem(sys.modules, "sella", SimpleNamespace(Sella=minimiser))
    start = distorted(molecule("H2O"), 1, size=0.2)
    (by_loop,), (by_steps,) = relax(SpringSolver(), start, Sella), relax(SpringSolver(), start, "ase-bfgs")
    assert (by_loop.energy, by_loop.steps) == pytest.approx((by_steps.energy, by_steps.steps), abs=1e-12)


def test_a_loop_ends_with_its_molecule_and_passes_its_errors_on(monkeypatch):
    import threading

    from scfx_geometry.optimizers.own_loop import ASEBFGSLineSearch

    start = distorted(molecule("CH4"), 2, size=0.3)
    done = relax(SpringSolver(), start, ASEBFGSLineSearch, max_steps=2)
    assert [each.status for each in done] == ["not_relaxed"] * 2

    def fail(self, atoms, steps):
        atoms.get_potential_energy()
        raise ValueError("no more ideas")

    monkeypatch.setattr(ASEBFGSLineSearch, "_run", fail)
    (failed,) = relax(SpringSolver(), start[:1], ASEBFGSLineSearch)
    assert failed.reason == "ase-bfgs-line-search after step 1: ValueError: no more ideas"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("scfx_geometry")]


def test_criteria_are_gaussians():
    assert criteria_of("gau").gradient_max == 4.5e-4
