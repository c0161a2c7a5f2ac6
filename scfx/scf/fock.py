"""Fock matrix and energy from their parts, for restricted (one total density) and open-shell (two) runs."""

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
    """Return F_s = h + J[D] - k K[D_s] + V_s and E = tr Dh + ½ tr DJ - ½ k Σ_s tr D_s K_s + E_xc + E_nuc, in float64.

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


def roothaan(
    fock: Float64[Array, "spin n n"], density: Float64[Array, "spin n n"]
) -> Float64[Array, "spin n n"]:
    """Return Roothaan's effective Fock matrix of restricted open shells, twice: for both spins, whose orbitals are the
    same.

    In an orthonormal basis. Between doubly and singly occupied orbitals it is F_β, between singly occupied and empty
    ones F_α, elsewhere their mean (Roothaan, Rev. Mod. Phys. 32, 179 (1960), with the diagonal blocks of Guest and
    Saunders, Mol. Phys. 28, 819 (1974), which PySCF takes too). Its commutators with both densities vanish where the
    energy is stationary.
    """
    closed, single, empty = density[1], density[0] - density[1], jnp.eye(fock.shape[-1]) - density[0]
    mean = 0.5 * (fock[0] + fock[1])
    half = 0.5 * (closed @ mean @ closed + single @ mean @ single + empty @ mean @ empty)
    half += single @ fock[1] @ closed + single @ fock[0] @ empty + empty @ mean @ closed
    return jnp.broadcast_to(half + half.T, fock.shape)


def symmetrised(matrix: Any) -> Any:
    """Return ½ (M + Mᵀ) over the last two axes."""
    return 0.5 * (matrix + jnp.swapaxes(matrix, -1, -2))
