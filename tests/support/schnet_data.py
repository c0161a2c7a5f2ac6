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
