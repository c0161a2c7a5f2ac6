"""VV10's sums over pairs of points: the kernels of `scfx_simd` beside the portable ones, in alternation in one process.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/nonlocal_pairs.py [--points 6000 20000] [--rounds 5]

Points, ω and κ are random: the arithmetic does not depend on them. Times are those of the processor; a pair counts
twice, once for each of its points. Operations are those of `src/nonlocal_pairs.cpp`, by hand, of each pair that is
visited, half of all; a division counts as one.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import jax
import numpy as np
from machine import describe
from scfx_simd.backend import SimdBackend

from scfx.energy.vv10_pairs import PortablePairs

#: Of a pair: shared by its points, and of each.
OPERATIONS = {"nonlocal_pair_sums": 17 + 2 * 9, "nonlocal_pair_derivatives": 25 + 2 * 9}


def points(n: int) -> np.ndarray:
    """x, y, z, ω0, κ, W of so many points."""
    random = np.random.default_rng(n)
    return np.concatenate(
        [random.normal(scale=4.0, size=(3, n)), random.uniform(0.5, 3.0, (2, n)), random.normal(size=(1, n))]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[6000, 20000])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(describe() + "\n")
    print(
        "| sums | points | kernel, s | portable, s | ratio | kernel, ns a pair | Gflop/s | largest difference |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for n in arguments.points:
        given, ways = points(n), (SimdBackend(), PortablePairs(n))
        for name, operations in OPERATIONS.items():
            seconds, found = ([], []), [np.zeros(0), np.zeros(0)]
            for turn in range(arguments.rounds + 1):
                for k, way in enumerate(ways):
                    start = time.process_time()
                    found[k] = getattr(way, name)(given)
                    if turn:  # the first one compiles
                        seconds[k].append(time.process_time() - start)
            ours, theirs = map(median, seconds)
            scale = np.abs(found[1]).max(axis=1, keepdims=True)
            print(
                f"| {name} | {n} | {ours:.3f} | {theirs:.3f} | {theirs / ours:.1f} | {1e9 * ours / n**2:.2f} "
                f"| {operations * n**2 / 2 / ours / 1e9:.0f} | {np.max(np.abs(found[0] - found[1]) / scale):.0e} |",
                flush=True,
            )


if __name__ == "__main__":
    with jax.enable_x64(True):
        main()
