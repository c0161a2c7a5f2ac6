"""Errors of the policy `mixed` against `float64` by level, both at tight thresholds on the same grid.

    OMP_NUM_THREADS=1 python benchmarks/mixed_errors.py --markdown mixed_errors.md      # an hour or so in all
    OMP_NUM_THREADS=1 python benchmarks/mixed_errors.py --levels sto-3g/0 6-31g*        # some minutes

The approximation is the same in both: exact integrals with exact ones, fitted with fitted ones. Errors do not depend on
the machine's load. Conformers have the seeds of throughput.py. Wanted (issue 24): at most 0.001 meV in an energy and
0.005 meV in a gap.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, field
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
from density_fitting import FIT  # noqa: E402
from density_fitting import LEVELS as FITTED  # noqa: E402
from machine import describe, lines_to  # noqa: E402
from throughput import MEV, MOLECULES, conformers  # noqa: E402

import scfx  # noqa: E402

#: Two to four heavy atoms.
SMALL = ("OC=O", "CC#N", "CCO", "CC(N)=O")


@dataclass(frozen=True)
class Case:
    """One level: keys of `[scf]`, and the molecules it is tried on."""

    options: dict[str, Any]
    smiles: tuple[str, ...]
    conformers: int
    words: str = field(default="exact")


LEVELS = {
    "sto-3g/0": Case({"functional": "b3lyp", "basis": "sto-3g", "grid": 0}, MOLECULES, 8),
    "sto-3g/1": Case({"functional": "b3lyp", "basis": "sto-3g", "grid": 1}, MOLECULES, 8),
    "6-31g*": Case({"functional": "b3lyp", "basis": "6-31g*", "grid": 3}, SMALL, 4),
    "def2-svp": Case({"functional": "pbe0", "basis": "def2-svp", "grid": 3}, SMALL, 4),
    "def2-tzvp": Case({"functional": "wb97x", "basis": "def2-tzvp", "grid": 3}, SMALL[:3], 1),
} | {
    name: Case(
        {"functional": functional, "basis": basis, "grid": 1, "nonlocal_grid": 1, "density_fitting": FIT},
        SMALL,
        1,
        "J and K fitted",
    )
    for name, (functional, basis) in FITTED.items()
}


def row(name: str, case: Case) -> str:
    """Solve everything in both policies and return a row of the table."""
    start = time.perf_counter()
    energy, gap, count = [], [], 0
    for smiles in case.smiles:
        systems = conformers(smiles, case.conformers, 0)
        double, mixed = (
            scfx.solve(
                systems, backend="simd", precision=precision, convergence="tight", threads=1, **case.options
            ).raise_for_status()
            for precision in ("float64", "mixed")
        )
        energy.append(np.abs(mixed.energy - double.energy) * MEV)
        gap.append(np.abs(mixed.gap - double.gap) * MEV)
        count += len(systems)
    worst = case.smiles[int(np.argmax([errors.max() for errors in gap]))]
    energies, gaps = np.concatenate(energy), np.concatenate(gap)
    print(f"# {name}: {time.perf_counter() - start:.0f} s", flush=True)
    level = f"{case.options['functional']}/{case.options['basis']}, level {case.options['grid']}"
    return (
        f"| {level} | {case.words} | {', '.join(f'`{s}`' for s in case.smiles)} | {count} | {energies.mean():.6f} "
        f"({energies.max():.6f}) | {gaps.mean():.6f} ({gaps.max():.6f}) | `{worst}` |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--markdown", help="write the table to this file")
    given = parser.parse_args()
    lines = [
        describe(),
        "",
        "| level, grid | J and K | molecules | labels | energy MAE (max), meV | gap MAE (max), meV | worst gap of |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for name in given.levels:
        lines.append(row(name, LEVELS[name]))
        print(lines[-1], flush=True)
        lines_to(lines, given.markdown)


if __name__ == "__main__":
    main()
