"""J, K and gradients of entries that compute alone, their kets as lanes: the bits that they have among conformers."""

from __future__ import annotations

import numpy as np
import pytest
from scfx_bse.source import BasisSetExchangeSource
from scfx_simd.backend import SimdBackend
from scfx_simd.kernels import lane_counts

from scfx.config.precision import FLOAT64, PrecisionPolicy
from scfx.contracts.derivatives import TwoElectronEnergy
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch
from scfx.model.system import System

FLOAT32 = PrecisionPolicy("narrow", integrals="float32")
MIXED = PrecisionPolicy("split", integrals="float32", schwarz_float64=1e-3)
POLICIES = pytest.mark.parametrize("policy", [FLOAT64, FLOAT32, MIXED], ids=lambda p: p.name)
BUDGET = 2**31
#: Shells of all kinds: s + p with shared exponents and without, d and f, spherical and Cartesian; in the chain of
#: hydrogens more s functions than one vector has lanes.
CASES = {
    "sto-3g": ([1] * 10 + [8, 6], {}),
    "6-31g*": ([6, 1, 8], {6: True, 8: True}),
    "def2-svp": ([1, 9, 1, 8], {}),
    "def2-tzvp": ([9, 1], {}),
}


def _batch(name: str, n: int) -> Batch:
    numbers, cartesian = CASES[name]
    x = np.arange(len(numbers))
    line = np.stack([1.9 * x, 0.8 * (x % 3), 0.5 * (x % 2)], axis=1)
    # Bohr. The last atom of every third entry is far away: entries screen differently.
    systems = []
    for i in range(n):
        moved = line + 0.2 * np.random.default_rng(i).normal(size=line.shape)
        moved[-1] *= 3.0 if i % 3 == 2 else 1.0
        systems.append(System(np.array(numbers, dtype=np.int32), moved, 0, 1 + sum(numbers) % 2))
    options = {"cartesian": True} if cartesian else {}
    return Batch.from_systems(
        systems, BasisSet.from_source(BasisSetExchangeSource(name, **options), set(numbers))
    )


def _density(n: int, nao: int) -> np.ndarray:
    random = np.stack([np.random.default_rng(100 + i).normal(size=(2, nao, nao)) for i in range(n)])
    # Every fourth is as small as a difference between iterations, and decays: blocks are left out for it.
    near = np.exp(-np.abs(np.arange(nao)[:, None] - np.arange(nao)) / 3.0)
    random[3::4] *= 1e-6 * near
    return random + random.swapaxes(-1, -2)


@pytest.mark.parametrize("name", CASES)
@POLICIES
def test_an_entry_alone_has_the_bits_that_it_has_among_others(name, policy):
    most = 2 * lane_counts()[1]
    n = min(most + 1, 17) if name == "sto-3g" else lane_counts()[0] + 1
    batch, omega = _batch(name, n), 0.4
    density = _density(n, batch.nao)
    full = list(range(n - 1))  # whole vectors of conformers
    with SimdBackend().two_electron(batch.take(full), policy, BUDGET) as operator:
        coulomb, exchange = operator.coulomb_exchange(density[full])
        stored = operator.stored_bytes / len(full)
    with SimdBackend().attenuated_two_electron(batch.take(full), omega, policy, BUDGET) as operator:
        attenuated = operator.coulomb_exchange(density[full])[1]
    # One, two and three that share no vector with conformers, stored, in part, and recomputed throughout.
    for entries, budget in (([3], BUDGET), ([0], int(stored / 3)), ([2, 1], 0), (full[-1:], BUDGET)):
        with SimdBackend().two_electron(batch.take(entries), policy, budget) as operator:
            assert operator.stored_bytes <= budget
            assert (operator.recomputed_pairs > 0) == (budget != BUDGET)
            j, k = operator.coulomb_exchange(density[entries])
            lanes = np.arange(len(entries), dtype=np.int32)
            j_alone, _ = operator.contract_selected(density[entries], lanes, True, False)
            k_alone = operator.contract_exchange(density[entries], lanes)
        np.testing.assert_array_equal(j, coulomb[entries])
        np.testing.assert_array_equal(k, exchange[entries])
        np.testing.assert_array_equal(k_alone, k)
        if all(i % 4 != 3 for i in entries):  # for a small density J alone leaves out more
            np.testing.assert_array_equal(j_alone, j)
    with SimdBackend().attenuated_two_electron(batch.take([3]), omega, policy, BUDGET) as operator:
        np.testing.assert_array_equal(operator.coulomb_exchange(density[[3]])[1], attenuated[[3]])
    # The one that is left over from whole vectors.
    with SimdBackend().two_electron(batch, policy, BUDGET) as operator:
        j, k = operator.coulomb_exchange(density)
    with SimdBackend().two_electron(batch.take([n - 1]), policy, BUDGET) as operator:
        last = operator.coulomb_exchange(density[[n - 1]])
    np.testing.assert_array_equal(j[full], coulomb)
    np.testing.assert_array_equal(k[full], exchange)
    np.testing.assert_array_equal(last[0], j[[n - 1]])
    np.testing.assert_array_equal(last[1], k[[n - 1]])


