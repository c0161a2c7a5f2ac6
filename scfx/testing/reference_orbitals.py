"""Atomic orbitals at points, their gradients, and the density components made of them: plain numpy, for checks.

Shares nothing with `scfx.energy.orbitals` or a backend but the AO layout of `scfx.model.batch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.model.basis import angular_factor, cartesian_powers

if TYPE_CHECKING:
    from scfx.model.batch import Batch

#: Components at a point by family: rho; its gradient; tau.
COMPONENTS = {"lda": 1, "gga": 4, "mgga": 5}


def orbitals(
    batch: Batch, entry: int, points: Float64[np.ndarray, "npoint 3"]
) -> Float64[np.ndarray, "4 nao npoint"]:
    """Return values (bohr^(-3/2)) and ∂/∂x, ∂/∂y, ∂/∂z of all AOs of one entry at the points (bohr)."""
    layout = batch.layout
    rows = []
    for shell, l in enumerate(layout.angular_momentum):
        primitives = slice(layout.primitive_offset[shell], layout.primitive_offset[shell + 1])
        a = batch.exponents[entry, primitives][:, None]
        c = batch.coefficients[entry, primitives][:, None] * angular_factor(l)
        away = points.T - batch.positions[entry, layout.atom[shell]][:, None]
        gaussians = c * np.exp(-a * np.sum(away**2, axis=0))
        radial, slope = gaussians.sum(axis=0), (-2.0 * a * gaussians).sum(axis=0)
        for powers in cartesian_powers(l):
            factors = [away[x] ** n for x, n in enumerate(powers)]
            value = [factors[0] * factors[1] * factors[2] * radial]
            for x, n in enumerate(powers):
                others = factors[(x + 1) % 3] * factors[(x + 2) % 3]
                lowered = n * away[x] ** (n - 1) if n else 0.0
                value.append(others * (lowered * radial + factors[x] * away[x] * slope))
            rows.append(value)
    return np.einsum("ca,cdp->dap", layout.cart_to_ao, np.array(rows))


def density_components(
    values: Float64[np.ndarray, "4 nao npoint"], density: Float64[np.ndarray, "nspin nao nao"], family: str
) -> Float64[np.ndarray, "nspin component npoint"]:
    """Return rho = Σ D_ij φ_i φ_j, its gradient, and tau = ½ Σ D_ij ∇φ_i·∇φ_j, as far as the family goes."""
    half = np.einsum("sij,djp->sdip", density, values)
    rho = np.einsum("ip,sip->sp", values[0], half[:, 0])
    gradient = 2.0 * np.einsum("dip,sip->sdp", values[1:], half[:, 0])
    tau = 0.5 * np.einsum("dip,sdip->sp", values[1:], half[:, 1:])
    return np.concatenate([rho[:, None], gradient, tau[:, None]], axis=1)[:, : COMPONENTS[family]]


def potential(
    values: Float64[np.ndarray, "4 nao npoint"], derivative: Float64[np.ndarray, "nspin component npoint"]
) -> Float64[np.ndarray, "nspin nao nao"]:
    """Return V_ij = Σ_g Σ_c derivative_cg ∂(component c)/∂D_ij."""
    out = np.einsum("sp,ip,jp->sij", derivative[:, 0], values[0], values[0])
    if derivative.shape[1] > 1:
        mixed = np.einsum("sdp,dip,jp->sij", derivative[:, 1:4], values[1:], values[0])
        out += mixed + np.swapaxes(mixed, 1, 2)
    if derivative.shape[1] > 4:
        out += 0.5 * np.einsum("sp,dip,djp->sij", derivative[:, 4], values[1:], values[1:])
    return out
