"""Peak memory of a process that solves one batch, or one molecule, by level; and of PySCF with one molecule.

    OMP_NUM_THREADS=1 python benchmarks/peak_memory.py --markdown peak_memory.md      # some minutes
    OMP_NUM_THREADS=1 python benchmarks/peak_memory.py --levels sto-3g/0 --smiles "CC(N)=O"

Each figure is the largest resident size of a process of its own, in GiB, with Python, JAX, PySCF and the compilation
of all functions in it. scfx runs the policy `mixed` with its own memory budget, on one thread. PySCF may take 16 GB.
Fitted levels have both J and K fitted in both programs. The machine's load does not matter.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from density_fitting import LEVELS as FITTED  # noqa: E402 - after the number of threads is set
from density_fitting import pyscf_fitted  # noqa: E402
from levels import pyscf_molecule  # noqa: E402
from machine import describe, lines_to  # noqa: E402
from mixed_errors import LEVELS  # noqa: E402
from throughput import conformers  # noqa: E402


def solve(level: str, smiles: str, count: int) -> None:
    """Solve a batch with scfx."""
    import scfx

    options = {"convergence": {"energy": 5e-6, "gradient": 5e-6}, **LEVELS[level].options}
    solver = scfx.Solver(backend="simd", precision="mixed", threads=1, **options)
    solver.solve(conformers(smiles, count, 0)).raise_for_status()


def solve_with_pyscf(level: str, smiles: str) -> None:
    """Solve a molecule with PySCF."""
    from pyscf import dft

    import scfx

    options = LEVELS[level].options
    molecule = pyscf_molecule(conformers(smiles, 1, 0)[0], options["basis"], scfx.Registry.discover())
    if level in FITTED:
        pyscf_fitted(molecule, level, options["grid"], 16 * 10**9)
        return
    mf = dft.RKS(molecule, xc=options["functional"])
    mf.grids.level, mf.conv_tol, mf.conv_tol_grad, mf.max_memory = options["grid"], 5e-6, 5e-6, 16000
    mf.kernel()


def gibibytes(*point: object) -> float:
    """Peak resident size of a process that does what `point` says."""
    command = [sys.executable, __file__, "--point", json.dumps(point)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--smiles", nargs="+", default=["CC(N)=O"])
    parser.add_argument("--conformers", type=int, default=16)
    parser.add_argument("--markdown", help="write the table to this file")
    given = parser.parse_args()
    lines = [
        describe(),
        "",
        f"| level | molecule | scfx, {given.conformers} in a batch | scfx, alone | PySCF |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for level in given.levels:
        for smiles in given.smiles:
            ours = [gibibytes("scfx", level, smiles, count) for count in (given.conformers, 1)]
            theirs = gibibytes("pyscf", level, smiles)
            lines.append(f"| {level} | `{smiles}` | {ours[0]:.2f} | {ours[1]:.2f} | {theirs:.2f} |")
            print(lines[-1], flush=True)
            lines_to(lines, given.markdown)


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--point":
        program, *what = json.loads(sys.argv[2])
        {"scfx": solve, "pyscf": solve_with_pyscf}[program](*what)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    else:
        main()
