"""What `check_backend` asks of a backend that differentiates its integrals by the positions of the nuclei."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.contracts.backend import AbstractAttenuatedBackend
from scfx.contracts.derivatives import AbstractGradientBackend, TwoElectronEnergy
from scfx.testing import reference_integrals as reference
from scfx.testing.backend_batches import small_batch
from scfx.testing.compare import (
    along,
    assert_close,
    directions,
    displaced,
    same_bits,
    symmetric_matrices,
    weakest,
)

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.model.batch import Batch

#: Largest error allowed, as a fraction of the derivative's size (at least one hartree/bohr): what five-point
#: differences give, and what rounding of float32 integrals, for densities with elements of order one.
_ERROR = {"float64": 1e-7, "float32": 2e-5}
_DIRECTIONS = 7
_HINT = (
    "A derivative moves the functions and, in the attraction, the nuclei; the density is fixed, and atoms are those of "
    "the batch in its order (Batch.atom_order)"
)


def check_gradients(
    backend: AbstractGradientBackend,
    label: str,
    kind: tuple[int, bool, bool],
    policies: Sequence[PrecisionPolicy],
    omega: float,
    seed: int,
) -> None:
    """Check derivatives along a direction against differences, translation, independence of company, inputs left alone.

    `kind`: the arguments of `small_batch`.
    """
    batch = small_batch(*kind)
    lanes = np.arange(len(batch), dtype=np.int32)
    density = symmetric_matrices(seed + 1, (len(batch), 2, batch.nao, batch.nao))
    total, weighted = density[:, 0], density[:, 1]
    what = f"{label}.one_electron_gradient"

    def one(entries: Batch, lanes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return backend.one_electron_gradient(entries, lanes, total[rows], weighted[rows])

    found = np.asarray(one(batch, lanes, lanes))
    core, overlap = _one_electron_derivatives(*kind)
    expected = np.einsum("bij,bij->b", total, core) - np.einsum("bij,bij->b", weighted, overlap)
    _compare(found, expected, batch, "float64", what, "It is tr D ∂(T + V) - tr W ∂S. " + _HINT)
    _check_company(one, batch, found, what)
    for policy in policies:
        for energies in _energies(backend, omega):
            for nspin in (1, 2):
                own = density[:, :nspin]
                what = f"{label}.two_electron_gradient of {energies} with nspin {nspin} under {policy.name!r}"

                def two(
                    entries: Batch,
                    lanes: np.ndarray,
                    rows: np.ndarray,
                    own: np.ndarray = own,
                    energies: Sequence[TwoElectronEnergy] = energies,
                    policy: PrecisionPolicy = policy,
                ) -> np.ndarray:
                    return backend.two_electron_gradient(entries, lanes, own[rows], energies, policy)

                found = np.asarray(two(batch, lanes, lanes))
                expected = sum(_expected(own, energy, kind) for energy in energies)
                _compare(found, np.asarray(expected), batch, weakest(policy), what, _HINT)
                _check_company(two, batch, found, what)


def _energies(backend: AbstractGradientBackend, omega: float) -> list[tuple[TwoElectronEnergy, ...]]:
    out = [
        (TwoElectronEnergy(),),
        (TwoElectronEnergy(coulomb=0.0, exchange=1.0),),
        (TwoElectronEnergy(exchange=0.25),),
    ]
    if isinstance(backend, AbstractAttenuatedBackend):
        out += [
            (TwoElectronEnergy(exchange=0.2), TwoElectronEnergy("erf", omega, coulomb=0.0, exchange=0.7)),
            (TwoElectronEnergy("erfc", omega, coulomb=0.6, exchange=0.5),),
        ]
    return out


def _compare(
    found: Float64[np.ndarray, "batch natm 3"],
    expected: Float64[np.ndarray, "batch"],
    batch: Batch,
    dtype: str,
    what: str,
    hint: str,
) -> None:
    assert found.shape == (len(batch), batch.natm, 3), (
        f"{what} has shape {found.shape}, expected {(len(batch), batch.natm, 3)}"
    )
    assert found.dtype == np.float64, f"{what} is {found.dtype}, expected float64"
    size = max(1.0, float(np.abs(found).max()))
    slope = np.einsum("bax,bax->b", found, directions(batch, _DIRECTIONS))
    assert_close(slope, expected, _ERROR[dtype] * size, f"{what}, along a direction,", hint)
    net = np.abs(found.sum(axis=1)).max()
    # Centres alone decide, so moving all of them changes nothing, whatever the integrals are rounded to.
    assert net <= _ERROR[dtype] * size, (
        f"{what} adds up to {net:.2g} hartree/bohr over the atoms, allowed {_ERROR[dtype] * size:.0e}: moving the "
        "whole molecule must not change the energy"
    )


def _check_company(
    of: Callable[[Batch, np.ndarray, np.ndarray], np.ndarray], batch: Batch, found: np.ndarray, what: str
) -> None:
    last = len(batch) - 1
    some = np.array([last], dtype=np.int32)
    assert same_bits(of(batch, some, some), found[some]), (
        f"{what} of an entry differs in bits when other entries are left out"
    )
    alone = of(batch.take([last]), np.zeros(1, dtype=np.int32), np.array([last]))
    assert same_bits(alone, found[[last]]), f"{what} of an entry depends on the batch it is in"


def _expected(
    density: Float64[np.ndarray, "batch nspin nao nao"],
    energy: TwoElectronEnergy,
    kind: tuple[int, bool, bool],
) -> Float64[np.ndarray, "batch"]:
    tensor = _derivatives_of(energy, kind)
    total = density.sum(axis=1)
    weight = 0.5 if density.shape[1] == 1 else 1.0
    out = np.zeros(len(total))
    for entry, (own, spins, dt) in enumerate(zip(total, density, tensor, strict=True)):
        out[entry] = 0.5 * energy.coulomb * np.sum(own * np.einsum("ijkl,kl->ij", dt, own))
        for spin in spins:
            exchange = np.einsum("ijkl,jl->ik", dt, spin)
            out[entry] -= 0.5 * weight * energy.exchange * np.sum(spin * exchange)
    return out


def _derivatives_of(energy: TwoElectronEnergy, kind: tuple[int, bool, bool]) -> np.ndarray:
    if energy.operator == "erfc":
        return _tensor_derivatives(*kind, 0.0) - _tensor_derivatives(*kind, energy.omega)
    return _tensor_derivatives(*kind, energy.omega)


@cache
def _tensor_derivatives(
    max_angular_momentum: int, cartesian: bool, spherical: bool, omega: float
) -> np.ndarray:
    batch = small_batch(max_angular_momentum, cartesian, spherical)
    way = directions(batch, _DIRECTIONS)
    return along(lambda step: reference.repulsion(displaced(batch, step * way), omega))


@cache
def _one_electron_derivatives(
    max_angular_momentum: int, cartesian: bool, spherical: bool
) -> tuple[np.ndarray, np.ndarray]:
    batch = small_batch(max_angular_momentum, cartesian, spherical)
    way = directions(batch, _DIRECTIONS)

    def matrices(step: float) -> np.ndarray:
        one = reference.one_electron(displaced(batch, step * way))
        return np.stack([one.kinetic + one.nuclear, one.overlap])

    core, overlap = along(matrices)
    return core, overlap
