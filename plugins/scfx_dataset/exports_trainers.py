"""Datasets in the formats that trainers of potentials open: MACE, AIMNet2, TorchANI and SPICE.

Key names and units are those of the readers: MACE's `mace/data/utils.py`, AIMNet2's `aimnet/data/sgdataset.py`,
TorchANI's `torchani/datasets`, and the `downloader.py` of github.com/openmm/spice-dataset.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import InputError
from scfx.model.elements import SYMBOLS
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from scfx_dataset.isolated_atoms import IsolatedAtom, isolated_atoms

if TYPE_CHECKING:
    from scfx_dataset.quality import Selected

FORCES = "forces_ev_per_angstrom"
_COLUMNS = (
    "row_id", "molecule", "smiles", "charge", "multiplicity", "atomic_numbers", "positions_angstrom", "energy_ev",
)  # fmt: skip


def mace(dataset: Selected, path: Path) -> int:
    """Write extended xyz with MACE's default keys, and the isolated atoms of all elements; eV and eV/angstrom.

    `energy` and `forces` are not written: ASE takes these names for a calculator's. A row without forces has none;
    MACE then gives its forces no weight.
    """
    written, elements = 0, set()
    with path.open("w", encoding="utf-8") as file:
        for row in rows(dataset):
            elements |= set(row["atomic_numbers"])
            info = {
                "REF_energy": row["energy_ev"],
                "charge": row["charge"],
                "spin": row["multiplicity"],
                "row_id": row["row_id"],
            }
            frame(file, row["atomic_numbers"], row["positions_angstrom"], row.get(FORCES), info)
            written += 1
        for atom in isolated_atoms(dataset, elements):
            info = {
                "REF_energy": atom.energy_ev,
                "charge": 0,
                "spin": atom.multiplicity,
                "config_type": "IsolatedAtom",
            }
            frame(file, [atom.atomic_number], [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]], info)
    return written


def aimnet2(dataset: Selected, path: Path) -> int:
    """Write HDF5 with a group for each number of atoms and AIMNet2's keys; angstrom, eV and eV/angstrom.

    The isolated atoms are attributes of the file.
    """
    return _by_number_of_atoms(dataset, path, {}, ("coord", "numbers", "energy", "forces"), 1.0)


def torchani(dataset: Selected, path: Path) -> int:
    """Write HDF5 with a group for each number of atoms and TorchANI's keys; angstrom, hartree and hartree/angstrom.

    The isolated atoms are attributes of the file, which TorchANI's self energies can be taken from.
    """
    names = ("coordinates", "species", "energies", "forces")
    return _by_number_of_atoms(dataset, path, {"grouping": "by_num_atoms"}, names, HARTREE_IN_EV)


def spice(dataset: Selected, path: Path) -> int:
    """Write HDF5 with a group for each molecule and SPICE's keys; bohr, hartree and hartree/bohr, the gradient not the
    force.

    `formation_energy` is the energy minus those of the neutral isolated atoms at the same level.
    """
    import h5py

    groups: dict[tuple[Any, ...], str] = {}
    elements: set[int] = set()
    written = 0
    opened: Any = h5py.File(path, "w")
    with opened as file:
        for row in rows(dataset):
            numbers = tuple(row["atomic_numbers"])
            elements |= set(numbers)
            key = (row["molecule"], row["charge"], row["multiplicity"], numbers)
            if key not in groups:
                groups[key] = f"{len(groups):08d}"
                group = file.create_group(groups[key])
                group["atomic_numbers"] = np.array(numbers, dtype=np.int16)
                group.create_dataset("smiles", data=[row["smiles"] or ""], dtype=h5py.string_dtype())
                group.create_dataset("subset", data=["scfx"], dtype=h5py.string_dtype())
                for name in ("molecule", "charge", "multiplicity"):
                    group.attrs[name] = row[name]
            group = file[groups[key]]
            positions = np.array(row["positions_angstrom"]) / BOHR_IN_ANGSTROM
            _append(group, "conformations", positions, "bohr")
            _append(group, "dft_total_energy", row["energy_ev"] / HARTREE_IN_EV, "hartree")
            if FORCES in dataset.schema.names:
                gradient = -forces_of(row) * BOHR_IN_ANGSTROM / HARTREE_IN_EV
                _append(group, "dft_total_gradient", gradient, "hartree/bohr")
            written += 1
        atoms = {atom.atomic_number: atom for atom in isolated_atoms(dataset, elements)}
        for name in groups.values():
            group = file[name]
            alone = sum(atoms[z].energy_ev for z in group["atomic_numbers"][:].tolist()) / HARTREE_IN_EV
            group["formation_energy"] = group["dft_total_energy"][:] - alone
            group["formation_energy"].attrs["units"] = "hartree"
        _state_atoms(file, atoms.values())
    return written


def _by_number_of_atoms(
    dataset: Selected, path: Path, attributes: dict[str, str], names: tuple[str, ...], energy_unit: float
) -> int:
    """`energy_unit` in eV."""
    import h5py

    coordinates, numbers, energy, forces = names
    written, elements = 0, set()
    opened: Any = h5py.File(path, "w")
    with opened as file:
        file.attrs.update(attributes)
        for row in rows(dataset):
            elements |= set(row["atomic_numbers"])
            group = file.require_group(f"{len(row['atomic_numbers']):03d}")
            _append(group, coordinates, np.array(row["positions_angstrom"], dtype=np.float64))
            _append(group, numbers, np.array(row["atomic_numbers"], dtype=np.int64))
            _append(group, energy, row["energy_ev"] / energy_unit)
            if FORCES in dataset.schema.names:
                _append(group, forces, forces_of(row) / energy_unit)
            for name, column in (("charge", "charge"), ("mult", "multiplicity"), ("row_id", "row_id")):
                _append(group, name, np.int64(row[column]))
            written += 1
        _state_atoms(file, isolated_atoms(dataset, elements))
    return written


def rows(dataset: Selected) -> Iterator[dict[str, Any]]:
    """Yield what trainers need of each row, forces too where the dataset has them."""
    forces = [FORCES] if FORCES in dataset.schema.names else []
    for table in dataset.shards([*_COLUMNS, *forces]):
        yield from table.to_pylist()


def forces_of(row: dict[str, Any]) -> np.ndarray:
    """Return the forces of a row [natm, 3] in eV/angstrom; `InputError` for a row whose forces could not be
    computed.
    """
    if row[FORCES] is None:
        raise InputError(
            f"row {row['row_id']} has no forces (its property_reasons say why), and this format needs them of every "
            "row or of none; the format 'mace' can leave them out by row"
        )
    return np.array(row[FORCES], dtype=np.float64)


def _append(group: Any, name: str, value: Any, unit: str = "") -> None:
    """One entry more along the first axis."""
    value = np.asarray(value)
    if name not in group:
        group.create_dataset(name, (0, *value.shape), value.dtype, maxshape=(None, *value.shape), chunks=True)
        if unit:
            group[name].attrs["units"] = unit
    data = group[name]
    data.resize(len(data) + 1, axis=0)
    data[-1] = value


def _state_atoms(file: Any, atoms: Any) -> None:
    """Energies and reference states of the isolated atoms, as attributes of the file."""
    ordered: list[IsolatedAtom] = list(atoms)
    file.attrs["isolated_atom_numbers"] = [atom.atomic_number for atom in ordered]
    file.attrs["isolated_atom_multiplicities"] = [atom.multiplicity for atom in ordered]
    file.attrs["isolated_atom_energies_hartree"] = [atom.energy_ev / HARTREE_IN_EV for atom in ordered]


def frame(
    file: Any,
    numbers: Any,
    positions: Any,
    forces: Any,
    info: dict[str, Any],
    forces_name: str = "REF_forces",
) -> None:
    """Write one frame of extended xyz; numbers with all their digits."""
    properties = "species:S:1:pos:R:3" + ("" if forces is None else f":{forces_name}:R:3")
    stated = [f"{key}={value if isinstance(value, str) else repr(value)}" for key, value in info.items()]
    file.write(f"{len(numbers)}\n" + " ".join([f"Properties={properties}", *stated, 'pbc="F F F"']) + "\n")
    for i, z in enumerate(numbers):
        values = [*positions[i], *([] if forces is None else forces[i])]
        file.write(" ".join([SYMBOLS[z], *(repr(float(x)) for x in values)]) + "\n")
