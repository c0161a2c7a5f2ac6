"""The molecules of a task: geometries of xyz, conformers that are made of SMILES, or what another task left."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scfx.errors import ConfigError, InputError, PluginUnavailableError
from scfx.jobs.plan import PLAN
from scfx.jobs.stores import open_store
from scfx.model.system import System
from scfx_geometry.options import SourceOptions

_ENDINGS = {".xyz": "xyz", ".extxyz": "xyz", ".smi": "smiles", ".smiles": "smiles", ".txt": "smiles"}
_PACKED = (".gz", ".bz2")
#: What an optimize task leaves when it is done, and the status of its good rows; the same of a sample task.
TABLE, CONVERGED = "geometries.parquet", "converged"
SAMPLES, SAMPLED = "samples.parquet", "ok"
_TABLES = {TABLE: CONVERGED, SAMPLES: SAMPLED}


@dataclass(frozen=True)
class SourceMolecule:
    """One molecule of the source: `system`, or the `problem` that leaves it without one.

    `smiles`: what the molecule was made of, where its atoms stand in the order of the canonical SMILES; else empty.
    """

    name: str
    system: System | None
    problem: str = ""
    smiles: str = ""


@dataclass(frozen=True)
class MoleculeFile:
    """The records of a file, in its order, and what it is read as: "xyz", "smiles" or "relaxed".

    `to_come`: these are the molecules that an earlier task of the configuration is going to relax or sample, as they
    start.
    """

    records: tuple[SourceMolecule, ...]
    kind: str
    to_come: bool = False


def read_source(
    options: SourceOptions, config_path: str | None, earlier: Mapping[str, MoleculeFile]
) -> MoleculeFile:
    """Read a file. `ConfigError` if it is not there or of a kind that is not read here; `InputError` for a bad xyz
    file.

    A SMILES that RDKit cannot read or embed is a record with its problem. `earlier`: sources of the tasks that run
    before, by their output folders; where `molecules` is one of these, its results are to come.
    """
    for output, source in earlier.items():
        if _same_place(output, options.molecules):
            _check_stated(options, "relaxed")
            return MoleculeFile(source.records[: options.limit], "relaxed", to_come=True)
    far = "://" in options.molecules
    if options.format == "relaxed" or (
        options.format == "auto" and (far or Path(options.molecules).is_dir())
    ):
        _check_stated(options, "relaxed")
        return MoleculeFile(tuple(_of_another_task(options)), "relaxed")
    path = _found(options.molecules, config_path)
    kind = options.format if options.format != "auto" else _kind(path)
    _check_stated(options, kind)
    if kind == "xyz":
        systems = System.all_from_xyz(path, options.charge, options.multiplicity)[: options.limit]
        records = [SourceMolecule(system.name, system) for system in systems]
    else:
        records = _of_smiles(path, options)
    if not records:
        raise ConfigError("task.molecules", f"{str(path)!r} has no molecule")
    return MoleculeFile(tuple(records), kind)


def _same_place(one: str, other: str) -> bool:
    if "://" in one or "://" in other:
        return one.rstrip("/") == other.rstrip("/")
    return Path(one).resolve() == Path(other).resolve()


def _check_stated(options: SourceOptions, kind: str) -> None:
    """Refuse options that have no meaning for a kind of source."""
    if kind != "smiles" and "seed" in options.model_fields_set:
        raise ConfigError(
            "task.seed", "conformers are made of SMILES only, these molecules have geometries; leave it out"
        )
    if kind == "relaxed":
        for key in ("charge", "multiplicity"):
            if getattr(options, key) is not None:
                raise ConfigError(
                    f"task.{key}", "is stated by the task that relaxed the molecules; leave it out"
                )


def _of_another_task(options: SourceOptions) -> list[SourceMolecule]:
    """The rows of the output of an optimize or sample task; one that is not good is a record with its problem."""
    import pyarrow.parquet as pq

    store = open_store(options.molecules)
    table = next((name for name in _TABLES if store.exists(name)), None)
    if table is None and store.exists("frequencies.parquet"):
        raise ConfigError(
            "task.molecules",
            f"{options.molecules!r} is the output of a frequencies task, whose geometries are those that it was given; "
            "name what it took them from",
        )
    if table is None:
        began = " (it was begun, and not every shard is committed)" if store.exists(PLAN) else ""
        raise ConfigError(
            "task.molecules",
            f"{options.molecules!r} holds no finished optimize or sample task{began}: {' and '.join(_TABLES)} are not "
            "there; run that first (all its parts), or name it as an earlier [[task]] of this file",
        )
    rows = pq.read_table(io.BytesIO(store.read(table))).to_pylist()[: options.limit]
    return [_record(row, _TABLES[table]) for row in rows]


def _record(row: Mapping[str, Any], good: str) -> SourceMolecule:
    name = row["name"] if row.get("sample") is None else f"{row['name']} sample {row['sample']}"
    if row["status"] != good:
        return SourceMolecule(
            name, None, f"{'not relaxed' if good == CONVERGED else 'no sample'}: {row['reason']}"
        )
    system = System.from_arrays(
        row["atomic_numbers"], row["positions_angstrom"], "angstrom", row["charge"], row["multiplicity"]
    )
    # Of a molecule that broke or rearranged, the SMILES says nothing any more; older tables have none.
    smiles = "" if row.get("rearranged") else row.get("smiles") or ""
    return SourceMolecule(name, replace(system, name=name), smiles=smiles)


def _found(name: str, config_path: str | None) -> Path:
    places = [Path(name)]
    if config_path is not None:
        places.append(Path(config_path).parent / name)
    for place in places:
        if place.is_file():
            return place
    raise ConfigError("task.molecules", f"{name!r} is not a file (looked in {', '.join(map(str, places))})")


def _kind(path: Path) -> str:
    ending = path.with_suffix("").suffix if path.suffix.lower() in _PACKED else path.suffix
    kind = _ENDINGS.get(ending.lower())
    if kind is None or (kind == "smiles" and path.suffix.lower() in _PACKED):
        raise ConfigError(
            "task.molecules",
            f"{path.name!r}: this task reads {', '.join(_ENDINGS)} (and packed .xyz); write the geometries as xyz, or "
            "state format = 'xyz' or 'smiles'",
        )
    return kind


def _of_smiles(path: Path, options: SourceOptions) -> list[SourceMolecule]:
    lines = [line.split(None, 1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    records = []
    for smiles, *rest in lines[: options.limit]:
        name = f"{smiles} {rest[0].strip()}" if rest else smiles
        try:
            made = System.from_smiles(smiles, options.seed, options.multiplicity, options.charge)
            records.append(SourceMolecule(name, made, smiles=smiles))
        except PluginUnavailableError:
            raise
        except InputError as error:
            records.append(SourceMolecule(name, None, str(error), smiles))
    return records
