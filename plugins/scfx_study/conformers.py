"""Single conformers in the report of a study: the worst ones drawn, all of few, and what an option loses."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfx_study.drawing import as_xyz, draw
from scfx_study.page import NOTHING, details, number, table
from scfx_study.plots import paired

if TYPE_CHECKING:
    from scfx_study.study import Study

_MOST_FAILURES = 60
#: Studies of at most so many conformers list them all.
_MOST_LISTED = 60


def outliers(study: Study, labels: pd.DataFrame) -> list[str]:
    """Return the conformers of largest error in the gap, the same number for each option."""
    count = study.settings.outliers
    if not count:
        return []
    each = max(1, count // max(1, len(study.pairs)))
    cards = []
    for option, against in study.pairs:
        used = labels[labels["used"]].set_index("entry")
        mine, other = used[used["option"] == option], used[used["option"] == against]
        gap, reference = paired(labels, option, against, "gap_ev")
        for index in np.argsort(-np.abs(gap - reference))[:each]:
            cards.append(_card(option, against, mine.iloc[index], other.loc[mine.index[index]]))
    return ["<h2>Largest errors of the gap</h2>", f'<div class="cards">{"".join(cards)}</div>']


def _card(option: str, against: str, mine: Any, other: Any) -> str:
    name = _name(mine)
    numbers, positions = (
        np.array(mine["atomic_numbers"]),
        np.array([list(p) for p in mine["positions_angstrom"]]),
    )
    rows = [
        ("gap", f"{number(mine['gap_ev'])} eV"), (f"gap, {against}", f"{number(other['gap_ev'])} eV"),
        ("error of the gap", f"{number(1e3 * (mine['gap_ev'] - other['gap_ev']))} meV"),
        ("error of the energy", f"{number(1e3 * (mine['energy_ev'] - other['energy_ev']))} meV"),
        ("iterations", f"{int(mine['iterations'])} ({int(other['iterations'])})"),
    ]  # fmt: skip
    listed = "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in rows)
    conformer = f", conformer {int(mine['conformer'])}" if pd.notna(mine["conformer"]) else ""
    xyz = as_xyz(
        numbers, positions, f"{name} charge={int(mine['charge'])} multiplicity={int(mine['multiplicity'])}"
    )
    return (
        f'<div class="card">{draw(numbers, positions)}<b>{escape(name)}</b>{conformer}<br>{escape(option)}'
        f"<dl>{listed}</dl>{details('geometry (xyz)', xyz)}</div>"
    )


def _name(row: Any) -> str:
    for key in ("name", "smiles", "input_smiles"):
        if isinstance(row.get(key), str) and row[key]:
            return row[key]
    return f"row {row['row_id']}"


def every_conformer(study: Study, labels: pd.DataFrame) -> list[str]:
    """Return errors of each conformer, where there are few enough to read."""
    if (labels["option"] == study.reference.label).sum() > _MOST_LISTED:
        return []
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
        "molecule",
        "option",
        "energy error (meV)",
        "gap error (meV)",
        "gap (eV)",
        "iterations",
        "recovery",
        "status",
    ]
    return ["<h2>Every conformer</h2>", table(heads, rows)]


def failures(labels: pd.DataFrame) -> list[str]:
    """Return the conformers that one option could not label and another could: what a choice loses."""
    bad = labels[labels["status"] != "ok"]
    some = set(labels.loc[labels["status"] == "ok", "entry"])
    telling = bad[bad["entry"].isin(some)]
    everywhere = bad.loc[~bad["entry"].isin(some), "entry"].nunique()
    out = [
        "<h2>Left out</h2>",
        f"<p>{everywhere:,} conformers have no label under any option (mostly no embedding); "
        f"{telling['entry'].nunique():,} under some only.</p>",
    ]
    if len(telling):
        rows = [
            [_name(row), (None, NOTHING) if pd.isna(row["conformer"]) else int(row["conformer"]), row["option"],
             row["status"], row["reason"]]
            for _, row in telling.head(_MOST_FAILURES).iterrows()
        ]  # fmt: skip
        out.append(table(["molecule", "conformer", "option", "status", "reason"], rows))
        if len(telling) > _MOST_FAILURES:
            out.append(
                f'<p class="note">The first {_MOST_FAILURES} of {len(telling)}; table.parquet has all.</p>'
            )
    return out
