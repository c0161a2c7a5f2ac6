"""SMILES files and csv tables."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

from scfx.errors import InputError
from scfx_dataset.sources.columns import elements_column, position_column
from scfx_dataset.sources.record import Record, geometry_of, open_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADERS = {"smiles", "smi", "canonical_smiles", "isomeric_smiles", "#smiles"}


def read_smiles(path: Path) -> Iterator[Record]:
    """The first word of each line; the second, if there is one, is the molecule's name.

    A header line, empty lines and lines that start with '#' are passed over.
    """
    first = True
    with open_text(path, newline="") as handle:
        for number, line in enumerate(handle, start=1):
            words = line.split()
            if not words:
                continue
            header = first and words[0].lower() in _HEADERS
            first = False
            if not header and not words[0].startswith("#"):
                yield Record(number, words[0], words[1] if len(words) > 1 else "")


def read_csv(path: Path, column: str, positions: str = "", unit: str = "") -> Iterator[Record]:
    """A column of SMILES; and, if there are such columns, elements and positions as JSON lists.

    Raises `InputError` if the column is missing, or positions have no stated unit.
    """
    with open_text(path, newline="") as handle:
        reader = csv.DictReader(handle)
        names = reader.fieldnames or ()
        if column not in names:
            raise InputError(
                f"task.column: {str(path)!r} has no column {column!r}; it has {', '.join(names)}"
            )
        where = position_column(names, positions, unit, str(path))
        elements = elements_column(names, str(path)) if where else ""
        label = next((n for n in ("name", "mol_id", "id") if n in names), "")
        for row in reader:
            text = (row[column] or "").strip()
            name = row[label].strip() if label and row[label] else ""
            if where is None:
                if text:
                    yield Record(reader.line_num, text, name)
                continue
            try:
                geometry = geometry_of(json.loads(row[elements]), json.loads(row[where[0]]), where[1])
            except (ValueError, TypeError) as error:
                yield Record(reader.line_num, text, name, problem=f"the geometry cannot be read: {error}")
                continue
            yield Record(reader.line_num, text, name, geometry)
