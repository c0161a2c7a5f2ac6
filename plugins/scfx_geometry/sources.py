"""The molecules of a task's file: geometries of xyz, or conformers that are made of SMILES."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from scfx.errors import ConfigError, InputError, PluginUnavailableError
from scfx.model.system import System
from scfx_geometry.options import SourceOptions

_ENDINGS = {".xyz": "xyz", ".extxyz": "xyz", ".smi": "smiles", ".smiles": "smiles", ".txt": "smiles"}
_PACKED = (".gz", ".bz2")


@dataclass(frozen=True)
class Record:
    """One molecule of the source: `system`, or the `problem` that leaves it without one."""

    name: str
    system: System | None
    problem: str = ""


@dataclass(frozen=True)
class Source:
    """The records of a file, in its order, and the digest of its bytes."""

    records: tuple[Record, ...]
    sha256: str


def read_source(options: SourceOptions, config_path: str | None) -> Source:
    """`ConfigError` if the file is not there or of a kind that is not read here; `InputError` for a bad xyz file.

    A SMILES that RDKit cannot read or embed is a record with its problem.
    """
    path = _found(options.molecules, config_path)
    kind = options.format if options.format != "auto" else _kind(path)
    if kind == "xyz":
        systems = System.all_from_xyz(path, options.charge, options.multiplicity)[: options.limit]
        records = [Record(system.name, system) for system in systems]
    else:
        records = _of_smiles(path, options)
    if not records:
        raise ConfigError("task.molecules", f"{str(path)!r} has no molecule")
    return Source(tuple(records), hashlib.sha256(path.read_bytes()).hexdigest())


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


def _of_smiles(path: Path, options: SourceOptions) -> list[Record]:
    lines = [line.split(None, 1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    records = []
    for smiles, *rest in lines[: options.limit]:
        name = f"{smiles} {rest[0].strip()}" if rest else smiles
        try:
            made = System.from_smiles(smiles, options.seed, options.multiplicity, options.charge)
            records.append(Record(name, made))
        except PluginUnavailableError:
            raise
        except InputError as error:
            records.append(Record(name, None, str(error)))
    return records
