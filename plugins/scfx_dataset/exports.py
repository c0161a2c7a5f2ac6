"""Datasets in other programs' formats, shard by shard. Every format's units are stated where it is written."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scfx.errors import InputError, PluginUnavailableError
from scfx.model.elements import SYMBOLS
from scfx.model.system import BOHR_IN_ANGSTROM, DIPOLE_AU_IN_DEBYE
from scfx_dataset import exports_potentials, exports_trainers
from scfx_dataset.card import export_card
from scfx_dataset.quality import Selected

if TYPE_CHECKING:
    from scfx_dataset.reader import Dataset

#: Labels that every export carries, in this order where it is one vector.
TARGETS = ("energy_ev", "homo_ev", "lumo_ev", "gap_ev", "dipole_debye")
_IDENTITY = ("row_id", "molecule", "smiles", "inchikey", "conformer", "charge", "multiplicity")
_COLUMNS = (*_IDENTITY, "atomic_numbers", "positions_angstrom", *TARGETS, "dipole_vector_debye", "nao")

#: The column of forces, where `scf.properties` asks for the gradient.
FORCES = "forces_ev_per_angstrom"

#: QM1B's released columns and units (github.com/graphcore-research/qm1b-dataset, README "Dataset schema"): energies in
#: eV, positions in bohr.
_QM1B = pa.schema(
    [
        pa.field("smile", pa.string(), metadata={"description": "canonical SMILES"}),
        pa.field("atoms", pa.string(), metadata={"description": "element symbols, one after the other"}),
        pa.field("z", pa.list_(pa.int64()), metadata={"description": "atomic numbers"}),
        pa.field("energy", pa.float64(), metadata={"unit": "eV"}),
        pa.field("homo", pa.float64(), metadata={"unit": "eV"}),
        pa.field("lumo", pa.float64(), metadata={"unit": "eV"}),
        pa.field("N", pa.int64(), metadata={"description": "atomic orbitals"}),
        pa.field(
            "std",
            pa.float64(),
            metadata={
                "unit": "eV",
                "description": "of QM1B's last five energies; null: scfx converges by residual",
            },
        ),
        pa.field("y", pa.float64(), metadata={"unit": "eV", "description": "HOMO-LUMO gap"}),
        pa.field("pos", pa.list_(pa.list_(pa.float64())), metadata={"unit": "bohr"}),
    ]
)


@dataclass(frozen=True)
class Format:
    """One export: `write(dataset, path)` returns the rows written; `ending` of the file; `module` it needs, if any, and
    the package that has it. A `folder` is written in place of a file; `parts`: it takes all parts of the molecules.
    """

    write: Callable[[Selected, Path], int]
    ending: str
    summary: str
    module: str = ""
    package: str = ""
    folder: bool = False
    parts: bool = False


def export(
    dataset: Dataset,
    form: str,
    path: str | os.PathLike[str],
    filters: Mapping[str, float] | None = None,
    parts: Mapping[str, Dataset] | None = None,
) -> int:
    """Write the rows that are ok (of the molecules that `dataset` is restricted to) to `path`; returns how many.

    `form` is a key of `FORMATS`. The file is there when it is whole. `filters` (`scfx_dataset.quality`) leave rows out;
    how many is in the card that is then written beside the file, or into the folder. `parts`, for formats that take
    several: the parts of the molecules by name, as `dataset.split()` gives them. Raises `InputError` for an unknown
    format, a file that exists, or an address instead of a path; `PluginUnavailableError` if the format needs a package
    that is not installed.
    """
    chosen, target = _format(form), Path(path)
    if "://" in os.fspath(path):
        raise InputError(
            f"output: got {os.fspath(path)!r}, expected a file of this machine; without an output the file goes to the "
            "dataset itself, also in a bucket"
        )
    if parts and not chosen.parts:
        raise InputError(f"format: {form!r} is one file; export one part at a time")
    selected = Selected(dataset, filters, parts)
    card = (target / "README.md") if chosen.folder else target.with_name(f"{target.name}.md")
    for taken in (target, card):
        if taken.exists() and (taken is target or selected.filters):
            raise InputError(f"output: {str(taken)!r} exists; remove it or choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    # The real ending stays: ASE tells the kind of a database by it.
    scratch = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
    try:
        rows = chosen.write(selected, scratch)
        os.replace(scratch, target)
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch)
        scratch.unlink(missing_ok=True)
    if selected.filters and not card.exists():
        card.write_text(export_card(selected, form, {"rows": rows}), encoding="utf-8")
    return rows


def export_beside(
    dataset: Dataset,
    form: str,
    stem: str = "export",
    filters: Mapping[str, float] | None = None,
    parts: Mapping[str, Dataset] | None = None,
) -> tuple[int, str]:
    """Do as `export`, into the folder or bucket of the dataset. Returns the rows written and the full name of the
    file.
    """
    store, name = dataset.plan.store, default_name(form, stem)
    here = store.local_path(name)
    if here is not None:
        return export(dataset, form, here, filters, parts), store.where(name)
    if FORMATS[form].folder or filters:
        what = "is a folder" if FORMATS[form].folder else "comes with a card"
        raise InputError(
            f"output: an export as {form!r} {what}; give a path of this machine (-o) and copy it"
        )
    if store.exists(name):
        raise InputError(f"output: {store.where(name)!r} exists; remove it or choose another name")
    # Formats are written to files: SQLite seeks.
    with tempfile.TemporaryDirectory(prefix="scfx-export-") as scratch:
        rows = export(dataset, form, Path(scratch) / name, parts=parts)
        with (Path(scratch) / name).open("rb") as made, store.writer(name) as handle:
            shutil.copyfileobj(made, handle)
    return rows, store.where(name)


def default_name(form: str, stem: str = "export") -> str:
    """Return the file of an export that was given no name: with the format in it, so that no two formats have one
    name.
    """
    ending = _named(form).ending
    return stem + ending if ending == f".{form}" else f"{stem}-{form}{ending}"


def _named(form: str) -> Format:
    if form not in FORMATS:
        raise InputError(f"format: got {form!r}, expected one of {', '.join(FORMATS)}")
    return FORMATS[form]


def _format(form: str) -> Format:
    """The same, if the package that it needs is installed."""
    chosen = _named(form)
    if chosen.module and importlib.util.find_spec(chosen.module) is None:
        raise PluginUnavailableError(
            "",
            f"the format {form!r} needs the package {chosen.package or chosen.module!r}: pip install "
            f"{chosen.package or chosen.module}",
        )
    return chosen


def _atom_columns(dataset: Selected) -> dict[str, tuple[str, int]]:
    """Columns with numbers for each atom, as (name in the file, numbers an atom), from the fields' axes."""
    out = {}
    for field in dataset.schema:
        metadata = field.metadata or {}
        axes = metadata.get(b"axes", b"").decode().split()
        if field.name == "mulliken_charges":
            out[field.name] = ("mulliken_charge", 1)
        elif field.name == FORCES:
            out[field.name] = ("forces", 3)  # what ASE takes for the calculator's, in eV/angstrom
        elif axes in (["atom"], ["atom", "xyz"]):
            out[field.name] = (field.name, 3 if len(axes) == 2 else 1)
    return out


