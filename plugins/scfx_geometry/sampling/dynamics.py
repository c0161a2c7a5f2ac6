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
from scfx_geometry.sampling.seeds import generator_of, seed_of

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
    solver: Any, systems: Sequence[System], plan: Dynamics, lanes: int
) -> Iterator[tuple[int, list[System] | str, int]]:
    """Yield (index, geometries or the reason why there are none, seed) as soon as each is done.

    `solver` computes the forces; each step begins from the density of the molecule's own step before.
    """
    queue, active = deque(enumerate(systems)), []
    try:
        while queue or active:
            while queue and len(active) < lanes:
                active.append(_Trajectory(*queue.popleft(), plan))
            solved = solver.solve(
                [_at(each.system, each.loop.asked()) for each in active],
                return_density=True,
                initial_density=[each.density for each in active],
            )
            for row, each in enumerate(list(active)):
                end = _advanced(each, solved, row)
                if end is not None:
                    each.loop.close()
                    active.remove(each)
                    yield each.index, end, each.seed
    finally:
        for each in active:
            each.loop.close()


def _at(system: System, positions: np.ndarray | None) -> System:
    assert positions is not None
    return replace(system, positions=positions / BOHR_IN_ANGSTROM)


def _advanced(each: _Trajectory, solved: Any, row: int) -> list[System] | str | None:
    """Give a trajectory its forces; its frames or what ended it, None while there is more to compute."""
    if not solved.converged[row]:
        return f"SCF of a step of the dynamics: {solved.reason[row] or solved.status[row].explain()}"
    gradient = None if solved.gradient is None else solved.gradient[row]
    if gradient is None:
        return f"no gradient in a step of the dynamics: {solved.property_reasons['gradient'][row]}"
    each.density = np.array(solved.density[row])
    try:
        following = each.loop.answer(float(solved.energy[row]), np.array(gradient))
    except Exception as error:  # ASE's own, of any kind: it costs this molecule and says why
        return f"dynamics: {type(error).__name__}: {error}"
    if following is not None:
        return None
    return [_at(each.system, frame) for frame in each.frames]
