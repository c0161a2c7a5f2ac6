"""`relax` and `relaxed`: many molecules to their minima, side by side, each by its own optimiser.

from scfx_geometry.relax import relax

solver = scfx.Solver(functional="hf", basis="sto-3g", properties=["gradient"])
(done,) = relax(solver, [scfx.System.from_smiles("O")])
done.system.positions_angstrom
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import InputError
from scfx_geometry.connectivity import rearrangement
from scfx_geometry.constraints import Constraint, check_atoms, constraints_of
from scfx_geometry.criteria import Criteria, criteria_of
from scfx_geometry.optimizers import AbstractOptimizer, optimizer_of
from scfx_geometry.path_memory import Frame, Path, frame_of
from scfx_geometry.solving import Entry, solved_entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jaxtyping import Float64

    from scfx.model.system import System
    from scfx_geometry.path_memory import PathMemory

#: Hartree. A larger difference between the path's last energy and that from the standard guess is another solution.
SAME_SOLUTION = 1e-6


@dataclass(frozen=True, eq=False)
class Relaxation:
    """How the relaxation of one molecule ended. Energies in hartree, gradients in hartree/bohr.

    `status` is "converged" or "not_relaxed", with the `reason`. `system` has the last geometry that was computed (the
    start, if none was). `energy`, `gradient` and `dipole` are those of the standard guess at that geometry for a
    converged one, else the path's last (None if there are none). `energy_difference` is the energy from the standard
    guess minus the path's; beyond 1e-6 hartree `another_solution` is True. `rearranged` says which bonds broke or
    formed. `steps` counts the energies and gradients of the path, `iterations` their SCF iterations together, of which
    the first step's (`first_iterations`) began from the standard guess; so did the `final_iterations` of the label.
    `frames` is the path, where it was asked for. `properties`: of a converged one, all that the solver of the labels
    computes, by name, and the reasons of those that have no value.
    """

    start: System
    system: System
    status: str
    reason: str
    steps: int
    iterations: int
    first_iterations: int = 0
    final_iterations: int = 0
    energy: float | None = None
    gradient: Float64[np.ndarray, "natm 3"] | None = None
    dipole: Float64[np.ndarray, "3"] | None = None
    energy_difference: float | None = None
    rearranged: str = ""
    frames: tuple[Frame, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    property_reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def converged(self) -> bool:
        """Return whether the optimiser found a minimum within its thresholds."""
        return self.status == "converged"

    @property
    def another_solution(self) -> bool:
        """Return whether the SCF went over to another solution on the way."""
        return self.energy_difference is not None and abs(self.energy_difference) > SAME_SOLUTION


@dataclass(eq=False)
class _Lane:
    """A molecule on its way. `settled`: converged, its last geometry is solved once more from the standard guess."""

    index: int
    start: System
    system: System
    optimizer: AbstractOptimizer
    density: np.ndarray | None = None
    settled: bool = False
    frames: list[Frame] = field(default_factory=list)


@dataclass(frozen=True)
class _RelaxationPlan:
    """What is the same for all molecules of a call."""

    optimizer: type[AbstractOptimizer]
    criteria: Criteria
    constraints: tuple[Constraint, ...]
    max_steps: int
    trajectory: bool
    propagate_guess: bool

    def ended(self, lane: _Lane, status: str, reason: str = "", **values: Any) -> Relaxation:
        frames = lane.frames
        found: dict[str, Any] = {}
        system = lane.start
        if frames:
            last = frames[-1]
            found = {"energy": last.energy, "gradient": last.gradient, "dipole": last.dipole}
            system = replace(lane.system, positions=last.positions)
        return Relaxation(
            lane.start, system, status, reason, len(frames), sum(frame.iterations for frame in frames),
            frames[0].iterations if frames else 0, **{**found, **values},
            rearranged=rearrangement(lane.start, system), frames=tuple(frames) if self.trajectory else (),
        )  # fmt: skip


def relax(
    solver: Any,
    systems: Sequence[System],
    optimizer: str | type[AbstractOptimizer] = "berny",
    criteria: str | Mapping[str, Any] | Criteria = "gau",
    max_steps: int = 100,
    constraints: Sequence[Constraint | Mapping[str, Any]] | None = None,
    *,
    trajectory: bool = False,
    lanes: int = 128,
    labels: Any = None,
    propagate_guess: bool = True,
) -> list[Relaxation]:
    """Return the relaxed molecules, in the order of `systems`: a `Relaxation` each, whatever became of it.

    `solver`: a `scfx.Solver` with `properties=["gradient"]`. `optimizer`: a name ("berny", "geometric", "ase-bfgs",
    ...) or a class of them. `criteria`: "gau",
    "gau_tight", "gau_loose", "fmax", or a table `{"fmax": 0.01}` (eV/angstrom). `constraints` as in
    `scfx_geometry.constraints` (for all systems alike). `lanes`: molecules on their way at once; those that are done
    leave, and the next take their places. `labels`: the solver of the final geometries, where it computes more
    properties than `solver` does of those on the way.

    Every step begins from the density of the molecule's own step before (from the standard guess with
    `propagate_guess=False`), so its path depends on its start, the level and the versions of the libraries, and not on
    its company. Raises `InputError` before anything is computed for what
    cannot be done as asked.
    """
    done: list[Relaxation | None] = [None] * len(systems)
    for index, relaxation in relaxed(
        solver, systems, optimizer, criteria, max_steps, constraints,
        trajectory=trajectory, lanes=lanes, labels=labels, propagate_guess=propagate_guess,
    ):  # fmt: skip
        done[index] = relaxation
    return [each for each in done if each is not None]


def relaxed(
    solver: Any,
    systems: Iterable[System],
    optimizer: str | type[AbstractOptimizer] = "berny",
    criteria: str | Mapping[str, Any] | Criteria = "gau",
    max_steps: int = 100,
    constraints: Sequence[Constraint | Mapping[str, Any]] | None = None,
    *,
    trajectory: bool = False,
    lanes: int = 128,
    labels: Any = None,
    propagate_guess: bool = True,
    memory: PathMemory | None = None,
) -> Iterator[tuple[int, Relaxation]]:
    """Yield (index, relaxation) as soon as each is done, otherwise as `relax`; molecules of one structure share
    rounds.

    `memory`: keeps the paths on their way, and those that it recalls go on where they were, to the same bits.
    """
    if max_steps < 1 or lanes < 1:
        raise InputError(f"max_steps and lanes must be at least 1, got {max_steps} and {lanes}")
    kept = constraints_of(constraints)
    chosen = optimizer_of(optimizer, solver.registry, kept)
    plan = _RelaxationPlan(chosen, criteria_of(criteria), kept, max_steps, trajectory, propagate_guess)
    structures: dict[tuple[Any, ...], list[tuple[int, System]]] = {}
    for index, system in enumerate(systems):
        _check(system, f"systems[{index}]")
        check_atoms(kept, system)
        key = (system.atomic_numbers.tobytes(), system.charge, system.multiplicity)
        structures.setdefault(key, []).append((index, system))
    check_solver(solver)
    # Those of one structure one after another, so that they share rounds, and in them a batch of the solver.
    return _rounds(solver, labels or solver, plan, deque(chain(*structures.values())), lanes, memory)


def _rounds(
    solver: Any,
    labels: Any,
    plan: _RelaxationPlan,
    queue: deque[tuple[int, System]],
    lanes: int,
    memory: PathMemory | None,
) -> Iterator[tuple[int, Relaxation]]:
    active: list[_Lane] = []
    try:
        while queue or active:
            while queue and len(active) < lanes:
                index, system = queue.popleft()
                lane = _begun(plan, index, system, memory.recall(index) if memory else None)
                if isinstance(lane, Relaxation):
                    yield index, lane
                else:
                    active.append(lane)
            for lane, entry in _solved(solver, labels, plan, list(active)):
                end = _advance(plan, lane, entry)
                if end is not None:
                    lane.optimizer.close()
                    active.remove(lane)
                    yield lane.index, end
            if memory:
                memory.keep({x.index: Path(x.frames, x.density) for x in active if x.density is not None})
    finally:
        for lane in active:
            lane.optimizer.close()


def _solved(
    solver: Any, labels: Any, plan: _RelaxationPlan, active: list[_Lane]
) -> Iterator[tuple[_Lane, Entry]]:
    """Each lane with its entry. A settled one is solved as if nothing had gone before."""
    for chosen, lanes in (
        (solver, [lane for lane in active if not lane.settled]),
        (labels, [lane for lane in active if lane.settled]),
    ):
        if lanes:
            guesses = [lane.density if plan.propagate_guess and not lane.settled else None for lane in lanes]
            systems = [lane.system for lane in lanes]
            found = solved_entries(chosen, systems, return_density=True, initial_density=guesses)
            yield from zip(lanes, found, strict=True)


def _started(plan: _RelaxationPlan, index: int, system: System) -> _Lane | Relaxation:
    try:
        return _Lane(index, system, system, plan.optimizer(system, plan.criteria, plan.constraints))
    except Exception as error:  # a library's own, of any kind: it costs this row and says why
        reason = f"{plan.optimizer.name} cannot start: {type(error).__name__}: {error}"
        return Relaxation(system, system, "not_relaxed", reason, 0, 0)


def _begun(plan: _RelaxationPlan, index: int, system: System, known: Path | None) -> _Lane | Relaxation:
    """A lane where its path was, as far as that is known; at its start where the optimiser now goes another way."""
    lane = _started(plan, index, system)
    if known is None or isinstance(lane, Relaxation):
        return lane
    for frame in known.frames:
        if lane.settled or not np.array_equal(lane.system.positions, frame.positions):
            lane.optimizer.close()
            return _started(plan, index, system)
        end = _stepped(plan, lane, frame)
        if end is not None:
            lane.optimizer.close()
            return end
    lane.density = known.density
    return lane


def _advance(plan: _RelaxationPlan, lane: _Lane, entry: Entry) -> Relaxation | None:
    """Take one result; None while there is more to compute."""
    where = "the last geometry from the standard guess" if lane.settled else f"step {len(lane.frames) + 1}"
    frame = frame_of(entry, lane.system.positions, where)
    if isinstance(frame, str) or isinstance(entry, str):
        return plan.ended(lane, "not_relaxed", str(frame))
    solved, row = entry
    if lane.settled:
        return plan.ended(
            lane, "converged", energy=frame.energy, gradient=frame.gradient, dipole=frame.dipole,
            final_iterations=frame.iterations, energy_difference=frame.energy - lane.frames[-1].energy,
            properties={name: values[row] for name, values in solved.properties.items()},
            property_reasons={name: texts[row] for name, texts in solved.property_reasons.items() if texts[row]},
        )  # fmt: skip
    lane.density = np.array(solved.density[row])
    return _stepped(plan, lane, frame)


def _stepped(plan: _RelaxationPlan, lane: _Lane, frame: Frame) -> Relaxation | None:
    """Let the optimiser go on from a point; None while there is more to compute."""
    lane.frames.append(frame)
    steps = len(lane.frames)
    try:
        positions = lane.optimizer.advance(frame.positions, frame.energy, frame.gradient)
        if positions is None:
            lane.settled = True
            return None
        if steps >= plan.max_steps:
            return plan.ended(lane, "not_relaxed", f"not converged after max_steps = {plan.max_steps} steps")
        lane.system = replace(lane.system, positions=positions)
    except Exception as error:  # as above: also positions that are not finite or coincide
        reason = f"{plan.optimizer.name} after step {steps}: {type(error).__name__}: {error}"
        return plan.ended(lane, "not_relaxed", reason)
    return None


def _check(system: System, where: str) -> None:
    if system.ghost.any():
        raise InputError(
            f"{where} ({system!r}) has ghost atoms, which a relaxation would move; leave them out"
        )


def check_solver(solver: Any) -> None:
    """Raise `InputError` if a solver gives no gradients."""
    if "gradient" not in solver.resolved.properties:
        raise InputError("scf.properties: the solver gives no gradients; use properties = ['gradient']")