@POLICIES
def test_small_densities_are_screened_alone_as_among_conformers(policy):
    width = lane_counts()[0]
    batch = _batch("def2-svp", width)
    density = _density(width, batch.nao)
    density[:] = density[3]
    for budget in (BUDGET, 0):
        with SimdBackend().two_electron(batch.take([2]), policy, budget) as operator:
            found = operator.coulomb_exchange(density[:1])
            seen, skipped = operator.screened_blocks
        assert 0 < skipped < seen
        with SimdBackend().two_electron(batch, policy, budget) as operator:
            whole = operator.coulomb_exchange(density)
        for mine, theirs in zip(found, whole, strict=True):
            np.testing.assert_array_equal(mine[0], theirs[2])


@POLICIES
def test_an_entry_alone_equals_the_contraction_of_its_tensor(policy):
    batch = _batch("6-31g*", 1)
    density = _density(1, batch.nao)
    with SimdBackend().two_electron(batch, policy, 40_000) as operator:
        assert 0 < operator.recomputed_pairs < len(batch.layout.atom) ** 2
        coulomb, exchange = operator.coulomb_exchange(density)
        tensor = operator.dense(0)
    np.testing.assert_allclose(coulomb[0], np.einsum("ijkl,skl->sij", tensor, density[0]), rtol=0, atol=1e-11)
    np.testing.assert_allclose(
        exchange[0], np.einsum("ijkl,sjl->sik", tensor, density[0]), rtol=0, atol=1e-11
    )


def test_integrals_of_an_entry_alone_take_no_more_memory_than_its_share():
    batch, width = _batch("6-31g*", 1), lane_counts()[0]
    with SimdBackend().two_electron(batch.take([0] * width), FLOAT64, BUDGET) as operator:
        share = operator.stored_bytes / width
    with SimdBackend().two_electron(batch, FLOAT64, BUDGET) as operator:
        assert operator.stored_bytes <= share + 64  # that many are read, and not used, behind the last ones


@pytest.mark.parametrize("name", ["6-31g*", "def2-tzvp"])
@pytest.mark.parametrize("policy", [FLOAT64, MIXED], ids=lambda p: p.name)
def test_the_gradient_of_an_entry_alone_has_the_bits_that_it_has_among_others(name, policy):
    batch = _batch(name, lane_counts()[0])
    density = _density(len(batch), batch.nao)
    energies = [TwoElectronEnergy(coulomb=1.0, exchange=0.2), TwoElectronEnergy("erf", 0.4, 0.0, 0.5)]
    backend, lanes = SimdBackend(), np.arange(len(batch), dtype=np.int32)
    among = backend.two_electron_gradient(batch, lanes, density, energies, policy)
    assert np.abs(among[1]).max() > 0.0
    for entry in (1, 3):  # 3: of a small density
        lane = np.array([entry], dtype=np.int32)
        alone = backend.two_electron_gradient(batch, lane, density[lane], energies, policy)
        np.testing.assert_array_equal(alone[0], among[entry])
