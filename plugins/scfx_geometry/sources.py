"""The molecules of a task: geometries of xyz, conformers that are made of SMILES, or what an optimize task left."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scfx.errors import ConfigError, InputError, PluginUnavailableError
from scfx.model.system import System
from scfx_geometry.options import SourceOptions
from scfx_geometry.store import digest

_ENDINGS = {".xyz": "xyz", ".extxyz": "xyz", ".smi": "smiles", ".smiles": "smiles", ".txt": "smiles"}
_PACKED = (".gz", ".bz2")
#: What an optimize task leaves when it is done, and the status of its good rows.
TABLE, CONVERGED = "geometries.parquet", "converged"


@dataclass(frozen=True)
class SourceMolecule:
    """One molecule of the source: `system`, or the `problem` that leaves it without one."""

    name: str
    system: System | None
    problem: str = ""


@dataclass(frozen=True)
class MoleculeFile:
    """The records of a file, in its order, and the digest of its bytes.

    `to_come`: these are the molecules that an earlier task of the configuration is going to relax, as they start.
    """

    records: tuple[SourceMolecule, ...]
    sha256: str
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
        if Path(output).resolve() == Path(options.molecules).resolve():
            _check_stated(options, "relaxed")
            return MoleculeFile(source.records[: options.limit], "", to_come=True)
    if options.format == "relaxed" or (options.format == "auto" and Path(options.molecules).is_dir()):
        _check_stated(options, "relaxed")
        return _of_relaxed(Path(options.molecules), options)
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
    return MoleculeFile(tuple(records), hashlib.sha256(path.read_bytes()).hexdigest())


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


def _of_relaxed(folder: Path, options: SourceOptions) -> MoleculeFile:
    """The rows of an optimize task's folder; one that did not converge is a record with its problem."""
    import pyarrow.parquet as pq

    table = folder / TABLE
    if not table.is_file():
        raise ConfigError(
            "task.molecules",
            f"{str(folder)!r} holds no finished optimize task ({TABLE} is not there); run that first, or name it as an "
            "earlier [[task]] of this file",
        )
    rows = pq.read_table(table).to_pylist()[: options.limit]
    kept = ("name", "status", "reason", "charge", "multiplicity", "atomic_numbers", "positions_angstrom")
    return MoleculeFile(
        tuple(_relaxed(row) for row in rows), digest([{k: row[k] for k in kept} for row in rows])
    )


def _relaxed(row: Mapping[str, Any]) -> SourceMolecule:
    if row["status"] != CONVERGED:
        return SourceMolecule(row["name"], None, f"not relaxed: {row['reason']}")
    system = System.from_arrays(
        row["atomic_numbers"], row["positions_angstrom"], "angstrom", row["charge"], row["multiplicity"]
    )
    return SourceMolecule(row["name"], replace(system, name=row["name"]))


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
            records.append(SourceMolecule(name, made))
        except PluginUnavailableError:
            raise
        except InputError as error:
            records.append(SourceMolecule(name, None, str(error)))
    return records
