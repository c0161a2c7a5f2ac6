"""The stages of a label that roofline.py times on a batch of conformers; roofline_counts.py counts their arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import roofline_counts as counts
from nonlocal_pairs import OPERATIONS as OF_A_PAIR
from nonlocal_pairs import points as random_points
from roofline_rates import Stage, median_seconds
from scfx_simd.backend import SimdBackend
from scfx_simd.grid import POINTS_PER_BLOCK, SimdGridOperator
from scfx_simd.two_electron import SimdTwoElectron
from throughput import conformers

import scfx
from scfx.config.precision import FLOAT64, PrecisionPolicy
from scfx.energy.exchange_correlation.backend import BLOCKS, _functional_on_blocks
from scfx.energy.exchange_correlation.portable import StaticFunctional
from scfx.execution.lanes import ao_bucket
from scfx.grid import batch_grids
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch, group_by_structure

MEMORY_BUDGET = 4 * 2**30
TILE_POINTS = 256


class Bench:
    """The molecule, its batch of one lane width, and the stages timed on it."""

    def __init__(self, smiles: str, basis: str, entries: int, repeats: int):
        self.repeats = repeats
        self.systems = conformers(smiles, entries, 0)
        self.solvers = {
            policy: scfx.Solver(
                functional="b3lyp", basis=basis, backend="simd", precision=policy, grid=0, threads=1,
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
        """Every stage of an energy, in the order of a label."""
        out = [self.one_electron(), self.grid()]
        for policy in ("float32", "mixed"):
            out += self.two_electron(self.solvers[policy].resolved.precision)
        for dtype in ("float32", "float64"):
            out += self.quadrature(dtype)
        return [*out, *self.nonlocal_pairs(), *self.linear_algebra()]

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
            assert isinstance(operator, SimdTwoElectron)
            stored = operator.stored_bytes / len(self.batch)
            contract = operator.coulomb_exchange_lanes
            contraction = self.per_conformer(lambda: contract(density, self.lanes, True))
        in_double = 0.0
        if policy.schwarz_float64 is not None:  # integrals in float64 alone: this is their threshold
            split = (policy.schwarz_float64, policy.schwarz_float64)
            with SimdTwoElectron(self.batch, FLOAT64, MEMORY_BUDGET, split, threads=1) as in_float64:
                assert isinstance(in_float64, SimdTwoElectron)
                in_double = in_float64.stored_bytes / len(self.batch)
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

    def nonlocal_pairs(self) -> list[Stage]:
        """VV10's sums over the pairs of as many points; what they are of does not matter."""
        points = random_points(self.points)
        names = {"nonlocal_pair_sums": "energy and potential", "nonlocal_pair_derivatives": "gradient"}
        often = {"nonlocal_pair_sums": "iteration", "nonlocal_pair_derivatives": "label"}
        out = []
        for kernel, operations in OF_A_PAIR.items():
            seconds = median_seconds(
                lambda kernel=kernel: getattr(self.backend, kernel)(points), self.repeats
            )
            work = counts.Operations(0.0, operations * self.points**2 / 2)
            out.append(
                Stage(
                    f"VV10 pairs, {names[kernel]}",
                    "float64",
                    often[kernel],
                    work,
                    9 * 8 * self.points,
                    seconds,
                )
            )
        return out

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
