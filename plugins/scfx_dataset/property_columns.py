"""Columns of the properties that `scf.properties` asks for, derived from their descriptors.

A plan holds them as plain data, so that a dataset can be read where the plugin of a property is not installed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from scfx.errors import ConfigError

if TYPE_CHECKING:
    import scfx

#: Why properties of a row are null although it is ok: {name of the property: reason}.
REASONS = "property_reasons"


def property_columns(requested: Any) -> tuple[dict[str, Any], ...]:
    """A record for each property that is reported (of `ResolvedSpec.properties`).

    Raises `ConfigError` for one that has no place in a table.
    """
    out = []
    for name in requested.reported:
        made = requested.named(name)
        if made.column is None:
            raise ConfigError(
                "scf.properties",
                f"{name!r} has no place in the rows of a dataset; leave it out here, and take it from scfx.solve",
            )
        out.append(
            {
                "property": name,
                "column": made.column.name,
                "unit": made.column.unit,
                "axes": list(made.axes),
                "description": made.column.description or made.summary,
            }
        )
    return tuple(out)


def property_fields(columns: Sequence[Mapping[str, Any]], taken: Collection[str]) -> list[pa.Field]:
    """Arrow fields of such records, but for names that are `taken`; unit, meaning and axes in their metadata."""
    fields = []
    for column in columns:
        if column["column"] in taken:
            continue
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
        fields.append(pa.field(column["column"], type_, True, metadata=metadata))
    if columns:
        meaning = {"description": "why properties of a row that is ok are null, by name; null where none is"}
        fields.append(pa.field(REASONS, pa.map_(pa.string(), pa.string()), True, metadata=meaning))
    return fields


def property_values(result: scfx.SCFResult, i: int, columns: Collection[str]) -> dict[str, Any]:
    """Those of `columns` that are properties of entry `i`, in the units of the columns."""
    out: dict[str, Any] = {}
    reasons = {}
    for name, descriptor in result.descriptors.items():
        if descriptor.column is None or descriptor.column.name not in columns:
            continue
        stored = descriptor.column.stored(result.properties[name][i])
        out[descriptor.column.name] = list(stored.items()) if isinstance(stored, dict) else stored
        if result.property_reasons[name][i]:
            reasons[name] = result.property_reasons[name][i]
    if REASONS in columns and reasons:
        out[REASONS] = sorted(reasons.items())
    return out
