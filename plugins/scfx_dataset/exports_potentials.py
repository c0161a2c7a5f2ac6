"""Datasets in more formats of potentials' trainers: fairchem, DeePMD-kit, NequIP, and Hugging Face's `datasets`.

Key names and units are those of the readers: fairchem's `core/datasets/ase_datasets.py`, dpdata's
`formats/deepmd/mixed.py`, NequIP's `data/ase.py`, and `datasets.load_dataset` on a folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scfx.errors import InputError
from scfx.model.elements import SYMBOLS
from scfx_dataset.card import export_card
from scfx_dataset.exports_trainers import FORCES, forces_of, frame, rows
from scfx_dataset.isolated_atoms import isolated_atoms

if TYPE_CHECKING:
    from scfx_dataset.quality import Selected

#: Frames of one `set.NNN` of DeePMD-kit, and so what is held in memory of each number of atoms.
_FRAMES_OF_A_SET = 5000


def fairchem(dataset: Selected, path: Path) -> int:
    """Write an ASE database in LMDB (`.aselmdb`): energy and forces (eV, eV/angstrom), charge and spin (2S + 1) in
    `data`.

    fairchem puts `data` into `atoms.info`, where its models look for charge and spin. The isolated atoms of all
    elements are in the database's metadata.
    """
    from ase.db import connect

    connection: Any = connect(str(path), type="aselmdb", use_lock_file=False)
    with connection as database:
        return write_fairchem(database, dataset)


def write_fairchem(database: Any, dataset: Selected) -> int:
    """Write the rows into a database of ASE that is open; returns how many."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    written, elements = 0, set()
    for row in rows(dataset):
        elements |= set(row["atomic_numbers"])
        atoms = Atoms(numbers=row["atomic_numbers"], positions=row["positions_angstrom"])
        results: dict[str, Any] = {"energy": row["energy_ev"]}
        if FORCES in dataset.schema.names:
            results["forces"] = forces_of(row)
        atoms.calc = SinglePointCalculator(atoms, **results)
        stated = {"charge": row["charge"], "spin": row["multiplicity"], "sid": str(row["row_id"])}
        database.write(atoms, data={**stated, "smiles": row["smiles"] or "", "molecule": row["molecule"]})
        written += 1
    alone = isolated_atoms(dataset, elements)
    database.metadata = {
        "isolated_atom_energies_ev": {SYMBOLS[atom.atomic_number]: atom.energy_ev for atom in alone},
        "isolated_atom_multiplicities": {SYMBOLS[atom.atomic_number]: atom.multiplicity for atom in alone},
    }
    return written


def nequip(dataset: Selected, path: Path) -> int:
    """Write extended xyz with the names `energy` and `forces`, which ASE takes for a calculator's; eV and eV/angstrom.

    NequIP reads them from the calculator as `total_energy` and `forces`.
    """
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows(dataset):
            forces = forces_of(row) if FORCES in dataset.schema.names else None
            info = {
                "energy": row["energy_ev"],
                "charge": row["charge"],
                "spin": row["multiplicity"],
                "row_id": row["row_id"],
            }
            frame(file, row["atomic_numbers"], row["positions_angstrom"], forces, info, "forces")
            written += 1
    return written


def deepmd(dataset: Selected, path: Path) -> int:
    """Write a folder of DeePMD-kit's mixed-type systems (`deepmd/npy/mixed`), one for each number of atoms.

    Angstrom, eV and eV/angstrom in float64; `fparam` has charge and multiplicity of each frame, for models with frame
    parameters; `row_id` says which row each is.
    """
    types: dict[int, int] = {}
    waiting: dict[int, list[dict[str, Any]]] = {}
    sets: dict[int, int] = {}
    written = 0
    path.mkdir()
    for row in rows(dataset):
        natm = len(row["atomic_numbers"])
        for z in row["atomic_numbers"]:
            types.setdefault(z, len(types))
        waiting.setdefault(natm, []).append(row)
        if len(waiting[natm]) == _FRAMES_OF_A_SET:
            _write_set(path, natm, sets, waiting.pop(natm), types, dataset)
        written += 1
    for natm, kept in sorted(waiting.items()):
        _write_set(path, natm, sets, kept, types, dataset)
    for natm in sets:
        folder = _system(path, natm)
        (folder / "type.raw").write_text("0\n" * natm)
        (folder / "type_map.raw").write_text("".join(f"{SYMBOLS[z]}\n" for z in types))
        (folder / "nopbc").touch()
    return written


def _system(path: Path, natm: int) -> Path:
    return path / f"{natm:03d}"


def _write_set(
    path: Path,
    natm: int,
    sets: dict[int, int],
    kept: list[dict[str, Any]],
    types: dict[int, int],
    dataset: Selected,
) -> None:
    folder = _system(path, natm) / f"set.{sets.get(natm, 0):03d}"
    sets[natm] = sets.get(natm, 0) + 1
    folder.mkdir(parents=True)
    arrays = {
        "coord": np.array([row["positions_angstrom"] for row in kept], dtype=np.float64).reshape(
            -1, 3 * natm
        ),
        "energy": np.array([row["energy_ev"] for row in kept], dtype=np.float64),
        "real_atom_types": np.array(
            [[types[z] for z in row["atomic_numbers"]] for row in kept], dtype=np.int32
        ),
        "fparam": np.array([[row["charge"], row["multiplicity"]] for row in kept], dtype=np.float64),
        "row_id": np.array([row["row_id"] for row in kept], dtype=np.int64),
    }
    if FORCES in dataset.schema.names:
        arrays["force"] = np.array([forces_of(row) for row in kept]).reshape(-1, 3 * natm)
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)


def huggingface(dataset: Selected, path: Path) -> int:
    """Write a folder for `datasets.load_dataset`: all columns in a Parquet file for each part, and the card README.md.

    The parts are those asked for, but for empty ones, else one, "train". Columns of numbers or reasons by name are JSON
    here: `datasets` has no type for Arrow's maps.
    """
    schema = pa.schema(
        [
            pa.field(f.name, pa.string(), metadata=f.metadata) if pa.types.is_map(f.type) else f
            for f in dataset.schema
        ]
    )
    parts = dataset.parts or {"train": dataset}
    counts: dict[str, int] = {}
    path.mkdir()
    for name, part in parts.items():
        counts[name] = 0
        with pq.ParquetWriter(path / f"{name}.parquet", schema, compression="zstd") as file:
            for table in part.shards():
                if table.num_rows:
                    file.write_table(_without_maps(table).cast(schema))
                counts[name] += table.num_rows
        if not counts[name]:  # a split without rows cannot be loaded
            (path / f"{name}.parquet").unlink()
    if not sum(counts.values()):
        raise InputError("no row is left: there is nothing to load")
    (path / "README.md").write_text(export_card(dataset, "huggingface", counts), encoding="utf-8")
    return sum(counts.values())


def _without_maps(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_map(field.type):
            texts = [
                None if value is None else json.dumps(dict(value)) for value in table[field.name].to_pylist()
            ]
            table = table.set_column(index, field.name, pa.array(texts, pa.string()))
    return table
