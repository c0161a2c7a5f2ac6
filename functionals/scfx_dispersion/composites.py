"""Composite methods but for their basis sets: functionals with the corrections that were fitted for them.

r2SCAN-3c: Grimme, Hansen, Ehlert and Mewes, J. Chem. Phys. 154, 064103 (2021): r2SCAN, D4 with parameters and atomic
charges of its own, and the geometric counterpoise correction gCP (Kruse and Grimme, J. Chem. Phys. 136, 154101 (2012)).
B97-3c: Brandenburg, Bannwarth, Hansen and Grimme, J. Chem. Phys. 148, 064104 (2018): a B97 GGA, D3 with its three-body
term, and a short-range correction of bond lengths. wB97X-3c: Mueller, Hansen and Grimme, J. Chem. Phys. 158, 014103
(2023): wB97X-V's functional with D4 in place of VV10. gCP and the bond correction depend on the nuclei alone.

A functional does not choose a basis set; `level = "r2scan-3c"` says both.
"""

from __future__ import annotations

import copy
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import dftd3.interface
import dftd4.interface
import numpy as np

from scfx.model.system import System
from scfx_dispersion.nuclear_correction import AbstractNuclearCorrection, refuse_heavy

if TYPE_CHECKING:
    from scfx.abstract import AbstractFunctional
    from scfx.contracts.construction import ConstructionContext

_HEAVIEST = 86  # radon
_HEAVIEST_OF_D3 = 94  # plutonium
#: Charge scaling of D4's reference polarisabilities in r2SCAN-3c (table I of the paper; the default is 3 and 2).
_STEEPNESS, _SCALE = 2.0, 1.0


class D4WithCounterpoise(AbstractNuclearCorrection):
    """D4 and gCP as r2SCAN-3c has them, added up."""

    name = "d4-gcp"

    def __init__(self):
        self._parameters = dftd4.interface.DampingParam(method="r2scan-3c")

    def _evaluated(self, system: System, grad: bool) -> dict[str, Any]:
        refuse_heavy(system, self.name, _HEAVIEST)
        numbers, positions = np.asarray(system.atomic_numbers), np.asarray(system.positions)
        dispersion = dftd4.interface.DispersionModel(
            numbers, positions, charge=float(system.charge), ga=_STEEPNESS, gc=_SCALE
        )
        # Under "r2scan-3c", with the hyphen, the library has no parameters and gives zero.
        counterpoise = dftd3.interface.GeometricCounterpoise(numbers, positions, method="r2scan3c")
        return _sum(
            dispersion.get_dispersion(self._parameters, grad=grad), counterpoise.get_counterpoise(grad)
        )

    def definition(self) -> dict[str, Any]:
        """Return the method and the libraries' versions, which the numbers behind its name depend on."""
        return {
            "method": self.name,
            "functional": "r2scan-3c",
            "dftd4": version("dftd4"),
            "dftd3": version("dftd3"),
        }


class D3WithBondCorrection(AbstractNuclearCorrection):
    """D3(BJ) with its three-body term and the short-range bond correction, as B97-3c has them, added up."""

    name = "d3bj-srb"

    def __init__(self):
        self._parameters = dftd3.interface.RationalDampingParam(method="b97-3c", atm=True)

    def _evaluated(self, system: System, grad: bool) -> dict[str, Any]:
        refuse_heavy(system, self.name, _HEAVIEST_OF_D3)
        numbers, positions = np.asarray(system.atomic_numbers), np.asarray(system.positions)
        dispersion = dftd3.interface.DispersionModel(numbers, positions)
        # The library computes the bond correction where it computes gCP.
        bonds = dftd3.interface.GeometricCounterpoise(numbers, positions, method="b973c")
        return _sum(dispersion.get_dispersion(self._parameters, grad=grad), bonds.get_counterpoise(grad))

    def definition(self) -> dict[str, Any]:
        """Return method and the library's version, which the numbers behind its name depend on."""
        return {"method": self.name, "functional": "b97-3c", "dftd3": version("dftd3")}


def _sum(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return energies and, where there are any, gradients of several corrections, added up."""
    return {key: sum(part[key] for part in parts) for key in ("energy", "gradient") if key in parts[0]}


def r2scan_3c(context: ConstructionContext) -> AbstractFunctional:
    """Make r2SCAN with D4 and gCP of r2SCAN-3c."""
    return _with(context, "r2scan", {"method": D4WithCounterpoise.name}, "r2scan-d4-gcp")


def b97_3c(context: ConstructionContext) -> AbstractFunctional:
    """Make the B97 GGA of B97-3c with its D3 and bond correction."""
    return _with(context, "bare(gga_xc_b97_3c)", {"method": D3WithBondCorrection.name}, "b97-d3-srb")


def wb97x_3c(context: ConstructionContext) -> AbstractFunctional:
    """Make wB97X-V without VV10, with D4 of wB97X-3c."""
    return _with(context, "bare(wb97x-v)", {"method": "d4", "functional": "wb97x-3c"}, "wb97x-d4-3c")


def _with(
    context: ConstructionContext, base: str, dispersion: dict[str, Any], name: str
) -> AbstractFunctional:
    functional = copy.copy(context.registry.functional(base))
    functional.dispersion = dispersion
    object.__setattr__(functional, "name", name)
    return functional
