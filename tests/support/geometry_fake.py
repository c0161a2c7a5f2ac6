"""A solver that takes no time, so that the tests of relaxations take seconds: springs between all pairs of atoms.

Also a program to kill: `python geometry_fake.py TASK OPTIONS.json LOG DELAY` runs a task with it, a line in LOG for
each call.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from ase.data import covalent_radii
from scfx_geometry.frequencies_task import FrequenciesTask
from scfx_geometry.optimize_task import OptimizeTask
from scfx_geometry.sampling.task import SampleTask
from scfx_geometry.tables import XYZFile

import scfx
from scfx.jobs import open_results
from scfx.jobs.commits import files_of, read_commits
from scfx.properties.gradient import Gradient
from scfx.properties.requests import Requested

TASKS = {"optimize": OptimizeTask, "frequencies": FrequenciesTask, "sample": SampleTask}
BOHR = 0.52917721092


REGISTRY = scfx.Registry.discover()


class SpringSolver:
    """E = sum over pairs of (d - d0)² / 4, d0 from covalent radii (twice that for atoms that are not neighbours of the
    first one). What `lost` names does not converge; from the standard guess the energy is higher by `other_solution`.
    """

    def __init__(self, lost: tuple[str, ...] = (), other_solution: float = 0.0, factor: float = 1.0):
        self.resolved = SimpleNamespace(properties=Requested((Gradient(),), ("gradient",)))
        self.spec_hash = "springs"
        self.registry = REGISTRY
        self._lost, self._shift, self._factor = lost, other_solution, factor
        self.calls: list[list[str]] = []
        self.profile: dict[str, float] = {}

    def solve(
        self, systems: Any, *, return_density: bool = False, initial_density: Any = None, progress: Any = None
    ) -> Any:
        self.calls.append([system.name for system in systems])
        if progress is not None:
            for done in range(1, len(systems) + 1):
                progress(done, len(systems), {"converged": done})
        guesses = initial_density or [None] * len(systems)
        pairs = [self._energy(system) for system in systems]
        good = [system.name not in self._lost for system in systems]
        return SimpleNamespace(
            energy=np.array(
                [e - self._shift * (g is not None) for (e, _), g in zip(pairs, guesses, strict=True)]
            ),
            gradient=[gradient for _, gradient in pairs],
            dipole=np.array([system.positions.sum(axis=0) for system in systems]),
            converged=np.array(good),
            homo=np.zeros(len(systems)),
            lumo=np.ones(len(systems)),
            gap=np.ones(len(systems)),
            reason=["" if ok else "made not to converge" for ok in good],
            status=[scfx.Status.CONVERGED if ok else scfx.Status.NOT_CONVERGED for ok in good],
            iterations=np.array([9 if guess is None else 7 for guess in guesses]),
            density=[np.zeros((1, 1, 1)) for _ in systems] if return_density else None,
            properties={},
            property_reasons={"gradient": [""] * len(systems)},
        )

    def _energy(self, system: Any) -> tuple[float, np.ndarray]:
        x, radii = system.positions, covalent_radii[system.atomic_numbers] / BOHR
        energy, gradient = 0.0, np.zeros_like(x)
        for i in range(len(x)):
            for j in range(i):
                rest = (radii[i] + radii[j]) * self._factor * (1.0 if j == 0 else 2.2)
                apart = x[i] - x[j]
                distance = float(np.linalg.norm(apart))
                energy += (distance - rest) ** 2 / 4
                push = (distance - rest) / 2 * apart / distance
                gradient[i] += push
                gradient[j] -= push
        return energy, gradient


class Death(BaseException):
    """What stands for SIGKILL in the test's own process: nothing catches it."""


class DyingSolver(SpringSolver):
    """Dies instead of solving for the `count`-th time."""

    def __init__(self, count: int):
        super().__init__()
        self._count = count

    def solve(self, systems: Any, **options: Any) -> Any:
        if len(self.calls) >= self._count:
            raise Death
        return super().solve(systems, **options)


class LoggingSolver(SpringSolver):
    """Takes `delay` seconds to solve, and writes a line when it has."""

    def __init__(self, log: str, delay: float):
        super().__init__()
        self._log, self._delay = log, delay

    def solve(self, systems: Any, **options: Any) -> Any:
        time.sleep(self._delay)
        with open(self._log, "a", encoding="utf-8") as handle:
            handle.write("solved\n")
        return super().solve(systems, **options)


@dataclass(frozen=True)
class Logging:
    """Makes such solvers in any process."""

    log: str
    delay: float

    def __call__(self, *given: Any) -> SpringSolver:
        return LoggingSolver(self.log, self.delay)


class Console:
    """Keeps what is printed."""

    is_terminal = False
    is_dumb_terminal = False
    is_jupyter = False

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, text: str, **how: object) -> None:
        self.lines.append(text)


def run_task(name: str, factory: Any, **options: Any) -> tuple[int, list[str]]:
    """Exit code and what was said of a task with solvers of `factory`; in this process unless `workers` says so."""
    cls = TASKS[name]
    task = cls(cls.Options(**{"workers": 1, "progress": "plain", **options}), solver_factory=factory)
    console = Console()
    context = scfx.TaskContext(scfx.SCFSpec(), REGISTRY, console)
    task.check(context)
    return task.run(context), console.lines


def optimize(solver: SpringSolver, **options: Any) -> tuple[int, list[str]]:
    """Exit code and what was said of the optimize task with a solver that takes no time."""
    return run_task("optimize", lambda *_: solver, **options)


def made(folder: Any) -> dict[str, Any]:
    """What a job's folder holds that must be the same whatever happened to it: rows by shard, and the tables."""
    records = read_commits(open_results(folder).plan)
    rows = {shard.id: [file["sha256"] for file in files_of(record)] for shard, record in records}
    tables = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name != "plan.json"}
    return rows | tables


def write_starts(path, systems):
    """An xyz file of systems named 0, 1, 2, ..."""
    rows = [
        {
            "name": str(i), "index": i, "charge": s.charge, "multiplicity": s.multiplicity, "energy_hartree": 0.0,
            "atomic_numbers": s.atomic_numbers.tolist(), "positions_angstrom": s.positions_angstrom.tolist(),
            "forces_ev_per_angstrom": np.zeros((s.natm, 3)).tolist(),
        }
        for i, s in enumerate(systems)
    ]  # fmt: skip
    file = XYZFile()
    file.add(rows)
    path.write_bytes(file.content())
    return str(path)


if __name__ == "__main__":
    name, options, log, delay = sys.argv[1:]
    with open(options, encoding="utf-8") as handle:
        sys.exit(run_task(name, Logging(log, float(delay)), **json.load(handle))[0])
