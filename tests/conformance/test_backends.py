"""Backends that ship, and a twenty-line one, keep the contract; broken ones are found out."""

from __future__ import annotations

import importlib
from typing import ClassVar

import numpy as np
import pytest
from scfx_libcint.backend import LibcintBackend
from scfx_simd.backend import SimdBackend

import scfx
from scfx.abstract import OneElectron
from scfx.config.precision import FLOAT64, PrecisionPolicy
from scfx.registry import disagreements
from scfx.testing import check_backend, reference_integrals
from scfx.testing.backend_batches import sample_batch

FLOAT32 = PrecisionPolicy("narrow", integrals="float32", coulomb_exchange="float32")
SPLIT = PrecisionPolicy("split", integrals="float32", schwarz_float64=1e-3)


class Slow(scfx.AbstractIntegralBackend):
    """Full tensor from the reference integrals, J and K from `DenseTwoElectron`."""

    name = "slow"

    def one_electron(self, batch):
        return reference_integrals.one_electron(batch)

    def two_electron(self, batch, policy, memory_budget):
        needed = 8 * len(batch) * batch.nao**4
        if needed > memory_budget:
            raise scfx.ResourceError(f"slow: needs {needed:,} bytes, the budget is {memory_budget:,}")
        return scfx.DenseTwoElectron(self.tensor(batch))

    def tensor(self, batch):
        # The same few molecules come again in every test: computed once, entry by entry.
        return np.stack([self._entry_tensor(batch, entry) for entry in range(len(batch))])

    _computed: ClassVar[dict[bytes, np.ndarray]] = {}

    def _entry_tensor(self, batch, entry):
        key = batch.exponents[entry].tobytes() + batch.positions[entry].tobytes()
        if key not in self._computed:
            self._computed[key] = reference_integrals.repulsion(batch.take([entry]))[0]
        return self._computed[key]


def test_libcint_keeps_the_contract_under_every_kind_of_policy(registry):
    check_backend(
        LibcintBackend(storage="stored", threads=1),
        policies=(FLOAT64, FLOAT32, SPLIT),
        capabilities=registry.backend_record("libcint").offer.capabilities,
    )


