"""Small made-up molecules with a target that a network can learn, as a Parquet table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: SMILES of different molecules: chains with a substituent somewhere.
ENDS = ("F", "O", "N", "C#N", "C=O", "OC", "Cl", "S", "C=C", "C#C")


def smiles(count: int) -> list[str]:
    """Different molecules, as canonical SMILES."""
    from rdkit import Chem

    found: dict[str, None] = {}
    for length in range(1, 200):
        for place in range(length):
            for end in ENDS:
                text = "C" * place + f"C({end})" + "C" * (length - place)
                found[Chem.MolToSmiles(Chem.MolFromSmiles(text))] = None
                if len(found) == count:
                    return list(found)
    raise AssertionError(count)


def molecules(count: int, seed: int = 0, natm: tuple[int, int] = (3, 9)):
    """(numbers, positions in angstrom): random atoms that keep 0.9 angstrom from each other."""
    random = np.random.default_rng(seed)
    numbers, positions = [], []
    for _ in range(count):
        n = int(random.integers(*natm))
        placed: list[np.ndarray] = []
        while len(placed) < n:
            point = random.normal(scale=1.6, size=3)
            if all(np.linalg.norm(point - other) > 0.9 for other in placed):
                placed.append(point)
        numbers.append(random.choice([1, 6, 7, 8, 9], size=n))
        positions.append(np.array(placed))
    return numbers, positions


def write_table(path: Path, count: int, conformers: int = 1, seed: int = 0, shift: float = 0.0) -> Path:
    """A table of `count` molecules; gap_ev is a smooth function of the pair distances, energy_ev goes with elements."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers, positions = molecules(count * conformers, seed)
    gap, energy = [], []
    for z, xyz in zip(numbers, positions, strict=True):
        distance = np.linalg.norm(xyz[:, None] - xyz[None], axis=-1) + 10 * np.eye(len(z))
        gap.append(float(np.mean(np.exp(-distance) * np.sqrt(np.outer(z, z)))) + shift)
        energy.append(float(-13.6 * np.sum(np.asarray(z, dtype=float) ** 2) + gap[-1]))
    table = {
        "smiles": [s for s in smiles(count) for _ in range(conformers)],
        "atomic_numbers": [z.tolist() for z in numbers],
        "positions_angstrom": [p.tolist() for p in positions],
        "gap_ev": gap,
        "energy_ev": energy,
    }
    pq.write_table(pa.table(table), path)
    return path


#: Energies of lone atoms on the made-up surface, eV by atomic number.
ATOM_ENERGIES = {1: -13.6, 6: -1030.0, 8: -2040.0}


def surface(numbers, positions):
    """A potential energy surface that costs nothing: (energy in eV, forces [natm, 3] in eV/angstrom), exact.

    Σ over atoms of their energies, and over pairs of a Morse function whose depth goes with the elements.
    """
    z, xyz = np.asarray(numbers), np.asarray(positions, dtype=float)
    i, j = np.triu_indices(len(z), 1)
    difference = xyz[i] - xyz[j]
    distance = np.linalg.norm(difference, axis=1)
    depth, shrunk = 0.2 * np.sqrt(z[i] * z[j]), np.exp(-1.5 * (distance - 1.2))
    energy = sum(ATOM_ENERGIES[int(a)] for a in z) + float(np.sum(depth * (shrunk**2 - 2 * shrunk)))
    slope = depth * 1.5 * (-2 * shrunk**2 + 2 * shrunk) / distance
    forces = np.zeros_like(xyz)
    np.add.at(forces, i, -slope[:, None] * difference)
    np.add.at(forces, j, slope[:, None] * difference)
    return energy, forces


def surface_rows(count: int, conformers: int = 4, seed: int = 0) -> dict[str, list]:
    """Columns of molecules on that surface, as scfx's datasets call them: `conformers` of each of `count` molecules."""
    random = np.random.default_rng(seed)
    rows: dict[str, list] = {name: [] for name in (
        "smiles", "atomic_numbers", "positions_angstrom", "energy_ev", "forces_ev_per_angstrom", "charge",
        "multiplicity", "spec_hash",
    )}  # fmt: skip
    numbers, positions = molecules(count, seed, natm=(3, 6))
    for smile, z, xyz in zip(smiles(count), numbers, positions, strict=True):
        z = np.where(np.isin(z, list(ATOM_ENERGIES)), z, 6)
        for _ in range(conformers):
            moved = xyz + random.normal(scale=0.1, size=xyz.shape)
            energy, forces = surface(z, moved)
            values = (smile, z.tolist(), moved.tolist(), energy, forces.tolist(), 0, 1, "one")
            for column, value in zip(rows.values(), values, strict=True):
                column.append(value)
    return rows


def write_surface(path: Path, count: int, conformers: int = 4, seed: int = 0) -> Path:
    """Such rows as a Parquet table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(surface_rows(count, conformers, seed)), path)
    return path


def run(task, options, registry) -> int:
    """The exit code of a training task with a tiny budget and no console."""
    from rich.console import Console

    from scfx.abstract import TaskContext

    training = {"steps": 4, "batch_size": 4, "threads": 1}
    split_options = {"validation": 0.2, "test": 0.2}
    table = {"training": training, "split": split_options, **options}
    context = TaskContext(spec=None, registry=registry, console=Console(quiet=True))
    return task(task.Options.model_validate(table)).run(context)
