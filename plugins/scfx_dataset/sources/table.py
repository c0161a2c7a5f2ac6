"""Parquet tables, and datasets that scfx has made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from scfx.errors import InputError
from scfx_dataset.sources.columns import electron_columns, elements_column, position_column
from scfx_dataset.sources.lines import readable
from scfx_dataset.sources.record import UNUSABLE, Record, cell_of_smiles, geometry_of, stated_cell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scfx_dataset.options import Limits

_BATCH = 4096
_NAMES = ("name", "mol_id", "id", "idx", "index")


def read_parquet(
    path: Path, column: str, limits: Limits, positions: str = "", unit: str = ""
) -> Iterator[Record]:
    """Yield a Parquet file with a column of SMILES and, if it has them, elements and positions; read batch by batch.

    `column` is QM1B's "smile" where the file has that and no other. Raises `InputError` for missing columns. A row
    group that cannot be read is one record with a problem, and the next one goes on.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if column == "smiles" and column not in names and "smile" in names:
                column = "smile"
            where = position_column(names, positions, unit, str(path))
            if column not in names and where is None:
                raise InputError(
                    f"task.column: {str(path)!r} has no column {column!r}; it has {', '.join(names)}"
                )
            elements = elements_column(names, str(path)) if where else ""
            wanted = {"smiles": column, "name": next((n for n in _NAMES if n in names), "")}
            wanted |= electron_columns(names, str(path))
            if where:
                wanted |= {"elements": elements, "positions": where[0]}
            wanted = {key: name for key, name in wanted.items() if name in names}
            number = 0
            for group in range(file.num_row_groups):
                end = number + file.metadata.row_group(group).num_rows
                try:
                    for batch in file.iter_batches(_BATCH, [group], columns=sorted(set(wanted.values()))):
                        columns = {key: batch.column(name).to_pylist() for key, name in wanted.items()}
                        for i in range(batch.num_rows):
                            number += 1
                            row = {key: values[i] for key, values in columns.items()}
                            yield _record(number, row, column, where[1] if where else "", limits)
                except (pa.ArrowException, OSError, *UNUSABLE) as error:
                    if isinstance(error, OSError) and error.errno is not None:
                        raise
                    problem = f"rows {number + 1} to {end} (row group {group}) cannot be read: {error}"
                    yield Record(number + 1, "", problem=problem)
                number = end
    except pa.ArrowException as error:
        raise InputError(f"task.molecules: cannot read {str(path)!r} as Parquet: {error}") from error


def _record(number: int, row: dict[str, Any], column: str, unit: str, limits: Limits) -> Record:
    smiles, problem = cell_of_smiles(row.get("smiles"), column, needed=not unit)
    geometry = None
    if unit and not problem:
        try:
            geometry = geometry_of(row["elements"] or (), row["positions"], unit, limits.atoms)
        except UNUSABLE as error:
            problem = f"the geometry cannot be read: {error}"
    name = "" if row.get("name") is None else readable(str(row["name"]))
    charge, multiplicity = (stated_cell(row.get(what)) for what in ("charge", "multiplicity"))
    return Record(number, smiles, name, geometry, charge, multiplicity, problem)


def read_dataset(path: Path) -> Iterator[Record]:
    """Yield the rows that are ok of a dataset, in the order of its shards: their geometries, for labels of another
    level.

    `line` is the row_id there.
    """
    import scfx_dataset

    columns = ["row_id", "smiles", "charge", "multiplicity", "atomic_numbers", "positions_angstrom"]
    dataset = scfx_dataset.open(path).filter("ok")
    columns += ["assumed"] if "assumed" in dataset.schema.names else []
    for table in dataset.shards(columns):
        for row in table.to_pylist():
            geometry = geometry_of(row["atomic_numbers"], row["positions_angstrom"])
            name = f"row {row['row_id']}"
            # What was assumed there is assumed here.
            assumed = tuple(what for what in (row.get("assumed") or "").split(", ") if what)
            charge, multiplicity = row["charge"], row["multiplicity"]
            yield Record(
                row["row_id"], row["smiles"] or "", name, geometry, charge, multiplicity, assumed=assumed
            )
