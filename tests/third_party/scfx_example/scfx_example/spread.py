"""A property: one class is all that results, JSON, datasets and studies need."""

import numpy as np

import scfx


class ChargeSpread(scfx.AbstractProperty):
    """Standard deviation of the Mulliken charges of the atoms."""

    name = "example_charge_spread"
    unit = "e"
    summary = "standard deviation of the Mulliken charges"
    needs = ("mulliken_charges",)
    column = scfx.Column("example_charge_spread", "elementary charge", description=summary)

    def compute(self, entry):
        return np.std(entry.value("mulliken_charges"))
