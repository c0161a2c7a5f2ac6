"""Mayer's bond orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column

if TYPE_CHECKING:
    from jaxtyping import Float64, Int32

    from scfx.properties.entry import ConvergedEntry


class BondOrders(AbstractProperty):
    """Between atoms, zero on the diagonal; I. Mayer, Chem. Phys. Lett. 97, 270 (1983), eq. 6.

    2 Σ_s Σ_{μ on A, ν on B} (P_s S)_μν (P_s S)_νμ over both spins.
    """

    name = "bond_orders"
    axes = ("atom", "atom")
    summary = "Mayer bond order of each pair of atoms"
    column = Column("bond_orders", description=summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "natm natm"]:
        """Return Mayer's bond orders [natm, natm] of one entry, zero on the diagonal."""
        lane, own = entry.lane, entry.own_atoms
        spins = lane.density if len(lane.density) == 2 else np.stack([0.5 * lane.density[0]] * 2)
        products = [density @ lane.overlap for density in spins]
        return pair_sums(products, lane.owner, len(lane.charges))[np.ix_(own, own)]


def pair_sums(
    products: list[Float64[np.ndarray, "nao nao"]], owner: Int32[np.ndarray, "nao"], n_atoms: int
) -> Float64[np.ndarray, "natm natm"]:
    """Return 2 Σ over matrices M of Σ_{μ on A, ν on B} M_μν M_νμ, zero on the diagonal."""
    out = np.zeros((n_atoms, n_atoms))
    for product in products:
        pairs = product * product.T
        by_row = np.zeros((n_atoms, len(owner)))
        np.add.at(by_row, owner, pairs)
        np.add.at(out.T, owner, 2.0 * by_row.T)
    np.fill_diagonal(out, 0.0)
    return out
