"""What a grid costs in label noise: spread of energy and gap when one geometry is turned at random.

    python benchmarks/rotation_noise.py                          # levels 0 to 4
    python benchmarks/rotation_noise.py --levels 0 1 --rotations 64 --smiles "CCO"

Hartree-Fock integrals do not change under rotation; a molecular grid does, because its angular points are fixed in
space. Prints, by level: points, standard deviations in meV, and the offset of the mean from the finest level asked.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set

import scfx  # noqa: E402
from scfx.model.system import HARTREE_IN_EV  # noqa: E402

MEV = 1e3 * HARTREE_IN_EV


def rotation(random: np.random.Generator) -> np.ndarray:
    """A rotation matrix, uniform over SO(3): QR of a normal matrix with the signs of R's diagonal taken out."""
    q, r = np.linalg.qr(random.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smiles", default="FC=C1C2CN2N=C1C=O")
    parser.add_argument("--seed", type=int, default=1, help="of the conformer and of the rotations")
    parser.add_argument("--rotations", type=int, default=24)
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--functional", default="b3lyp")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--backend", default="auto")
    given = parser.parse_args()
    registry = scfx.Registry.discover()
    system = scfx.System.from_smiles(given.smiles, seed=given.seed)
    random = np.random.default_rng(given.seed)
    turned = [
        scfx.System(system.atomic_numbers, system.positions @ rotation(random).T)
        for _ in range(given.rotations)
    ]
    print(f"{given.smiles}, {given.functional}/{given.basis}, {given.rotations} rotations, float64; meV")
    print("| level | points | energy, std | gap, std | energy, largest - smallest | mean energy - finest |")
    print("|---|---|---|---|---|---|")
    rows = {}
    for level in sorted(given.levels, reverse=True):
        start = time.perf_counter()
        result = scfx.solve(
            turned,
            given.functional,
            given.basis,
            given.backend,
            "float64",
            level,
            registry=registry,
            threads=1,
        ).raise_for_status()
        print(f"  level {level}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        rows[level] = result
    finest = rows[max(rows)].energy.mean()
    for level, result in sorted(rows.items()):
        energy, gap = result.energy * MEV, result.gap * MEV
        print(
            f"| {level} | {int(result.n_grid[0]):,} | {energy.std():.3f} | {gap.std():.4f} | {np.ptp(energy):.3f} | "
            f"{(result.energy.mean() - finest) * MEV:+.3f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
