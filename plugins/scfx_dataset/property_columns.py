"""Columns of the properties that `scf.properties` asks for, derived from their descriptors.

A plan holds them as plain data, so that a dataset can be read where the plugin of a property is not installed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scfx.contracts.property import Column

if TYPE_CHECKING:
    import scfx
    from scfx.contracts.property import AbstractProperty
    from scfx.properties.requests import Requested

#: Why properties of a row are null although it is ok: {name of the property: reason}.
REASONS = "property_reasons"


#: Ending of the file beside a shard that holds properties with no place in its rows.
MATRICES = "matrices.parquet"


def property_columns(requested: Requested) -> tuple[dict[str, Any], ...]:
    """Return a record for each property that is reported (of `ResolvedSpec.properties`).

    One without a column (a matrix) has a "file": it is stored beside the rows.
    """
    out = []
    for name in requested.reported:
        made = requested.named(name)
        column = stored_as(made)
        record = {
            "property": name,
            "column": column.name,
            "unit": column.unit,
            "axes": list(made.axes),
            "description": column.description or made.summary,
        }
        out.append(record if made.column is not None else record | {"file": MATRICES})
    return tuple(out)


def stored_as(made: AbstractProperty) -> Column:
    """Return how values of a property are stored: by its column, or, where it has none, under its name and unit."""
    return made.column or Column(made.key, made.unit)


def matrix_columns(columns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return those of such records that are stored beside the rows."""
    return [column for column in columns if column.get("file") == MATRICES]


def property_fields(columns: Sequence[Mapping[str, Any]], taken: Collection[str]) -> list[pa.Field]:
    """Return Arrow fields of such records, but for names that are `taken`; unit, meaning and axes in their metadata."""
    fields = [_field(c) for c in columns if c["column"] not in taken and "file" not in c]
    if columns:
        meaning = {"description": "why properties of a row that is ok are null, by name; null where none is"}
        fields.append(pa.field(REASONS, pa.map_(pa.string(), pa.string()), True, metadata=meaning))
    return fields


def _field(column: Mapping[str, Any]) -> pa.Field:
    type_: pa.DataType = pa.float64()
    if column["axes"] == ["component"]:
        type_ = pa.map_(pa.string(), pa.float64())
    else:
        for _ in column["axes"]:
            type_ = pa.list_(type_)
    metadata = {"unit": column["unit"]} if column["unit"] else {}
    metadata |= {"description": column["description"], "property": column["property"]}
    if column["axes"]:
        metadata["axes"] = " ".join(column["axes"])
    return pa.field(column["column"], type_, True, metadata=metadata)


def matrix_schema(columns: Sequence[Mapping[str, Any]]) -> pa.Schema:
    """Return the schema of the file beside the rows: which row, and a column for each property that is stored there."""
    row = pa.field("row_id", pa.int64(), False, metadata={"description": "number of the row in the plan"})
    return pa.schema([row, *map(_field, matrix_columns(columns))])


def matrix_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return the file beside the rows, from rows whose values there are arrays (or None)."""
    schema = matrix_schema(columns)
    arrays = [pa.array([row["row_id"] for row in rows], pa.int64())]
    arrays += [_nested([row.get(field.name) for row in rows], field.type) for field in list(schema)[1:]]
    return pa.table(arrays, schema=schema)


def _nested(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Arrays of any shapes as lists of lists, without a Python object for each number."""
    if not pa.types.is_list(type_):
        return pa.array(values, type_)
    lengths = [0 if value is None else len(value) for value in values]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    absent = [value is None for value in values]
    inside = [value for value in values if value is not None]
    if pa.types.is_list(type_.value_type):
        content = _nested([row for value in inside for row in value], type_.value_type)
    else:
        content = pa.array(np.concatenate([np.zeros(0), *inside]), pa.float64())
    return pa.ListArray.from_arrays(
        pa.array(offsets), content, type=type_, mask=pa.array(absent) if any(absent) else None
    )


def property_values(result: scfx.SCFResult, i: int, columns: Collection[str]) -> dict[str, Any]:
    """Return those of `columns` that are properties of entry `i`, in the units of the columns."""
    out: dict[str, Any] = {}
    reasons = {}
    for name, descriptor in result.descriptors.items():
        column = stored_as(descriptor)
        if column.name not in columns:
            continue
        value = result.properties[name][i]
        if descriptor.column is None and isinstance(value, np.ndarray):
            out[column.name] = np.asarray(value, dtype=np.float64)
        else:
            stored = column.stored(value)
            out[column.name] = list(stored.items()) if isinstance(stored, dict) else stored
        if result.property_reasons[name][i]:
            reasons[name] = result.property_reasons[name][i]
    if REASONS in columns and reasons:
        out[REASONS] = sorted(reasons.items())
    return out
