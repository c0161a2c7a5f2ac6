"""D3 through simple-dftd3: Grimme, Antony, Ehrlich, Krieg, J. Chem. Phys. 132, 154104 (2010).

Becke-Johnson ("rational") damping: Grimme, Ehrlich, Goerigk, J. Comput. Chem. 32, 1456 (2011).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import dftd3.interface
import numpy as np

from scfx.errors import InputError
from scfx.model.system import System
from scfx_dispersion.nuclear_correction import AbstractNuclearCorrection, refuse_heavy

_HEAVIEST = 94  # plutonium


class _D3(AbstractNuclearCorrection):
    """What both dampings share. `three_body`: the Axilrod-Teller-Muto term, which most published levels leave out."""

    _damping: Any

    def __init__(self, functional: str, three_body: bool = False):
        self._options = {"functional": functional.casefold(), "three_body": bool(three_body)}
        try:
            self._parameters = self._damping(method=functional, atm=bool(three_body))
        except RuntimeError as error:
            raise InputError(
                f"simple-dftd3 has no {self.name} parameters for functional {functional!r} ({error}); choose another "
                "method (d3bj, d3zero, d4) or functional"
            ) from error

    def _evaluated(self, system: System, grad: bool) -> dict[str, Any]:
        refuse_heavy(system, f"{self.name} dispersion", _HEAVIEST)
        model = dftd3.interface.DispersionModel(
            np.asarray(system.atomic_numbers), np.asarray(system.positions)
        )
        return model.get_dispersion(self._parameters, grad=grad)

    def definition(self) -> dict[str, Any]:
        """Method, parameters by name, and the library's version, which the names' numbers depend on."""
        return {"method": self.name, **self._options, "dftd3": version("dftd3")}


class RationalD3(_D3):
    """D3(BJ)."""

    name = "d3bj"
    _damping = dftd3.interface.RationalDampingParam


class ZeroD3(_D3):
    """D3(0)."""

    name = "d3zero"
    _damping = dftd3.interface.ZeroDampingParam
