"""Exports read back by the trainers' own readers: is what they see the row?

    scfx dataset export DATASET --format mace -o DIR/mace.xyz
    python -c "import json, scfx_dataset as d; print(json.dumps(d.open('DATASET').filter('ok')[:]))" > DIR/rows.json
    TRAINER_PYTHON benchmarks/trainer_readers.py mace DIR

and so for nequip.extxyz, fairchem.aselmdb, torchani.h5, hdf5.h5 (reader aimnet), spice.hdf5, deepmd/ and huggingface/.

Each reader runs in an environment of its own, since they pin different versions of the same packages. What was run, and
what did not import, is in docs/measurements/trainers.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HARTREE_IN_EV = 27.211386245988  # CODATA 2018

#: What a reader saw of one row: elements, positions (angstrom), energy (eV), forces (eV/angstrom), charge, 2S + 1.
Seen = tuple[list[int], Any, float, Any, float | None, float | None]


def mace(folder: Path) -> list[Seen]:
    """MACE's `load_from_xyz`, with its default keys."""
    from mace.data import KeySpecification, load_from_xyz

    keys = KeySpecification.from_defaults()
    atomic_energies, configurations = load_from_xyz(
        str(folder / "mace.xyz"), key_specification=keys, extract_atomic_energies=True
    )
    assert set(atomic_energies) == {z for c in configurations for z in c.atomic_numbers.tolist()}
    return [
        (c.atomic_numbers.tolist(), c.positions, c.properties["energy"], c.properties["forces"], None, None)
        for c in configurations
    ]


def nequip(folder: Path) -> list[Seen]:
    """NequIP's `ASEDataset`."""
    from nequip.data.dataset import ASEDataset

    dataset = ASEDataset(file_path=str(folder / "nequip.extxyz"), transforms=[])
    return [
        (
            d["atomic_numbers"].tolist(),
            d["pos"].numpy(),
            float(d["total_energy"]),
            d["forces"].numpy(),
            None,
            None,
        )
        for d in (dataset[i] for i in range(len(dataset)))
    ]


def fairchem(folder: Path) -> list[Seen]:
    """fairchem's `AseDBDataset`, with charge and spin as its models for molecules ask for them."""
    from fairchem.core.datasets import AseDBDataset

    dataset = AseDBDataset(
        config={
            "src": str(folder / "fairchem.aselmdb"),
            "a2g_args": {
                "r_energy": True,
                "r_forces": True,
                "molecule_cell_size": 100.0,
                "r_data_keys": ["charge", "spin"],
            },
        }
    )
    out = []
    for i in range(len(dataset)):
        atoms, graph = dataset.get_atoms(i), dataset[i]
        out.append(
            (
                graph.atomic_numbers.tolist(),
                atoms.positions,
                float(graph.energy),
                graph.forces.numpy(),
                float(graph.charge),
                float(graph.spin),
            )
        )
    return out


def torchani(folder: Path) -> list[Seen]:
    """TorchANI's `ANIDataset`."""
    from torchani.datasets import ANIDataset

    dataset = ANIDataset(str(folder / "torchani.h5"))
    out = []
    for _, group in dataset.numpy_items():
        for i in range(len(group["energies"])):
            numbers = [int(z) for z in group["species"][i]]
            out.append(
                (
                    numbers,
                    group["coordinates"][i],
                    float(group["energies"][i]) * HARTREE_IN_EV,
                    group["forces"][i] * HARTREE_IN_EV,
                    None,
                    None,
                )
            )
    return out


def aimnet(folder: Path) -> list[Seen]:
    """AIMNet2's `SizeGroupedDataset`, with the keys that its training asks for."""
    from aimnet.data import SizeGroupedDataset

    dataset = SizeGroupedDataset(
        str(folder / "hdf5.h5"), keys=["coord", "numbers", "charge", "energy", "forces"]
    )
    return [
        (
            group["numbers"][i].tolist(),
            group["coord"][i],
            float(group["energy"][i]),
            group["forces"][i],
            float(group["charge"][i]),
            None,
        )
        for group in dataset.groups
        for i in range(len(group))
    ]


