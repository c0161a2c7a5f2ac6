"""Arithmetic of the stages of a nuclear gradient, and their rows of roofline.py.

Counted by formulas that follow the kernels' loops, with the screening of each quartet by its two-particle density:

- two-electron gradient (gradient.cpp, gradient_quartet.cpp, gradient_ket.cpp): of each primitive quartet that is kept
  its Hermite integrals one degree up, the density in Hermite functions, energy and derivatives from them, and the
  potentials of the lowered ket; of each primitive of a bra its density. Pair data, bounds and the lowered bra are
  left out.
- exchange-correlation gradient (grid_gradient.cpp): two products of AOs with the density on each tile, as the mean
  number of AOs kept there implies, and the AOs' second derivatives at 24 operations a function and point.
- response of the weights (grid_weights.cpp): the cells of all pairs of atoms at all points; what each share pulls at,
  which few pairs have, is left out.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
from integrals import in_batch_order
from roofline_counts import (
    Operations,
    Pair,
    ao_values,
    boys,
    composites,
    hermite,
    pairs,
    quartet,
    thresholds,
)
from roofline_rates import Stage
from roofline_stages import MEMORY_BUDGET, TILE_POINTS, Bench
from scfx_simd.two_electron import PRIMITIVE_FRACTION, ROUNDED_FROM_D

from scfx.config.precision import FLOAT64
from scfx.contracts.derivatives import TwoElectronEnergy
from scfx.energy.exchange_correlation.gradient import (
    exchange_correlation_gradient as exchange_correlation_forces,
)
from scfx.grid import owned_grids
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch

#: By degree of a pair of composites (s, or s with p): weights that meet each Hermite function of the bra, of one degree
#: more, and of two more; and potentials by Hermite functions of the bra one degree down, of its own, of one more.
_DENSITY = ((1, 0, 0), (3, 1, 0), (10, 5, 1))
_POTENTIAL = ((1, 0, 0), (3, 2, 0), (10, 8, 3))


def _hermites(degree: int) -> int:
    return (degree + 1) * (degree + 2) * (degree + 3) // 6 if degree >= 0 else 0


def _by_ket(bra: int, ket: int) -> int:
    """Of one primitive quartet behind its Hermite integrals; degrees of the pairs."""
    sizes = np.array([_hermites(bra), _hermites(bra + 1), _hermites(bra + 2)])
    steps = np.diff(sizes, prepend=0)
    density = 2 * int(steps @ _DENSITY[ket])
    sums = 8 * _hermites(bra + ket) + 20
    below = _hermites(bra - 1)
    lowered = np.array([below, sizes[0] - below, sizes[1] - sizes[0]])
    return density + sums + (2 * int(lowered @ _POTENTIAL[ket]) if bra or ket else 0)


def _by_bra(pair: Pair, rows: int) -> int:
    """Of one primitive of a bra: its density in Hermite functions, for each row of the ket."""
    return rows * (1, 2 * 2 + 3 * 2, 2 * 5 + 3 * 2 * 4 + 6)[pair.order]


def largest_blocks(batch: Batch, entry: int, density: np.ndarray) -> np.ndarray:
    """The largest |D| between any two composites."""
    layout = batch.layout
    sizes = [2 * l + 1 if l > 1 else (1, 3)[l] for l in layout.angular_momentum]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    functions = [
        np.concatenate([np.arange(starts[s], starts[s + 1]) for s in shells])
        for shells in composites(batch, entry)
    ]
    return np.array([[np.abs(density[np.ix_(a, b)]).max() for b in functions] for a in functions])


def two_electron_gradient(
    batch: Batch,
    basis: BasisSet,
    entry: int,
    bounds: tuple[float, float],
    density: np.ndarray,
    exchange: float,
) -> Operations:
    """Of one entry with one (total) density matrix [nao, nao] and so much of its exchange."""
    single_from, double_from = bounds
    found, most = pairs(batch, basis, entry), largest_blocks(batch, entry, density)
    atoms = [batch.layout.atom[shells[0]] for shells in composites(batch, entry)]
    total = {True: 0.0, False: 0.0}
    for index, bra in enumerate(found):
        a, b = bra.composites
        for ket in found[: index + 1]:
            c, d = ket.composites
            if atoms[a] == atoms[b] == atoms[c] == atoms[d]:
                continue
            images = (1 if a == b else 2) * (1 if c == d else 2) * (1 if bra is ket else 2)
            weight = images * (
                0.5 * most[a, b] * most[c, d]
                + 0.125 * exchange * (most[a, c] * most[b, d] + most[a, d] * most[b, c])
            )
            bound = weight * bra.bound * ket.bound
            if bound < single_from:
                continue
            single = bound < double_from
            least = single_from * PRIMITIVE_FRACTION / min(weight, 1.0)
            kept = bra.primitive_bound[:, None] * ket.primitive_bound >= least
            n = int(kept.sum())
            if not n:
                continue
            reduced = bra.exponent[:, None] * ket.exponent / (bra.exponent[:, None] + ket.exponent)
            distance = ((bra.centre[:, None] - ket.centre) ** 2).sum(axis=-1)
            n_large = int((kept & (reduced * distance >= (16.0 if single else 32.0))).sum())
            top = bra.order + ket.order + 1
            total[single] += n * (quartet(top) + hermite(top) + _by_ket(bra.order, ket.order))
            total[single] += n_large * boys(top, single, True) + (n - n_large) * boys(top, single, False)
            total[single] += int(kept.any(axis=1).sum()) * _by_bra(bra, ket.rows)
            total[False] += 7 * bra.rows * ket.rows  # the two-particle density
    return Operations(total[True], total[False])


def exchange_correlation_gradient(
    batch: Batch, points: np.ndarray, rows: float, covered: int, dtype: str
) -> Operations:
    """A gradient functional's, points and functions followed. `rows`: mean AOs of a tile; `covered`: its points."""
    contracted = covered * (4.0 * rows**2 + 10.0 * rows)
    derivatives = ao_values(batch, 0, points).float64 + 24.0 * rows * covered
    if dtype == "float32":
        return Operations(contracted, derivatives)
    return Operations(0.0, contracted + derivatives)


