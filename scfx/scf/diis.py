"""Direct inversion of the iterative subspace: Pulay, J. Comput. Chem. 3, 556 (1982), the commutator form (CDIIS)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float64, Int


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
    return DIISState(jnp.zeros(shape), jnp.zeros(shape), jnp.zeros(capacity, jnp.int32))


def pulay_coefficients(
    overlaps: Float64[Array, "history history"], used: Float64[Array, "history"]
) -> Float64[Array, "history"]:
    """Minimise |Σ c_i e_i|² with Σ c_i = 1 over the `used` entries (Pulay 1982, eqs. 5-6).

    The bordered system is scaled by the smallest error, and directions whose eigenvalue is below 1e-14 of it are
    dropped, as near convergence the errors become linearly dependent.
    """
    history = overlaps.shape[0]
    diagonal = jnp.where(used > 0, jnp.diagonal(overlaps), jnp.inf)
    scale = jnp.maximum(jnp.min(diagonal), 1e-30)
    mask = used[:, None] * used[None, :]
    b = jnp.where(mask > 0, overlaps / scale, 0.0)
    bordered = jnp.zeros((history + 1, history + 1), overlaps.dtype)
    bordered = bordered.at[1:, 1:].set(b).at[0, 1:].set(used).at[1:, 0].set(used)
    # Unused rows become decoupled unit rows, whose solution is zero.
    bordered = bordered + jnp.diag(jnp.concatenate([jnp.zeros(1, overlaps.dtype), 1.0 - used]))
    values, vectors = jnp.linalg.eigh(bordered)
    inverse = jnp.where(jnp.abs(values) > 1e-14, 1.0 / jnp.where(values == 0, 1.0, values), 0.0)
    return (vectors * (vectors[0] * inverse)[None, :]).sum(axis=1)[1:]


def extrapolate(
    state: DIISState, fock: Float64[Array, "spin n n"], error: Float64[Array, "spin n n"]
) -> tuple[Float64[Array, "spin n n"], DIISState]:
    """Store (fock, error) and return the extrapolated Fock matrix with the new state. One lane."""
    history = state.fock.shape[0]
    slot = state.count % history
    new = DIISState(
        jax.lax.dynamic_update_index_in_dim(state.fock, fock, slot, 0),
        jax.lax.dynamic_update_index_in_dim(state.error, error, slot, 0),
        state.count + 1,
    )
    used = (jnp.arange(history, dtype=jnp.int32) < new.count).astype(jnp.float64)
    flat = new.error.reshape(history, -1)
    coefficients = pulay_coefficients(flat @ flat.T, used)
    stored = new.fock.reshape(history, -1)
    return (coefficients @ stored).reshape(fock.shape), new
