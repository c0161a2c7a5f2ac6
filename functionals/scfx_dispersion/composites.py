"""The composite r2SCAN-3c but for its basis set: the functional with the corrections that were fitted for it.

Grimme, Hansen, Ehlert and Mewes, J. Chem. Phys. 154, 064103 (2021): r2SCAN, D4 with parameters and atomic charges of
its own, and the geometric counterpoise correction gCP (Kruse and Grimme, J. Chem. Phys. 136, 154101 (2012)), which
depends on the nuclei alone. A functional does not choose a basis set; `level = "r2scan-3c"` says both.
"""

from __future__ import annotations

import copy
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import dftd3.interface
import dftd4.interface
import numpy as np
from jaxtyping import Float64

from scfx.abstract import AbstractDispersionCorrection
from scfx.errors import InputError
from scfx.model.system import System

if TYPE_CHECKING:
    from scfx.abstract import AbstractFunctional
    from scfx.contracts.construction import ConstructionContext

_HEAVIEST = 86  # radon
#: Charge scaling of D4's reference polarisabilities in r2SCAN-3c (table I of the paper; the default is 3 and 2).
_STEEPNESS, _SCALE = 2.0, 1.0


class D4WithCounterpoise(AbstractDispersionCorrection):
    """D4 and gCP as r2SCAN-3c has them, added up."""

    name = "d4-gcp"

    def __init__(self):
        self._parameters = dftd4.interface.DampingParam(method="r2scan-3c")

    def energy(self, system: System) -> float:
        """Return D4 and counterpoise correction of one system in hartree."""
        return sum(float(part["energy"]) for part in self._parts(system, grad=False))

    def gradient(self, system: System) -> Float64[np.ndarray, "natm 3"]:
        """Return the derivative of both corrections, hartree/bohr."""
        first, second = self._parts(system, grad=True)
        return np.asarray(first["gradient"] + second["gradient"], dtype=np.float64)

    def _parts(self, system: System, grad: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        heaviest = int(max(system.atomic_numbers))
        if heaviest > _HEAVIEST:
            raise InputError(f"d4-gcp has elements up to {_HEAVIEST}, {system!r} has {heaviest}")
        numbers, positions = np.asarray(system.atomic_numbers), np.asarray(system.positions)
        dispersion = dftd4.interface.DispersionModel(
            numbers, positions, charge=float(system.charge), ga=_STEEPNESS, gc=_SCALE
        )
        # Under "r2scan-3c", with the hyphen, the library has no parameters and gives zero.
        counterpoise = dftd3.interface.GeometricCounterpoise(numbers, positions, method="r2scan3c")
        return dispersion.get_dispersion(self._parameters, grad=grad), counterpoise.get_counterpoise(grad)

    def definition(self) -> dict[str, Any]:
        """Return the method and the libraries' versions, which the numbers behind its name depend on."""
        return {
            "method": self.name,
            "functional": "r2scan-3c",
            "dftd4": version("dftd4"),
            "dftd3": version("dftd3"),
        }


def r2scan_3c(context: ConstructionContext) -> AbstractFunctional:
    """Make r2SCAN with D4 and gCP of r2SCAN-3c."""
    functional = copy.copy(context.registry.functional("r2scan"))
    functional.dispersion = {"method": D4WithCounterpoise.name}
    object.__setattr__(functional, "name", "r2scan-d4-gcp")
    return functional
