"""Direct inversion of the iterative subspace: Pulay, J. Comput. Chem. 3, 556 (1982), the commutator form (CDIIS)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int

from scfx.execution.device import to_device


class DIISState(NamedTuple):
    """Ring buffers of Fock matrices and errors in the orthonormal basis; `count` entries were ever stored.

    Always float64: near convergence the combination cancels, and float32 history would set the residual's floor.
    """

    fock: Float64[Array, "*lane history spin n n"]
    error: Float64[Array, "*lane history spin n n"]
    count: Int[Array, "*lane"]


def empty_diis(capacity: int, history: int, nspin: int, n: int) -> DIISState:
    """Empty states for `capacity` lanes."""
    shape = (capacity, history, nspin, n, n)
    return DIISState(
        to_device(np.zeros(shape)), to_device(np.zeros(shape)), to_device(np.zeros(capacity, dtype=np.int32))
    )


def pulay_coefficients(
    overlaps: Float64[Array, "history history"], used: Float64[Array, "history"]
) -> Float64[Array, "history"]:
    """Minimise |Σ c_i e_i|² with Σ c_i = 1 over the `used` entries (Pulay 1982, eqs. 5-6): c ∝ B⁻¹ 1.

    Solved for the errors divided by their lengths: these span many orders of magnitude, and B itself would lose the
    small ones to rounding. Eigenvalues are kept above 1e-14: near convergence, or in few dimensions, the errors are
    linearly dependent, and of the combinations that cancel them the shortest is taken.
    """
    length = jnp.sqrt(jnp.maximum(jnp.diagonal(overlaps), 1e-30))  # shorter errors are rounding
    share = used * jnp.min(jnp.where(used > 0, length, jnp.inf)) / length
    cosines = overlaps / (length[:, None] * length[None, :])
    # Unused rows become decoupled unit rows, whose solution is zero.
    cosines = jnp.where(used[:, None] * used[None, :] > 0, cosines, 0.0)
    cosines = jnp.where(jnp.eye(len(used), dtype=bool), 1.0, cosines)
    values, vectors = jnp.linalg.eigh(cosines)
    weights = share * (vectors @ ((share @ vectors) / jnp.maximum(values, 1e-14)))
    return weights / jnp.sum(weights)


def remember(
    state: DIISState, lane: Any, fock: Float64[Array, "spin n n"], error: Float64[Array, "spin n n"]
) -> DIISState:
    """Put one lane's (fock, error) into the oldest slot. Touches that slot alone: histories are not copied about."""
    count = state.count[lane]
    slot = count % state.fock.shape[1]
    zero = jnp.zeros((), slot.dtype)
    start = (lane.astype(slot.dtype), slot, zero, zero, zero)
    return DIISState(
        jax.lax.dynamic_update_slice(state.fock, fock[None, None], start),
        jax.lax.dynamic_update_slice(state.error, error[None, None], start),
        state.count.at[lane].set(count + 1),
    )


def combined(state: DIISState, lane: Any) -> Float64[Array, "spin n n"]:
    """Return the Fock matrix that DIIS makes of one lane's history."""
    history = state.fock.shape[1]
    used = (jnp.arange(history, dtype=jnp.int32) < state.count[lane]).astype(jnp.float64)
    flat = state.error[lane].reshape(history, -1)
    coefficients = pulay_coefficients(flat @ flat.T, used)
    return (coefficients @ state.fock[lane].reshape(history, -1)).reshape(state.fock.shape[2:])
