"""What float32 costs stage by stage: one stage in float32, all others in float64, against everything in float64.

    python benchmarks/precision.py                        # 24 conformers of molecules with 9 heavy atoms
    python benchmarks/precision.py --conformers 8 --backend libcint

Every run uses one grid, so no error here is the grid's. Prints mean absolute / largest errors in meV.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
from pyscf_reference import HEADER, conformers, errors, table_row  # noqa: E402

import scfx  # noqa: E402
from scfx.config.precision import FLOAT64  # noqa: E402

STAGES = ("integrals", "coulomb_exchange", "orbitals", "functional", "linear_algebra", "orthogonaliser")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conformers", type=int, default=24)
    parser.add_argument("--functional", default="b3lyp")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--grid", type=int, default=0)
    given = parser.parse_args()
    registry = scfx.Registry.discover()
    systems = conformers(given.conformers)

    def solve(policy: object) -> scfx.SCFResult:
        return scfx.solve(
            systems,
            given.functional,
            given.basis,
            given.backend,
            policy,
            given.grid,
            registry=registry,
            threads=1,
        )

    exact = solve("float64").raise_for_status()
    reference = np.stack([exact.energy, exact.homo, exact.lumo], axis=1)
    # The floors are float32's: with them no run waits for a residual that rounding does not allow.
    alone = {
        stage: replace(FLOAT64, name=stage, gradient_floor=5e-6, energy_floor=5e-6, **{stage: "float32"})
        for stage in STAGES
    }
    print(f"{len(systems)} conformers, {given.functional}/{given.basis}, grid {given.grid}, "
          f"backend {exact.provenance['backend']}; mean / max, meV")  # fmt: skip
    print(HEADER)
    floors = replace(FLOAT64, name="floors", gradient_floor=5e-6, energy_floor=5e-6)
    print(table_row("none: float64 at float32's thresholds", errors(solve(floors), reference)), flush=True)
    for stage, policy in alone.items():
        print(table_row(stage, errors(solve(policy), reference)), flush=True)
    for name in ("float32", "mixed"):
        print(table_row(f"policy {name}", errors(solve(name), reference)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
