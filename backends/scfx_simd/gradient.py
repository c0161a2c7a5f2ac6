"""Gradients of the one- and two-electron energy: derivative integrals contracted with the density as they are made."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx_simd.kernels import CGradientOptions, address, check, library, pack
from scfx_simd.two_electron import PRIMITIVE_FRACTION, ROUNDED_FROM_D, integral_thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.derivatives import TwoElectronEnergy
    from scfx.model.batch import Batch


def one_electron_gradient(
    batch: Batch,
    lanes: Int32[np.ndarray, "active"],
    density: Float64[np.ndarray, "active nao nao"],
    energy_weighted_density: Float64[np.ndarray, "active nao nao"],
) -> Float64[np.ndarray, "active natm 3"]:
    """Return Σ D ∂(T + V)/∂R - Σ W ∂S/∂R in hartree/bohr, as `AbstractGradientBackend.one_electron_gradient` asks."""
    active = batch.take([int(lane) for lane in lanes])
    out = np.empty((len(active), batch.natm, 3))
    for packed in pack(active):
        d = np.ascontiguousarray(density[packed.entries], dtype=np.float64)
        w = np.ascontiguousarray(energy_weighted_density[packed.entries], dtype=np.float64)
        part = np.empty((len(packed.entries), batch.natm, 3))
        check(
            library().scfx_simd_one_electron_gradient, packed.pointer, address(d), address(w), address(part)
        )
        out[packed.entries] = part
    return out


def operators(energies: Iterable[TwoElectronEnergy]) -> dict[float, tuple[float, float]]:
    """Return (coulomb, exchange) by omega, 0 being 1/r: one pass over the integrals of each operator.

    erfc(omega r)/r is 1/r less erf(omega r)/r.
    """
    total: dict[float, tuple[float, float]] = {}

    def add(omega: float, coulomb: float, exchange: float) -> None:
        before = total.get(omega, (0.0, 0.0))
        total[omega] = (before[0] + coulomb, before[1] + exchange)

    for energy in energies:
        if energy.operator != "erf":
            add(0.0, energy.coulomb, energy.exchange)
        if energy.operator == "erf":
            add(energy.omega, energy.coulomb, energy.exchange)
        elif energy.operator == "erfc":
            add(energy.omega, -energy.coulomb, -energy.exchange)
    return {omega: parts for omega, parts in sorted(total.items()) if parts != (0.0, 0.0)}


def two_electron_gradient(
    batch: Batch,
    lanes: Int32[np.ndarray, "active"],
    density: Float64[np.ndarray, "active nspin nao nao"],
    energies: Sequence[TwoElectronEnergy],
    policy: PrecisionPolicy,
    thresholds: tuple[float, float],
    threads: int,
) -> Float64[np.ndarray, "active natm 3"]:
    """Return the derivative of the sum of `energies`, hartree/bohr, as `AbstractGradientBackend.two_electron_gradient`
    asks.

    Quartets of shells are sorted by their Schwarz bound times the largest element of their two-particle density, in
    hartree: below the threshold of the policy's integrals they are left out, above the bound to which the policy lets
    integrals be float32 they are computed in float64.
    """
    single_from, double_from = integral_thresholds(policy, thresholds)
    double_from = max(single_from, min(double_from, ROUNDED_FROM_D))
    active = batch.take([int(lane) for lane in lanes])
    out = np.zeros((len(active), batch.natm, 3))
    parts = operators(energies)
    for packed in pack(active):
        d = np.ascontiguousarray(density[packed.entries], dtype=np.float64)
        part = np.empty((len(packed.entries), batch.natm, 3))
        for omega, (coulomb, exchange) in parts.items():
            options = CGradientOptions(
                single_from=single_from,
                double_from=double_from,
                primitive_fraction=PRIMITIVE_FRACTION,
                inverse_omega_squared=0.0 if omega == 0.0 else omega**-2,
                coulomb=coulomb,
                exchange=exchange,
            )
            check(
                library().scfx_simd_two_electron_gradient,
                packed.pointer, ctypes.byref(options), threads, address(d), d.shape[1], address(part),
            )  # fmt: skip
            out[packed.entries] += part
    return out
