"""Points of a relaxation, from a molecule's start to its minimum."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import ScfxError
from scfx_geometry.relax import relaxed

if TYPE_CHECKING:
    from scfx.contracts.optimizer import AbstractOptimizer
    from scfx.model.system import System
    from scfx_geometry.path_memory import PathMemory


def points_of_relaxation(
    solver: Any,
    system: System,
    samples: int,
    optimizer: str | type[AbstractOptimizer],
    criteria: Any,
    max_steps: int,
    memory: PathMemory | None = None,
) -> list[tuple[System, int]]:
    """Return at most `samples` points in equal distances of steps, first and last among them, and the step of each.

    Of a path that did not reach the minimum, the points that there are. Raises `ScfxError` where there is none.
    """
    ((_, done),) = relaxed(solver, [system], optimizer, criteria, max_steps, trajectory=True, memory=memory)
    if not done.frames:
        raise ScfxError(done.reason)
    places = np.unique(np.linspace(0, len(done.frames) - 1, samples).round().astype(int))
    return [(replace(system, positions=done.frames[at].positions), int(at)) for at in places]
