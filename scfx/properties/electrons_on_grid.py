"""The number of electrons to which the grid integrates the density."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scfx.contracts.property import AbstractProperty, Column, PropertyError

if TYPE_CHECKING:
    from scfx.properties.entry import ConvergedEntry


class ElectronsOnGrid(AbstractProperty):
    """The integral of the density over the functional's grid: how far from the true number says how good it is."""

    name = "electrons_on_grid"
    summary = "number of electrons that the grid integrates to"
    column = Column("electrons_on_grid", description=summary)

    def compute(self, entry: ConvergedEntry) -> float:
        """Return the number of electrons that the grid of one entry integrates to."""
        if math.isnan(entry.electrons_on_grid):
            raise PropertyError("a calculation without a functional has no grid")
        return entry.electrons_on_grid
