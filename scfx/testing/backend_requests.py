"""What `check_backend` asks of two-electron operators beside their numbers: requests, what is wanted, bytes held."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.contracts.backend import AbstractAttenuatedBackend, AbstractIntegralBackend
from scfx.contracts.requests import TwoElectronRequest
from scfx.contracts.two_electron import AbstractTwoElectron
from scfx.errors import CapabilityError
from scfx.testing.compare import BUDGET, assert_close, same_bits

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.model.batch import Batch

Make = Callable[["Batch"], AbstractTwoElectron]


def check_wanted(
    make: Make, where: str, batch: Batch, density: Float64[np.ndarray, "batch 2 nao nao"]
) -> None:
    """Check J alone, K alone, both and none, of all entries and of some: None for what is not wanted, the bits of
    both.
    """
    with make(batch) as operator:
        whole = operator.coulomb_exchange(density)
        for lanes in (np.arange(len(batch), dtype=np.int32), np.array([len(batch) - 1], dtype=np.int32)):
            for wanted in ((True, True), (True, False), (False, True), (False, False)):
                asked = f"{where}: contract_wanted with coulomb, exchange = {wanted}"
                found = operator.contract_wanted(density, lanes, *wanted)
                assert len(found) == 2, f"{asked} returns {len(found)} things, expected J and K"
                for letter, matrices, right, is_wanted in zip("JK", found, whole, wanted, strict=True):
                    if not is_wanted:
                        assert matrices is None, f"{asked} returns {letter}, expected None in its place"
                        continue
                    assert matrices is not None, f"{asked} returns no {letter}"
                    assert same_bits(matrices, np.asarray(right)[lanes]), (
                        f"{asked}: {letter} is not, bit for bit, that of coulomb_exchange for the entries "
                        f"{lanes.tolist()}"
                    )


def check_held_bytes(
    make: Make,
    where: str,
    batch: Batch,
    density: Float64[np.ndarray, "batch 2 nao nao"],
    keeps_integrals: bool,
) -> None:
    """Check that bytes are None throughout, or within the budget while the operator is open and none after `close`."""
    operator = make(batch)
    try:
        operator.coulomb_exchange(density)
        held = operator.held_bytes()
    finally:
        operator.close()
    if held is None:
        return
    least = 1 if keeps_integrals else 0
    assert isinstance(held, int), f"{where}: held_bytes() is {held!r}, expected a number of bytes or None"
    assert least <= held <= BUDGET, (
        f"{where}: held_bytes() is {held:,}, expected {least} to the budget of {BUDGET:,} bytes; None where it is not "
        "known (keeps_integrals=False for a backend that holds nothing)"
    )
    after = operator.held_bytes()
    assert after == 0, f"{where}: held_bytes() is {after!r} after close(), expected 0"


def check_requests(
    backend: AbstractIntegralBackend,
    label: str,
    batch: Batch,
    policy: PrecisionPolicy,
    density: Float64[np.ndarray, "batch 2 nao nao"],
    expected: Callable[[TwoElectronRequest], tuple[np.ndarray, np.ndarray] | None],
    omega: float,
    tolerance: float,
) -> None:
    """Check that there is an operator for each request, in order, and `CapabilityError` for integrals that the backend
    lacks.

    `expected` gives J and K of the densities by plain integrals.
    """
    attenuated = isinstance(backend, AbstractAttenuatedBackend)
    lanes = np.arange(len(batch), dtype=np.int32)
    of_functionals: list[list[TwoElectronRequest]] = [
        [],
        [TwoElectronRequest(exchange=False)],
        [TwoElectronRequest()],
    ]
    if attenuated:
        of_functionals += [
            [TwoElectronRequest(exchange=False), TwoElectronRequest("erf", omega, coulomb=False)],
            [TwoElectronRequest(), TwoElectronRequest("erf", omega, coulomb=False)],
        ]
    for requests in of_functionals:
        where = f"{label}.two_electron_operators for {requests} under policy {policy.name!r}"
        operators = backend.two_electron_operators(batch, requests, policy, BUDGET)
        try:
            assert len(operators) == len(requests), f"{where} returns {len(operators)} operators"
            for request, operator in zip(requests, operators, strict=True):
                found = operator.contract_wanted(density, lanes, request.coulomb, request.exchange)
                right = expected(request)
                assert right is not None
                for letter, matrices, values, wanted in zip(
                    "JK", found, right, (request.coulomb, request.exchange), strict=True
                ):
                    if wanted:
                        assert_close(matrices, values, tolerance, f"{where}: {letter} of {request}")
        finally:
            for operator in operators:
                operator.close()
    if not attenuated:
        _check_refusal(backend, label, batch, policy, TwoElectronRequest("erf", omega))
    _check_refusal(
        backend, label, batch, policy, TwoElectronRequest("erfc", omega), expected, density, tolerance
    )


def _check_refusal(
    backend: AbstractIntegralBackend,
    label: str,
    batch: Batch,
    policy: PrecisionPolicy,
    request: TwoElectronRequest,
    expected: Callable[[TwoElectronRequest], tuple[np.ndarray, np.ndarray] | None] = lambda request: None,
    density: np.ndarray | None = None,
    tolerance: float = 0.0,
) -> None:
    """A request is refused with `CapabilityError`, or (where a reference is given) answered rightly."""
    where = f"{label}.two_electron_operators for [TwoElectronRequest(), {request}]"
    try:
        operators = backend.two_electron_operators(batch, [TwoElectronRequest(), request], policy, BUDGET)
    except CapabilityError:
        return
    with operators[0], operators[1] as operator:
        right = expected(request)
        assert right is not None, (
            f"{where} answers, but {label} does not inherit from the marker that says so (AbstractAttenuatedBackend)"
        )
        for matrices, values in zip(operator.coulomb_exchange(density), right, strict=True):
            assert_close(matrices, values, tolerance, where)
