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
