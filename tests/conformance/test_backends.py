"""Backends that ship, and a twenty-line one, keep the contract; broken ones are found out."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from scfx_libcint.backend import LibcintBackend

import scfx
from scfx.abstract import OneElectron
from scfx.precision import FLOAT64, PrecisionPolicy
from scfx.testing import check_backend, reference_integrals

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


def test_libcint_keeps_the_contract_under_every_kind_of_policy():
    check_backend(LibcintBackend(storage="stored", threads=1), policies=(FLOAT64, FLOAT32, SPLIT))


@pytest.mark.parametrize("kinds", [{"cartesian": False}, {"spherical": False}], ids=str)
def test_libcint_keeps_the_contract_without_a_mixture_of_function_types(kinds):
    check_backend(LibcintBackend(storage="stored", threads=2), **kinds)


def test_libcint_keeps_the_contract_when_it_recomputes_integrals():
    check_backend(LibcintBackend(storage="direct"))


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
