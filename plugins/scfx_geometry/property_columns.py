"""Columns of what `scf.properties` asks for, from the properties' own descriptors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from scfx.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from scfx.contracts.property import AbstractProperty
    from scfx.properties.requests import Requested

#: Column: why properties of a row that is there are null, by name.
REASONS = "property_reasons"


def reported(requested: Requested, taken: Collection[str]) -> list[AbstractProperty]:
    """Return the properties that get a column: those reported, but for columns that the table has anyway (`taken`).

    Raises `ConfigError` for one that has no place in a table.
    """
    out = []
    for each in requested.ordered:
        if each.name not in requested:
            continue
        if each.column is None:
            raise ConfigError(
                "scf.properties",
                f"{each.name!r} has no place in the rows of a table; leave it out here, and take it from scfx.solve",
            )
        if each.column.name not in taken:
            out.append(each)
    return out


def property_row(
    requested: Requested, taken: Collection[str], values: Mapping[str, Any], reasons: Mapping[str, str]
) -> dict[str, Any]:
    """Return plain numbers by column, of values by the properties' names; reasons of those that have none."""
    out: dict[str, Any] = {}
    why = {}
    for each in reported(requested, taken):
        assert each.column is not None
        out[each.column.name] = each.column.stored(values.get(each.name))
        if reasons.get(each.name):
            why[each.name] = reasons[each.name]
    return out | ({REASONS: why} if why else {})


def property_fields(requested: Requested, taken: Collection[str]) -> list[pa.Field]:
    """Return Arrow fields of these columns, with unit and meaning in their metadata."""
    import pyarrow as pa

    fields = []
    for each in reported(requested, taken):
        assert each.column is not None
        kind: pa.DataType = pa.float64()
        if each.axes == ("component",):
            kind = pa.map_(pa.string(), pa.float64())
        else:
            for _ in each.axes:
                kind = pa.list_(kind)
        metadata = {
            "unit": each.column.unit,
            "description": each.column.description or each.summary,
            "property": each.name,
        }
        fields.append(
            pa.field(each.column.name, kind, metadata={key: text for key, text in metadata.items() if text})
        )
    if fields:
        fields.append(pa.field(REASONS, pa.map_(pa.string(), pa.string())))
    return fields
