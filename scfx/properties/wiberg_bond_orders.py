"""Wiberg's bond orders in Loewdin's orthogonalised basis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.contracts.property import AbstractProperty, Column
from scfx.properties.bond_orders import pair_sums
from scfx.properties.loewdin_charges import root_of_overlap

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float64

    from scfx.properties.entry import ConvergedEntry


class WibergBondOrders(AbstractProperty):
    """Wiberg's bond orders, Σ_{μ on A, ν on B} (S^½ P S^½)²_μν, zero on the diagonal; K. B. Wiberg, Tetrahedron 24,
    1083 (1968).

    For open shells twice the sum over both spins, which is the same for closed ones. As Loewdin's charges they change
    when a molecule with Cartesian d or f functions is turned.
    """

    name = "wiberg_bond_orders"
    axes = ("atom", "atom")
    summary = "Wiberg bond order of each pair of atoms, in Loewdin's basis"
    column = Column("wiberg_bond_orders", description=summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "natm natm"]:
        """Return Wiberg's bond orders [natm, natm] of one entry."""
        root = root_of_overlap(entry.overlap)
        products = [root @ density @ root for density in entry.spin_densities]
        return pair_sums(products, entry.ao_atom, entry.natm)
