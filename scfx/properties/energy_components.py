"""The parts of the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.contracts.property import AbstractProperty, Column
from scfx.model.system import HARTREE_IN_EV

if TYPE_CHECKING:
    from scfx.properties.entry import ConvergedEntry


class EnergyComponents(AbstractProperty):
    """By name, hartree: "kinetic", "nuclear_attraction", "coulomb", "exchange", "exchange_correlation"...

    As far as the functional has them; they add up to the energy.
    """

    name = "energy_components"
    unit = "hartree"
    axes = ("component",)
    summary = "parts of the energy by name; they add up to it"
    column = Column("energy_components_ev", "eV", HARTREE_IN_EV, summary)

    def compute(self, entry: ConvergedEntry) -> dict[str, float]:
        """Return the parts of one entry's energy by name, hartree."""
        return dict(entry.energy_components)
