"""The electronic spatial extent <r²>: how far the electrons reach from the centre of nuclear charge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column
from scfx.properties.quadrupole import centre_of_nuclear_charge, electronic_second_moments

if TYPE_CHECKING:
    from scfx.properties.entry import ConvergedEntry


class ElectronicSpatialExtent(AbstractProperty):
    """The electronic spatial extent, <r²> = Σ D_μν <μ|r²|ν> about the centre of nuclear charge, bohr².

    Gaussian calls it the electronic spatial extent, QM9 R2.
    """

    name = "electronic_spatial_extent"
    unit = "bohr^2"
    summary = "<r2> of the electrons about the centre of nuclear charge"
    column = Column("electronic_spatial_extent_bohr2", "bohr^2", description=summary)

    def compute(self, entry: ConvergedEntry) -> float:
        """Return <r²> of the electrons of one entry, bohr²."""
        batch, index = entry.lane.batch, entry.lane.index
        origin = centre_of_nuclear_charge(batch, index)
        moments = electronic_second_moments(batch, index, entry.lane.density.sum(axis=0), origin)
        return float(np.trace(moments))
