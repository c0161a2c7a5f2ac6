"""Energies of all orbitals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.contracts.property import AbstractProperty, Column
from scfx.model.system import HARTREE_IN_EV

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float64

    from scfx.properties.entry import ConvergedEntry


class OrbitalEnergies(AbstractProperty):
    """Of each spin, ascending, hartree; one spin where both have the same orbitals."""

    name = "orbital_energies"
    unit = "hartree"
    axes = ("spin", "orbital")
    summary = "[nspin, norbital], ascending; one spin where both have the same orbitals"
    column = Column("orbital_energies_ev", "eV", HARTREE_IN_EV, summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "spin n_orbitals"]:
        """Return the orbital energies of one entry by spin, hartree."""
        return entry.orbital_energies