def weight_response(natm: int, points: int) -> Operations:
    """The cells alone: 26 operations for each pair of atoms, 9 for each distance."""
    return Operations(0.0, points * (13.0 * natm * (natm - 1) + 9.0 * natm))


def stages(bench: Bench) -> list[Stage]:
    """The stages of a nuclear gradient, at converged densities in the batch's own order."""
    with jax.enable_x64(True):
        return _stages(bench)


def _stages(bench: Bench) -> list[Stage]:
    ordered = [in_batch_order(bench.batch, i) for i in range(len(bench.batch))]
    batch = Batch.from_systems(ordered, bench.basis)
    matrices = bench.solvers["mixed"].solve(ordered, return_density=True).density
    assert matrices is not None
    density = np.stack(matrices)
    owned = owned_grids(batch.atomic_numbers, bench.grids, bench.resolved.grid)
    screening = bench.backend.definition()["screening"]
    energies = [TwoElectronEnergy(coulomb=1.0, exchange=0.2)]
    out = []
    for name in ("float32", "mixed"):
        policy = bench.solvers[name].resolved.precision
        single, double = thresholds(policy, screening)
        seconds = bench.per_conformer(
            lambda policy=policy: bench.backend.two_electron_gradient(
                batch, bench.lanes, density, energies, policy
            )
        )
        operations = two_electron_gradient(
            batch, bench.basis, 0, (single, max(single, min(double, ROUNDED_FROM_D))), density[0, 0], 0.2
        )
        out.append(Stage("two-electron gradient", name, "label", operations, 2 * 8 * batch.nao**2, seconds))
    for dtype in ("float32", "float64"):
        policy = replace(FLOAT64, name=dtype, orbitals=dtype)
        points, weights = [p for p, _ in bench.grids], [w for _, w in bench.grids]
        operator = bench.backend.grid_operator(batch, points, weights, "gga", policy, MEMORY_BUDGET)
        try:
            kept, size = operator.kept_bytes / len(batch), np.dtype(dtype).itemsize
            covered = -(-bench.points // TILE_POINTS) * TILE_POINTS
            rows = kept / (4 * size * covered)
            seconds = bench.per_conformer(
                lambda operator=operator, policy=policy: exchange_correlation_forces(
                    batch, owned, bench.resolved.functional, policy, density, bench.lanes,
                    operator=operator, response=False,
                )
            )  # fmt: skip
            operations = exchange_correlation_gradient(batch, points[0], rows, covered, dtype)
            out.append(Stage("exchange-correlation gradient", dtype, "label", operations, kept, seconds))
            weights_seconds = bench.per_conformer(
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
            weight_response(batch.natm, bench.points), 6 * 8 * bench.points, weights_seconds,
        )
    )  # fmt: skip
    return out
