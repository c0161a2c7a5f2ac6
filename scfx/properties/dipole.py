"""The dipole moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column
from scfx.model.system import DIPOLE_AU_IN_DEBYE

if TYPE_CHECKING:
    from jaxtyping import Float64

    from scfx.properties.entry import ConvergedEntry


class Dipole(AbstractProperty):
    """The dipole, Σ_A Z_A R_A - Σ D_μν <μ|r|ν> in e·bohr about the coordinate origin, which matters for ions."""

    name = "dipole"
    unit = "e bohr"
    axes = ("xyz",)
    summary = "dipole moment, x y z, about the coordinate origin"
    column = Column("dipole_vector_debye", "debye", DIPOLE_AU_IN_DEBYE, summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "3"]:
        """Return the dipole [3] of one entry, e·bohr."""
        lane = entry.lane
        nuclear = lane.charges @ lane.batch.positions[lane.index]
        return nuclear - np.einsum("xij,sij->x", lane.dipole, lane.density)
