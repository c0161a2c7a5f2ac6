"""The sum of all forces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.contracts.property import AbstractProperty, Column
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float64

    from scfx.properties.entry import ConvergedEntry


class NetForce(AbstractProperty):
    """The energy does not change when a molecule is moved: what is not zero here is the error of the forces."""

    name = "net_force"
    unit = "hartree/bohr"
    axes = ("xyz",)
    summary = "sum of the forces on all atoms, x y z: zero but for errors"
    needs = ("gradient",)
    column = Column("net_force_ev_per_angstrom", "eV/angstrom", HARTREE_IN_EV / BOHR_IN_ANGSTROM, summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "3"]:
        """Return the length of the sum of one entry's forces, hartree/bohr."""
        return -entry.value("gradient").sum(axis=0)
