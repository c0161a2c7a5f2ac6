"""`check_backend`: what every integral backend must satisfy, for plugin authors to run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

import numpy as np

from scfx.config.precision import FLOAT64, PrecisionPolicy
from scfx.contracts.backend import (
    AbstractAttenuatedBackend,
    AbstractCorePotentialBackend,
    AbstractCrossOverlapBackend,
    AbstractIntegralBackend,
)
from scfx.contracts.derivatives import AbstractGradientBackend
from scfx.contracts.fitting import AbstractFittingBackend
from scfx.contracts.grid import AbstractGridBackend
from scfx.contracts.requests import TwoElectronRequest
from scfx.contracts.two_electron import AbstractLaneTwoElectron, AbstractTwoElectron
from scfx.errors import ResourceError
from scfx.model.batch import Batch
from scfx.offer import Capabilities
from scfx.registry.capabilities import disagreements
from scfx.testing import reference_integrals as reference
from scfx.testing.backend_batches import sample_batch
from scfx.testing.backend_core_potentials import check_core_potentials
from scfx.testing.backend_fitting import check_fitting
from scfx.testing.backend_gradients import check_gradients
from scfx.testing.backend_grid import check_grid
from scfx.testing.backend_requests import Make, check_held_bytes, check_requests, check_wanted
from scfx.testing.compare import BUDGET, assert_close, same_bits, symmetric_matrices, weakest

#: Largest error allowed, in atomic units: of one-electron matrices, and of J and K for densities with
#: elements of order one, by the dtype of the stored integrals. A float32 integral of the largest size here (5
#: hartree) is off by up to 3e-7, and some hundred of them of either sign meet in an element of J.
_ONE_ELECTRON_ERROR = 1e-9
_TWO_ELECTRON_ERROR = {"float64": 1e-9, "float32": 2e-4}
_OMEGA = 0.3


def check_backend(
    backend: AbstractIntegralBackend,
    *,
    policies: Sequence[PrecisionPolicy] = (FLOAT64,),
    max_angular_momentum: int = 2,
    cartesian: bool = True,
    spherical: bool = True,
    keeps_integrals: bool = True,
    capabilities: Capabilities | None = None,
    seed: int = 0,
) -> None:
    """Raise `AssertionError`, saying what is wrong and how to mend it, unless `backend` keeps the contract.

    Checked against slow integrals that share no code with any backend (`scfx.testing.reference_integrals`),
    on water-like molecules whose shells reach `max_angular_momentum` (1, 2 or 3), Cartesian and spherical
    mixed unless one of `cartesian` and `spherical` is False: one-electron matrices; J and K for random
    symmetric matrices, under each of `policies`, in both shapes of `density`, together and each alone, by method
    and by request; symmetry, shapes and dtypes; inputs left as they were; an entry's bits the same alone, in a
    batch and at another place in it; bytes held; `close`; a budget of one byte refused with `ResourceError`
    (`keeps_integrals=False` for a backend that holds nothing, or that computes anew what does not fit).

    What the backend says it may do, by the classes it inherits from, is checked as well: active lanes, the attenuated
    operator, core potentials, derivatives by the nuclei, the grid contractions and their derivatives, density fitting,
    overlaps between two basis sets. `capabilities`, the record of its offer, must agree with those classes, and says
    which families of functionals it does.
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
    _check_capabilities(backend, label, capabilities, policies)
    kind = (max_angular_momentum, cartesian, spherical)
    batch = sample_batch(*kind)
    _check_one_electron(backend, label, batch)
    density = symmetric_matrices(seed, (len(batch), 2, batch.nao, batch.nao))
    for policy in policies:
        where = f"{label}.two_electron under policy {policy.name!r}"
        make = partial(_operator, backend, policy, 0.0)
        _check_operator(make, where, batch, _tensor(*kind, 0.0), density, policy, keeps_integrals)
        _check_budget(backend, label, batch, policy, keeps_integrals)
        if isinstance(backend, AbstractAttenuatedBackend):
            where = f"{label}.attenuated_two_electron under policy {policy.name!r}"
            make = partial(_operator, backend, policy, _OMEGA)
            _check_operator(make, where, batch, _tensor(*kind, _OMEGA), density, policy, keeps_integrals)
        expected = partial(_coulomb_exchange_of, kind, density)
        tolerance = _TWO_ELECTRON_ERROR[weakest(policy)]
        check_requests(backend, label, batch, policy, density, expected, _OMEGA, tolerance)
    if isinstance(backend, AbstractCorePotentialBackend):
        check_core_potentials(backend, label, kind, seed)
    if isinstance(backend, AbstractGradientBackend):
        check_gradients(backend, label, kind, policies, _OMEGA, seed)
    if isinstance(backend, AbstractGridBackend):
        families = None if capabilities is None else capabilities.families
        check_grid(backend, label, batch, policies, families or ("lda", "gga", "mgga"), seed)
    if isinstance(backend, AbstractFittingBackend):
        check_fitting(backend, label, (min(max_angular_momentum, 2), cartesian, spherical), _OMEGA, seed)
    if isinstance(backend, AbstractCrossOverlapBackend):
        _check_cross_overlap(backend, label, batch, sample_batch(1, cartesian, spherical, reverse=True))


def _check_capabilities(
    backend: AbstractIntegralBackend,
    label: str,
    capabilities: Capabilities | None,
    policies: Sequence[PrecisionPolicy],
) -> None:
    if capabilities is None:
        return
    wrong = disagreements(capabilities, type(backend))
    assert not wrong, (
        f"{label}: {'; '.join(wrong)}. What is inherited from is what the driver asks: mend the offer"
    )
    for policy in policies:
        assert capabilities.dtypes is None or policy.integrals in capabilities.dtypes, (
            f"{label}: policy {policy.name!r} stores {policy.integrals}, the offer says {capabilities.dtypes}"
        )


