"""QM9 (Ramakrishnan et al. 2014) and other published sets: dsgdb9nsd xyz files, Parquet and CSV tables."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import InputError
from scfx.model.qm9 import QM9Record, read_qm9
from scfx.model.same_molecule import molecule_key
from scfx.model.system import HARTREE_IN_EV
from scfx_schnet.batch import LENGTH_UNITS
from scfx_schnet.molecules import Chunk
from scfx_schnet.targets import TARGETS

if TYPE_CHECKING:
    from scfx_schnet.surface import Surface

#: Rows that are in memory at once.
CHUNK = 4096
#: Columns under which public tables keep things, in the order of preference.
_ALIASES = {
    "smiles": ("smiles", "canonical_smiles", "smiles_relaxed", "smiles_gdb", "smi", "SMILES"),
    "numbers": ("atomic_numbers", "numbers", "z", "nuclear_charges", "Z"),
    "positions": ("positions_angstrom", "positions", "pos", "coordinates", "xyz", "R"),
    "gap": ("gap_ev", "gap", "homolumogap"),
    "homo": ("homo_ev", "homo"),
    "lumo": ("lumo_ev", "lumo"),
    "energy": ("energy_ev", "energy"),
}
_FORCES = ("forces_ev_per_angstrom", "forces")
#: Columns that say what a row is a label of, under the names of scfx's datasets.
_TOLD = ("spec_hash", "charge", "multiplicity")
#: Endings of columns in eV; `homolumogap` is PCQM4Mv2's.
_IN_EV = ("_ev", "homolumogap")


def read_xyz(path: Path) -> Iterator[Chunk]:
    """Read QM9's own files: a folder of `dsgdb9nsd_*.xyz`, one such file, or a tar archive of them (`scfx.model.qm9`).

    Which molecule a record is, the SMILES of its relaxed geometry says.
    """
    records = read_qm9(path)
    while rows := list(islice(records, CHUNK)):
        yield _chunk(rows)


def xyz_identity(path: Path) -> Any:
    """Return what tells one folder or archive from another, without reading it: names, sizes and times."""
    files = sorted(path.rglob("*.xyz")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no .xyz file in this folder")
    stats = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return [len(stats), hash_of(stats)]


def hash_of(value: Any) -> str:
    """Return the SHA-256 (hex) of a value's text."""
    return hashlib.sha256(repr(value).encode()).hexdigest()


def _chunk(rows: list[QM9Record]) -> Chunk:
    energies = {name: [r.properties[name] for r in rows] for name in ("homo", "lumo", "gap")}
    energies["energy"] = [r.electronic_energy for r in rows]
    return Chunk(
        sizes=np.array([len(r.numbers) for r in rows]),
        numbers=np.concatenate([np.array(r.numbers) for r in rows]),
        positions=np.concatenate([r.positions for r in rows]),
        molecules=[molecule_key(r.smiles_relaxed) for r in rows],
        targets={name: np.array(values) * HARTREE_IN_EV for name, values in energies.items()},
    )


