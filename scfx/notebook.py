"""HTML for notebooks: what `_repr_html_` of systems, results, datasets and studies shows.

A table, a structure, and in red what is wrong. Everything that a user wrote is escaped. Styles are inline and leave
background and text colour to the notebook, so that a dark one stays dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.model.drawing import geometry_svg
from scfx.model.units import BOHR_IN_ANGSTROM, DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV

if TYPE_CHECKING:
    from scfx.model.system import System
    from scfx.results import SCFResult

_RED = "color:#d32f2f;font-weight:600"
_CELL = "padding:2px 10px 2px 0;text-align:left;vertical-align:top"
#: Rows of a table, and atoms of a drawing, beyond which it is cut and says so.
_ROWS, _ATOMS = 20, 200


def panel(title: str, table: str, picture: str = "") -> str:
    """Return a heading, and a table beside a picture, below it where there is no room."""
    return (
        f"<div><strong>{escape(title)}</strong>"
        '<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start">'
        f'{picture}<div style="overflow-x:auto">{table}</div></div></div>'
    )


def facts(rows: Iterable[tuple[str, Any, bool]]) -> str:
    """Return a table of names and values; True: the value is something wrong."""
    return _table(
        "".join(
            f"<tr>{_cell(name, 'opacity:0.7')}{_cell(value, _RED if wrong else '')}</tr>"
            for name, value, wrong in rows
        )
    )


def listing(header: Sequence[str], rows: Sequence[tuple[Sequence[Any], bool]]) -> str:
    """Return a table with a row an entry; True: the entry is wrong. The first rows, and how many more there are."""
    head = "".join(f'<th style="{_CELL};opacity:0.7">{escape(name)}</th>' for name in header)
    body = "".join(
        f"<tr>{''.join(_cell(value, _RED if wrong else '') for value in values)}</tr>"
        for values, wrong in rows[:_ROWS]
    )
    more = len(rows) - _ROWS
    note = (
        f'<tr><td colspan="{len(header)}" style="{_CELL};opacity:0.7">and {more} more</td></tr>'
        if more > 0
        else ""
    )
    return _table(f"<tr>{head}</tr>{body}{note}")


def system_html(system: System) -> str:
    """Return HTML with formula, charge, multiplicity, what was assumed of them, and the geometry."""
    assumed = ", ".join(sorted(system.assumed))
    rows: list[tuple[str, Any, bool]] = [
        ("atoms", system.natm, False),
        ("electrons", system.n_electrons, False),
        ("charge", system.charge, False),
        ("multiplicity", system.multiplicity, False),
    ]
    if assumed:
        rows.append(("assumed", assumed, False))
    return panel(
        f"{system.name or system.formula}: {system.formula}" if system.name else system.formula,
        facts(rows),
        _picture(system),
    )


def result_html(result: SCFResult) -> str:
    """Return the level, and for each system its energy, gap, dipole and status; of a single one its structure too."""
    known = result.provenance
    level = "/".join(str(known[key]) for key in ("functional", "basis") if key in known)
    by = ", ".join(str(known[key]) for key in ("backend", "precision") if key in known)
    header = ("", "system", "energy / hartree", "gap / eV", "dipole / debye", "status")
    rows = []
    for i, system in enumerate(result.systems):
        wrong = not bool(result.converged[i])
        ended = str(result.status[i]) + (f": {result.reason[i]}" if result.reason[i] else "")
        unstable = result.stability[i] if result.stability is not None else None
        if unstable is not None and unstable.verdict != "stable":
            ended, wrong = f"{ended}, {unstable.verdict}", True
        values = (
            i,
            system.name or system.formula,
            _number(result.energy[i], ".8f"),
            _number(result.gap[i] * HARTREE_IN_EV, ".3f"),
            _number(float(np.linalg.norm(result.dipole[i])) * DIPOLE_AU_IN_DEBYE, ".3f"),
            ended,
        )
        rows.append((values, wrong))
    bad = sum(wrong for _, wrong in rows)
    title = f"{len(result)} {'system' if len(result) == 1 else 'systems'}" + (f", {level}" if level else "")
    title += f" ({by})" if by else ""
    notes = [("not usable", f"{bad} of {len(result)}", True)] if bad else []
    for name, reasons in result.property_reasons.items():
        missing = [why for why in reasons if why]
        if missing:
            notes.append((name, f"none for {len(missing)} of {len(result)}: {missing[0]}", True))
    picture = _picture(result.systems[0]) if len(result) == 1 else ""
    return panel(title, listing(header, rows) + (facts(notes) if notes else ""), picture)


def _table(body: str) -> str:
    return f'<table style="border-collapse:collapse;font-variant-numeric:tabular-nums"><tbody>{body}</tbody></table>'


def _cell(value: Any, style: str = "") -> str:
    return f'<td style="{_CELL}{";" + style if style else ""}">{escape(str(value))}</td>'


def _number(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "none"


def _picture(system: System) -> str:
    if system.natm > _ATOMS:
        return ""
    return geometry_svg(system.atomic_numbers, system.positions * BOHR_IN_ANGSTROM, 160)
