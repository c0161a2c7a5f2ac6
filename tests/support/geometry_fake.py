"""A solver that takes no time, so that the tests of relaxations take seconds: springs between all pairs of atoms.

Also a program to kill: `python geometry_fake.py OPTIONS.json KILL_AFTER` runs the optimize task with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
from ase.data import covalent_radii
from scfx_geometry.optimize_task import OptimizeTask
from scfx_geometry.options import OptimizeOptions
from scfx_geometry.tables import write_xyz

import scfx
from scfx.properties.gradient import Gradient
from scfx.properties.requests import Requested

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

    def solve(self, systems: Any, *, return_density: bool = False, initial_density: Any = None) -> Any:
        self.calls.append([system.name for system in systems])
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
            reason=["" if ok else "made not to converge" for ok in good],
            status=[scfx.Status.CONVERGED if ok else scfx.Status.NOT_CONVERGED for ok in good],
            iterations=np.full(len(systems), 7),
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


class DyingSolver(SpringSolver):
    """Kills its process when it is asked to solve for the `count`-th time."""

    def __init__(self, count: int):
        super().__init__()
        self._count = count

    def solve(self, systems: Any, **options: Any) -> Any:
        if len(self.calls) >= self._count:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().solve(systems, **options)


class Console:
    """Keeps what is printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print(self, text: str) -> None:
        self.lines.append(text)


def optimize(solver: SpringSolver, **options: Any) -> tuple[int, list[str]]:
    """Exit code and what was said of the optimize task with a solver that takes no time."""
    task = OptimizeTask(OptimizeOptions(**options), solver_factory=lambda *_: solver)
    console = Console()
    context = scfx.TaskContext(scfx.SCFSpec(), REGISTRY, console)
    task.check(context)
    return task.run(context), console.lines


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
    write_xyz(path, rows)
    return str(path)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as handle:
        sys.exit(optimize(DyingSolver(int(sys.argv[2])), **json.load(handle))[0])
