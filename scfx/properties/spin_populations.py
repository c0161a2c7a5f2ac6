"""Unpaired electrons by atom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column

if TYPE_CHECKING:
    from jaxtyping import Float64

    from scfx.properties.entry import ConvergedEntry


class SpinPopulations(AbstractProperty):
    """Gross populations Σ_μ ((P_α - P_β) S)_μμ of each atom; Mulliken, J. Chem. Phys. 23, 1833 (1955).

    Zero where both spins have one density. They add up to the number of unpaired electrons.
    """

    name = "spin_populations"
    axes = ("atom",)
    summary = "alpha less beta electrons of each atom, by Mulliken"
    column = Column("spin_populations", description=summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "natm"]:
        """Return the spin populations [natm] of one entry."""
        alpha, beta = entry.spin_densities
        gross = np.einsum("ij,ji->i", alpha - beta, entry.overlap)
        return np.bincount(entry.ao_atom, weights=gross, minlength=entry.natm)
