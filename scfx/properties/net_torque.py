"""The torque of all forces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column
from scfx.model.masses import standard_atomic_weights
from scfx.model.system import HARTREE_IN_EV

if TYPE_CHECKING:
    from jaxtyping import Float64

    from scfx.properties.entry import ConvergedEntry


class NetTorque(AbstractProperty):
    """The net torque of the forces, Σ (r_A - c) × F_A in hartree, about the centre of mass c.

    The energy does not change when a molecule is turned, but for the grid, whose points do not turn with it: a measure
    of the grid's noise. Without a net force it does not depend on the centre.
    """

    name = "net_torque"
    unit = "hartree"
    axes = ("xyz",)
    summary = "torque of the forces about the centre of mass, x y z: zero but for the grid's noise"
    needs = ("gradient",)
    column = Column("net_torque_ev", "eV", HARTREE_IN_EV, summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "3"]:
        """Return the length of one entry's net torque, hartree."""
        masses = standard_atomic_weights(entry.system.nuclear_charges)
        centre = masses @ entry.positions / masses.sum()
        return np.cross(entry.positions - centre, -entry.value("gradient")).sum(axis=0)
