"""Iterations by initial guess, DIIS and level: on the molecules of throughput.py and on the hard set.

    python benchmarks/procedures.py --markdown docs/measurements/iterations.md     # some ten minutes
    python benchmarks/procedures.py --levels hf/sto-3g --sets usual                # under a minute
    python benchmarks/procedures.py --recovery --precision mixed --sets hard      # rungs of the ladder too

Counts do not depend on the machine's load. Unless `--recovery` is given the ladder is off: what the plain procedure
leaves would climb it. Default thresholds; float64 has no coarse grid.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Literal

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
from machine import describe, lines_to  # noqa: E402
from throughput import MOLECULES, conformers  # noqa: E402

import scfx  # noqa: E402

Guess = Literal["atomic", "sap", "core"]
DIIS = Literal["cdiis", "adiis"]
PROCEDURES: tuple[tuple[Guess, DIIS], ...] = (
    ("atomic", "cdiis"),
    ("sap", "cdiis"),
    ("core", "cdiis"),
    ("atomic", "adiis"),
    ("sap", "adiis"),
)
HARD = Path(__file__).parents[1] / "examples" / "hard30.xyz"


def systems_of(name: str) -> list[scfx.System]:
    """The usual molecules, one conformer each, or the hard set."""
    if name == "usual":
        return [system for smiles in MOLECULES for system in conformers(smiles, 1, 1)]
    return scfx.System.all_from_xyz(HARD)


def row(
    systems: list[scfx.System], level: str, guess: Guess, diis: DIIS, precision: str, recovery: bool
) -> tuple[str, np.ndarray]:
    """A row of the table, and the energies (NaN where not converged)."""
    functional, basis, *grid = level.split("/")
    result = scfx.solve(
        systems,
        functional=functional,
        basis=basis,
        backend="simd",
        grid=int(grid[0]) if grid else 0,
        guess=guess,
        diis=diis,
        precision=precision,
        recovery=recovery,
    )
    done = np.asarray(result.converged)
    counts = result.iterations[done]
    climbed = done & np.array([bool(rung) for rung in result.rung])
    left = ", ".join(str(result.systems[i].name or i) for i in map(int, np.flatnonzero(~done | climbed)))
    text = (
        f"| {level}, {precision} | {guess} | {diis} | {counts.mean():.1f} | {counts.max()} | {climbed.sum()} "
        f"| {(~done).sum()} | {left} |"
    )
    return text, np.where(done, result.energy, np.nan)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--levels", nargs="+", default=["hf/6-31g*", "b3lyp/sto-3g/0"], help="functional/basis/grid"
    )
    parser.add_argument("--sets", nargs="+", default=["usual", "hard"], choices=["usual", "hard"])
    parser.add_argument("--precision", default="float64")
    parser.add_argument("--recovery", action="store_true", help="with the ladder, whose climbers are counted")
    parser.add_argument("--markdown", help="write the tables to this file")
    arguments = parser.parse_args()
    lines = [describe(), ""]
    for name in arguments.sets:
        systems = systems_of(name)
        lines += [
            f"{name} molecules ({len(systems)})", "",
            "| level | guess | DIIS | iterations, mean | most | climbed | not converged | which of both "
            "| other solution |",
            "|---|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for level in arguments.levels:
            lowest, rows = np.full(len(systems), np.inf), []
            for procedure in PROCEDURES:
                text, energy = row(systems, level, *procedure, arguments.precision, arguments.recovery)
                lowest = np.fmin(lowest, energy)
                rows.append((text, energy))
            for text, energy in rows:
                # Another stationary point, above the lowest that any of them found.
                lines.append(f"{text} {int((energy > lowest + 1e-6).sum())} |")
                print(lines[-1], flush=True)
        lines.append("")
    lines_to(lines, arguments.markdown)


if __name__ == "__main__":
    main()