@pytest.mark.parametrize(
    "kinds",
    [
        {"cartesian": False},
        # A mixture is computed in Cartesian functions too.
        pytest.param({"spherical": False}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_libcint_keeps_the_contract_without_a_mixture_of_function_types(kinds):
    check_backend(LibcintBackend(storage="stored", threads=2), **kinds)


def test_libcint_keeps_the_contract_when_it_recomputes_integrals():
    check_backend(LibcintBackend(storage="direct"), keeps_integrals=False)


@pytest.mark.slow
def test_libcint_keeps_the_contract_with_f_shells():
    check_backend(LibcintBackend(storage="stored"), max_angular_momentum=3)


def test_a_backend_of_twenty_lines_keeps_the_contract():
    check_backend(Slow(), max_angular_momentum=1)


class WrongExchange(Slow):
    """K contracted with the wrong pair of indices: (ij|kl) D_kj for the exchange."""

    def two_electron(self, batch, policy, memory_budget):
        operator = super().two_electron(batch, policy, memory_budget)
        right = operator.coulomb_exchange
        operator.coulomb_exchange = lambda density: (right(density)[0], right(density)[0])
        return operator


class OtherOrder(Slow):
    """p functions as z, x, y."""

    def one_electron(self, batch):
        found = reference_integrals.one_electron(batch)
        order = np.arange(batch.nao)
        first = batch.layout.ao_offset[batch.layout.angular_momentum.index(1)]
        order[first : first + 3] = first + np.array([2, 0, 1])
        return OneElectron(*(matrix[..., order, :][..., order] for matrix in found))


class CountsCharge(Slow):
    """Nuclear repulsion instead of attraction."""

    def one_electron(self, batch):
        found = reference_integrals.one_electron(batch)
        return found._replace(nuclear=-found.nuclear)


class Narrow(Slow):
    """Float32 integrals under a float64 policy."""

    def tensor(self, batch):
        return super().tensor(batch).astype(np.float32).astype(np.float64)


class WritesIntoDensity(Slow):
    """Scales its argument in place."""

    def two_electron(self, batch, policy, memory_budget):
        operator = super().two_electron(batch, policy, memory_budget)
        right = operator.coulomb_exchange

        def coulomb_exchange(density):
            density *= 1.0
            return right(density)

        operator.coulomb_exchange = coulomb_exchange
        return operator


class DependsOnBatch(Slow):
    """Sums that change in the last bit with the size of the batch."""

    def tensor(self, batch):
        return super().tensor(batch) * (1.0 + len(batch) * 2.0**-50)


class NeverCloses(Slow):
    """close() that keeps the integrals."""

    def two_electron(self, batch, policy, memory_budget):
        operator = super().two_electron(batch, policy, memory_budget)
        operator.close = lambda: None
        return operator


class IgnoresBudget(Slow):
    """Takes what memory it likes."""

    def two_electron(self, batch, policy, memory_budget):
        return super().two_electron(batch, policy, 2**40)


class SharesExponents(Slow):
    """Uses the first entry's integrals for all."""

    def tensor(self, batch):
        return np.repeat(super().tensor(batch.take([0])), len(batch), axis=0)


class Nan(Slow):
    """An integral that is not a number."""

    def tensor(self, batch):
        tensor = super().tensor(batch)
        tensor[-1, 0, 0, 0, 0] = np.nan
        return tensor


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (WrongExchange, "K_ik = sum"),
        (OtherOrder, "AO order"),
        (CountsCharge, "Attraction is negative"),
        (Narrow, "J is .* allowed 1e-09"),
        (DependsOnBatch, "differs in bits with the entries beside it"),
        (NeverCloses, "still answers after close"),
        (IgnoresBudget, "ignores memory_budget"),
        (SharesExponents, "J_ij = sum"),
        (Nan, "J is nan"),
    ],
)
def test_a_broken_backend_is_found_out(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_backend(broken(), max_angular_momentum=1)


def test_a_backend_that_writes_into_the_density_is_found_out():
    # The density it is given is read-only, so that the backend's own line is in the traceback.
    with pytest.raises(ValueError, match="read-only"):
        check_backend(WritesIntoDensity(), max_angular_momentum=1)


def test_a_class_instead_of_an_instance_is_explained(without_shape_checks):
    with pytest.raises(AssertionError, match="pass an instance"):
        check_backend(Slow)  # type: ignore[arg-type]


# ---- what a backend says that it may do -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["libcint", "simd", "ipu", "jax"])
def test_the_offer_of_a_backend_agrees_with_the_classes_it_inherits_from(name, registry):
    record = registry.backend_record(name)
    module, _, attribute = record.offer.target.partition(":")
    assert disagreements(record.offer.capabilities, getattr(importlib.import_module(module), attribute)) == []


def test_an_offer_that_says_more_than_the_class_is_found_out():
    more = scfx.Capabilities(range_separation=True, derivatives=1, ecp=True)
    with pytest.raises(AssertionError, match=r"derivatives=1 and Slow does not inherit .*ecp=True"):
        check_backend(Slow(), max_angular_momentum=1, capabilities=more)


def test_an_offer_that_says_less_than_the_class_is_found_out():
    with pytest.raises(AssertionError, match="range_separation=False and LibcintBackend inherits"):
        check_backend(LibcintBackend(), max_angular_momentum=1, capabilities=scfx.Capabilities())


class ForgetsTheNuclei(LibcintBackend):
    """A derivative of which one atom's share went astray."""

    def one_electron_gradient(self, batch, lanes, density, energy_weighted_density):
        found = super().one_electron_gradient(batch, lanes, density, energy_weighted_density)
        found[:, 0] *= 1.01
        return found


class OrderOfTheSystem(LibcintBackend):
    """Atoms in the order in which the molecule lists them."""

    def two_electron_gradient(self, batch, lanes, density, energies, policy):
        found = super().two_electron_gradient(batch, lanes, density, energies, policy)
        return np.stack([g[np.argsort(batch.atom_order[lane])] for g, lane in zip(found, lanes, strict=True)])


class HalfTheExchange(LibcintBackend):
    """k = ½ also where there are two densities."""

    def two_electron_gradient(self, batch, lanes, density, energies, policy):
        if density.shape[1] == 2:
            energies = [energy._replace(exchange=0.5 * energy.exchange) for energy in energies]
        return super().two_electron_gradient(batch, lanes, density, energies, policy)


class PotentialStandsStill(LibcintBackend):
    """Matrix elements of core potentials ten times too small."""

    def one_electron(self, batch):
        found = super().one_electron(batch)
        if not batch.basis.core_potentials:
            return found
        bare = reference_integrals.one_electron(batch).nuclear
        return found._replace(nuclear=bare + 0.1 * (found.nuclear - bare))


class CountsPairsOnce(LibcintBackend):
    """Derivatives of three-index integrals summed over pairs instead of over all i and j."""

    def three_index_gradient(self, batch, entry, auxiliary, density, *rest):
        rows, columns = np.tril_indices(batch.nao)
        once = density * np.where(rows == columns, 1.0, 0.5)
        return super().three_index_gradient(batch, entry, auxiliary, once, *rest)


class ForgetsToAttenuate(LibcintBackend):
    """1/r in the place of erf(omega r)/r where a request asks for it."""

    def two_electron_operators(self, batch, requests, policy, memory_budget):
        plain = [scfx.abstract.TwoElectronRequest(coulomb=r.coulomb, exchange=r.exchange) for r in requests]
        if any(r.operator == "erfc" for r in requests):
            plain = requests
        return super().two_electron_operators(batch, plain, policy, memory_budget)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (ForgetsTheNuclei, "one_electron_gradient.*, along a direction, is"),
        (OrderOfTheSystem, "atoms are those of the batch in its order"),
        (HalfTheExchange, "two_electron_gradient .* with nspin 2"),
        (PotentialStandsStill, "nuclear with effective core potentials"),
        (CountsPairsOnce, "Off-diagonal pairs count twice"),
        (ForgetsToAttenuate, "K of TwoElectronRequest"),
    ],
)
def test_a_backend_that_does_not_do_what_it_declares_is_found_out(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_backend(broken(storage="stored", threads=1), max_angular_momentum=1)


class Changed(SimdBackend):
    """A grid operator with one method changed after it was made."""

    def __init__(self, method, change):
        super().__init__()
        self._method, self._change = method, change

    def grid_operator(self, *arguments):
        operator = super().grid_operator(*arguments)
        right = getattr(operator, self._method)
        setattr(operator, self._method, lambda *given: self._change(right(*given)))
        return operator


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("weights", lambda w: w[:, ::-1] * 1.5, "neither those that were given nor zero"),
        ("weights", lambda w: np.where(w == w.max(), 0.0, w), "points of entry"),
        ("density", lambda c: 2.0 * c, "density is"),
        ("potential", lambda v: v + np.triu(np.ones(v.shape[-2:])), "what add_potential adds to zeros"),
        ("gradient", lambda g: (g[0], -g[1]), "gradient by points"),
        ("gradient", lambda g: g[::-1], "gradient by functions"),
        ("order", lambda o: o[:, ::-1], "order of block 0"),
        ("held_bytes", lambda n: -1, r"held_bytes\(\) is -1"),
    ],
)
def test_a_broken_grid_operator_is_found_out(method, change, message):
    with pytest.raises(AssertionError, match=message):
        check_backend(Changed(method, change), max_angular_momentum=1, keeps_integrals=False)