def _rows(dataset: Selected) -> Iterator[dict[str, Any]]:
    columns = [*_COLUMNS, *_atom_columns(dataset)]
    for table in dataset.shards(columns):
        yield from table.to_pylist()


def _positions(row: dict[str, Any]) -> np.ndarray:
    return np.array(row["positions_angstrom"], dtype=np.float64)


def _qm1b(dataset: Selected, path: Path) -> int:
    written = 0
    with pq.ParquetWriter(
        path, _QM1B.with_metadata({"scfx": _provenance(dataset)}), compression="zstd"
    ) as file:
        for table in dataset.shards(_COLUMNS):
            rows = [
                {
                    "smile": row["smiles"],
                    "atoms": "".join(SYMBOLS[z] for z in row["atomic_numbers"]),
                    "z": row["atomic_numbers"],
                    "energy": row["energy_ev"],
                    "homo": row["homo_ev"],
                    "lumo": row["lumo_ev"],
                    "N": row["nao"],
                    "std": None,
                    "y": row["gap_ev"],
                    "pos": (_positions(row) / BOHR_IN_ANGSTROM).tolist(),
                }
                for row in table.to_pylist()
            ]
            if rows:
                file.write_table(pa.Table.from_pylist(rows, schema=_QM1B))
            written += len(rows)
    return written


def _parquet(dataset: Selected, path: Path) -> int:
    written = 0
    schema = dataset.schema.with_metadata({"scfx": _provenance(dataset)})
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for table in dataset.shards():
            if table.num_rows:
                file.write_table(table.cast(schema))
            written += table.num_rows
    return written


def _extxyz(dataset: Selected, path: Path) -> int:
    written = 0
    with path.open("w", encoding="utf-8") as file:
        by_atom = _atom_columns(dataset)
        for row in _rows(dataset):
            known = {name: shown for name, shown in by_atom.items() if row.get(name)}
            properties = "species:S:1:pos:R:3" + "".join(f":{name}:R:{n}" for name, n in known.values())
            # `energy` is what ASE takes for the calculator's, in eV.
            info: dict[str, Any] = {"energy": row["energy_ev"]} | {
                name: row[name] for name in _IDENTITY + TARGETS
            }
            if row["dipole_vector_debye"]:
                # As ASE's calculators give it, under ASE's own name: e angstrom.
                dipole = np.array(row["dipole_vector_debye"]) / DIPOLE_AU_IN_DEBYE * BOHR_IN_ANGSTROM
                info["dipole"] = " ".join(map(repr, dipole.tolist()))
            info["dipole_vector_debye"] = " ".join(map(repr, row["dipole_vector_debye"] or ()))
            stated = [f"{key}={_quoted(value)}" for key, value in info.items() if value not in (None, "")]
            file.write(f"{len(row['atomic_numbers'])}\n")
            file.write(" ".join([f"Properties={properties}", *stated, 'pbc="F F F"']) + "\n")
            for i, (z, position) in enumerate(
                zip(row["atomic_numbers"], row["positions_angstrom"], strict=True)
            ):
                values = [*position]
                for name, (_, width) in known.items():
                    values += row[name][i] if width > 1 else [row[name][i]]
                file.write(" ".join([SYMBOLS[z], *map(repr, values)]) + "\n")
            written += 1
    return written


