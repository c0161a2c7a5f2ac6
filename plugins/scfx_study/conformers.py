"""Single conformers in the report of a study: the worst ones drawn, all of few, and what an option loses."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfx.model.drawing import molecule_svg
from scfx.model.elements import SYMBOLS
from scfx.reporting.tables import NOTHING, Table, number_text, table
from scfx_study.plots import paired

if TYPE_CHECKING:
    from scfx_study.study import Study

_MOST_FAILURES = 60
#: Studies of at most so many conformers list them all.
_MOST_LISTED = 60


def outliers(study: Study, labels: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the conformers of largest error in the gap, the same number for each option, as cards of the report."""
    count = study.settings.outliers
    each = max(1, count // max(1, len(study.pairs))) if count else 0
    cards = []
    for option, against in study.pairs:
        used = labels[labels["used"]].set_index("entry")
        mine, other = used[used["option"] == option], used[used["option"] == against]
        gap, reference = paired(labels, option, against, "gap_ev")
        for index in np.argsort(-np.abs(gap - reference))[:each]:
            cards.append(_card(option, against, mine.iloc[index], other.loc[mine.index[index]]))
    return cards


def _card(option: str, against: str, mine: Any, other: Any) -> dict[str, Any]:
    name = _name(mine)
    numbers = np.array(mine["atomic_numbers"])
    positions = np.array([list(p) for p in mine["positions_angstrom"]])
    smiles = mine.get("smiles")
    facts = [
        ("gap", f"{number_text(mine['gap_ev'])} eV"), (f"gap, {against}", f"{number_text(other['gap_ev'])} eV"),
        ("error of the gap", f"{number_text(1e3 * (mine['gap_ev'] - other['gap_ev']))} meV"),
        ("error of the energy", f"{number_text(1e3 * (mine['energy_ev'] - other['energy_ev']))} meV"),
        ("iterations", f"{int(mine['iterations'])} ({int(other['iterations'])})"),
    ]  # fmt: skip
    comment = f"{name} charge={int(mine['charge'])} multiplicity={int(mine['multiplicity'])}"
    return {
        "name": name,
        "option": option,
        "conformer": f", conformer {int(mine['conformer'])}" if pd.notna(mine["conformer"]) else "",
        "svg": molecule_svg(smiles if isinstance(smiles, str) else None, numbers, positions).encode(),
        "facts": facts,
        "xyz": as_xyz(numbers, positions, comment),
    }


def as_xyz(atomic_numbers: np.ndarray, positions: np.ndarray, comment: str) -> str:
    """Return the geometry (angstrom) as an xyz file."""
    rows = [
        f"{SYMBOLS[int(z)]:2s} {p[0]:14.8f} {p[1]:14.8f} {p[2]:14.8f}"
        for z, p in zip(atomic_numbers, positions, strict=True)
    ]
    return "\n".join([str(len(rows)), comment, *rows])


def _name(row: Any) -> str:
    for key in ("name", "smiles", "input_smiles"):
        if isinstance(row.get(key), str) and row[key]:
            return row[key]
    return f"row {row['row_id']}"


def every_conformer(study: Study, labels: pd.DataFrame) -> Table | None:
    """Return the errors of each conformer, where there are few enough to read; else None."""
    if (labels["option"] == study.reference.label).sum() > _MOST_LISTED:
        return None
    rows = []
    for option, against in study.pairs:
        other = labels[labels["option"] == against].set_index("entry")
        own = labels[
            (labels["option"] == option) & labels["entry"].isin(other.index)
        ]  # not all, if unfinished
        for _, mine in own.iterrows():
            reference = other.loc[mine["entry"]]
            energy, gap = (
                1e3 * (mine[column] - reference[column]) if pd.notna(mine[column]) else None
                for column in ("energy_ev", "gap_ev")
            )
            iterations = None if pd.isna(mine["iterations"]) else int(mine["iterations"])
            rung = mine["rung"] if isinstance(mine["rung"], str) else ""
            rows.append(
                [_name(mine), option, energy, gap, reference["gap_ev"], iterations, rung, mine["status"]]
            )
    heads = [
        "molecule", "option", "energy error (meV)", "gap error (meV)", "gap (eV)", "iterations", "recovery", "status",
    ]  # fmt: skip
    return table(heads, rows)


def failures(labels: pd.DataFrame) -> dict[str, Any]:
    """Return conformers that one option could not label and another could: what a choice loses.

    `everywhere` and `some` count conformers without a label under any and under some options; `rows` lists `shown` of
    the `listed` rows of the latter, and is None where there is none.
    """
    bad = labels[labels["status"] != "ok"]
    some = set(labels.loc[labels["status"] == "ok", "entry"])
    telling = bad[bad["entry"].isin(some)]
    rows = [
        [_name(row), (None, NOTHING) if pd.isna(row["conformer"]) else int(row["conformer"]), row["option"],
         row["status"], row["reason"]]
        for _, row in telling.head(_MOST_FAILURES).iterrows()
    ]  # fmt: skip
    return {
        "everywhere": bad.loc[~bad["entry"].isin(some), "entry"].nunique(),
        "some": telling["entry"].nunique(),
        "rows": table(["molecule", "conformer", "option", "status", "reason"], rows) if rows else None,
        "shown": len(rows),
        "listed": len(telling),
    }