def read_table(
    path: Path,
    columns: dict[str, str],
    energy_unit: str,
    length_unit: str,
    surface: Surface | None = None,
) -> Iterator[Chunk]:
    """Yield the rows of a Parquet or CSV table, a molecule each; in CSV, lists are written as JSON. See `_ALIASES`.

    QM9's tables have U0 and the zero-point energy: their difference is the electronic energy. With a `surface` forces
    are read too.
    """
    names = _column_names(path)
    for what, column in columns.items():
        if column not in names:
            raise InputError(f"{path}: no column {column!r} for {what}; there are {', '.join(names)}")
    # A column that was named for one thing is not another: PCQM4Mv2 has its gap in a column "homo".
    free = [name for name in names if name not in columns.values()]
    found = {what: next((a for a in aliases if a in free), None) for what, aliases in _ALIASES.items()}
    chosen = {what: column for what, column in found.items() if column} | columns
    for what in ("smiles", "numbers", "positions"):
        if what not in chosen:
            raise InputError(
                f'{path}: no column for {what}; there are {", ".join(names)}. Name it: columns.{what} = "..."'
            )
    from_zero_point = "energy" not in chosen and {"u0", "zpve"} <= set(names)
    forces = columns.get("forces") or next((name for name in _FORCES if name in free), None)
    chosen.pop("forces", None)
    told = [name for name in _TOLD if name in names] if surface else []
    wanted = [*chosen.values(), *(["u0", "zpve"] if from_zero_point else []), *told]
    if surface is not None:
        if forces is None:
            raise surface.missing(f"no column of them; there are {', '.join(names)}. Name it: columns.forces")
        wanted.append(forces)
    row = 0
    for table in _batches(path, list(dict.fromkeys(wanted))):
        numbers = [np.asarray(z) for z in table[chosen["numbers"]]]
        positions = [np.asarray(p, dtype=np.float64).reshape(-1, 3) for p in table[chosen["positions"]]]
        for index, (z, xyz) in enumerate(zip(numbers, positions, strict=True)):
            if len(z) != len(xyz):
                raise InputError(
                    f"{path}: a row has {len(z)} atoms and {len(xyz)} positions (row {index} of a chunk)"
                )
        targets = {}
        for name in TARGETS:
            if name in chosen:
                column = chosen[name]
                in_ev = energy_unit == "ev" or (energy_unit == "auto" and column.endswith(_IN_EV))
                factor = 1.0 if in_ev else HARTREE_IN_EV
                targets[name] = np.asarray(table[column], dtype=np.float64) * factor
        if from_zero_point:
            energy = np.asarray(table["u0"], dtype=np.float64) - np.asarray(table["zpve"], dtype=np.float64)
            targets["energy"] = energy * (1.0 if energy_unit == "ev" else HARTREE_IN_EV)
        yield Chunk(
            sizes=np.array([len(z) for z in numbers]),
            numbers=np.concatenate(numbers),
            positions=np.concatenate(positions) * LENGTH_UNITS[length_unit],
            molecules=[molecule_key(smiles) for smiles in table[chosen["smiles"]]],
            targets=targets,
            forces=None
            if surface is None
            else _forces(table, forces, numbers, row, surface)
            * _force_unit(forces, energy_unit, length_unit),
        )
        row += len(numbers)


def _forces(
    table: dict[str, list[Any]], column: str | None, numbers: list[np.ndarray], row: int, surface: Surface
) -> np.ndarray:
    """Forces [atom, 3] of a part of a table that begins at `row`, after the surface had a look at it."""
    assert column is not None
    values = table[column]
    absent = [row + i for i, value in enumerate(values) if value is None or len(value) == 0]
    surface.check_present(absent, [])
    for i, (value, z) in enumerate(zip(values, numbers, strict=True)):
        if np.shape(value) != (len(z), 3):
            raise InputError(f"row {row + i}: {len(z)} atoms and forces of shape {np.shape(value)}")
    surface.check_levels(table.get("spec_hash", ()))
    sizes = np.array([len(z) for z in numbers])
    unknown = [None] * len(numbers)
    states = (table.get(name, unknown) for name in ("charge", "multiplicity"))
    surface.check_states(np.concatenate(numbers), sizes, *states)
    return np.concatenate([np.asarray(value, dtype=np.float64) for value in values])


def _force_unit(column: str | None, energy_unit: str, length_unit: str) -> float:
    """What turns a column of forces into eV/angstrom."""
    if energy_unit == "auto":
        if not (column or "").endswith("_ev_per_angstrom"):
            raise InputError(
                f"the unit of the column of forces {column!r} is not in its name (_ev_per_angstrom); state "
                "data.energy_unit and data.length_unit"
            )
        return 1.0
    return (1.0 if energy_unit == "ev" else HARTREE_IN_EV) / LENGTH_UNITS[length_unit]


def _column_names(path: Path) -> list[str]:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return next(csv.reader(file))
    import pyarrow.parquet as pq

    return list(pq.ParquetFile(path).schema_arrow.names)


def _batches(path: Path, columns: list[str]) -> Iterator[dict[str, list[Any]]]:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = csv.DictReader(file)
            while part := list(islice(rows, CHUNK)):
                yield {
                    c: [json.loads(r[c]) if r[c].lstrip().startswith("[") else r[c] for r in part]
                    for c in columns
                }
        return
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(CHUNK, columns=columns):
        yield batch.to_pydict()
