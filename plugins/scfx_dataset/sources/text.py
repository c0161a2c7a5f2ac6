"""SMILES files and csv tables."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

from scfx.errors import InputError
from scfx_dataset.sources.columns import electron_columns, elements_column, position_column
from scfx_dataset.sources.lines import Lines, readable
from scfx_dataset.sources.record import UNUSABLE, Record, cell_of_smiles, geometry_of, stated_cell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scfx_dataset.options import Limits

_HEADERS = {"smiles", "smi", "canonical_smiles", "isomeric_smiles", "#smiles"}


def read_smiles(path: Path, limits: Limits) -> Iterator[Record]:
    """Yield the first word of each line; the second, if there is one, is the molecule's name.

    A header line, empty lines and lines that start with '#' are passed over.
    """
    first, last = True, 0
    lines = Lines(path, limits.record_bytes)
    for number, line, problem in lines:
        last = number
        words = [readable(word.decode("utf-8", "surrogateescape")) for word in line.split(maxsplit=2)[:2]]
        if not words:
            continue
        header = first and words[0].lower() in _HEADERS
        first = False
        if not header and not words[0].startswith("#"):
            yield Record(number, words[0], words[1] if len(words) > 1 else "", problem=problem)
    if lines.ended_early:
        yield Record(last + 1, "", problem=lines.ended_early)


def read_csv(
    path: Path, column: str, limits: Limits, positions: str = "", unit: str = ""
) -> Iterator[Record]:
    """Yield a column of SMILES; if there are such columns, charge, multiplicity, and geometries as JSON lists.

    Raises `InputError` if the column is missing, or positions have no stated unit.
    """
    lines = Lines(path, limits.record_bytes)
    rows = _csv_rows(lines, limits.record_bytes)
    _, names, problem = next(rows, (0, [], ""))
    if problem or column not in names:
        raise InputError(
            f"task.column: {str(path)!r} has no column {column!r}; it has {problem or ', '.join(names)}"
        )
    where = position_column(names, positions, unit, str(path))
    elements = elements_column(names, str(path)) if where else ""
    electrons = electron_columns(names, str(path))
    label = next((n for n in ("name", "mol_id", "id") if n in names), "")
    last = 1
    for number, cells, problem in rows:
        last = number
        if not problem and len(cells) != len(names):
            problem = f"the row has {len(cells)} cells, the header {len(names)}"
        if problem:
            yield Record(number, "", problem=problem)
            continue
        row = dict(zip(names, cells, strict=True))
        smiles, problem = cell_of_smiles(row[column], column, needed=where is None)
        name = readable(row[label].strip()) if label else ""
        geometry = None
        if where is not None and not problem:
            try:
                geometry = geometry_of(
                    json.loads(row[elements]), json.loads(row[where[0]]), where[1], limits.atoms
                )
            except UNUSABLE as error:
                problem = f"the geometry cannot be read: {error}"
        stated = {what: stated_cell(row[column]) for what, column in electrons.items()}
        yield Record(number, smiles, name, geometry, problem=problem, **stated)
    if lines.ended_early:
        yield Record(last + 1, "", problem=lines.ended_early)


def _csv_rows(lines: Lines, limit: int) -> Iterator[tuple[int, list[str], str]]:
    """(line, cells, problem) of each row; a row that the csv module cannot read harms no other."""
    number, trouble = 0, ""

    def text() -> Iterator[str]:
        nonlocal number, trouble
        for line in lines:
            number, trouble = line.number, trouble or line.problem
            yield "\n" if line.problem else line.text.decode("utf-8", "surrogateescape") + "\n"

    reader = csv.reader(text())
    before = csv.field_size_limit(limit)
    try:
        while True:
            cells: list[str] = []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                trouble = trouble or f"the row cannot be read as csv: {error}"
            if cells or trouble:
                yield number, cells, trouble
            trouble = ""
    finally:
        csv.field_size_limit(before)
