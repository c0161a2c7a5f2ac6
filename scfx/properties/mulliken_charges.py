"""Mulliken's atomic charges from the density matrix and the overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column

if TYPE_CHECKING:
    from jaxtyping import Float64, Int32

    from scfx.properties.entry import ConvergedEntry


class MullikenCharges(AbstractProperty):
    """Nuclear charge less the gross population Σ_μ (PS)_μμ of the atom; Mulliken, J. Chem. Phys. 23, 1833 (1955)."""

    name = "mulliken_charges"
    unit = "e"
    axes = ("atom",)
    summary = "Mulliken charge of each atom"
    column = Column("mulliken_charges", "elementary charge", description=summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "natm"]:
        """Return the Mulliken charges [natm] of one entry, e."""
        lane = entry.lane
        return mulliken_charges(lane.density, lane.overlap, lane.owner, lane.charges)[entry.own_atoms]


def mulliken_charges(
    density: Float64[np.ndarray, "spin nao nao"],
    overlap: Float64[np.ndarray, "nao nao"],
    owner: Int32[np.ndarray, "nao"],
    charges: Float64[np.ndarray, "natm"],
) -> Float64[np.ndarray, "natm"]:
    """Return charges from a density matrix (one spin: the total), the atom that carries each AO, and the nuclear
    charges.
    """
    gross = np.einsum("sij,ji->i", density, overlap)
    return charges - np.bincount(owner, weights=gross, minlength=len(charges))
