"""Errors of the precision policies: scfx against PySCF in float64, same basis numbers, same grid, same molecules.

    python benchmarks/accuracy.py                        # 100 conformers of molecules with 9 heavy atoms
    python benchmarks/accuracy.py --conformers 500 --grid 1 --backend libcint

Prints mean absolute / largest errors in meV, and whether the mean absolute errors meet the project's targets (energy
and gap: 1 and 0.05 meV for float32, 0.05 and 0.005 meV for mixed). Exit code 1 if one is missed.
"""

from __future__ import annotations

import argparse
import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
from pyscf_reference import HEADER, conformers, errors, labels, table_row  # noqa: E402

import scfx  # noqa: E402

#: Mean absolute errors to reach, meV: (energy, gap).
TARGETS = {"float64": (0.01, 0.001), "float32": (1.0, 0.05), "mixed": (0.05, 0.005)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conformers", type=int, default=100)
    parser.add_argument("--functional", default="b3lyp")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--grid", type=int, default=0)
    parser.add_argument("--policies", nargs="+", default=["float64", "float32", "mixed"])
    given = parser.parse_args()
    registry = scfx.Registry.discover()
    systems = conformers(given.conformers, max(4, -(-given.conformers // 100)))
    reference = labels(systems, given.functional, given.basis, given.grid, registry)
    print(f"{len(systems)} conformers, {given.functional}/{given.basis}, grid {given.grid}; mean / max, meV")
    met = True
    rows, notes = [], []
    for policy in given.policies:
        result = scfx.solve(
            systems,
            given.functional,
            given.basis,
            given.backend,
            policy,
            given.grid,
            registry=registry,
            threads=1,
        )
        found = errors(result, reference)
        rows.append(table_row(policy, found))
        energy, gap = np.abs(found["energy"]).mean(), np.abs(found["gap"]).mean()
        good = policy not in TARGETS or (energy <= TARGETS[policy][0] and gap <= TARGETS[policy][1])
        met = met and good and bool(result.converged.all())
        notes.append(
            f"{policy}: backend {result.provenance['backend']}, {int(result.converged.sum())} of {len(systems)} "
            f"converged ({sum(bool(r) for r in result.rung)} on the recovery ladder), mean iterations "
            f"{result.iterations.mean():.1f}, mean signed energy error {found['energy'].mean():+.4f} meV, "
            f"targets {TARGETS.get(policy, '-')} {'met' if good else 'MISSED'}"
        )
    print("\n".join([HEADER, *rows, "", *notes]))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
