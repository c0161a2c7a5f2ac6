"""Tables as data for `reporting/pieces.html`: which cells are numbers, what they show, and by what they are sorted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

#: What a cell shows that has no value.
NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Cell:
    """One cell: `text`, with `below` in small type; `value` to sort by, None for text and for what is missing."""

    text: str
    below: str = ""
    value: float | None = None
    number: bool = True


@dataclass(frozen=True)
class Table:
    """Heads, whether each column holds numbers (set to the right), and rows of cells."""

    heads: Sequence[str]
    numbers: Sequence[bool]
    rows: Sequence[Sequence[Cell]]


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table of plain values: text, a number, None for what is missing, or (value to sort by, text to show).

    A shown text like "0.31 [0.28, 0.35]" gets its interval on a line below.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    columns = zip(*cells, strict=True) if cells else ([] for _ in heads)
    return Table(heads, [bool(cells) and all(cell.number for cell in column) for column in columns], cells)


def _cell(given: Any) -> Cell:
    value, text = given if isinstance(given, tuple) else (given, None)
    if isinstance(value, str):
        return Cell(value if text is None else text, number=False)
    plain, bracket, interval = (number_text(value) if text is None else text).partition(" [")
    below = f"[{interval}" if bracket else ""
    if _is_missing(value):
        return Cell(plain, below)
    return Cell(plain, below, float(value))


def number_text(value: Any, digits: int = 3) -> str:
    """Return three significant digits, without powers of ten where they can be avoided."""
    if _is_missing(value):
        return NOTHING
    # Of NumPy too, whose numbers are neither int nor, in single precision, float.
    if isinstance(value, Integral):
        return f"{int(value):,}"
    size = abs(float(value))
    if size >= 1000:
        return f"{value:,.0f}"
    if size == 0:
        return "0"
    if size < 1e-4:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"


def _is_missing(value: Any) -> bool:
    return value is None or math.isnan(value)
