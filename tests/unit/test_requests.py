"""What the core asks of two-electron operators, and that nothing is computed to be thrown away."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import scfx_libcint.two_electron as libcint_two_electron
import scfx_simd.two_electron as simd_two_electron
from molecules import molecule
from scfx_libcint.backend import LibcintBackend
from scfx_simd.backend import SimdBackend

import scfx
import scfx.energy.two_electron.fitted as fitted_module
from scfx.abstract import AbstractIntegralBackend, TwoElectronRequest
from scfx.config.precision import FLOAT64
from scfx.energy.two_electron.lane_operator import LaneTwoElectron
from scfx.errors import CapabilityError, InputError
from scfx.testing import reference_integrals
from scfx.testing.backend_batches import sample_batch
from scfx.testing.compare import symmetric_matrices

BUDGET = 2**28
#: The functionals that a calculation may ask J and K for, and what of each operator: (J, K).
WANTED = {
    "pbe": {(True, False)},
    "hf": {(True, True)},
    "b3lyp": {(True, True)},
    "wb97x": {(True, True), (False, True)},  # 1/r, then erf(omega r)/r
}
FIT = "def2-universal-jkfit"


@pytest.fixture
def contractions(monkeypatch) -> Counter[tuple[bool, bool]]:
    """Counts (J, K) of every contraction that the kernels of the shipped backends do, where they do it."""
    counted: Counter[tuple[bool, bool]] = Counter()
    library = simd_two_electron.library()

    class Kernels:
        def __getattr__(self, name):
            return getattr(library, name)

        @staticmethod
        def scfx_simd_coulomb_exchange(*given):
            counted[given[5] is not None, given[6] is not None] += 1
            return library.scfx_simd_coulomb_exchange(*given)

    class Contraction(libcint_two_electron.Contraction):
        def __init__(self, density, coulomb, exchange):
            counted[coulomb, exchange] += 1
            super().__init__(density, coulomb, exchange)

    def counting(name, what):
        right = getattr(fitted_module, name)

        def call(*given):
            counted[what] += 1
            return right(*given)

        monkeypatch.setattr(fitted_module, name, call)

    monkeypatch.setattr(simd_two_electron, "library", lambda: Kernels())
    monkeypatch.setattr(libcint_two_electron, "Contraction", Contraction)
    counting("_add_coulomb", (True, False))
    counting("_add_exchange", (False, True))
    return counted


@pytest.mark.parametrize("functional", WANTED)
@pytest.mark.parametrize("backend", ["simd", "libcint"])
def test_a_calculation_computes_no_coulomb_or_exchange_matrix_to_throw_it_away(
    functional, backend, contractions
):
    result = scfx.solve(
        molecule("H2"), functional, "sto-3g", backend, grid=0, guess="core"
    ).raise_for_status()
    assert set(contractions) == WANTED[functional]
    # Each operator works once for each Fock matrix, and those are one more than the iterations at most.
    assert len(set(contractions.values())) == 1
    assert max(contractions.values()) <= int(result.iterations[0]) + 1


@pytest.mark.parametrize(
    ("fitted", "functional", "wanted"),
    [
        ("jk", "pbe", {(True, False)}),
        ("jk", "hf", {(True, False), (False, True)}),
        ("j", "pbe", {(True, False)}),
        ("j", "hf", {(True, False), (False, True)}),
    ],
)
def test_fitted_operators_contract_what_is_wanted(fitted, functional, wanted, contractions):
    fitting = {"basis": FIT, "fitted": fitted}
    scfx.solve(
        molecule("H2"), functional, "sto-3g", "libcint", grid=0, guess="core", density_fitting=fitting
    ).raise_for_status()
    assert set(contractions) == wanted
    assert len(set(contractions.values())) == 1


def test_with_j_alone_fitted_the_attenuated_operator_has_no_fitted_integrals(monkeypatch):
    made = []
    original = fitted_module.fitted_integrals
    monkeypatch.setattr(
        fitted_module, "fitted_integrals", lambda *given: made.append(given[4:]) or original(*given)
    )
    options = {"functional": "wb97x", "basis": "sto-3g", "backend": "libcint", "grid": 0}
    fitting = {"basis": FIT, "fitted": "j"}
    scfx.solve(molecule("H2"), density_fitting=fitting, **options).raise_for_status()
    assert set(made) == {("coulomb", 0.0)}


@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True), (False, False)], ids=str)
@pytest.mark.parametrize("make", [SimdBackend, LibcintBackend], ids=["simd", "libcint"])
def test_the_kernel_does_what_is_wanted_of_it(make, wanted, contractions):
    batch = sample_batch(1).take([0])
    density = symmetric_matrices(1, (1, 2, batch.nao, batch.nao))
    with make().two_electron(batch, FLOAT64, BUDGET) as operator:
        operator.contract_wanted(density, np.zeros(1, np.int32), *wanted)
    assert contractions == ({wanted: 1} if any(wanted) else {})


@pytest.mark.parametrize("budget", [BUDGET, 1], ids=["stored", "recomputed"])
def test_exchange_alone_of_a_small_density_has_the_bits_that_it_has_with_coulomb(budget):
    # Small densities are screened by their elements: K alone leaves out what J and K leave out together.
    batch = sample_batch(1)
    density = 1e-7 * symmetric_matrices(2, (len(batch), 1, batch.nao, batch.nao))
    lanes = np.arange(len(batch), dtype=np.int32)
    with SimdBackend(screening=1e-9).two_electron(batch, FLOAT64, budget) as operator:
        _, both = operator.contract_wanted(density, lanes, True, True)
        _, alone = operator.contract_wanted(density, lanes, False, True)
        assert operator.screened_blocks[1] > 0
    np.testing.assert_array_equal(alone, both)


class Plain(LaneTwoElectron):
    """What a third party wrote before exchange could be asked for alone."""

    def __init__(self, batch):
        super().__init__(len(batch), batch.nao)
        self.calls: list[bool] = []

    def contract(self, density, lanes, exchange):
        self.calls.append(exchange)
        return 2.0 * density, 3.0 * density if exchange else None


def test_an_operator_with_contract_alone_answers_for_exchange_alone():
    batch = sample_batch(1)
    operator = Plain(batch)
    density = symmetric_matrices(3, (len(batch), 1, batch.nao, batch.nao))
    lanes = np.array([2, 0], dtype=np.int32)
    coulomb, exchange = operator.contract_wanted(density, lanes, False, True)
    assert coulomb is None
    np.testing.assert_array_equal(exchange, 3.0 * density[lanes])
    coulomb, exchange = operator.contract_wanted(density, lanes, True, False)
    np.testing.assert_array_equal(coulomb, 2.0 * density[lanes])
    assert exchange is None
    assert operator.calls == [True, False]


def test_entries_that_are_not_there_are_refused_for_exchange_alone_too():
    batch = sample_batch(1)
    density = symmetric_matrices(3, (len(batch), 1, batch.nao, batch.nao))
    with pytest.raises(InputError, match=r"lanes .* are not all entries"):
        Plain(batch).contract_wanted(density, np.array([3], dtype=np.int32), False, True)


class Exact(AbstractIntegralBackend):
    """1/r alone, from a full tensor; `closed` counts operators that were closed."""

    name = "exact"

    def __init__(self):
        self.made, self.closed = 0, 0

    def one_electron(self, batch):
        return reference_integrals.one_electron(batch)

    def two_electron(self, batch, policy, memory_budget):
        self.made += 1
        operator = scfx.DenseTwoElectron(np.zeros((len(batch),) + (batch.nao,) * 4))
        right = operator.close

        def close():
            self.closed += 1
            right()

        operator.close = close
        return operator


def test_a_request_that_cannot_be_served_closes_the_operators_made_before_it():
    backend, batch = Exact(), sample_batch(1)
    requests = [TwoElectronRequest(), TwoElectronRequest("erf", 0.3, coulomb=False)]
    with pytest.raises(CapabilityError, match=r"exact.* no integrals of the operator erf"):
        backend.two_electron_operators(batch, requests, FLOAT64, BUDGET)
    assert (backend.made, backend.closed) == (1, 1)


@pytest.mark.parametrize(
    ("options", "lacking"),
    [
        ({"functional": "wb97x"}, "range-separated exchange is asked"),
        ({"functional": "hf", "properties": "gradient"}, "nuclear derivatives of order 1 are asked"),
        ({"functional": "hf", "basis": "def2-svp"}, "effective core potentials are asked"),
    ],
    ids=["range separation", "gradient", "core potential"],
)
def test_a_backend_given_as_an_object_is_refused_before_anything_is_computed(options, lacking):
    backend = Exact()
    iodine = scfx.System.from_arrays("HI", [[0, 0, 0], [0, 0, 1.609]])
    with pytest.raises(CapabilityError, match=lacking) as caught:
        scfx.solve(iodine if "basis" in options else molecule("H2"), backend=backend, **options)
    assert caught.value.key == "scf.backend"
    assert backend.made == 0
