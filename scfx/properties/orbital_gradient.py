"""The largest element of the orbital gradient at the end of the SCF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.contracts.property import AbstractProperty, Column

if TYPE_CHECKING:
    from scfx.properties.entry import ConvergedEntry


class OrbitalGradient(AbstractProperty):
    """The largest element of Xᵀ (F D S - S D F) X at the end, hartree: it bounds what forces miss of the response."""

    name = "orbital_gradient"
    unit = "hartree"
    summary = "largest element of the orbital gradient at the end"
    column = Column("orbital_gradient_hartree", "hartree", description=summary)

    def compute(self, entry: ConvergedEntry) -> float:
        """Return the largest element of one entry's orbital gradient, hartree."""
        return entry.residual