def _operator(
    backend: AbstractIntegralBackend, policy: PrecisionPolicy, omega: float, batch: Batch
) -> AbstractTwoElectron:
    if omega:
        assert isinstance(backend, AbstractAttenuatedBackend)
        return backend.attenuated_two_electron(batch, omega, policy, BUDGET)
    return backend.two_electron(batch, policy, BUDGET)


def _check_operator(
    make: Make,
    where: str,
    batch: Batch,
    tensor: np.ndarray,
    density: np.ndarray,
    policy: PrecisionPolicy,
    keeps_integrals: bool,
) -> None:
    _check_values(make, where, batch, tensor, density, policy)
    _check_independence(make, where, batch, density)
    _check_lanes(make, where, batch, density)
    check_wanted(make, where, batch, density)
    _check_close(make, where, batch, density)
    check_held_bytes(make, where, batch, density, keeps_integrals)


@cache
def _tensor(max_angular_momentum: int, cartesian: bool, spherical: bool, omega: float) -> np.ndarray:
    tensor = reference.repulsion(sample_batch(max_angular_momentum, cartesian, spherical), omega)
    tensor.setflags(write=False)
    return tensor


def _coulomb_exchange_of(
    kind: tuple[int, bool, bool], density: np.ndarray, request: TwoElectronRequest
) -> tuple[np.ndarray, np.ndarray]:
    tensor = _tensor(*kind, 0.0 if request.operator == "erfc" else request.omega)
    if request.operator == "erfc":
        tensor = tensor - _tensor(*kind, request.omega)
    return _contracted(tensor, density)


def _contracted(tensor: np.ndarray, density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.einsum("bijkl,bskl->bsij", tensor, density), np.einsum("bijkl,bsjl->bsik", tensor, density)


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
        assert_close(value, getattr(expected, matrix), _ONE_ELECTRON_ERROR, what, hint)
        alone = np.asarray(getattr(backend.one_electron(batch.take([1])), matrix))
        assert (alone[0] == value[1]).all(), f"{what} of an entry depends on the batch it is in"
    origins = batch.positions[:, 0] + 0.3
    found_by_name = backend.one_electron_matrices(batch, ("second_moment", "dipole", "kinetic"), origins)
    right = {
        "second_moment": reference.second_moment(batch, origins),
        "dipole": expected.dipole - origins[:, :, None, None] * expected.overlap[:, None],
        "kinetic": expected.kinetic,
    }
    assert list(found_by_name) == list(right), (
        f"{label}.one_electron_matrices returns {list(found_by_name)}, asked for {list(right)}"
    )
    for matrix, value in right.items():
        what = f"{label}.one_electron_matrices: {matrix}"
        assert_close(found_by_name[matrix], value, _ONE_ELECTRON_ERROR, what, "Moments are about `origins`")


def _check_values(
    make: Make, where: str, batch: Batch, tensor: np.ndarray, density: np.ndarray, policy: PrecisionPolicy
) -> None:
    coulomb, exchange = _contracted(tensor, density)
    tolerance = _TWO_ELECTRON_ERROR[weakest(policy)]
    kept = density.copy()
    with make(batch) as operator:
        assert isinstance(operator, AbstractTwoElectron), (
            f"{where} returns {operator!r}, expected an scfx.AbstractTwoElectron (scfx.DenseTwoElectron is one)"
        )
        for spins in (slice(None), 0):
            j, k = operator.coulomb_exchange(density[:, spins])
            assert_close(j, coulomb[:, spins], tolerance, f"{where}: J", "J_ij = sum (ij|kl) D_kl")
            assert_close(k, exchange[:, spins], tolerance, f"{where}: K", "K_ik = sum (ij|kl) D_jl")
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
            assert same_bits(one, two), f"{where}: {letter} changes from call to call for one density"
    assert (density == kept).all(), f"{where}: coulomb_exchange changed the density it was given"


def _check_independence(make: Make, where: str, batch: Batch, density: np.ndarray) -> None:
    with make(batch) as operator:
        together = operator.coulomb_exchange(density)
    for entries in ([1], list(range(len(batch)))[::-1]):
        with make(batch.take(entries)) as operator:
            found = operator.coulomb_exchange(density[entries])
        for one, other, letter in zip(together, found, "JK", strict=True):
            assert same_bits(np.asarray(one)[entries], other), (
                f"{where}: {letter} of an entry differs in bits with the entries beside it, or their order. Run every "
                "kernel at one width (pad short batches) and sum in an order fixed by the entry alone"
            )


def _check_lanes(make: Make, where: str, batch: Batch, density: np.ndarray) -> None:
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
            assert same_bits(np.asarray(one)[lanes], two), (
                f"{where}: {letter} of a lane differs in bits when other lanes are left out"
            )
        coulomb, exchange = operator.coulomb_exchange_lanes(density, lanes, False)
        assert exchange is None, f"{where}: coulomb_exchange_lanes with exchange=False must return None for K"
        assert same_bits(coulomb, some[0]), f"{where}: J differs in bits when K is not asked for"


def _check_close(make: Make, where: str, batch: Batch, density: np.ndarray) -> None:
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
    fits = backend.max_batch(batch.layout, policy, BUDGET)
    assert fits is None or (isinstance(fits, int) and fits >= 1), (
        f"{label}.max_batch returns {fits!r} for {BUDGET} bytes and {batch.nao} AOs; "
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
    assert_close(
        backend.cross_overlap(bra, ket),
        reference.cross_overlap(bra, ket),
        _ONE_ELECTRON_ERROR,
        f"{label}.cross_overlap",
        "The two batches order the atoms of one system differently (Batch.atom_order); rows and columns follow each",
    )
