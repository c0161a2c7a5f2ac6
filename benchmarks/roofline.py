"""Arithmetic and bytes of each stage of a label, the time at the rates this core reaches, and the time taken.

    taskset -c 0 python benchmarks/roofline.py --markdown roofline.md
    taskset -c 0 python benchmarks/roofline.py --quick

B3LYP/STO-3G, grid level 0, the first molecule of throughput.py, 16 conformers, one thread. All figures are of one
conformer and one call (some stages are called once a label, others once an iteration).

The rates are measured here, before the stages: numpy's BLAS on square matrices for arithmetic in float32 and float64,
a copy between arrays far beyond the caches for memory (bytes read plus bytes written). A stage's implied time is the
larger of arithmetic/rate and bytes/bandwidth. BLAS does two operations in each instruction and nothing else; a kernel
whose operations are not all fused, that looks up tables, transposes or screens cannot reach that rate.

How arithmetic is counted (roofline_counts.py; an operation is an add or a multiply, a fused one counts as two):

- integrals: by formula, from loops that follow the kernel's own and its own screening thresholds, for one conformer
  (the kernel does what any lane needs, so it does a little more). Schwarz bounds and pair data are left out.
- J and K: six fused operations for each integral streamed, which the backend reports; all in float64.
- AO values: by formula, with exp() as the kernel writes it; the test of significance is left out.
- density, potential: by formula from the mean number of AOs kept on a tile, which the backend reports. The square of a
  mean is below the mean of squares, so this is a lower bound. A density of few orbitals (up to 0.3 of the AOs) is taken
  through these: both ways are timed, where there are two.
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
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import jax  # noqa: E402 - after the number of threads is set
import numpy as np  # noqa: E402
import roofline_counts as counts  # noqa: E402
import roofline_gradient as gradient_counts  # noqa: E402
from integrals import in_batch_order  # noqa: E402
from machine import describe, lines_to  # noqa: E402
from scfx_simd.backend import SimdBackend  # noqa: E402
from scfx_simd.grid import POINTS_PER_BLOCK, SimdGridOperator  # noqa: E402
from scfx_simd.two_electron import ROUNDED_FROM_D, SimdTwoElectron  # noqa: E402
from throughput import MOLECULES, conformers  # noqa: E402

import scfx  # noqa: E402
from scfx.config.precision import FLOAT64, PrecisionPolicy  # noqa: E402
from scfx.contracts.derivatives import TwoElectronEnergy  # noqa: E402
from scfx.energy.exchange_correlation.backend import BLOCKS, _functional_on_blocks  # noqa: E402
from scfx.energy.exchange_correlation.gradient import exchange_correlation_gradient  # noqa: E402
from scfx.energy.exchange_correlation.portable import StaticFunctional  # noqa: E402
from scfx.execution.lanes import ao_bucket  # noqa: E402
from scfx.grid import batch_grids, owned_grids  # noqa: E402
from scfx.model.basis import BasisSet  # noqa: E402
from scfx.model.batch import Batch, group_by_structure  # noqa: E402

MEMORY_BUDGET = 4 * 2**30
TILE_POINTS = 256


@dataclass(frozen=True)
class Rates:
    """Operations a second by dtype, and bytes a second."""

    float32: float
    float64: float
    bandwidth: float


@dataclass(frozen=True)
class Stage:
    """One row, for one conformer and one call. Seconds as taken."""

    name: str
    variant: str
    often: str
    operations: counts.Operations
    n_bytes: float
    seconds: float

    def implied(self, rates: Rates) -> float:
        """Seconds at the measured rates."""
        arithmetic = self.operations.float32 / rates.float32 + self.operations.float64 / rates.float64
        return max(arithmetic, self.n_bytes / rates.bandwidth)

    def row(self, rates: Rates) -> str:
        """As a table row; milliseconds."""
        arithmetic = self.operations.float32 / rates.float32 + self.operations.float64 / rates.float64
        memory = self.n_bytes / rates.bandwidth
        implied = self.implied(rates)
        return (
            f"| {self.name} | {self.variant} | {self.often} | {self.operations.float32 / 1e6:.2f} "
            f"| {self.operations.float64 / 1e6:.2f} | {self.n_bytes / 1e6:.3f} | {1e3 * arithmetic:.3f} "
            f"| {1e3 * memory:.3f} | {1e3 * self.seconds:.3f} | {100 * implied / self.seconds:.0f}% |"
        )


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median over `repeats` calls, after one that warms up."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))


def measure_rates(repeats: int) -> Rates:
    """The rates of this core; the best of the repeats, which is what a ceiling means."""
    rates = []
    n = 1024
    for dtype in (np.float32, np.float64):
        a = np.random.default_rng(0).random((n, n)).astype(dtype)
        out = np.empty_like(a)
        best = min(median_seconds(lambda a=a, out=out: np.matmul(a, a, out=out), 1) for _ in range(repeats))
        rates.append(2 * n**3 / best)
    source = np.ones(2**25)
    target = np.zeros_like(source)
    best = min(median_seconds(lambda: np.copyto(target, source), 1) for _ in range(repeats))
    return Rates(rates[0], rates[1], 2 * source.nbytes / best)


class Bench:
    """The molecule, its batch of one lane width, and the stages timed on it."""

    def __init__(self, smiles: str, entries: int, repeats: int):
        self.repeats = repeats
        self.systems = conformers(smiles, entries, 0)
        self.solvers = {
            policy: scfx.Solver(
                functional="b3lyp", basis="sto-3g", backend="simd", precision=policy, grid=0, threads=1,
                convergence={"energy": 5e-6, "gradient": 5e-6},
            )
            for policy in ("float32", "mixed")
        }  # fmt: skip
        self.resolved = self.solvers["mixed"].resolved
        elements = {int(z) for s in self.systems for z in s.atomic_numbers}
        self.basis = BasisSet.from_source(self.resolved.basis, elements)
        ((_, batch),) = group_by_structure(self.systems, self.basis)
        self.batch: Batch = batch
        backend = self.resolved.backend
        assert isinstance(backend, SimdBackend)
        self.backend = backend
        self.lanes = np.arange(len(batch), dtype=np.int32)
        self.grids = batch_grids(batch.atomic_numbers, batch.positions, self.resolved.grid)
        self.points = len(self.grids[0][1])

    def per_conformer(self, call: Callable[[], object]) -> float:
        return median_seconds(call, self.repeats) / len(self.batch)

    def stages(self) -> list[Stage]:
        """Every stage, in the order of a label."""
        out = [self.one_electron(), self.grid()]
        for policy in ("float32", "mixed"):
            out += self.two_electron(self.solvers[policy].resolved.precision)
        for dtype in ("float32", "float64"):
            out += self.quadrature(dtype)
        return out + self.gradient() + self.linear_algebra()

    def gradient(self) -> list[Stage]:
        """The stages of a nuclear gradient, at converged densities in the batch's own order."""
        with jax.enable_x64(True):
            return self._gradient()

    def _gradient(self) -> list[Stage]:
        ordered = [in_batch_order(self.batch, i) for i in range(len(self.batch))]
        batch = Batch.from_systems(ordered, self.basis)
        matrices = self.solvers["mixed"].solve(ordered, return_density=True).density
        assert matrices is not None
        density = np.stack(matrices)
        owned = owned_grids(batch.atomic_numbers, self.grids, self.resolved.grid)
        screening = self.backend.definition()["screening"]
        energies = [TwoElectronEnergy(coulomb=1.0, exchange=0.2)]
        out = []
        for name in ("float32", "mixed"):
            policy = self.solvers[name].resolved.precision
            single, double = counts.thresholds(policy, screening)
            seconds = self.per_conformer(
                lambda policy=policy: self.backend.two_electron_gradient(
                    batch, self.lanes, density, energies, policy
                )
            )
            operations = gradient_counts.two_electron_gradient(
                batch, self.basis, 0, (single, max(single, min(double, ROUNDED_FROM_D))), density[0, 0], 0.2
            )
            out.append(
                Stage("two-electron gradient", name, "label", operations, 2 * 8 * batch.nao**2, seconds)
            )
        for dtype in ("float32", "float64"):
            policy = replace(FLOAT64, name=dtype, orbitals=dtype)
            points, weights = [p for p, _ in self.grids], [w for _, w in self.grids]
            operator = self.backend.grid_operator(batch, points, weights, "gga", policy, MEMORY_BUDGET)
            try:
                kept, size = operator.kept_bytes / len(batch), np.dtype(dtype).itemsize
                covered = -(-self.points // TILE_POINTS) * TILE_POINTS
                rows = kept / (4 * size * covered)
                seconds = self.per_conformer(
                    lambda operator=operator, policy=policy: exchange_correlation_gradient(
                        batch, owned, self.resolved.functional, policy, density, self.lanes,
                        operator=operator, response=False,
                    )
                )  # fmt: skip
                operations = gradient_counts.exchange_correlation_gradient(
                    batch, points[0], rows, covered, dtype
                )
                out.append(Stage("exchange-correlation gradient", dtype, "label", operations, kept, seconds))
                weights_seconds = self.per_conformer(
                    lambda operator=operator: [
                        operator.weight_gradient(
                            lane, batch.atomic_numbers[lane], batch.positions[lane], grid, grid.weights
                        )
                        for lane, grid in enumerate(owned)
                    ]
                )
            finally:
                operator.close()
        out.append(
            Stage(
                "response of the weights", "float64", "label",
                gradient_counts.weight_response(batch.natm, self.points), 6 * 8 * self.points, weights_seconds,
            )
        )  # fmt: skip
        return out

    def one_electron(self) -> Stage:
        seconds = self.per_conformer(lambda: self.backend.one_electron(self.batch))
        return Stage(
            "one-electron", "float64", "label", counts.one_electron(self.batch),
            6 * self.batch.nao**2 * 8, seconds,
        )  # fmt: skip

    def grid(self) -> Stage:
        seconds = self.per_conformer(
            lambda: batch_grids(self.batch.atomic_numbers, self.batch.positions, self.resolved.grid)
        )
        return Stage(
            "grid construction", "float64", "label", counts.becke(self.batch.natm, self.points),
            5 * 8 * self.points, seconds,
        )  # fmt: skip

    def two_electron(self, policy: PrecisionPolicy) -> list[Stage]:
        """Integrals, and one J and K from them."""

        def build() -> None:
            self.backend.two_electron(self.batch, policy, MEMORY_BUDGET).close()

        thresholds = counts.thresholds(policy, self.backend.definition()["screening"])
        operations = counts.integrals(self.batch, self.basis, 0, thresholds)
        seconds = self.per_conformer(build)
        density = np.random.default_rng(0).standard_normal((len(self.batch), 1, *[self.batch.nao] * 2))
        density += np.swapaxes(density, -1, -2)
        with self.backend.two_electron(self.batch, policy, MEMORY_BUDGET) as operator:
            stored = operator.stored_bytes / len(self.batch)
            contraction = self.per_conformer(
                lambda: operator.coulomb_exchange_lanes(density, self.lanes, True)
            )
        in_double = 0.0
        if policy.schwarz_float64 is not None:  # integrals in float64 alone: this is their threshold
            split = (policy.schwarz_float64, policy.schwarz_float64)
            with SimdTwoElectron(self.batch, FLOAT64, MEMORY_BUDGET, split, threads=1) as operator:
                in_double = operator.stored_bytes / len(self.batch)
        streamed = in_double / 8 + (stored - in_double) / 4
        return [
            Stage("integrals", policy.name, "label", operations, stored, seconds),
            Stage(
                "J and K", f"{policy.name} integrals", "iteration", counts.Operations(0.0, 12 * streamed),
                stored, contraction,
            ),
        ]  # fmt: skip

    def quadrature(self, dtype: str) -> list[Stage]:
        """AO values, density, functional and potential in one dtype."""
        policy = replace(FLOAT64, name=dtype, orbitals=dtype, functional=dtype)
        points, weights = [p for p, _ in self.grids], [w for _, w in self.grids]

        def operator() -> SimdGridOperator:
            return self.backend.grid_operator(self.batch, points, weights, "gga", policy, MEMORY_BUDGET)

        ao_values = self.per_conformer(lambda: operator().close())
        size = np.dtype(dtype).itemsize
        of = operator()
        try:
            kept = of.kept_bytes / len(self.batch)
            tiles = -(-self.points // TILE_POINTS)
            rows = kept / (4 * size * TILE_POINTS * tiles)  # mean AOs of a tile
            matrices = self.backend.one_electron(self.batch).overlap[:, None].copy()
            blocks = range(of.n_blocks)
            components = [of.density(block, matrices, self.lanes) for block in blocks]
            density = self.per_conformer(lambda: [of.density(b, matrices, self.lanes) for b in blocks])
            occupied = int(self.batch.nuclear_charges[0].sum()) // 2
            filled = np.random.default_rng(0).standard_normal((len(self.batch), 1, self.batch.nao, occupied))
            filled = filled @ filled.swapaxes(-1, -2)
            of_orbitals = self.per_conformer(lambda: [of.density(b, filled, self.lanes) for b in blocks])
            derivative = [c.astype(np.float64) for c in components]
            total = np.zeros_like(matrices)
            potential = self.per_conformer(
                lambda: [of.add_potential(b, derivative[b], self.lanes, total) for b in blocks]
            )
            n_calls = of.n_blocks / BLOCKS
        finally:
            of.close()
        covered = tiles * TILE_POINTS

        def by_dtype(operations: float) -> counts.Operations:
            return (
                counts.Operations(operations, 0.0)
                if dtype == "float32"
                else counts.Operations(0.0, operations)
            )

        functional, operations = self.functional(components[0][:BLOCKS], dtype)
        io = 9 * covered * size
        few = []
        if 10 * occupied <= 3 * self.batch.nao:  # else such a density is contracted as any other
            work = by_dtype(covered * (4 * rows * occupied + 2 * occupied + 6 * rows))
            few = [Stage("density of occupied orbitals", dtype, "iteration", work, kept, of_orbitals)]
        return [
            Stage(
                "AO values and gradients", dtype, "label", counts.ao_values(self.batch, 0, self.grids[0][0]),
                kept, ao_values,
            ),
            Stage("density", dtype, "iteration", by_dtype(covered * (2 * rows**2 + 8 * rows)), kept, density),
            *few,
            Stage("functional", dtype, "iteration", by_dtype(n_calls * operations), io, n_calls * functional),
            Stage("potential", dtype, "iteration", by_dtype(covered * (2 * rows**2 + 7 * rows)), kept, potential),
        ]  # fmt: skip

    def functional(self, components: np.ndarray, dtype: str) -> tuple[float, float]:
        """Seconds and operations of one call for `BLOCKS` blocks."""
        functional = StaticFunctional(self.resolved.functional)
        weights = np.ones((BLOCKS, POINTS_PER_BLOCK))
        with jax.enable_x64(True):
            lowered = _functional_on_blocks.lower(functional, components, weights, dtype=dtype)
            analysis = lowered.compile().cost_analysis()
            assert analysis is not None
            seconds = median_seconds(
                lambda: jax.block_until_ready(
                    _functional_on_blocks(functional, components, weights, dtype=dtype)
                ),
                3 * self.repeats,
            )
        operations = analysis["flops"] + counts.TRANSCENDENTAL * analysis.get("transcendentals", 0.0)
        return seconds, float(operations)

    def linear_algebra(self) -> list[Stage]:
        """Step and Fock matrix, from a run's own clock: the seconds of all iterations by their number."""
        n = ao_bucket(self.batch.nao)
        history = self.resolved.convergence.diis_space
        out = []
        self.labels: dict[str, tuple[dict[str, float], float]] = {}
        for name, solver in self.solvers.items():
            solver.solve(self.systems[:2])
            before = solver.profile
            result = solver.solve(self.systems)
            iterations = int(result.iterations.sum())
            taken = {k: v - before.get(k, 0.0) for k, v in solver.profile.items() if k != "compile"}
            self.labels[name] = (taken, iterations / len(self.systems))
            dtype = solver.resolved.precision.linear_algebra
            for stage, key, operations, n_bytes in (
                (
                    f"step, eigenvectors in {dtype}", "diagonalise", counts.step(n, history, dtype),
                    2 * history * n**2 * 8,
                ),
                ("Fock matrix and residual", "fock", counts.Operations(0.0, 6 * n**3), 8 * n**2 * 8),
            ):  # fmt: skip
                out.append(Stage(stage, name, "iteration", operations, n_bytes, taken[key] / iterations))
        return out


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
    parser.add_argument("--repeats", type=int, default=9, help="of each call; the median counts")
    parser.add_argument("--quick", action="store_true", help="three repeats")
    parser.add_argument("--markdown", help="write the tables to this file")
    arguments = parser.parse_args()
    repeats = 3 if arguments.quick else arguments.repeats
    head = describe()
    rates = measure_rates(repeats)
    bench = Bench(MOLECULES[0], arguments.conformers, repeats)
    stages = bench.stages()
    lines = [
        head,
        "",
        f"This core: {rates.float32 / 1e9:.0f} Gflop/s in float32, {rates.float64 / 1e9:.0f} Gflop/s in float64 "
        f"(BLAS), {rates.bandwidth / 1e9:.1f} GB/s (copy).",
        "",
        f"`{MOLECULES[0]}`, {bench.batch.nao} AOs, {bench.points} grid points; of one conformer and one call:",
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
