"""HOMO and LUMO of each spin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column
from scfx.model.system import HARTREE_IN_EV

if TYPE_CHECKING:
    from jaxtyping import Float64

    from scfx.properties.entry import ConvergedEntry


class FrontierOrbitalEnergies(AbstractProperty):
    """Energies of the highest occupied and lowest empty orbital of each spin; NaN where there is none."""

    name = "frontier_orbital_energies"
    unit = "hartree"
    axes = ("spin", "homo_lumo")
    summary = "[nspin, 2]: HOMO and LUMO of each spin"
    column = Column("frontier_orbital_energies_ev", "eV", HARTREE_IN_EV, summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "spin 2"]:
        """Return HOMO and LUMO energies of one entry by spin, hartree."""
        out = np.full((len(entry.orbital_energies), 2), np.nan)
        for row, energies, count in zip(out, entry.orbital_energies, entry.n_electrons, strict=False):
            if count:
                row[0] = energies[count - 1]
            if count < len(energies):
                row[1] = energies[count]
        return out
