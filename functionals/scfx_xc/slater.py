"""Slater-Dirac exchange of the homogeneous electron gas. Dirac, Proc. Camb. Phil. Soc. 26, 376 (1930)."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

from scfx_xc.component import AbstractComponent
from scfx_xc.points import ClosedShellPoint, SpinPoint

#: e_x = -EXCHANGE_CONSTANT ρ^(4/3) for the closed shell; (3/4) (3/π)^(1/3).
EXCHANGE_CONSTANT = 0.75 * (3.0 / pi) ** (1.0 / 3.0)
#: e_x = -SPIN_EXCHANGE_CONSTANT Σ_s ρ_s^(4/3), from E_x[ρ_a, ρ_b] = (E_x[2ρ_a] + E_x[2ρ_b]) / 2.
SPIN_EXCHANGE_CONSTANT = 2.0 ** (1.0 / 3.0) * EXCHANGE_CONSTANT


@dataclass(frozen=True)
class SlaterExchange(AbstractComponent):
    """The exchange of the uniform gas, e_x = -(3/4) (3/π)^(1/3) ρ^(4/3); Parr and Yang (1989), eq. 6.1.20 and
    8.2.16.
    """

    name = "slater"
    family = "lda"

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        return -SPIN_EXCHANGE_CONSTANT * (point.rho_a * point.cbrt_a + point.rho_b * point.cbrt_b)

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        return -EXCHANGE_CONSTANT * point.rho * point.cbrt
