"""ASE databases (SQLite), also those that `scfx dataset export --format ase` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scfx.errors import InputError, PluginUnavailableError
from scfx.model.system import System
from scfx_dataset.sources.record import UNUSABLE, Record, geometry_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scfx_dataset.options import Limits


def read_ase_database(path: Path, limits: Limits) -> Iterator[Record]:
    """Yield the rows of a database by id, with charge and multiplicity as `System.from_ase` finds them.

    A row that cannot be used, as a periodic one, is a record with a problem. Raises `PluginUnavailableError` without
    ASE, `InputError` for a file that is no such database.
    """
    try:
        from ase.db import connect
    except ImportError as error:
        raise PluginUnavailableError(
            "task.molecules", f"reading {str(path)!r} needs the package 'ase': pip install ase"
        ) from error
    database: Any = connect(str(path), type="db")
    try:
        numbers = [row.id for row in database.select(columns=["id"], sort="id")]
    except Exception as error:  # sqlite3's and ASE's own
        raise InputError(f"task.molecules: cannot read {str(path)!r} as an ASE database: {error}") from error
    for number in numbers:
        try:
            yield _record(database.get(id=number), number, limits)
        except UNUSABLE as error:
            yield Record(number, "", f"{path.name} {number}", problem=str(error))


def _record(row: Any, number: int, limits: Limits) -> Record:
    atoms = row.toatoms(add_additional_information=True)
    system = System.from_ase(atoms)
    if any(atoms.numbers[i] != z for i, z in enumerate(system.atomic_numbers)):
        raise ValueError("its atoms are not all nuclei with their electrons")
    smiles = (row.data or {}).get("smiles") or ""
    return Record(
        number,
        smiles,
        str(row.get("name") or f"row {number}"),
        geometry_of(atoms.numbers.tolist(), atoms.positions, most_atoms=limits.atoms),
        None if "charge" in system.assumed else system.charge,
        None if "multiplicity" in system.assumed else system.multiplicity,
    )
