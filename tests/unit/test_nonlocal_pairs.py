"""VV10 by the backend's kernels: its sums over pairs of points, and the term that uses them and the contractions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scfx_simd.backend import SimdBackend

from scfx.contracts.grid import AbstractNonlocalBackend
from scfx.energy.memory import MemoryBudget
from scfx.energy.nonlocal_correlation import NonlocalCorrelation
from scfx.energy.vv10_pairs import PortablePairs
from scfx.execution.lanes import ao_bucket
from scfx.grid import GridSpec
from scfx.scf.batch_matrices import pad_matrices
from scfx.testing.backend_batches import sample_batch
from scfx.testing.compare import symmetric_matrices


def _points(n: int) -> np.ndarray:
    random = np.random.default_rng(n)
    position = random.normal(scale=4.0, size=(3, n))
    others = random.uniform([[0.1], [0.5], [-1e-2]], [[3.0], [8.0], [1e-2]], size=(3, n))
    return np.concatenate([position, others])


def _by_formula(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equations 4 to 19 of the paper, for all pairs at once."""
    omega, kappa, weight = points[3:]
    apart = points[:3, :, None] - points[:3, None, :]
    r2 = np.sum(apart**2, axis=0)
    own, other = omega[:, None] * r2 + kappa[:, None], omega * r2 + kappa
    both = own + other
    share = weight / (own * other * both)
    slope = share * (omega[:, None] / own + omega / other + (omega[:, None] + omega) / both)
    second = share * (1 / own + 1 / both)
    sums = [share.sum(axis=1), second.sum(axis=1), (second * r2).sum(axis=1)]
    return np.array(sums), np.array([sums[0], *np.sum(slope * apart, axis=2)])


@pytest.mark.parametrize("n", [1, 511, 1300])
@pytest.mark.parametrize("way", ["kernel", "portable"])
def test_sums_over_pairs_of_points_are_their_formulas(n, way):
    points = _points(n)
    with jax.enable_x64(True):
        pairs = PortablePairs(1300) if way == "portable" else SimdBackend()
        found = pairs.nonlocal_pair_sums(points), pairs.nonlocal_pair_derivatives(points)
    for sums, expected in zip(found, _by_formula(points), strict=True):
        # Charges of both signs cancel: against the largest sum of a kind.
        scale = np.abs(expected).max(axis=1, keepdims=True) + 1e-300
        assert (np.abs(sums - expected) / scale).max() < 2e-14


def test_threads_change_no_bit_of_the_sums():
    points = _points(5000)  # ten tiles: more than there are parts to be added up
    alone = SimdBackend()
    for threads in (2, 3, 16):
        shared = SimdBackend(threads=threads)
        np.testing.assert_array_equal(shared.nonlocal_pair_sums(points), alone.nonlocal_pair_sums(points))
        np.testing.assert_array_equal(
            shared.nonlocal_pair_derivatives(points), alone.nonlocal_pair_derivatives(points)
        )


def test_the_kernels_give_the_portable_term_whatever_the_budget_and_the_company():
    batch, parameters, spec = sample_batch(1), (5.9, 0.0093), GridSpec(atom_grid=(20, 26))
    assert isinstance(SimdBackend(), AbstractNonlocalBackend)
    with jax.enable_x64(True):
        roots = symmetric_matrices(0, (len(batch), batch.nao, batch.nao))
        own = 0.1 * (roots @ roots.swapaxes(1, 2))[:, None]
        padded = jnp.asarray(pad_matrices(own, len(batch), ao_bucket(batch.nao)))

        def of(lanes, budget=2**28, backend=None):
            term = NonlocalCorrelation(batch, spec, parameters, MemoryBudget(budget), backend=backend)
            lanes = np.array(lanes, dtype=np.int32)
            found = term.evaluate(padded, lanes)
            gradient = term.gradient(own[lanes], own[lanes, 0], lanes)
            held = term.held_bytes()
            term.close()
            assert held <= budget
            return found.energy[lanes], found.potential[lanes], gradient, held

        portable = of([0, 2])
        simd = of([0, 2], backend=SimdBackend())
        for expected, found, error in zip(portable[:3], simd[:3], (1e-13, 1e-12, 1e-12), strict=True):
            assert np.abs(expected).max() > 1e-4
            assert np.abs(found - expected).max() < error
        assert simd[3] > 0
        for other in (of([0, 2], 0, SimdBackend(threads=2)), of([0, 2], simd[3] // 2, SimdBackend())):
            for one, two in zip(simd[:3], other[:3], strict=True):
                np.testing.assert_array_equal(one, two)
        alone = of([2], backend=SimdBackend())
        for one, two in zip(simd[:3], alone[:3], strict=True):
            np.testing.assert_array_equal(one[1], two[0])
