"""`check_backend`: what every integral backend must satisfy, for plugin authors to run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from scfx.batch import Batch
from scfx.contracts.backend import (
    AbstractAttenuatedBackend,
    AbstractCrossOverlapBackend,
    AbstractIntegralBackend,
)
from scfx.contracts.two_electron import AbstractLaneTwoElectron, AbstractTwoElectron
from scfx.errors import ResourceError
from scfx.precision import FLOAT64, PrecisionPolicy
from scfx.testing import reference_integrals as reference
from scfx.testing.backend_batches import sample_batch

#: Largest error allowed, in atomic units: of one-electron matrices, and of J and K for densities with
#: elements of order one, by the dtype of the stored integrals. A float32 integral of the largest size here (5
#: hartree) is off by up to 3e-7, and some hundred of them of either sign meet in an element of J.
_ONE_ELECTRON_ERROR = 1e-9
_TWO_ELECTRON_ERROR = {"float64": 1e-9, "float32": 2e-4}
_OMEGA = 0.3
_BUDGET = 2**31


def check_backend(
    backend: AbstractIntegralBackend,
    *,
    policies: Sequence[PrecisionPolicy] = (FLOAT64,),
    max_angular_momentum: int = 2,
    cartesian: bool = True,
    spherical: bool = True,
    keeps_integrals: bool = True,
    seed: int = 0,
) -> None:
    """Raise `AssertionError`, saying what is wrong and how to mend it, unless `backend` keeps the contract.

    Checked against slow integrals that share no code with any backend (`scfx.testing.reference_integrals`),
    on water-like molecules whose shells reach `max_angular_momentum` (1, 2 or 3), Cartesian and spherical
    mixed unless one of `cartesian` and `spherical` is False: one-electron matrices; J and K for random
    symmetric matrices, under each of `policies`, in both shapes of `density`; symmetry, shapes and dtypes;
    inputs left as they were; an entry's bits the same alone, in a batch and at another place in it; `close`;
    a budget of one byte refused with `ResourceError` (`keeps_integrals=False` for a backend that holds
    nothing). What the backend says it may do is checked as well: active lanes, the attenuated operator,
    overlaps between two basis sets.
    """
    label = type(backend).__name__
    assert isinstance(backend, AbstractIntegralBackend), (
        f"{backend!r} is not an instance of scfx.AbstractIntegralBackend (pass an instance, not the class)"
    )
    name = getattr(backend, "name", None)
    assert isinstance(name, str), f"{label}.name is {name!r}, expected the name that it is registered under"
    assert name, f"{label}.name is empty; give the name that it is registered under"
    assert isinstance(backend.device(), str), (
        f"{label}.device() returns {backend.device()!r}, expected a string"
    )
    kind = (max_angular_momentum, cartesian, spherical)
    batch = sample_batch(*kind)
    _check_one_electron(backend, label, batch)
    tensor = _tensor(*kind, 0.0)
    attenuated = _tensor(*kind, _OMEGA) if isinstance(backend, AbstractAttenuatedBackend) else None
    density = _symmetric_matrices(seed, (len(batch), 2, batch.nao, batch.nao))
    for policy in policies:
        where = f"{label}.two_electron under policy {policy.name!r}"
        make = lambda b, p=policy: backend.two_electron(b, p, _BUDGET)  # noqa: E731 - one of two ways to make one
        _check_values(make, where, batch, tensor, density, policy)
        _check_independence(make, where, batch, density)
        _check_lanes(make, where, batch, density)
        _check_close(make, where, batch, density)
        _check_budget(backend, label, batch, policy, keeps_integrals)
        if isinstance(backend, AbstractAttenuatedBackend) and attenuated is not None:
            where = f"{label}.attenuated_two_electron under policy {policy.name!r}"
            make = lambda b, p=policy: backend.attenuated_two_electron(b, _OMEGA, p, _BUDGET)  # noqa: E731
            _check_values(make, where, batch, attenuated, density, policy)
    if isinstance(backend, AbstractCrossOverlapBackend):
        _check_cross_overlap(backend, label, batch, sample_batch(1, cartesian, spherical, reverse=True))


@cache
def _tensor(max_angular_momentum: int, cartesian: bool, spherical: bool, omega: float) -> np.ndarray:
    tensor = reference.repulsion(sample_batch(max_angular_momentum, cartesian, spherical), omega)
    tensor.setflags(write=False)
    return tensor


def _symmetric_matrices(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    matrices = np.random.default_rng(seed).uniform(-1.0, 1.0, shape)
    matrices = 0.5 * (matrices + np.swapaxes(matrices, -1, -2))
    matrices.setflags(write=False)
    return matrices


def _close(found: Any, expected: np.ndarray, tolerance: float, what: str, hint: str = "") -> None:
    array = np.asarray(found)
    assert array.shape == expected.shape, f"{what} has shape {array.shape}, expected {expected.shape}"
    error = np.abs(array - expected)
    worst = np.unravel_index(int(np.argmax(np.nan_to_num(error, nan=np.inf))), error.shape)
    # A comparison with NaN is false, so this refuses NaN as well.
    assert error[worst] <= tolerance, (
        f"{what} is {array[worst]:.12g} at {tuple(int(x) for x in worst)}, expected {expected[worst]:.12g} "
        f"(error {error[worst]:.2g}, allowed {tolerance:.0e}). {hint}".strip()
    )


def _check_one_electron(backend: AbstractIntegralBackend, label: str, batch: Batch) -> None:
    found, expected = backend.one_electron(batch), reference.one_electron(batch)
    hints = {
        "overlap": "AO order or normalisation? docs/write-a-backend.md states both",
        "kinetic": "The factor is -1/2",
        "nuclear": "Attraction is negative, and uses batch.nuclear_charges of each entry",
        "dipole": "It is <i|r|j> about the coordinate origin, without the electron's charge",
    }
    for matrix, hint in hints.items():
        value = np.asarray(getattr(found, matrix))
        assert value.dtype == np.float64, f"{label}.one_electron: {matrix} is {value.dtype}, expected float64"
        what = f"{label}.one_electron: {matrix}"
        _close(value, getattr(expected, matrix), _ONE_ELECTRON_ERROR, what, hint)
        alone = np.asarray(getattr(backend.one_electron(batch.take([1])), matrix))
        assert (alone[0] == value[1]).all(), f"{what} of an entry depends on the batch it is in"


def _check_values(
    make: Any, where: str, batch: Batch, tensor: np.ndarray, density: np.ndarray, policy: PrecisionPolicy
) -> None:
    coulomb = np.einsum("bijkl,bskl->bsij", tensor, density)
    exchange = np.einsum("bijkl,bsjl->bsik", tensor, density)
    tolerance = _TWO_ELECTRON_ERROR[_weakest(policy)]
    kept = density.copy()
    with make(batch) as operator:
        assert isinstance(operator, AbstractTwoElectron), (
            f"{where} returns {operator!r}, expected an scfx.AbstractTwoElectron (scfx.DenseTwoElectron is one)"
        )
        for spins in (slice(None), 0):
            j, k = operator.coulomb_exchange(density[:, spins])
            _close(j, coulomb[:, spins], tolerance, f"{where}: J", "J_ij = sum (ij|kl) D_kl")
            _close(k, exchange[:, spins], tolerance, f"{where}: K", "K_ik = sum (ij|kl) D_jl")
            for matrix, letter in ((np.asarray(j), "J"), (np.asarray(k), "K")):
                allowed = ("float64",) if policy.coulomb_exchange == "float64" else ("float64", "float32")
                assert matrix.dtype.name in allowed, (
                    f"{where}: {letter} is {matrix.dtype}, expected {allowed[0]}"
                )
                skew = np.abs(matrix - np.swapaxes(matrix, -1, -2)).max()
                assert skew <= tolerance, f"{where}: {letter} is not symmetric (by {skew:.2g})"
        again = operator.coulomb_exchange(density)
        first = operator.coulomb_exchange(density)
        for one, two, letter in zip(first, again, "JK", strict=True):
            assert _same(one, two), f"{where}: {letter} changes from call to call for one density"
    assert (density == kept).all(), f"{where}: coulomb_exchange changed the density it was given"


def _weakest(policy: PrecisionPolicy) -> str:
    return "float32" if "float32" in (policy.integrals, policy.coulomb_exchange) else "float64"


def _same(one: Any, two: Any) -> bool:
    return bool((np.asarray(one) == np.asarray(two)).all())


def _check_independence(make: Any, where: str, batch: Batch, density: np.ndarray) -> None:
    with make(batch) as operator:
        together = operator.coulomb_exchange(density)
    for entries in ([1], list(range(len(batch)))[::-1]):
        with make(batch.take(entries)) as operator:
            found = operator.coulomb_exchange(density[entries])
        for one, other, letter in zip(together, found, "JK", strict=True):
            assert _same(np.asarray(one)[entries], other), (
                f"{where}: {letter} of an entry differs in bits with the entries beside it, or their order. Run every "
                "kernel at one width (pad short batches) and sum in an order fixed by the entry alone"
            )


def _check_lanes(make: Any, where: str, batch: Batch, density: np.ndarray) -> None:
    with make(batch) as operator:
        if not isinstance(operator, AbstractLaneTwoElectron):
            return
        whole = operator.coulomb_exchange(density)
        lanes = np.array([0, len(batch) - 1], dtype=np.int32)
        some = operator.coulomb_exchange_lanes(density, lanes, True)
        for one, two, letter in zip(whole, some, "JK", strict=True):
            shape = None if two is None else np.asarray(two).shape
            assert shape == (2, *density.shape[1:]), (
                f"{where}: coulomb_exchange_lanes must return {letter} [active, nspin, nao, nao]"
            )
            assert _same(np.asarray(one)[lanes], two), (
                f"{where}: {letter} of a lane differs in bits when other lanes are left out"
            )
        coulomb, exchange = operator.coulomb_exchange_lanes(density, lanes, False)
        assert exchange is None, f"{where}: coulomb_exchange_lanes with exchange=False must return None for K"
        assert _same(coulomb, some[0]), f"{where}: J differs in bits when K is not asked for"


def _check_close(make: Any, where: str, batch: Batch, density: np.ndarray) -> None:
    operator = make(batch)
    operator.close()
    try:
        operator.coulomb_exchange(density)
    except Exception:  # any error will do: what must not happen is a result, or a crash
        return
    raise AssertionError(
        f"{where}: coulomb_exchange still answers after close(), so the integrals are not freed"
    )


def _check_budget(
    backend: AbstractIntegralBackend, label: str, batch: Batch, policy: PrecisionPolicy, keeps_integrals: bool
) -> None:
    fits = backend.max_batch(batch.layout, policy, _BUDGET)
    assert fits is None or (isinstance(fits, int) and fits >= 1), (
        f"{label}.max_batch returns {fits!r} for {_BUDGET} bytes and {batch.nao} AOs; "
        "expected a number of entries or None"
    )
    if not keeps_integrals:
        return
    nothing = backend.max_batch(batch.layout, policy, 1)
    assert nothing in (None, 0), (
        f"{label}.max_batch says that {nothing!r} entries fit in one byte; expected 0"
    )
    refusal = None
    try:
        backend.two_electron(batch, policy, 1).close()
    except ResourceError as error:
        refusal = str(error)
    assert refusal is not None, (
        f"{label}.two_electron ignores memory_budget: with one byte it must raise scfx.ResourceError, with the "
        "bytes needed and the bytes there (or pass keeps_integrals=False, if it holds none)"
    )
    assert any(character.isdigit() for character in refusal), (
        f"{label}.two_electron refuses a budget of one byte without the numbers: {refusal!r}; say the bytes "
        "needed and the bytes there"
    )


def _check_cross_overlap(backend: AbstractCrossOverlapBackend, label: str, bra: Batch, ket: Batch) -> None:
    _close(
        backend.cross_overlap(bra, ket),
        reference.cross_overlap(bra, ket),
        _ONE_ELECTRON_ERROR,
        f"{label}.cross_overlap",
        "The two batches order the atoms of one system differently (Batch.atom_order); rows and columns follow each",
    )