class SaysNothingIsHeld(Slow):
    """held_bytes() of an operator that holds the whole tensor."""

    def two_electron(self, batch, policy, memory_budget):
        operator = super().two_electron(batch, policy, memory_budget)
        operator.held_bytes = lambda: 0
        return operator


class IgnoresWishes(Slow):
    """J also where it is not wanted."""

    def two_electron(self, batch, policy, memory_budget):
        operator = super().two_electron(batch, policy, memory_budget)
        right = operator.contract_wanted
        operator.contract_wanted = lambda density, lanes, coulomb, exchange: right(density, lanes, True, True)
        return operator


@pytest.mark.parametrize(
    ("broken", "message"),
    [(SaysNothingIsHeld, r"held_bytes\(\) is 0"), (IgnoresWishes, "returns K, expected None in its place")],
)
def test_an_operator_that_does_not_say_what_it_does_is_found_out(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_backend(broken(), max_angular_momentum=1)


@pytest.mark.parametrize(
    "make", [lambda: LibcintBackend(storage="stored"), SimdBackend], ids=["libcint", "simd"]
)
def test_operators_that_ship_say_what_they_hold(make):
    batch = sample_batch(1)
    with make().two_electron(batch, FLOAT64, 2**31) as operator:
        assert operator.held_bytes() > 0
    assert operator.held_bytes() == 0
