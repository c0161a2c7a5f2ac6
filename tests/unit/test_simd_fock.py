"""J and K of the simd backend: values, budgets, active lanes, and bits that do not depend on the neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scfx_bse.source import BasisSetExchangeSource
from scfx_simd.backend import SimdBackend
from scfx_simd.kernels import lane_counts

from scfx.config.precision import FLOAT64, PrecisionPolicy
from scfx.driver import Solver
from scfx.energy.two_electron.differences import LONGEST_SUM, DifferenceBuild
from scfx.errors import CapabilityError, ConfigError, InputError
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch
from scfx.model.system import System
from scfx.scf.batch_scf import BatchSCF
from scfx.testing import check_backend

FLOAT32 = PrecisionPolicy("narrow", integrals="float32")
#: A split in the middle of the integrals of these molecules, so that both parts are exercised.
MIXED = PrecisionPolicy("split", integrals="float32", schwarz_float64=1e-2)
POLICIES = pytest.mark.parametrize("policy", [FLOAT64, FLOAT32, MIXED], ids=lambda p: p.name)
BUDGET = 2**31
WATER = np.array([[0.0, 0.0, 0.22], [0.0, 1.43, -0.88], [0.1, -1.43, -0.88]])


def _systems(n: int, spread: float = 0.1) -> list[System]:
    # The last hydrogen of every third entry is far away: their neighbours screen differently.
    out = []
    for i in range(n):
        moved = WATER + spread * np.random.default_rng(i).normal(size=(3, 3))
        moved[2] *= 9.0 if i % 3 == 2 else 1.0
        out.append(System(np.array([8, 1, 1], dtype=np.int32), moved))
    return out


def _batch(n: int, name: str = "6-31g") -> Batch:
    return Batch.from_systems(_systems(n), BasisSet.from_source(BasisSetExchangeSource(name), [1, 8]))


def _stretched(n: int) -> Batch:
    """Atoms so far apart that many blocks are negligible against small elements; lanes differ in which."""
    systems = [System(s.atomic_numbers, 2.5 * s.positions) for s in _systems(n)]
    return Batch.from_systems(systems, BasisSet.from_source(BasisSetExchangeSource("6-31g"), [1, 8]))


def _density(n: int, nao: int, nspin: int = 1) -> np.ndarray:
    random = np.stack([np.random.default_rng(100 + i).normal(size=(nspin, nao, nao)) for i in range(n)])
    return random + random.swapaxes(-1, -2)


def test_simd_keeps_the_backend_contract(registry):
    check_backend(
        SimdBackend(),
        policies=(FLOAT64, FLOAT32, MIXED),
        max_angular_momentum=3,
        keeps_integrals=False,
        capabilities=registry.backend_record("simd").offer.capabilities,
    )


@pytest.mark.parametrize("name", ["sto-3g", "6-31g*"])
@POLICIES
def test_coulomb_and_exchange_equal_contractions_of_the_tensor(name, policy):
    batch = _batch(2, name)
    density = _density(2, batch.nao, 2)
    with SimdBackend().two_electron(batch, policy, BUDGET) as operator:
        coulomb, exchange = operator.coulomb_exchange(density)
        for entry in range(2):
            tensor = operator.dense(entry)
            expected_j = np.einsum("ijkl,skl->sij", tensor, density[entry])
            expected_k = np.einsum("ijkl,sjl->sik", tensor, density[entry])
            # Sums run in float64 whatever the storage, so only their order differs.
            np.testing.assert_allclose(coulomb[entry], expected_j, rtol=0, atol=1e-11)
            np.testing.assert_allclose(exchange[entry], expected_k, rtol=0, atol=1e-11)


@POLICIES
def test_an_entrys_bits_do_not_depend_on_batch_lane_threads_or_budget(policy):
    n = 2 * lane_counts()[1] + 3
    batch, density = _batch(n), None
    density = _density(n, batch.nao)
    with SimdBackend(threads=2).two_electron(batch, policy, BUDGET) as operator:
        coulomb, exchange = operator.coulomb_exchange(density)
        stored = operator.stored_bytes
        assert operator.recomputed_pairs == 0
    for entries, budget in (([n - 1], BUDGET), ([5, 0, 2], 0), (list(range(n))[::-1], stored // 3)):
        with SimdBackend().two_electron(batch.take(entries), policy, budget) as operator:
            assert operator.stored_bytes <= budget
            assert (operator.recomputed_pairs > 0) == (budget != BUDGET)
            again_j, again_k = operator.coulomb_exchange(density[entries])
        assert np.array_equal(again_j, coulomb[entries])
        assert np.array_equal(again_k, exchange[entries])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data(), exchange=st.booleans(), nspin=st.integers(1, 2))
def test_active_lanes_give_the_bits_of_the_whole_batch(data, exchange, nspin):
    n = lane_counts()[0] + 2
    lanes = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))), dtype=np.int32)
    batch = _batch(n, "sto-3g")
    density = _density(n, batch.nao, nspin)
    with SimdBackend().two_electron(batch, FLOAT64, BUDGET) as operator:
        every_j, every_k = operator.coulomb_exchange(density)
        some_j, some_k = operator.coulomb_exchange_lanes(density[lanes], lanes, exchange)
    assert np.array_equal(some_j, every_j[lanes])
    if exchange:
        assert some_k is not None
        assert np.array_equal(some_k, every_k[lanes])
    else:
        assert some_k is None


def test_the_mixed_policy_is_far_closer_than_float32():
    batch = _batch(3, "6-31g*")
    density = _density(3, batch.nao)
    results = {}
    for policy in (FLOAT64, FLOAT32, MIXED):
        with SimdBackend().two_electron(batch, policy, BUDGET) as operator:
            results[policy.name] = operator.coulomb_exchange(density)[0]
    narrow, split = (np.abs(results[name] - results["float64"]).max() for name in ("narrow", "split"))
    # float32 resolves an integral of order 1 to 1e-7, one below 1e-2 to 1e-9.
    assert split < narrow / 20


def test_errors_say_what_to_change():
    with pytest.raises(ConfigError, match=r"backend\.threads"):
        SimdBackend(threads=0)
    with pytest.raises(ConfigError, match=r"backend\.screening"):
        SimdBackend(screening=1.0)
    batch = _batch(1, "sto-3g")
    operator = SimdBackend().two_electron(batch, FLOAT64, BUDGET)
    with pytest.raises(InputError, match="density has shape"):
        operator.coulomb_exchange(np.zeros((2, 7, 7)))
    operator.close()
    with pytest.raises(InputError, match="close"):
        operator.coulomb_exchange(np.zeros((1, 7, 7)))
    with pytest.raises(InputError, match="omega"):
        SimdBackend().attenuated_two_electron(batch, 0.0, FLOAT64, BUDGET)
    heavy = BasisSet.from_source(BasisSetExchangeSource("cc-pvqz"), [1, 8])
    with pytest.raises(CapabilityError, match="up to f"):
        SimdBackend().one_electron(Batch.from_systems(_systems(1), heavy))


def test_a_batch_within_the_advised_size_is_stored_whole():
    batch = _batch(lane_counts()[1], "sto-3g")
    for policy in (FLOAT64, FLOAT32, MIXED):
        budget = 10**7
        advised = SimdBackend().max_batch(batch.layout, policy, budget)
        assert advised is not None
        assert advised >= lane_counts()[0]
        with SimdBackend().two_electron(batch, policy, budget) as operator:
            assert operator.recomputed_pairs == 0


@pytest.mark.parametrize("policy", [FLOAT64, FLOAT32], ids=lambda p: p.name)
def test_where_no_vector_of_entries_fits_a_few_are_advised_that_do(policy):
    batch, double = _batch(3, "6-31g*"), lane_counts()[0]
    assert SimdBackend().max_batch(batch.layout, policy, 1) == 1
    with SimdBackend().two_electron(batch, policy, BUDGET) as operator:
        fits = operator.stored_bytes
    advised = SimdBackend().max_batch(batch.layout, policy, fits)
    assert advised is not None
    assert 1 <= advised <= max(1, double // 2)
    with SimdBackend().two_electron(batch.take(list(range(advised))), policy, fits) as operator:
        assert operator.recomputed_pairs == 0


@POLICIES
def test_small_densities_are_screened_to_the_same_bits_stored_or_not(policy):
    batch = _stretched(12)
    # Eight small ones in whatever vectors; then vectors in which only some are: nothing is left out for the others.
    scale = np.array([*np.logspace(-7, -5, 8), 1e-6, 1.0, 1e-6, 1.0])[:, None, None, None]
    density = scale * _density(12, batch.nao)
    lanes = np.arange(12, dtype=np.int32)
    with SimdBackend().two_electron(batch, policy, BUDGET) as stored:
        j, k = stored.coulomb_exchange_lanes(density, lanes, True)
        seen, skipped = stored.screened_blocks
        assert 0 < skipped < seen
        exact = stored.dense(0)
        # Left out: at most every block, each below 1e-13 hartree (float32: the threshold of its integrals, 1e-10).
        most = 2e-7 if policy is FLOAT32 else 2e-10
        np.testing.assert_allclose(j[0, 0], np.einsum("ijkl,kl->ij", exact, density[0, 0]), rtol=0, atol=most)
        np.testing.assert_allclose(k[0, 0], np.einsum("ijkl,jl->ik", exact, density[0, 0]), rtol=0, atol=most)
        some = np.array([1, 4, 9], dtype=np.int32)
        for found, whole in zip(stored.coulomb_exchange_lanes(density, some, True), (j, k), strict=True):
            np.testing.assert_array_equal(found, whole[some])
    with SimdBackend().two_electron(batch, policy, 0) as recomputed:
        assert recomputed.held_bytes() == 0
        for found, whole in zip(recomputed.coulomb_exchange_lanes(density, lanes, True), (j, k), strict=True):
            np.testing.assert_array_equal(found, whole)
    for lane in (0, 8, 9):
        alone = Batch.from_systems([batch.systems[lane]], batch.basis)
        with SimdBackend().two_electron(alone, policy, BUDGET) as one:
            found = one.coulomb_exchange_lanes(density[lane : lane + 1], np.zeros(1, np.int32), True)
            np.testing.assert_array_equal(found[0][0], j[lane])
            np.testing.assert_array_equal(found[1][0], k[lane])


@pytest.mark.parametrize("policy", [FLOAT64, MIXED], ids=lambda p: p.name)
def test_sums_over_differences_of_densities_stay_with_full_builds(policy):
    batch, rng = _stretched(3), np.random.default_rng(8)
    lanes, steps = np.arange(3, dtype=np.int32), 2 * LONGEST_SUM + 3
    density = _density(3, batch.nao)
    with SimdBackend().two_electron(batch, policy, BUDGET) as operator:
        sums = DifferenceBuild(operator, 3)
        for step in range(steps):
            j, k = sums.contract_wanted(density, lanes, True, True)
            change = 0.05 * 0.4**step * rng.uniform(-1, 1, size=density.shape)
            density = density + change + change.swapaxes(-1, -2)
            # A lane that is left out for a while comes back with a larger difference.
            lanes = np.array([0, 2] if step % 3 else [0, 1, 2], dtype=np.int32)
        assert operator.screened_blocks[1] > 0
        whole_j, whole_k = operator.coulomb_exchange_lanes(
            density - change - change.swapaxes(-1, -2), lanes, True
        )
    last = np.array([0, 2]) if len(j) == 2 else np.arange(3)
    # 1e-13 hartree a block and step, of some thousand blocks; 1e-9 hartree is what issue 3 asks of energies.
    assert len(last) == len(j)
    np.testing.assert_allclose(j[-1], whole_j[-1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(k[-1], whole_k[-1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(j[0], whole_j[0], rtol=0, atol=1e-10)


def test_integrals_and_ao_values_stay_within_one_memory_budget(monkeypatch):
    held, build = [], BatchSCF.build

    def watched(self, lanes, phase, coarse=None):
        build(self, lanes, phase, coarse)
        held.append(self.held_bytes())

    monkeypatch.setattr(BatchSCF, "build", watched)
    spec = {
        "functional": "pbe",
        "basis": "sto-3g",
        "backend": "simd",
        "precision": "mixed",
        "grid": 0,
        "threads": 1,
    }
    systems = _systems(5)
    unlimited = Solver(**spec).solve(systems)
    most, held[:] = max(held), []
    # Integrals of 5 waters fit, half of the AO values do not.
    budget = most // 2
    limited = Solver(**spec, memory_budget=budget).solve(systems)
    assert 0 < max(held) <= budget
    np.testing.assert_array_equal(limited.energy, unlimited.energy)
    np.testing.assert_array_equal(limited.orbital_energies, unlimited.orbital_energies)
