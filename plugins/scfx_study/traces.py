"""Convergence, iteration by iteration: a few conformers solved again, with what each iteration left over."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scfx

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from scfx_study.checked_options import Option


def chosen(table: pd.DataFrame, count: int) -> list[Any]:
    """Return `entry` of `count` used conformers, of molecules spread evenly over the table."""
    used = table[table["used"] & (table["option"] == table["option"].iloc[0])]
    firsts = used.drop_duplicates("molecule")["entry"].tolist()
    count = min(count, len(firsts))
    return [firsts[i * len(firsts) // count] for i in range(count)]


def traces(
    options: Sequence[Option], table: pd.DataFrame, count: int, folder: Path, registry: Any
) -> dict[str, list[list[tuple[float, float]]]]:
    """Return, by option and conformer, (energy in hartree, orbital gradient in hartree) of every iteration.

    What was traced before is read from `folder`, a file for each option.
    """
    entries = chosen(table, count) if count and table["used"].any() else []
    folder.mkdir(parents=True, exist_ok=True)
    out: dict[str, list[list[tuple[float, float]]]] = {}
    for option in options:
        path = folder / f"{option.key}.json"
        kept: dict[str, list[tuple[float, float]]] = json.loads(path.read_text()) if path.exists() else {}
        missing = [entry for entry in entries if str(entry) not in kept]
        if missing:
            rows = table[table["option"] == option.label].set_index("entry").loc[missing]
            result = scfx.Solver(option.spec, registry).solve([_system(row) for _, row in rows.iterrows()])
            for entry, history in zip(missing, result.history or (), strict=True):
                kept[str(entry)] = [(float(energy), float(residual)) for energy, residual in history]
            path.write_text(json.dumps(kept))
        out[option.label] = [kept[str(entry)] for entry in entries]
    return out


def _system(row: Any) -> scfx.System:
    return scfx.System.from_arrays(
        [int(z) for z in row["atomic_numbers"]],
        [list(map(float, position)) for position in row["positions_angstrom"]],
        "angstrom",
        charge=int(row["charge"]),
        multiplicity=int(row["multiplicity"]),
    )
