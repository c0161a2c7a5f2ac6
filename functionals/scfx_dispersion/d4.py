"""D4 through dftd4: Caldeweyher et al., J. Chem. Phys. 150, 154122 (2019)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import dftd4.interface
import numpy as np

from scfx.errors import InputError
from scfx.model.system import System
from scfx_dispersion.nuclear_correction import AbstractNuclearCorrection, refuse_heavy

_HEAVIEST = 86  # radon


class D4(AbstractNuclearCorrection):
    """D4 with its three-body term; depends on the system's charge through the atomic partial charges."""

    name = "d4"

    def __init__(self, functional: str):
        self._functional = functional.casefold()
        try:
            self._parameters = dftd4.interface.DampingParam(method=functional)
        except RuntimeError as error:
            raise InputError(
                f"dftd4 has no parameters for functional {functional!r} ({error}); choose another method (d3bj, "
                "d3zero) or functional"
            ) from error

    def _evaluated(self, system: System, grad: bool) -> dict[str, Any]:
        refuse_heavy(system, "d4 dispersion", _HEAVIEST)
        model = dftd4.interface.DispersionModel(
            np.asarray(system.atomic_numbers), np.asarray(system.positions), charge=float(system.charge)
        )
        return model.get_dispersion(self._parameters, grad=grad)

    def definition(self) -> dict[str, Any]:
        """Return method, functional by name, and the library's version, which the name's numbers depend on."""
        return {"method": self.name, "functional": self._functional, "dftd4": version("dftd4")}
