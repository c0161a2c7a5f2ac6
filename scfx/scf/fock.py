"""Fock matrix and energy from their parts, for restricted (one total density) and unrestricted (two) runs."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float64


def fock_and_energy(
    core: Float64[Array, "n n"],
    density: Float64[Array, "spin n n"],
    coulomb: Float64[Array, "spin n n"],
    exchange: Float64[Array, "spin n n"],
    potential: Float64[Array, "spin n n"],
    xc_energy: Float64[Array, ""],
    nuclear_repulsion: Float64[Array, ""],
) -> tuple[Float64[Array, "spin n n"], Float64[Array, ""]]:
    """F_s = h + J[D] - k K[D_s] + V_s and E = tr Dh + ½ tr DJ - ½ k Σ_s tr D_s K_s + E_xc + E_nuc, in float64.

    `exchange` is already weighted by the functional's fractions. With one spin, D is the total density and k = ½
    (Szabo and Ostlund eqs. 3.154, 3.184); with two, k = 1 (eqs. 3.348-9).
    """
    k = 0.5 if density.shape[0] == 1 else 1.0
    total_coulomb = jnp.sum(coulomb, axis=0)
    total_density = jnp.sum(density, axis=0)
    fock = core[None] + total_coulomb[None] - k * exchange + potential
    energy = (
        jnp.sum(total_density * core)
        + 0.5 * jnp.sum(total_density * total_coulomb)
        - 0.5 * k * jnp.sum(density * exchange)
        + xc_energy
        + nuclear_repulsion
    )
    return fock, energy


def symmetrised(matrix: Any) -> Any:
    """½ (M + Mᵀ) over the last two axes."""
    return 0.5 * (matrix + jnp.swapaxes(matrix, -1, -2))
