"""Arithmetic and bytes of each stage of a label, the time at the rates this core reaches, and the time taken.

    taskset -c 0 python benchmarks/roofline.py --markdown roofline.md
    taskset -c 0 python benchmarks/roofline.py --quick
    taskset -c 0 python benchmarks/roofline.py --basis 6-311g --conformers 4    # with densities of few orbitals

B3LYP/STO-3G (or another basis set whose p shells share the exponents of s shells), grid level 0, the first molecule of
throughput.py, 16 conformers, one thread. All figures are of one conformer and one call (some stages are called once a
label, others once an iteration).

The rates are measured here, before the stages: numpy's BLAS on square matrices for arithmetic in float32 and float64,
a copy between arrays far beyond the caches for memory (bytes read plus bytes written). A stage's implied time is the
larger of arithmetic/rate and bytes/bandwidth. BLAS does two operations in each instruction and nothing else; a kernel
whose operations are not all fused, that looks up tables, transposes or screens cannot reach that rate.

The stages are timed in roofline_stages.py and roofline_gradient.py. How arithmetic is counted (roofline_counts.py; an
operation is an add or a multiply, a fused one counts as two):

- integrals: by formula, from loops that follow the kernel's own and its own screening thresholds, for one conformer
  (the kernel does what any lane needs, so it does a little more). Schwarz bounds and pair data are left out.
- J and K: six fused operations for each integral streamed, which the backend reports; all in float64.
- AO values: by formula, with exp() as the kernel writes it; the test of significance is left out.
- density, potential: by formula from the mean number of AOs kept on a tile, which the backend reports. The square of a
  mean is below the mean of squares, so this is a lower bound. A density of few orbitals (up to 0.3 of the AOs) is taken
  through these: both ways are timed, where there are two.
- VV10: by hand from the kernel, of each pair of points once; a division counts as one. As many random points as the
  molecule's grid has.
- functional: XLA's own count for the compiled function; a transcendental counts as 20 operations.
- step (extrapolation, diagonalisation, new density) and Fock matrix: by formula for padded matrices, 22/3 n³ for the
  eigenvectors (reduction 4/3, divide and conquer at most 4, back-transformation 2).
- grid: by formula, the cell functions alone. One-electron: by formula.
- the gradient's stages: roofline_gradient.py. Its exchange-correlation time contains the functional once more.

Bytes are compulsory traffic: what is streamed from or to memory once in a call, not what stays in a cache.
"""

from __future__ import annotations

import argparse
import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from machine import describe, lines_to  # noqa: E402 - after the number of threads is set
from roofline_gradient import stages as gradient_stages  # noqa: E402
from roofline_rates import measure_rates  # noqa: E402
from roofline_stages import Bench  # noqa: E402
from throughput import MOLECULES  # noqa: E402


def label_table(bench: Bench) -> list[str]:
    """Where a label's time goes, by the solver's own clock."""
    lines = [
        "| stage | " + " | ".join(f"{name}, ms a label" for name in bench.labels) + " |",
        "|---|---|---|",
    ]
    names = sorted(
        {k for taken, _ in bench.labels.values() for k in taken},
        key=lambda k: -bench.labels["mixed"][0].get(k, 0),
    )
    scale = 1e3 / len(bench.systems)
    for stage in names:
        cells = [f"{scale * taken.get(stage, 0.0):.2f}" for taken, _ in bench.labels.values()]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    lines.append(
        "| sum | " + " | ".join(f"{scale * sum(t.values()):.2f}" for t, _ in bench.labels.values()) + " |"
    )
    lines.append("| iterations | " + " | ".join(f"{i:.1f}" for _, i in bench.labels.values()) + " |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conformers", type=int, default=16, help="in a batch; the lane width")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--repeats", type=int, default=9, help="of each call; the median counts")
    parser.add_argument("--quick", action="store_true", help="three repeats")
    parser.add_argument("--markdown", help="write the tables to this file")
    arguments = parser.parse_args()
    repeats = 3 if arguments.quick else arguments.repeats
    head = describe()
    rates = measure_rates(repeats)
    bench = Bench(MOLECULES[0], arguments.basis, arguments.conformers, repeats)
    stages = [*bench.stages(), *gradient_stages(bench)]
    lines = [
        head,
        "",
        f"This core: {rates.float32 / 1e9:.0f} Gflop/s in float32, {rates.float64 / 1e9:.0f} Gflop/s in float64 "
        f"(BLAS), {rates.bandwidth / 1e9:.1f} GB/s (copy).",
        "",
        f"`{MOLECULES[0]}`, {arguments.basis}, {bench.batch.nao} AOs, {bench.points} grid points; of one conformer and "
        "one call:",
        "",
        "| stage | policy or dtype | once a | Mflop, float32 | Mflop, float64 | MB | arithmetic implies, ms "
        "| memory implies, ms | taken, ms | implied/taken |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(stage.row(rates) for stage in stages),
        "",
        "A whole label, by the solver's clock:",
        "",
        *label_table(bench),
    ]
    print("\n".join(lines))
    lines_to(lines, arguments.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
