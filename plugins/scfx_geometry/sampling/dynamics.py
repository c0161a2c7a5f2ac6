"""Frames of short molecular dynamics: ASE's Langevin thermostat, many molecules in lock step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.model.system import BOHR_IN_ANGSTROM
from scfx_geometry.fed_loop import FedLoop
from scfx_geometry.isotopes import commonest_isotope_masses
from scfx_geometry.path_memory import Frame, Path, PathMemory, frame_of
from scfx_geometry.sampling.seeds import generator_of, seed_of
from scfx_geometry.solving import Entry, solved_entries

if TYPE_CHECKING:
    from scfx.model.system import System


@dataclass(frozen=True)
class Dynamics:
    """Temperature in kelvin, time step in fs, friction in 1/fs; a frame each `interval` steps after `warm_up` ones."""

    samples: int
    seed: int
    temperature: float
    timestep: float
    friction: float
    warm_up: int
    interval: int


class _Trajectory:
    """One molecule on its way."""

    def __init__(self, index: int, system: System, plan: Dynamics):
        from ase import Atoms

        self.index, self.system = index, system
        self.seed = seed_of(system, plan.seed, 0)
        self.frames: list[np.ndarray] = []
        self.points: list[Frame] = []
        self.density: np.ndarray | None = None
        masses = commonest_isotope_masses(system.atomic_numbers)
        atoms = Atoms(numbers=system.atomic_numbers, positions=system.positions_angstrom, masses=masses)
        self.loop = FedLoop(atoms, lambda own: self._run(own, plan))

    def _run(self, atoms: Any, plan: Dynamics) -> None:
        from ase import units
        from ase.md.langevin import Langevin

        random = generator_of(self.seed)
        # Maxwell's velocities, the centre of mass at rest.
        masses = atoms.get_masses()[:, None]
        momenta = np.sqrt(masses * units.kB * plan.temperature) * random.standard_normal((len(atoms), 3))
        atoms.set_momenta(momenta - masses * momenta.sum(axis=0) / masses.sum())
        made: Any = Langevin
        dynamics = made(
            atoms,
            plan.timestep * units.fs,
            temperature_K=plan.temperature,
            friction=plan.friction / units.fs,
            fixcm=False,
            rng=random,
            logfile=None,
        )
        dynamics.run(plan.warm_up)
        for _ in range(plan.samples):
            dynamics.run(plan.interval)
            self.frames.append(atoms.get_positions())


def frames_of_dynamics(
    solver: Any, systems: Sequence[System], plan: Dynamics, lanes: int, memory: PathMemory | None = None
) -> Iterator[tuple[int, list[System] | str, int]]:
    """Yield (index, geometries or the reason why there are none, seed) as soon as each is done.

    `solver` computes the forces; each step begins from the density of the molecule's own step before. `memory` keeps
    the paths on their way, and those that it recalls go on where they were, to the same bits.
    """
    queue, active = deque(enumerate(systems)), []
    try:
        while queue or active:
            while queue and len(active) < lanes:
                index, system = queue.popleft()
                active.append(_begun(index, system, plan, memory.recall(index) if memory else None))
            waiting = [each for each in active if each.loop.asked() is not None]
            entries: list[Entry] = []
            if waiting:
                systems = [_at(each.system, each.loop.asked()) for each in waiting]
                guesses = [each.density for each in waiting]
                entries = solved_entries(solver, systems, return_density=True, initial_density=guesses)
            ends = {each.index: _advanced(each, entry) for each, entry in zip(waiting, entries, strict=True)}
            for each in list(active):
                end = ends.get(each.index)
                if end is None and each.loop.asked() is not None:
                    continue
                each.loop.close()
                active.remove(each)
                yield each.index, end or [_at(each.system, frame) for frame in each.frames], each.seed
            if memory:
                memory.keep({x.index: Path(x.points, x.density) for x in active if x.density is not None})
    finally:
        for each in active:
            each.loop.close()


def _at(system: System, positions: np.ndarray | None) -> System:
    assert positions is not None
    return replace(system, positions=positions / BOHR_IN_ANGSTROM)


def _begun(index: int, system: System, plan: Dynamics, known: Path | None) -> _Trajectory:
    """A trajectory where its path was, as far as that is known; at its start where it now goes another way."""
    each = _Trajectory(index, system, plan)
    for point in () if known is None else known.frames:
        asked = each.loop.asked()
        if asked is None or not np.array_equal(_at(system, asked).positions, point.positions):
            each.loop.close()
            return _Trajectory(index, system, plan)
        each.loop.answer(point.energy, point.gradient)
        each.points.append(point)
    each.density = None if known is None else known.density
    return each


def _advanced(each: _Trajectory, entry: Entry) -> str | None:
    """Give a trajectory its forces; what ended it before its time, or None."""
    step = f"step {len(each.points) + 1} of the dynamics"
    point = frame_of(entry, _at(each.system, each.loop.asked()).positions, step)
    if isinstance(point, str) or isinstance(entry, str):
        return str(point)
    solved, row = entry
    each.density = np.array(solved.density[row])
    each.points.append(point)
    try:
        each.loop.answer(point.energy, point.gradient)
    except Exception as error:  # ASE's own, of any kind: it costs this molecule and says why
        return f"dynamics: {type(error).__name__}: {error}"
    return None
