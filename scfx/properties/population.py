"""Atomic charges and bond orders from a density matrix and the overlap, at the end of a calculation.

`density` is [spin, nao, nao] (one spin: the total density), `owner` [nao] the atom that carries each AO, `charges`
[natm] the nuclear charges (less what a core potential replaces), in elementary charges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64, Int32


def mulliken_charges(
    density: Float64[np.ndarray, "spin nao nao"],
    overlap: Float64[np.ndarray, "nao nao"],
    owner: Int32[np.ndarray, "nao"],
    charges: Float64[np.ndarray, "natm"],
) -> Float64[np.ndarray, "natm"]:
    """Nuclear charge less the gross population Σ_μ (PS)_μμ of the atom; Mulliken, J. Chem. Phys. 23, 1833 (1955)."""
    gross = np.einsum("sij,ji->i", density, overlap)
    return charges - np.bincount(owner, weights=gross, minlength=len(charges))


def loewdin_charges(
    density: Float64[np.ndarray, "spin nao nao"],
    overlap: Float64[np.ndarray, "nao nao"],
    owner: Int32[np.ndarray, "nao"],
    charges: Float64[np.ndarray, "natm"],
) -> Float64[np.ndarray, "natm"]:
    """The same with populations (S^½ P S^½)_μμ; Szabo and Ostlund eq. 3.198.

    They change when a molecule with Cartesian d or f functions is turned: those are not orthonormal on their atom.
    """
    values, vectors = np.linalg.eigh(overlap)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    gross = np.einsum("ij,sjk,ki->i", root, density, root, optimize=True)
    return charges - np.bincount(owner, weights=gross, minlength=len(charges))


def bond_orders(
    density: Float64[np.ndarray, "spin nao nao"],
    overlap: Float64[np.ndarray, "nao nao"],
    owner: Int32[np.ndarray, "nao"],
    n_atoms: int,
) -> Float64[np.ndarray, "natm natm"]:
    """Mayer's bond orders between atoms, zero on the diagonal; Chem. Phys. Lett. 97, 270 (1983), eq. 6.

    2 Σ_s Σ_{μ on A, ν on B} (P_s S)_μν (P_s S)_νμ over both spins.
    """
    spins = density if len(density) == 2 else np.stack([0.5 * density[0]] * 2)
    out = np.zeros((n_atoms, n_atoms))
    for each in spins:
        product = each @ overlap
        pairs = product * product.T
        by_row = np.zeros((n_atoms, len(owner)))
        np.add.at(by_row, owner, pairs)
        np.add.at(out.T, owner, 2.0 * by_row.T)
    np.fill_diagonal(out, 0.0)
    return out
