"""The solvers of a task: for the many geometries on the way, and for those that become labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scfx.config.spec import SCFSpec

#: (spec, registry, atomic numbers) to a solver; tests replace the core's.
SolverFactory = Callable[[Any, Any, Sequence[int]], Any]


@dataclass(frozen=True)
class Solvers:
    """`steps` computes energies and gradients; `labels` all that `scf.properties` asks for.

    To the same bits, and they are one object where nothing more is asked; or `steps` is of a level of its own.
    """

    steps: Any
    labels: Any

    def seconds(self) -> dict[str, float]:
        """Return the seconds by stage since they were made."""
        total: Counter[str] = Counter()
        for solver in {id(each): each for each in (self.steps, self.labels)}.values():
            total.update(solver.profile)
        return dict(total)

    def watched(self, alive: Callable[[], None]) -> Solvers:
        """Return the same, calling `alive` whenever a system ends in a call: one of many geometries can take hours."""
        steps = _Watched(self.steps, alive)
        return Solvers(steps, steps if self.labels is self.steps else _Watched(self.labels, alive))


class _Watched:
    """A solver that says when a system has ended."""

    def __init__(self, solver: Any, alive: Callable[[], None]):
        self._solver, self._alive = solver, alive
        self.resolved, self.registry = solver.resolved, solver.registry

    def solve(self, systems: Any, **options: Any) -> Any:
        """Solve as the solver does."""
        return self._solver.solve(systems, progress=lambda *_: self._alive(), **options)


def make_solver(spec: SCFSpec, registry: Any, atomic_numbers: Sequence[int]) -> Any:
    """Return the core's solver of a spec, with gradients. `ConfigError` where backend or method has none."""
    from scfx.driver import Solver

    if not any(_name(choice) == "gradient" for choice in spec.properties):
        spec = spec.model_copy(update={"properties": (*spec.properties, "gradient")})
    return Solver(spec, registry, atomic_numbers=atomic_numbers)


def solvers_of(
    spec: SCFSpec,
    registry: Any,
    atomic_numbers: Sequence[int],
    factory: SolverFactory,
    level: SCFSpec | None = None,
) -> Solvers:
    """Return both solvers; that of the steps leaves out what only labels need, such as polarizabilities.

    `level`: the spec of the steps, if that is another.
    """
    labels = factory(spec, registry, atomic_numbers)
    if level is not None:
        return Solvers(factory(level, registry, atomic_numbers), labels)
    gradient = tuple(choice for choice in spec.properties if _name(choice) == "gradient")
    if gradient == tuple(spec.properties) and not spec.quadrupole and not spec.stability:
        return Solvers(labels, labels)
    lean = spec.model_copy(update={"properties": gradient, "quadrupole": False, "stability": False})
    return Solvers(factory(lean, registry, atomic_numbers), labels)


def _name(choice: Any) -> Any:
    return choice.get("name") if isinstance(choice, dict) else getattr(choice, "name", choice)
