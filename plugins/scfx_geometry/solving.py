"""Solving many molecules together so that what is wrong with one costs its own row only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import ConfigError, ResourceError, ScfxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.model.system import System

#: A result and the entry there that is a molecule's, or the reason why it has none.
Entry = tuple[Any, int] | str


def solved_entries(solver: Any, systems: Sequence[System], **options: Any) -> list[Entry]:
    """Return each system's entry. They are solved in one call; if that raises, one by one.

    `options` are those of `Solver.solve`; lists among them have an element for each system. Faults of the configuration
    and of the machine are raised: they say nothing about a molecule.
    """
    try:
        result = solver.solve(systems, **options)
    except Exception as error:
        if len(systems) == 1:
            return [reason_of(error)]
        reason_of(error)
        out: list[Entry] = []
        for place, system in enumerate(systems):
            own = {
                key: [value[place]] if isinstance(value, list) else value for key, value in options.items()
            }
            out += solved_entries(solver, [system], **own)
        return out
    return [_entry(result, row) for row in range(len(systems))]


def _entry(result: Any, row: int) -> Entry:
    if not result.converged[row]:
        return result.reason[row] or result.status[row].explain()
    if not np.isfinite(result.energy[row]):
        return f"the energy is {result.energy[row]}"
    return result, row


def reason_of(error: Exception) -> str:
    """Return what a row says of an error that is its molecule's own; raise one of the configuration or the machine."""
    machine = isinstance(error, OSError | MemoryError) and not isinstance(error, ResourceError)
    if machine or isinstance(error, ConfigError):
        raise error
    return str(error) if isinstance(error, ScfxError) else f"{type(error).__name__}: {error}"
