"""The quadrature with the simd backend's contractions against the portable one, and its bits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scfx_bse.source import BasisSetExchangeSource
from scfx_simd.backend import SimdBackend

import scfx
from scfx.config.precision import PrecisionPolicy
from scfx.driver import Solver
from scfx.energy.exchange_correlation.backend import BackendQuadrature
from scfx.energy.exchange_correlation.portable import PortableQuadrature
from scfx.model.basis import BasisSet, Shell
from scfx.model.batch import Batch
from scfx.model.system import System

BUDGET = 2**30
WATER = np.array([[0.0, 0.0, 0.22], [0.0, 1.43, -0.88], [0.1, -1.43, -0.88]])
#: Relative to the largest value. Float32: rounding of AO values, 6e-8, over some tens of functions.
ERROR = {"float64": 1e-11, "float32": 1e-6}


class Toy(scfx.AbstractFunctional):
    """Smooth, and sensitive to every component that its family has."""

    def __init__(self, family):
        self.family = family

    def energy_density(self, density):
        spins = (
            (density.rho_a, density.sigma_aa, density.tau_a),
            (density.rho_b, density.sigma_bb, density.tau_b),
        )
        total = -0.1 * jnp.sqrt(density.rho_a * density.rho_b)
        for rho, sigma, tau in spins:
            term = -0.9 * rho ** (4.0 / 3.0)
            if sigma is not None:
                term = term - 0.01 * sigma / (1.0 + rho + jnp.sqrt(1.0 + sigma))
            if tau is not None:
                term = term - 0.02 * tau / (1.0 + tau)
            total = total + term
        return total if density.sigma_ab is None else total - 0.003 * density.sigma_ab / (1.0 + density.rho_a)


def _shell(l, exponents, cartesian):
    return Shell.normalised(l, exponents, np.ones(len(exponents)), cartesian)


def _basis(kind):
    if kind == "mixed":  # Cartesian d, spherical f and g on oxygen: all in one basis
        oxygen = [_shell(0, [9.0, 1.1, 0.3], False), _shell(1, [1.1, 0.3], False), _shell(2, [0.8], True)]
        oxygen += [_shell(2, [0.5, 0.2], False), _shell(3, [0.9], False), _shell(4, [0.7], False)]
        hydrogen = [_shell(0, [1.2, 0.2], False), _shell(1, [0.7], False), _shell(3, [0.6], True)]
        return BasisSet("mixed", {1: tuple(hydrogen), 8: tuple(oxygen)})
    return BasisSet.from_source(BasisSetExchangeSource(kind), [1, 8])


def _batch(kind, n):
    moved = [WATER + 0.2 * np.random.default_rng(i).normal(size=(3, 3)) for i in range(n)]
    return Batch.from_systems([System(np.array([8, 1, 1], dtype=np.int32), r) for r in moved], _basis(kind))


def _grid(n, seed):
    rng = np.random.default_rng(seed)
    points = WATER[rng.integers(0, 3, n)] + rng.normal(size=(n, 3)) * rng.choice([0.3, 1.0, 4.0], size=(n, 1))
    return points, rng.uniform(0.01, 0.1, n)


def _densities(batch, nspin, n):
    """Positive semidefinite, not alike for the spins, padded to n."""
    rng = np.random.default_rng(3)
    out = np.zeros((len(batch), nspin, n, n))
    for entry in out:
        for spin in entry:
            orbitals = rng.normal(size=(batch.nao, 4)) / batch.nao
            spin[: batch.nao, : batch.nao] = orbitals @ orbitals.T
    return out


def _evaluate(batch, grids, functional, policy, density, lanes, budget=BUDGET):
    operator = SimdBackend().grid_operator(
        batch, *zip(*grids, strict=True), functional.family, policy, budget
    )
    quadrature = BackendQuadrature(operator, batch, functional, policy)
    totals = [
        np.asarray(x) for x in quadrature.evaluate(jnp.asarray(density), np.array(lanes, dtype=np.int32))
    ]
    quadrature.close()
    return totals


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("family", "kind", "nspin"),
    [
        ("lda", "sto-3g", 1),
        ("gga", "6-31g", 2),
        ("gga", "mixed", 1),
        ("mgga", "mixed", 2),
        ("mgga", "sto-3g", 1),
    ],
)
def test_backend_quadrature_equals_the_portable_one(family, kind, nspin, dtype):
    batch, functional = _batch(kind, 2), Toy(family)
    grids = [_grid(2500, 0), _grid(700, 1)]
    policy = PrecisionPolicy("test", orbitals=dtype)
    n = scfx.execution.lanes.ao_bucket(batch.nao)
    density = _densities(batch, nspin, n)
    found = _evaluate(batch, grids, functional, policy, density, [0, 1])
    portable = PortableQuadrature(batch, grids, functional, policy, 2, BUDGET)
    expected = portable.evaluate(jnp.asarray(density), np.arange(2, dtype=np.int32))
    for ours, theirs in zip(found, expected, strict=True):
        theirs = np.asarray(theirs)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < ERROR[dtype] * np.abs(theirs).max()
    portable.close()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_lanes_bits_depend_on_no_other_lane_and_on_no_budget(dtype):
    batch, functional = _batch("6-31g", 5), Toy("gga")
    grids = [_grid(600 + 900 * i, i) for i in range(5)]
    policy = PrecisionPolicy("test", orbitals=dtype)
    density = _densities(batch, 1, batch.nao)
    whole = _evaluate(batch, grids, functional, policy, density, range(5))
    some = _evaluate(batch, grids, functional, policy, density, [1, 4])
    for budget in (0, 3_000_000):  # nothing kept; some tiles kept
        recomputed = _evaluate(batch, grids, functional, policy, density, range(5), budget)
        assert all(np.array_equal(a, b) for a, b in zip(whole, recomputed, strict=True))
    order = [3, 1]
    few = _evaluate(batch.take(order), [grids[i] for i in order], functional, policy, density[order], [0, 1])
    for all_lanes, two, taken in zip(whole, some, few, strict=True):
        assert np.array_equal(two[[1, 4]], all_lanes[[1, 4]])
        assert not two[[0, 2, 3]].any()
        assert np.array_equal(taken, all_lanes[order])


def test_a_molecules_and_a_radicals_energy_is_that_of_the_portable_quadrature(monkeypatch):
    systems = [
        System.from_arrays(["O", "H", "H"], WATER, unit="bohr", charge=charge, multiplicity=1 + charge)
        for charge in (0, 1)
    ]

    def energies():
        solver = Solver(
            functional="b3lyp", basis="6-31g", backend=SimdBackend(), precision="float64", grid=0, threads=1
        )
        result = solver.solve(systems)
        assert result.converged.all()
        return result.energy

    ours = energies()
    monkeypatch.setattr("scfx.energy.exchange_correlation.term.AbstractGridBackend", type("Nothing", (), {}))
    assert np.abs(ours - energies()).max() < 1e-9