def _quoted(value: Any) -> str:
    """Text in double quotes with backslashes kept (SMILES have them); numbers with all their digits."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\") + '"'
    return repr(value)


def _ase(dataset: Selected, path: Path) -> int:
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.db import connect
    from ase.units import Debye

    written = 0
    connection: Any = connect(str(path), type="db")
    with connection as database:
        for row in _rows(dataset):
            atoms = Atoms(numbers=row["atomic_numbers"], positions=_positions(row))
            dipole = row["dipole_vector_debye"]
            results = {} if dipole is None else {"dipole": np.array(dipole) * Debye}  # e·angstrom, ASE's unit
            if row.get(FORCES):
                results["forces"] = np.array(row[FORCES])
            atoms.calc = SinglePointCalculator(atoms, energy=row["energy_ev"], **results)
            numbers = {
                name: row[name] for name in (*_IDENTITY, *TARGETS) if isinstance(row[name], (int, float))
            }
            # ASE overwrites "charge" by the sum of initial charges, which are zero here.
            numbers["total_charge"] = row["charge"]
            # SMILES go where ASE does not read meaning into text: 'N' and '1' are no keys' values there.
            database.write(atoms, key_value_pairs=numbers, data={k: row[k] for k in ("smiles", "inchikey")})
            written += 1
        database.metadata = {"scfx": json.loads(_provenance(dataset))}
    return written


def _pyg(dataset: Selected, path: Path) -> int:
    import torch
    from torch_geometric.data import Data, InMemoryDataset

    graphs = [
        Data(
            z=torch.tensor(row["atomic_numbers"], dtype=torch.int64),
            pos=torch.tensor(row["positions_angstrom"], dtype=torch.float64),
            y=torch.tensor(
                [[np.nan if row[name] is None else row[name] for name in TARGETS]], dtype=torch.float64
            ),
            row_id=row["row_id"],
            molecule=row["molecule"],
            smiles=row["smiles"] or "",
            **({"force": torch.tensor(row[FORCES], dtype=torch.float64)} if row.get(FORCES) else {}),
        )
        for row in _rows(dataset)
    ]
    if not graphs:
        raise InputError("no row is ok: there is nothing to collate")
    InMemoryDataset.save(graphs, str(path))
    return len(graphs)


def _provenance(dataset: Selected) -> str:
    identity = dataset.plan.identity
    kept = {name: identity[name] for name in ("spec_hash", "spec", "versions")}
    return json.dumps({"plan_id": dataset.plan.plan_id, **kept}, sort_keys=True)


#: Formats by name. Energies are in eV, positions in angstrom unless said otherwise.
FORMATS: dict[str, Format] = {
    "qm1b": Format(
        _qm1b, ".parquet", "QM1B's released columns: smile, atoms, z, energy..., positions in bohr"
    ),
    "extxyz": Format(_extxyz, ".extxyz", "extended xyz, labels in the comment line"),
    "ase": Format(
        _ase, ".db", "an ASE database (SQLite) with energy and dipole as calculator results", "ase"
    ),
    "pyg": Format(
        _pyg, ".pt", f"collated PyTorch Geometric Data: z, pos, y = [{', '.join(TARGETS)}]", "torch_geometric"
    ),
    "parquet": Format(_parquet, ".parquet", "all columns in one Parquet file"),
    "mace": Format(
        exports_trainers.mace, ".xyz", "extended xyz for MACE: REF_energy, REF_forces, isolated atoms"
    ),
    "hdf5": Format(
        exports_trainers.aimnet2, ".h5", "HDF5 by number of atoms, AIMNet2's keys, eV and eV/angstrom", "h5py"
    ),
    "torchani": Format(
        exports_trainers.torchani,
        ".h5",
        "HDF5 by number of atoms, TorchANI's keys, hartree and angstrom",
        "h5py",
    ),
    "spice": Format(
        exports_trainers.spice,
        ".hdf5",
        "SPICE's HDF5: a group a molecule, hartree, bohr, the gradient",
        "h5py",
    ),
    "fairchem": Format(
        exports_potentials.fairchem,
        ".aselmdb",
        "an ASE database in LMDB for fairchem: charge and spin in data, eV and eV/angstrom",
        "ase_db_backends",
        "ase-db-backends",
    ),
    "nequip": Format(exports_potentials.nequip, ".extxyz", "extended xyz for NequIP: energy, forces"),
    "deepmd": Format(
        exports_potentials.deepmd,
        "",
        "a folder of DeePMD-kit's mixed-type systems, for dpdata too",
        folder=True,
    ),
    "huggingface": Format(
        exports_potentials.huggingface,
        "",
        "a folder for datasets.load_dataset: Parquet by part, and a card",
        folder=True,
        parts=True,
    ),
}
