"""Prints a fixed set of labels bit for bit, so that two versions of scfx can be compared with `diff`.

    python benchmarks/label_bits.py > before.txt     (in one checkout)
    python benchmarks/label_bits.py > after.txt      (in the other, same machine and environment)
    diff before.txt after.txt
    python benchmarks/label_bits.py --compare before.txt after.txt     (how far the energies that differ are apart)

Energy, orbital energies and dipole are printed as digests of their float64 bytes; a line is a label.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path

import numpy as np

import scfx

ANGSTROM = 1.8897261246257702


def geometries() -> list[scfx.System]:
    """Closed and open shells, ions, and conformers of one molecule that share a batch."""
    table = {
        "water": ("O 0 0 0.119; H 0 0.757 -0.477; H 0 -0.757 -0.477", 0, 1),
        "methane": (
            "C 0 0 0; H .629 .629 .629; H -.629 -.629 .629; H -.629 .629 -.629; H .629 -.629 -.629",
            0,
            1,
        ),
        "formaldehyde": ("C 0 0 -.53; O 0 0 .68; H 0 .93 -1.12; H 0 -.93 -1.12", 0, 1),
        "hydrogen fluoride": ("F 0 0 0; H 0 0 .92", 0, 1),
        "hydroxyl": ("O 0 0 0; H 0 0 .97", 0, 2),
        "oxygen": ("O 0 0 0; O 0 0 1.21", 0, 3),
        "hydronium": ("O 0 0 0; H .94 0 .25; H -.47 .81 .25; H -.47 -.81 .25", 1, 1),
        "hydroxide": ("O 0 0 0; H 0 0 .96", -1, 1),
    }
    out = []
    for text, charge, multiplicity in table.values():
        rows = [atom.split() for atom in text.split(";")]
        symbols = {"H": 1, "C": 6, "O": 8, "F": 9}
        numbers = np.array([symbols[row[0]] for row in rows])
        positions = np.array([[float(x) for x in row[1:]] for row in rows]) * ANGSTROM
        out.append(
            scfx.System.from_arrays(numbers, positions, charge=charge, multiplicity=multiplicity, unit="bohr")
        )
    water = out[0]
    random = np.random.default_rng(7)
    for _ in range(4):
        moved = water.positions + random.normal(scale=0.05, size=water.positions.shape)
        out.append(scfx.System.from_arrays(water.atomic_numbers, moved, unit="bohr"))
    return out


LEVELS: list[dict[str, object]] = [
    {"functional": "b3lyp", "precision": "float64", "grid": 3},
    {"functional": "b3lyp", "precision": "mixed", "grid": 1},
    {"functional": "b3lyp", "precision": "float32", "grid": 0},
    {"functional": "b3lyp", "basis": "6-31g*", "precision": "mixed", "grid": 2},
    {"functional": "pbe0", "basis": "def2-svp", "precision": "float64", "grid": 1},
    {"functional": "hf", "basis": "6-31g", "precision": "float64"},
    {"functional": "hf", "precision": "mixed", "reference": "restricted-open"},
    {"functional": "wb97x", "precision": "mixed", "grid": 1},
    {"functional": "wb97m-v", "precision": "float64", "grid": 1, "nonlocal_grid": 0},
    {"functional": "b3lyp-d3bj", "precision": "float64", "grid": 0, "memory_budget": 200_000},
    {"functional": "r2scan", "precision": "mixed", "grid": 1},
    {"functional": "svwn", "precision": "float64", "grid": 1, "guess": "core"},
    {"functional": "b3lyp5", "precision": "float32", "grid": 0, "convergence": "qm1b"},
    {"functional": "b3lyp", "precision": "float64", "grid": 1, "backend": "libcint"},
    {"functional": "wb97x", "precision": "mixed", "grid": 0, "backend": "libcint"},
    {"functional": "hf", "precision": "float32", "backend": "ipu"},
    {"functional": "pbe", "precision": "float64", "grid": 0,
     "backend": "libcint", "density_fitting": "def2-universal-jkfit"},
]  # fmt: skip


def digest(values: np.ndarray) -> str:
    """Twelve hex digits of the bytes."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype=np.float64).tobytes()).hexdigest()[:12]


def compared(before: Path, after: Path) -> None:
    """Print by precision how many lines differ, and of their energies (hartree) and iterations those farthest apart."""
    apart: dict[str, list[tuple[float, str]]] = {}
    for old, new in zip(before.read_text().splitlines(), after.read_text().splitlines(), strict=True):
        label, shown = old.partition(" energy=")[0], []
        if new.partition(" energy=")[0] != label:
            raise SystemExit(f"other labels: {old!r} and {new!r}")
        for line in (old, new):
            values = dict(re.findall(r"(\w+)=(\S+)", line))
            shown.append(
                (float(values["energy"].removeprefix("np.float64(").rstrip(")")), values["iterations"])
            )
        (one, steps), (other, more) = shown
        if old != new:
            precision = re.findall(r"precision=(\w+)", label)[0]
            apart.setdefault(precision, []).append(
                (abs(one - other), f"{label}: {steps} and {more} iterations")
            )
    for precision, lines in apart.items():
        print(f"{precision}: {len(lines)} lines differ")
        for off, text in sorted(lines, reverse=True)[:6]:
            print(f"  {off:.1e} hartree, {text}")


def main() -> None:
    """Print a line for each label, or compare two such outputs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    options = parser.parse_args()
    if options.compare:
        compared(*options.compare)
        return
    labels()


def labels() -> None:
    """Print a line for each label."""
    systems = geometries()
    for level in LEVELS:
        options = {"basis": "sto-3g", "backend": "simd", "threads": 1, **level}
        result = scfx.solve(systems, **options)
        shown = " ".join(f"{k}={v}" for k, v in options.items() if k != "threads").replace("\n", " ")
        for i in range(len(systems)):
            print(
                shown, f"system={i}", f"energy={result.energy[i]!r}", f"orbitals={digest(result.orbital_energies[i])}",
                f"dipole={digest(result.dipole[i])}", f"status={result.status[i]}", f"rung={result.rung[i] or 'plain'}",
                f"iterations={result.iterations[i]}",
            )  # fmt: skip
        sys.stdout.flush()


if __name__ == "__main__":
    main()
