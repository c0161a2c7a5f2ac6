"""The double sums of VV10 over points, in JAX: for every backend that has no kernel for them."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64

from scfx.execution.lanes import COMPILER_OPTIONS

#: Points of the outer and of the inner sum that are worked on at once: 40 arrays of 64 KB stay in cache.
_OUTER, _INNER = 256, 32


class PortablePairs:
    """`AbstractNonlocalBackend`'s sums without a backend, for points of a grid of `npoint`."""

    def __init__(self, npoint: int):
        # Padded to a length that is a function of the grid alone, so that one row compiles one shape.
        self._padded = -(-npoint // 4096) * 4096

    def nonlocal_pair_sums(self, points: Float64[np.ndarray, "6 n"]) -> Float64[np.ndarray, "3 n"]:
        """Return the sums of `AbstractNonlocalBackend.nonlocal_pair_sums`."""
        return self._summed(_pair_sums, points)

    def nonlocal_pair_derivatives(self, points: Float64[np.ndarray, "6 n"]) -> Float64[np.ndarray, "4 n"]:
        """Return the sums of `AbstractNonlocalBackend.nonlocal_pair_derivatives`."""
        return self._summed(_pair_derivatives, points)

    def _summed(self, kernel: Any, points: np.ndarray) -> np.ndarray:
        count = points.shape[1]
        padded = np.ones((6, self._padded))
        padded[5] = 0.0
        padded[:, :count] = points
        return np.asarray(kernel(padded, count))[:, :count]


@partial(jax.jit, compiler_options=COMPILER_OPTIONS)
def _pair_sums(points: Float64[Array, "6 npad"], count: Any) -> Float64[Array, "3 npad"]:
    """Return Σ_j T, Σ_j T (1/g + 1/(g+g')) and the same times R², with T = W_j/(g g' (g+g')), at each of the points.

    `points` are padded with W = 0; only `count` of them (rounded up to a block) are visited.
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


@partial(jax.jit, compiler_options=COMPILER_OPTIONS)
def _pair_derivatives(points: Float64[Array, "6 npad"], count: Any) -> Float64[Array, "4 npad"]:
    """Return Σ_j W_j/N and Σ_j (W_j/N) [ω_i/g + ω_j/g' + (ω_i + ω_j)/(g + g')] (r_i - r_j) with N = g g' (g + g').

    `points` are padded with W = 0; only `count` of them (rounded up to a block) are visited.
    """

    def outer(o: Any, out: Any) -> Any:
        own = jax.lax.dynamic_slice_in_dim(points, o * _OUTER, _OUTER, axis=1)
        omega, kappa = own[3][None, :], own[4][None, :]

        def inner(i: Any, sums: Any) -> Any:
            other = jax.lax.dynamic_slice_in_dim(points, i * _INNER, _INNER, axis=1)[:, :, None]
            apart = [own[x][None, :] - other[x] for x in range(3)]
            r2 = apart[0] ** 2 + apart[1] ** 2 + apart[2] ** 2
            g, gp = r2 * omega + kappa, r2 * other[3] + other[4]
            gt = g + gp
            inverse = 1.0 / (g * gp * gt)
            t = other[5] * inverse
            slope = t * inverse * ((omega * gp + other[3] * g) * gt + (omega + other[3]) * (g * gp))
            found = (t, *(slope * along for along in apart))
            return tuple(s + jnp.sum(f, axis=0) for s, f in zip(sums, found, strict=True))

        zero = jnp.zeros(_OUTER)
        blocks = -(-count // _OUTER) * (_OUTER // _INNER)
        sums = jnp.stack(jax.lax.fori_loop(0, blocks, inner, (zero,) * 4))
        return jax.lax.dynamic_update_slice_in_dim(out, sums, o * _OUTER, axis=1)

    return jax.lax.fori_loop(0, -(-count // _OUTER), outer, jnp.zeros((4, points.shape[1])))
