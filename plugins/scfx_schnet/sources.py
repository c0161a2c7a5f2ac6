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
from scfx_schnet.studies import is_study, open_study
from scfx_schnet.surface import Surface
from scfx_schnet.tables import open_table
from scfx_schnet.targets import TARGETS

if TYPE_CHECKING:
    import pyarrow as pa

    from scfx_schnet.processes import Processes

Layout = Literal["auto", "scfx", "study", "xyz", "table"]
#: Where a dataset of labels has its forces.
FORCES_COLUMN = "forces_ev_per_angstrom"


class DataOptions(BaseModel):
    """Where labels are. `layout` "auto" goes by what is there: a dataset of labels that a plugin can read, the output
    of a study, a folder or archive of .xyz files is QM9's own form, .parquet and .csv are tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(
        description="a dataset's folder, a study's, a folder or .tar.bz2 of dsgdb9nsd xyz files, .parquet or .csv"
    )
    layout: Layout = "auto"
    option: str | None = Field(
        None, description="of a study's folder: the label of the option whose labels are read"
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="tables: which column is which of smiles, numbers, positions, gap, homo, lumo, energy, forces",
    )
    energy_unit: Literal["auto", "ev", "hartree"] = Field(
        "auto",
        description="tables: of targets whose column does not end with a unit. auto: hartree as in QM9; a column of "
        "forces has its unit in its name, or both units are stated",
    )
    length_unit: Literal["angstrom", "bohr"] = Field("angstrom", description="tables: of the positions")
    limit: int | None = Field(None, ge=1, description="only the first so many rows")


def open_data(
    options: DataOptions,
    cache: Path,
    key: str = "task.data",
    registry: Registry | None = None,
    forces: bool = False,
) -> Molecules:
    """Return the molecules of a source; written to `cache` once, one chunk in memory at a time, then memory-mapped.

    Datasets of labels are read by whoever can among the plugins of `registry` (left out: the installed ones). With
    `forces` they are read too, and rows that are not of one potential energy surface are refused (`Surface`).
    Raises `ConfigError` with the key of what is wrong: nothing at the path, a layout that is not known, options that do
    not apply, a file that cannot be read, a row that is no molecule (named), no usable row.
    """
    path = Path(options.path)
    if not path.exists():
        raise ConfigError(f"{key}.path", f"{options.path!r} does not exist")
    registry = Registry.discover() if registry is None else registry
    layout = _layout(path, options, key, registry)
    surface = Surface(key, options.path) if forces else None
    if options.option is not None and layout != "study":
        raise ConfigError(f"{key}.option", f"is for the folder of a study; {options.path!r} is none")
    if layout != "table":
        _refuse_options_of_tables(options, key)
    if layout == "scfx":
        if options.layout == "scfx" and not is_dataset(registry, path):
            raise ConfigError(f"{key}.layout", f"{options.path!r} is no dataset of labels that is known here")
        identity, description, chunks = _dataset(open_dataset(registry, path), surface)
    elif layout == "study":
        if not is_study(path):
            raise ConfigError(
                f"{key}.layout", f"{options.path!r} has no study.json: it is not the output of a study"
            )
        labels = open_study(path, options.option, key, registry, FORCES_COLUMN if forces else None)
        _, description, chunks = _dataset(labels.dataset, surface, labels.absent)
        identity = labels.identity
    elif layout == "table":
        identity, description, chunks = _table(path, options, surface, key)
    else:
        identity, description, chunks = _xyz(path, key)
        if surface is not None:
            raise surface.missing("QM9's xyz files have none")
    parts = [
        layout,
        identity,
        options.model_dump(exclude={"path", "layout", *(() if options.option else ("option",))}),
        *(["forces"] if forces else []),
    ]
    identity = json.dumps(parts, sort_keys=True)
    description = {"path": str(options.path), "layout": layout, **description}
    chunks = _limited(chunks, options.limit)
    if surface is not None:
        chunks = _noting_charges(chunks, surface, description)
    return open_or_write(cache, identity, description, chunks, key)


def _refuse_options_of_tables(options: DataOptions, key: str) -> None:
    for name in ("columns", "energy_unit", "length_unit"):
        field = DataOptions.model_fields[name]
        if getattr(options, name) != field.get_default(call_default_factory=True):
            raise ConfigError(
                f"{key}.{name}",
                f"is for tables; {options.path!r} has fixed columns and units. Leave it out",
            )


def _noting_charges(
    chunks: Iterator[Chunk], surface: Surface, description: dict[str, Any]
) -> Iterator[Chunk]:
    yield from chunks
    description["charges"] = surface.charges


def open_shared(
    data: DataOptions,
    cache: Path,
    group: Processes,
    registry: Registry,
    key: str = "task.data",
    forces: bool = False,
) -> Molecules:
    """Do as `open_data`, of several processes by the first one first, so that the cache is written once."""
    written = open_data(data, cache, key, registry, forces) if group.first else None
    group.wait()
    return open_data(data, cache, key, registry, forces) if written is None else written


def _layout(path: Path, options: DataOptions, key: str, registry: Registry) -> str:
    if options.layout != "auto":
        return options.layout
    if is_dataset(registry, path):
        return "scfx"
    if is_study(path):
        return "study"
    if path.name.endswith((".parquet", ".csv")):
        return "table"
    if path.is_dir() or path.name.endswith((".tar.bz2", ".tar.gz", ".tar", ".xyz")):
        return "xyz"
    raise ConfigError(
        f"{key}.layout",
        f"cannot tell what {options.path!r} is; name it: 'scfx' (a dataset of labels), 'study', 'xyz' or 'table'",
    )


def _limited(chunks: Iterator[Chunk], limit: int | None) -> Iterator[Chunk]:
    left = limit
    for chunk in chunks:
        if left is None or len(chunk.sizes) <= left:
            yield chunk
        elif left > 0:
            yield chunk.first(left)
        if left is not None:
            left -= len(chunk.sizes)
            if left <= 0:
                return


# ---- a dataset of labels ------------------------------------------------------------------------------------------


def _dataset(
    dataset: AbstractDataset, surface: Surface | None, absent: frozenset[int] = frozenset()
) -> tuple[Any, dict[str, Any], Iterator[Chunk]]:
    """The rows of a dataset that are ok and not among `absent`."""
    ok = dataset.filter(status="ok")
    description = {"rows_planned": dataset.planned, **_label_cost(dataset)}
    names = [name for name in ("row_id", "smiles", "inchikey") if name in dataset.schema.names]
    if surface is not None:
        if FORCES_COLUMN not in dataset.schema.names:
            raise surface.missing("make it with properties = ['gradient'] in [scf]")
        told = ("charge", "multiplicity", "spec_hash", "property_reasons")
        names += [FORCES_COLUMN, *(name for name in told if name in dataset.schema.names)]
    properties = scalar_properties(dataset.schema)
    targets = {name: column for name, (column, _) in properties.items()} | {t: f"{t}_ev" for t in TARGETS}
    columns = [*names, "atomic_numbers", "positions_angstrom", *targets.values()]
    units = {name: unit for name, (_, unit) in properties.items() if name not in TARGETS and unit != "eV"}
    tables = (_without(table, absent) for table in ok.shards(columns))
    chunks = (_from_arrow(table, targets, units, surface) for table in tables if table.num_rows)
    return dataset.identity, description, chunks


def _without(table: pa.Table, absent: frozenset[int]) -> pa.Table:
    if not absent:
        return table
    return table.filter(~np.isin(table["row_id"].to_numpy(), list(absent)))


def _label_cost(dataset: AbstractDataset) -> dict[str, Any]:
    """Thread seconds that a label took, all stages of all workers, failed rows included, from the commit records.

    `seconds_per_energy` is that without the gradients. Neither has the time of compiling, which does not grow with the
    number of labels. Stages that are called "gradient: ..." are parts of "gradient".
    """
    summary = dataset.summary()
    known = ("total", "compile", "start")
    stages = {s: v for s, v in summary["worker_seconds"].items() if s not in known and ": " not in s}
    seconds, labels = sum(stages.values()), summary["statuses"]["ok"]
    if not (seconds and labels):
        return {}
    forces = stages.get("gradient", 0.0)
    return {"seconds_per_label": seconds / labels, "seconds_per_energy": (seconds - forces) / labels}


def _from_arrow(
    table: pa.Table, targets: Mapping[str, str], units: Mapping[str, str], surface: Surface | None
) -> Chunk:
    numbers = table["atomic_numbers"].combine_chunks()
    forces = None if surface is None else _forces_of(table, surface)
    known = table["inchikey"].to_pylist() if "inchikey" in table.column_names else [None] * table.num_rows
    rows = zip(table["smiles"].to_pylist(), known, table["atomic_numbers"].to_pylist(), strict=True)
    positions = table["positions_angstrom"].combine_chunks()
    return Chunk(
        sizes=np.diff(numbers.offsets.to_numpy()),
        numbers=numbers.flatten().to_numpy(),
        positions=positions.flatten().flatten().to_numpy().reshape(-1, 3),
        molecules=[molecule_key(*row) for row in rows],
        targets={t: table[column].to_numpy() for t, column in targets.items()},
        units=units,
        forces=forces,
        rows=table["row_id"].to_numpy() if "row_id" in table.column_names else None,
        columns=targets,
    )


def _forces_of(table: pa.Table, surface: Surface) -> np.ndarray:
    """Forces of a shard [atom, 3] in eV/angstrom, after the surface had a look at its rows."""
    column = table[FORCES_COLUMN]
    if column.null_count:
        rows = np.flatnonzero(column.is_null().to_numpy())
        reasons = (
            table["property_reasons"].take(rows).to_pylist()
            if "property_reasons" in table.column_names
            else []
        )
        surface.check_present(
            table["row_id"].take(rows).to_pylist() if "row_id" in table.column_names else rows.tolist(),
            [dict(reason or ()).get("gradient") for reason in reasons],
        )
    if "spec_hash" in table.column_names:
        surface.check_levels(table["spec_hash"].unique().to_pylist())
    numbers = table["atomic_numbers"].combine_chunks()
    surface.check_states(
        numbers.flatten().to_numpy(),
        np.diff(numbers.offsets.to_numpy()),
        table["charge"].to_pylist(),
        table["multiplicity"].to_pylist(),
    )
    return column.combine_chunks().flatten().flatten().to_numpy().reshape(-1, 3)


# ---- QM9 and tables ----------------------------------------------------------------------------------------------


def _xyz(path: Path, key: str) -> tuple[Any, dict[str, Any], Iterator[Chunk]]:
    identity = qm9.xyz_identity(path)
    if identity is None:
        raise ConfigError(f"{key}.path", f"{str(path)!r}: no .xyz file in this folder")
    return identity, {}, qm9.read_xyz(path)


def _table(
    path: Path, options: DataOptions, surface: Surface | None, key: str
) -> tuple[Any, dict[str, Any], Iterator[Chunk]]:
    if path.is_dir():
        raise ConfigError(
            f"{key}.{'path' if options.layout == 'auto' else 'layout'}",
            f"a table is one .parquet or .csv file; {options.path!r} is a folder",
        )
    table = open_table(path, options.columns, options.energy_unit, options.length_unit, surface, key)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest(), {"unread": dict(table.unread)}, table.chunks(options.limit)
