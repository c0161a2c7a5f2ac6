"""The mean of the polarizability over all directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column

if TYPE_CHECKING:
    from scfx.properties.entry import ConvergedEntry


class IsotropicPolarizability(AbstractProperty):
    """A third of the trace of `polarizability`, bohr³: alpha of QM9."""

    name = "isotropic_polarizability"
    unit = "bohr^3"
    summary = "a third of the trace of the polarizability, as QM9's alpha"
    needs = ("polarizability",)
    column = Column("isotropic_polarizability_bohr3", "bohr^3", description=summary)

    def compute(self, entry: ConvergedEntry) -> float:
        """Return a third of the trace of one entry's polarizability, bohr³."""
        return float(np.trace(entry.value("polarizability"))) / 3.0
