"""Peak memory of energies with forces over that of energies alone, each in a process of its own.

    python benchmarks/force_memory.py
    python benchmarks/force_memory.py --case "CC(N)=O" b3lyp "6-31g*" 1 mixed 16

A child process imports everything, resolves the calculation and makes the conformers, notes its largest resident set so
far (Linux's ru_maxrss), solves one batch on one thread, and notes it again. The difference is what the batch took,
compilation included. Each is the smallest of `--repeats` runs.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from machine import describe, lines_to  # noqa: E402 - after the number of threads is set

#: Molecule, functional, basis set, grid level, policy, conformers in the batch.
CASES = (
    ("FC=C1C2CN2N=C1C=O", "b3lyp", "sto-3g", "0", "mixed", "16"),
    ("FC=C1C2CN2N=C1C=O", "b3lyp", "sto-3g", "1", "mixed", "16"),
    ("CCCCCCCCC", "b3lyp", "sto-3g", "0", "float32", "16"),
    ("CC(N)=O", "b3lyp", "6-31g*", "1", "mixed", "8"),
    ("CC(N)=O", "r2scan", "def2-svp", "1", "float64", "4"),
    ("CO", "wb97m-v", "sto-3g", "1", "float64", "4"),
)
_BUDGET = "1 GiB"


def peak(case: tuple[str, ...], forces: bool) -> tuple[float, float]:
    """MiB before the batch, and what the batch took beyond, in this process."""
    from throughput import conformers

    import scfx

    smiles, functional, basis, level, policy, count = case
    solver = scfx.Solver(
        functional=functional,
        basis=basis,
        backend="simd",
        precision=policy,
        grid=int(level),
        threads=1,
        memory_budget=_BUDGET,
        convergence="forces",
        properties=["gradient"] if forces else [],
    )
    systems = conformers(smiles, int(count), 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    solver.solve(systems).raise_for_status()
    return before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before


def measured(case: tuple[str, ...], forces: bool, repeats: int) -> float:
    """MiB that the batch took, of the leanest of some processes."""
    command = [sys.executable, __file__, "--child", "forces" if forces else "energy", "--case", *case]
    found = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(repeats)
    ]
    return min(float(text.split()[-1]) for text in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--case", nargs=6, help="molecule, functional, basis, grid level, policy, conformers")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--child", choices=("energy", "forces"), help="measure in this process")
    parser.add_argument("--output", help="also write the table to this file")
    given = parser.parse_args()
    if given.child:
        print(*peak(tuple(given.case), given.child == "forces"))
        return
    lines = [
        f"MiB beyond what is there before the batch, `memory_budget` {_BUDGET}.",
        "",
        "| molecule | level of theory | grid | policy | conformers | energy | with forces | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print(describe(), *lines, sep="\n", flush=True)
    for case in [tuple(given.case)] if given.case else CASES:
        energy, forces = (measured(case, asked, given.repeats) for asked in (False, True))
        smiles, functional, basis, level, policy, count = case
        lines.append(
            f"| `{smiles}` | {functional}/{basis} | {level} | {policy} | {count} | {energy:.0f} | {forces:.0f} "
            f"| {forces / energy:.2f} |"
        )
        print(lines[-1], flush=True)
    lines_to(lines, given.output)


if __name__ == "__main__":
    main()
