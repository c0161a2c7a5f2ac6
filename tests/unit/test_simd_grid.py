"""Density and potential contractions of the simd backend against sums over PySCF's AO values."""

from __future__ import annotations

import numpy as np
import pytest
from scfx_bse.source import BasisSetExchangeSource
from scfx_simd.backend import SimdBackend
from scfx_simd.grid import POINTS_PER_BLOCK

from scfx.config.precision import PrecisionPolicy
from scfx.errors import InputError
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch
from scfx.model.system import System

DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
#: Relative to the largest value: rounding of some tens of terms.
ERROR = {"float64": 1e-12, "float32": 3e-6}
WATER = np.array([[0.0, 0.0, 0.22], [0.0, 1.43, -0.88], [0.1, -1.43, -0.88]])


def _batch(name: str, n: int) -> Batch:
    systems = [
        System(
            np.array([8, 1, 1], dtype=np.int32), WATER + 0.2 * np.random.default_rng(i).normal(size=(3, 3))
        )
        for i in range(n)
    ]
    return Batch.from_systems(systems, BasisSet.from_source(BasisSetExchangeSource(name), [1, 8]))


def _points(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    # Dense near the nuclei, out to where every AO has vanished.
    return rng.normal(size=(n, 3)) * rng.choice([0.1, 1.0, 3.0, 15.0], size=(n, 1)), rng.uniform(0.1, 1.0, n)


def _orbitals(batch: Batch, entry: int, name: str, points: np.ndarray) -> np.ndarray:
    from pyscf import gto
    from pyscf.dft import numint

    atoms = list(zip("OHH", batch.positions[entry], strict=True))
    assert batch.atomic_numbers[entry].tolist() == [8, 1, 1]
    return numint.eval_ao(gto.M(atom=atoms, unit="bohr", basis=name, verbose=0), points, deriv=1)


def _symmetric(*shape: int) -> np.ndarray:
    x = np.random.default_rng(5).normal(size=shape)
    return x + x.swapaxes(-1, -2)


def _order(operator, lanes: np.ndarray, entry: int, weights: np.ndarray) -> np.ndarray:
    # Weights are distinct, so they tell which point is where.
    ours = np.concatenate([operator.weights(b, lanes)[entry] for b in range(operator.n_blocks)])
    assert not ours[len(weights) :].any()
    sorter = np.argsort(weights)
    return sorter[np.searchsorted(weights[sorter], ours[: len(weights)])]


@DTYPES
@pytest.mark.parametrize(("family", "name"), [("lda", "sto-3g"), ("gga", "cc-pvtz"), ("mgga", "6-31g")])
def test_grid_contractions_equal_sums_over_orbitals(family, name, dtype):
    batch, counts = _batch(name, 2), (POINTS_PER_BLOCK + 777, 1001)
    grids = [_points(n, i) for i, n in enumerate(counts)]
    policy = PrecisionPolicy("test", orbitals=dtype)
    operator = SimdBackend().grid_operator(batch, *zip(*grids, strict=True), family, policy, 2**30)
    lanes = np.arange(2, dtype=np.int32)
    # One of a few orbitals, as a molecule's is, and ones that are not: of full rank, and with nothing on the diagonal.
    matrices = _symmetric(2, 2, batch.nao, batch.nao)
    matrices[:, 0] = matrices[:, 0, :, :2] @ matrices[:, 0, :, :2].swapaxes(1, 2)
    matrices[1, 1] -= np.diag(np.diag(matrices[1, 1]))
    components = np.concatenate(
        [operator.density(b, matrices, lanes) for b in range(operator.n_blocks)], axis=-1
    )
    assert components.dtype == dtype
    n_component = components.shape[2]
    v = np.random.default_rng(6).normal(size=components.shape)
    for entry, (points, weights) in enumerate(grids):
        order = _order(operator, lanes, entry, weights)
        v[entry, ..., len(weights) :] = 0.0
        ao = _orbitals(batch, entry, name, points[order])
        left = np.einsum("sij,cpj->scpi", matrices[entry], ao)
        expected = np.einsum("scpi,pi->scp", left, ao[0]) * np.array([1, 2, 2, 2])[:, None]
        tau = 0.5 * np.einsum("scpi,cpi->sp", left[:, 1:], ao[1:])
        expected = np.concatenate([expected, tau[:, None]], axis=1)[:, :n_component]
        found = components[entry, ..., : len(weights)]
        assert np.abs(found - expected).max() < ERROR[dtype] * np.abs(expected).max()
        assert not components[entry, ..., len(weights) :].any()
    potential = sum(
        operator.potential(b, v[..., b * POINTS_PER_BLOCK : (b + 1) * POINTS_PER_BLOCK], lanes)
        for b in range(operator.n_blocks)
    )
    for entry, (points, weights) in enumerate(grids):
        ao = _orbitals(batch, entry, name, points[_order(operator, lanes, entry, weights)])
        values = v[entry, ..., : len(weights)]
        expected = np.einsum("sp,pi,pj->sij", values[:, 0], ao[0], ao[0], optimize=True)
        if n_component > 1:
            half = np.einsum("scp,cpi,pj->sij", values[:, 1:4], ao[1:], ao[0], optimize=True)
            expected += half + half.swapaxes(-1, -2)
        if n_component > 4:
            expected += 0.5 * np.einsum("sp,cpi,cpj->sij", values[:, 4], ao[1:], ao[1:], optimize=True)
        assert np.abs(potential[entry] - expected).max() < ERROR[dtype] * np.abs(expected).max()
    operator.close()
    with pytest.raises(InputError, match="close"):
        operator.density(0, matrices, lanes)


@DTYPES
def test_an_entrys_grid_bits_do_not_depend_on_the_batch(dtype):
    batch = _batch("6-31g", 5)
    grids = [_points(600 + 500 * i, i) for i in range(5)]
    policy = PrecisionPolicy("test", orbitals=dtype)
    matrices = _symmetric(5, 1, batch.nao, batch.nao)
    matrices[[1, 4]] = matrices[[1, 4], :, :, :2] @ matrices[[1, 4], :, :, :2].swapaxes(2, 3)
    # A matrix padded beyond nao, as the driver keeps it, is the same matrix.
    padded = np.zeros((5, 1, batch.nao + 3, batch.nao + 3))
    padded[..., : batch.nao, : batch.nao] = matrices
    results = []
    for entries, density in ((list(range(5)), matrices), ([3, 1], padded[[3, 1]])):
        chosen = [grids[i] for i in entries]
        operator = SimdBackend(threads=2).grid_operator(
            batch.take(entries), *zip(*chosen, strict=True), "gga", policy, 2**30
        )
        lanes = np.arange(len(entries), dtype=np.int32)
        rho = operator.density(0, density, lanes)
        weights = operator.weights(0, lanes)
        potential = operator.potential(0, rho * weights[:, None, None], lanes)
        one = operator.potential(0, (rho * weights[:, None, None])[1:2], lanes[1:2])
        assert np.array_equal(one[0], potential[1])
        results.append((rho, weights, potential))
        operator.close()
    for many, few in zip(*results, strict=True):
        assert np.array_equal(many[[3, 1]], few)


def test_points_and_weights_must_match():
    batch = _batch("sto-3g", 1)
    points, weights = _points(10, 0)
    with pytest.raises(InputError, match="points"):
        SimdBackend().grid_operator(batch, [points], [weights[:-1]], "lda", PrecisionPolicy("x"), 2**30)


@DTYPES
def test_points_that_no_orbital_reaches_have_no_density(dtype):
    # The first tile has nothing to keep; the second has.
    batch = _batch("sto-3g", 1)
    far, weights = _points(1000, 3)
    points = np.concatenate([far[:500] + 300.0, far[500:]])
    policy = PrecisionPolicy("test", orbitals=dtype)
    operator = SimdBackend().grid_operator(batch, [points], [weights], "gga", policy, 2**30)
    lanes = np.arange(1, dtype=np.int32)
    density = operator.density(0, np.eye(batch.nao)[None, None], lanes)[0, 0, 0, : len(points)]
    order = _order(operator, lanes, 0, weights)
    assert not density[order < 500].any()
    assert density[order >= 500].max() > 0.1