def spice(folder: Path) -> list[Seen]:
    """TorchMD-Net's `SPICE`, which finds the file in the place of its own download.

    It gives the formation energy: what the isolated atoms have is put back from the file's attributes.
    """
    import h5py
    from torchmdnet.datasets import SPICE

    with h5py.File(folder / "spice.hdf5") as file:
        names = ("isolated_atom_numbers", "isolated_atom_energies_hartree")
        atoms = dict(zip(*(file.attrs[name].tolist() for name in names), strict=True))
    version, root = "1.1.4", folder / "torchmdnet"
    place = root / "raw" / "spice" / version / SPICE.VERSIONS[version]["file"]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes((folder / "spice.hdf5").read_bytes())
    out = []
    for data in SPICE(root=str(root), version=version):
        numbers = data.z.tolist()
        energy = float(data.y) + HARTREE_IN_EV * sum(atoms[z] for z in numbers)
        out.append((numbers, data.pos.numpy(), energy, data.neg_dy.numpy(), None, None))
    return out


def dpdata(folder: Path) -> list[Seen]:
    """dpdata's `MultiSystems`, format "deepmd/npy/mixed"."""
    from ase.data import atomic_numbers
    from dpdata import MultiSystems

    systems = MultiSystems()
    systems.load_systems_from_file(str(folder / "deepmd"), fmt="deepmd/npy/mixed")
    out = []
    for system in systems:
        numbers = [atomic_numbers[system["atom_names"][t]] for t in system["atom_types"]]
        for i in range(len(system)):
            out.append((numbers, system["coords"][i], system["energies"][i], system["forces"][i], None, None))
    return out


def huggingface(folder: Path) -> list[Seen]:
    """`datasets.load_dataset` on the folder, all splits."""
    from datasets import load_dataset

    found = load_dataset(str(folder / "huggingface"), cache_dir=str(folder / "cache"))
    assert set(found) <= {"train", "validation", "test"}, found
    return [
        (
            row["atomic_numbers"],
            np.array(row["positions_angstrom"]),
            row["energy_ev"],
            np.array(row["forces_ev_per_angstrom"]),
            row["charge"],
            row["multiplicity"],
        )
        for split in found.values()
        for row in split
    ]


def huggingface_dataset(folder: Path) -> list[Seen]:
    """`datasets.load_dataset` on the folder of the dataset itself (DIR/out)."""
    from datasets import load_dataset

    found = load_dataset(str(folder / "out"), cache_dir=str(folder / "cache"), split="train")
    return [
        (
            row["atomic_numbers"],
            np.array(row["positions_angstrom"]),
            row["energy_ev"],
            np.array(row["forces_ev_per_angstrom"]),
            row["charge"],
            row["multiplicity"],
        )
        for row in found
    ]


READERS: dict[str, Callable[[Path], list[Seen]]] = {
    f.__name__: f
    for f in (mace, nequip, fairchem, torchani, aimnet, spice, dpdata, huggingface, huggingface_dataset)
}


def main(reader: str, folder: Path) -> None:
    """Compare what a reader saw with the rows: to 1e-6 eV of the energy in float32 at best, else to its digits."""
    rows = json.loads((folder / "rows.json").read_text())
    seen = READERS[reader](folder)
    assert len(seen) == len(rows), (len(seen), len(rows))
    left = list(rows)
    worst = {"energy": 0.0, "forces": 0.0, "positions": 0.0}
    for numbers, positions, energy, forces, charge, spin in seen:
        # Readers may sort atoms by element, and frames by composition: the energy finds the row.
        row = min(left, key=lambda r: abs(r["energy_ev"] - energy))
        left.remove(row)
        order = {tuple(np.round(p, 3)): i for i, p in enumerate(np.array(row["positions_angstrom"]))}
        places = [order[tuple(np.round(np.asarray(p, dtype=np.float64), 3))] for p in positions]
        assert sorted(places) == list(range(len(places)))
        assert numbers == [row["atomic_numbers"][i] for i in places]
        assert charge in (None, row["charge"])
        assert spin in (None, row["multiplicity"])
        wanted = np.array(row["forces_ev_per_angstrom"])[places]
        worst["energy"] = max(worst["energy"], abs(row["energy_ev"] - energy))
        worst["forces"] = max(worst["forces"], float(np.abs(wanted - forces).max()))
        there = np.array(row["positions_angstrom"])[places]
        worst["positions"] = max(worst["positions"], float(np.abs(there - positions).max()))
    print(f"{reader}: {len(seen)} rows, largest differences {worst}")
    assert worst["energy"] < 1e-3, worst  # float32 of some 1000 eV
    assert max(worst["forces"], worst["positions"]) < 1e-5, worst


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
