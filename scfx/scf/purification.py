"""Purification: density matrices made idempotent by products of matrices, in the place of orbitals.

Where all lanes are worked on at once (`scfx.execution.lanes`), an iteration wants the density, not the orbitals.
Products of small matrices are what an accelerator does for all lanes in one launch; diagonalisation is not. And a
density of another geometry is purified before a calculation begins with it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float64, Int

#: Squarings at most: enough for a gap of 1e-8 of the spectrum's width. Some thirty are usual.
_MOST = 100
#: tr(X - X²) that ends the iteration; the last step squares it.
_IDEMPOTENT = 1e-10


def lowest_projector(
    fock: Float64[Array, "spin n n"], n_occupied: Int[Array, "spin"], n_orbitals: Any
) -> tuple[Float64[Array, "spin n n"], Bool[Array, ""]]:
    """Return the projector on the lowest `n_occupied` orbitals of each spin, and whether it was found.

    Second-order spectral projection (SP2: Niklasson, Phys. Rev. B 66, 155115 (2002)): X is squared, or 2X - X² taken,
    whichever brings its trace nearer to the number of electrons. It is not found where highest occupied and lowest
    empty orbital are degenerate to 1e-8 of the spectrum's width. Rows from `n_orbitals` on are padding.
    """
    found, converged = jax.vmap(_of_one_spin, in_axes=(0, 0, None))(fock, n_occupied, n_orbitals)
    return found, jnp.all(converged)


def _of_one_spin(fock: Any, n_occupied: Any, n_orbitals: Any) -> tuple[Any, Any]:
    n = fock.shape[-1]
    inside = jnp.arange(n, dtype=jnp.int32) < n_orbitals
    unit = jnp.diag(inside.astype(fock.dtype))
    diagonal = jnp.diagonal(fock)
    # Gershgorin's circles
    radius = jnp.sum(jnp.abs(fock), axis=-1) - jnp.abs(diagonal)
    low = jnp.min(jnp.where(inside, diagonal - radius, jnp.inf))
    high = jnp.max(jnp.where(inside, diagonal + radius, -jnp.inf))
    start = (high * unit - fock) / jnp.maximum(high - low, 1e-3)
    start = jnp.where(n_occupied == 0, 0.0, jnp.where(n_occupied == n_orbitals, unit, start))
    wanted = n_occupied.astype(fock.dtype)

    def go_on(carry: tuple[Any, Any, Any]) -> Any:
        x, square, step = carry
        return (step < _MOST) & (jnp.trace(x) - jnp.trace(square) > _IDEMPOTENT)

    def better(carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        x, square, step = carry
        of_x, of_square = jnp.trace(x), jnp.trace(square)
        down = jnp.abs(of_square - wanted) < jnp.abs(2.0 * of_x - of_square - wanted)
        x = jnp.where(down, square, 2.0 * x - square)
        return x, x @ x, step + 1

    x, square, _ = jax.lax.while_loop(go_on, better, (start, start @ start, jnp.int32(0)))
    # McWeeny's step: what is left of x (1 - x) is squared.
    found = 3.0 * square - 2.0 * x @ square
    found = 0.5 * (found + found.T)
    close = (jnp.trace(x) - jnp.trace(square) <= _IDEMPOTENT) & (jnp.abs(jnp.trace(found) - wanted) < 1e-6)
    return found, close


def purified(
    density: Float64[np.ndarray, "nao nao"], overlap: Float64[np.ndarray, "nao nao"]
) -> Float64[np.ndarray, "nao nao"]:
    """Return the idempotent density near one whose eigenvalues are near 0 and 1: McWeeny, Rev. Mod. Phys. 32, 335
    (1960). One too far from that comes back as it is not idempotent.
    """
    for _ in range(20):
        square = density @ overlap @ density
        new = 3.0 * square - 2.0 * square @ overlap @ density
        change = np.abs(new - density).max()
        density = new
        # Eigenvalues outside (-0.37, 1.37) run away, and soon overflow.
        if change < 1e-12 or change > 1e3:
            break
    return density
