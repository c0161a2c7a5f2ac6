"""Where molecules come from: a dataset of labels, or QM9 and the like in their public layouts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from scfx.contracts.labels import AbstractDataset, is_dataset, open_dataset, scalar_properties
from scfx.errors import ConfigError
from scfx.model.same_molecule import molecule_key
from scfx.registry import Registry
from scfx_schnet import qm9
from scfx_schnet.molecules import Chunk, Molecules, open_or_write
from scfx_schnet.targets import TARGETS

if TYPE_CHECKING:
    import pyarrow as pa

    from scfx_schnet.processes import Processes

Layout = Literal["auto", "scfx", "xyz", "table"]


class DataOptions(BaseModel):
    """Where labels are. `layout` "auto" goes by what is there: a dataset of labels that a plugin can read, a folder
    or archive of .xyz files is QM9's own form, .parquet and .csv are tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(
        description="a dataset's folder, a folder or .tar.bz2 of dsgdb9nsd xyz files, .parquet or .csv"
    )
    layout: Layout = "auto"
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="tables: which column is which of smiles, numbers, positions, gap, homo, lumo, energy",
    )
    energy_unit: Literal["auto", "ev", "hartree"] = Field(
        "auto",
        description="tables: of the targets. auto: eV if the column's name ends in _ev, else hartree as in QM9",
    )
    length_unit: Literal["angstrom", "bohr"] = Field("angstrom", description="tables: of the positions")
    limit: int | None = Field(None, ge=1, description="only the first so many rows")


def open_data(
    options: DataOptions, cache: Path, key: str = "task.data", registry: Registry | None = None
) -> Molecules:
    """Return the molecules of a source; written to `cache` once, one chunk in memory at a time, then memory-mapped.

    Datasets of labels are read by whoever can among the plugins of `registry` (left out: the installed ones).
    Raises `ConfigError` if there is nothing at the path or its layout is not known, `InputError` if it has no usable
    row.
    """
    path = Path(options.path)
    if not path.exists():
        raise ConfigError(f"{key}.path", f"{options.path!r} does not exist")
    registry = Registry.discover() if registry is None else registry
    layout = _layout(path, options, key, registry)
    if layout == "scfx":
        identity, description, chunks = _dataset(open_dataset(registry, path))
    else:
        identity, description, chunks = {"xyz": _xyz, "table": _table}[layout](path, options)
    identity = json.dumps([layout, identity, options.model_dump(exclude={"path", "layout"})], sort_keys=True)
    description = {"path": str(options.path), "layout": layout, **description}
    return open_or_write(cache, identity, description, _limited(chunks, options.limit))


def open_shared(
    data: DataOptions, cache: Path, group: Processes, registry: Registry, key: str = "task.data"
) -> Molecules:
    """Do as `open_data`, of several processes by the first one first, so that the cache is written once."""
    if group.first:
        open_data(data, cache, key, registry)
    group.wait()
    return open_data(data, cache, key, registry)


def _layout(path: Path, options: DataOptions, key: str, registry: Registry) -> str:
    if options.layout != "auto":
        return options.layout
    if is_dataset(registry, path):
        return "scfx"
    if path.name.endswith((".parquet", ".csv")):
        return "table"
    if path.is_dir() or path.name.endswith((".tar.bz2", ".tar.gz", ".tar", ".xyz")):
        return "xyz"
    raise ConfigError(
        f"{key}.layout",
        f"cannot tell what {options.path!r} is; name it: 'scfx' (a dataset of labels), 'xyz' or 'table'",
    )


def _limited(chunks: Iterator[Chunk], limit: int | None) -> Iterator[Chunk]:
    left = limit
    for chunk in chunks:
        if left is None or len(chunk.sizes) <= left:
            yield chunk
        elif left > 0:
            atoms = int(chunk.sizes[:left].sum())
            yield Chunk(
                chunk.sizes[:left],
                chunk.numbers[:atoms],
                chunk.positions[:atoms],
                chunk.molecules[:left],
                {k: v[:left] for k, v in chunk.targets.items()},
                chunk.units,
            )
        if left is not None:
            left -= len(chunk.sizes)
            if left <= 0:
                return


# ---- a dataset of labels ------------------------------------------------------------------------------------------


def _dataset(dataset: AbstractDataset) -> tuple[Any, dict[str, Any], Iterator[Chunk]]:
    ok = dataset.filter(status="ok")
    description = {"rows_planned": dataset.planned, **_label_cost(dataset)}
    names = [name for name in ("smiles", "inchikey") if name in dataset.schema.names]
    properties = scalar_properties(dataset.schema)
    targets = {name: column for name, (column, _) in properties.items()} | {t: f"{t}_ev" for t in TARGETS}
    columns = [*names, "atomic_numbers", "positions_angstrom", *targets.values()]
    units = {name: unit for name, (_, unit) in properties.items() if name not in TARGETS and unit != "eV"}
    chunks = (_from_arrow(table, targets, units) for table in ok.shards(columns) if table.num_rows)
    return dataset.identity, description, chunks


def _label_cost(dataset: AbstractDataset) -> dict[str, Any]:
    """Thread seconds that a label took, all stages of all workers, failed rows included, from the commit records."""
    summary = dataset.summary()
    seconds = sum(s for stage, s in summary["worker_seconds"].items() if stage != "total")
    labels = summary["statuses"]["ok"]
    return {"seconds_per_label": seconds / labels} if seconds and labels else {}


def _from_arrow(table: pa.Table, targets: Mapping[str, str], units: Mapping[str, str]) -> Chunk:
    numbers = table["atomic_numbers"].combine_chunks()
    known = table["inchikey"].to_pylist() if "inchikey" in table.column_names else [None] * table.num_rows
    rows = zip(table["smiles"].to_pylist(), known, table["atomic_numbers"].to_pylist(), strict=True)
    positions = table["positions_angstrom"].combine_chunks()
    return Chunk(
        sizes=np.diff(numbers.offsets.to_numpy()),
        numbers=numbers.flatten().to_numpy(),
        positions=positions.flatten().flatten().to_numpy().reshape(-1, 3),
        molecules=[molecule_key(*row) for row in rows],
        targets={
            t: table[column].to_numpy() for t, column in targets.items() if not table[column].null_count
        },
        units=units,
    )


# ---- QM9 and tables ----------------------------------------------------------------------------------------------


def _xyz(path: Path, options: DataOptions) -> tuple[Any, dict[str, Any], Iterator[Chunk]]:
    for name in ("columns", "energy_unit", "length_unit"):
        if name in options.model_fields_set:
            raise ConfigError(
                f"task.data.{name}", "is for tables; QM9's xyz files have fixed fields and units"
            )
    return qm9.xyz_identity(path), {}, qm9.read_xyz(path)


def _table(path: Path, options: DataOptions) -> tuple[Any, dict[str, Any], Iterator[Chunk]]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    columns: Mapping[str, str] = options.columns
    unknown = set(columns) - {"smiles", "numbers", "positions", *TARGETS}
    if unknown:
        raise ConfigError(
            f"task.data.columns.{sorted(unknown)[0]}",
            f"is not something to read; there are smiles, numbers, positions, {', '.join(TARGETS)}",
        )
    chunks = qm9.read_table(path, dict(columns), options.energy_unit, options.length_unit)
    return digest.hexdigest(), {}, chunks
