"""VV10 non-local correlation on the points of a grid: the energy, and its derivatives by density and gradient.

    E = ∫ ρ(r) [β + ½ ∫ ρ(r') Φ(r, r') dr'] dr,   Φ = -3/(2 g g' (g + g')),   g = ω0 R² + κ

Vydrov, Van Voorhis, J. Chem. Phys. 133, 244103 (2010), eq. 4 to 19. A double sum over the points.
"""

from __future__ import annotations

from functools import partial
from math import pi
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64

from scfx.execution.lanes import COMPILER_OPTIONS

#: Points of lower density (bohr⁻³) are left out, as in other programs: their pairs are most of the work.
DENSITY_THRESHOLD = 1e-8
#: Points of the outer and of the inner sum that are worked on at once: 40 arrays of 64 KB stay in cache.
_OUTER, _INNER = 256, 32


@partial(jax.jit, compiler_options=COMPILER_OPTIONS)
def _pair_sums(points: Float64[Array, "6 npad"], count: Any) -> Float64[Array, "3 npad"]:
    """Σ_j T, Σ_j T (1/g + 1/(g+g')) and the same times R², with T = w_j ρ_j/(g g' (g+g')), at each of the points.

    `points` holds x, y, z, ω0, κ and wρ, padded with wρ = 0; only `count` points (rounded up to a block) are visited.
    """

    def outer(o: Any, out: Any) -> Any:
        own = jax.lax.dynamic_slice_in_dim(points, o * _OUTER, _OUTER, axis=1)
        x, y, z, omega, kappa, _ = own[:, None, :]

        def inner(i: Any, sums: Any) -> Any:
            other = jax.lax.dynamic_slice_in_dim(points, i * _INNER, _INNER, axis=1)[:, :, None]
            r2 = (other[0] - x) ** 2 + (other[1] - y) ** 2 + (other[2] - z) ** 2
            g, gp = r2 * omega + kappa, r2 * other[3] + other[4]
            gt = g + gp
            inverse = 1.0 / (g * gp * gt)  # the one division: 1/g + 1/(g+g') = inverse g' (g+g' + g)
            t = other[5] * inverse
            u = t * inverse * gp * (gt + g)
            f, uu, w = sums
            return f + jnp.sum(t, axis=0), uu + jnp.sum(u, axis=0), w + jnp.sum(u * r2, axis=0)

        zero = jnp.zeros(_OUTER)
        blocks = -(-count // _OUTER) * (_OUTER // _INNER)
        sums = jnp.stack(jax.lax.fori_loop(0, blocks, inner, (zero, zero, zero)))
        return jax.lax.dynamic_update_slice_in_dim(out, sums, o * _OUTER, axis=1)

    return jax.lax.fori_loop(0, -(-count // _OUTER), outer, jnp.zeros((3, points.shape[1])))


def vv10(
    components: Float64[np.ndarray, "4 point"],
    positions: Float64[np.ndarray, "point 3"],
    weights: Float64[np.ndarray, "point"],
    parameters: tuple[float, float],
) -> tuple[float, Float64[np.ndarray, "4 point"]]:
    """Return the energy (hartree) and its derivatives by rho and ∂rho, times the weights, on one grid.

    `parameters`: (b, C). Call inside `jax.enable_x64(True)`.
    """
    b, c = parameters
    derivative = np.zeros_like(components)
    chosen = np.flatnonzero(components[0] >= DENSITY_THRESHOLD)
    if not len(chosen):
        return 0.0, derivative
    rho, gradient, weight = components[0, chosen], components[1:, chosen], weights[chosen]
    sigma = np.sum(gradient**2, axis=0)
    omega = np.sqrt(c * (sigma / rho**2) ** 2 + 4.0 * pi / 3.0 * rho)
    kappa = b * 1.5 * pi * (rho / (9.0 * pi)) ** (1.0 / 6.0)
    # Padded to a length that is a function of the grid alone, so that one row compiles one shape.
    padded = np.ones((6, -(-len(weights) // 4096) * 4096))
    padded[5] = 0.0
    padded[:, : len(chosen)] = [*positions[chosen].T, omega, kappa, weight * rho]
    f, u, w = np.asarray(_pair_sums(padded, len(chosen)))[:, : len(chosen)]
    beta = (3.0 / b**2) ** 0.75 / 32.0
    kernel = -1.5 * f
    energy = float(np.sum(weight * rho * (beta + 0.5 * kernel)))
    omega_by_rho = (4.0 * pi / 3.0 - 4.0 * c * sigma**2 / rho**5) / (2.0 * omega)
    omega_by_sigma = c * sigma / (rho**4 * omega)
    by_rho = beta + kernel + 1.5 * (u * kappa / 6.0 + w * rho * omega_by_rho)
    by_sigma = 1.5 * w * rho * omega_by_sigma
    derivative[0, chosen] = weight * by_rho
    derivative[1:, chosen] = 2.0 * weight * by_sigma * gradient
    return energy, derivative
