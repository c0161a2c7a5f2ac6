"""Becke's 1997 power series and its range-separated descendants.

A. D. Becke, J. Chem. Phys. 107, 8554 (1997), eq. 2 to 8. wB97, wB97X: Chai, Head-Gordon, J. Chem. Phys. 128, 084106
(2008). wB97X-D: Phys. Chem. Chem. Phys. 10, 6615 (2008). wB97X-D3: Lin, Li, Mao, Chai, J. Chem. Theory Comput. 9, 263
(2013). wB97X-V: Mardirossian, Head-Gordon, Phys. Chem. Chem. Phys. 16, 9904 (2014).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scfx_xc.attenuation import short_range_slater
from scfx_xc.component import AbstractComponent, AbstractSpinExchange
from scfx_xc.points import ClosedShellPoint, SpinChannel, SpinPoint
from scfx_xc.pw92 import PW92Correlation

Coefficients = tuple[float, ...]


def power_series(coefficients: Coefficients, gamma: float, x2: Any) -> Any:
    """Return Σ_i c_i u^i, u = γx²/(1 + γx²)."""
    scaled = gamma * x2
    u = scaled / (1.0 + scaled)
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * u + c
    return total


@dataclass(frozen=True)
class ShortRangeB97Exchange(AbstractSpinExchange):
    """Short-range local exchange times a power series of x²; Chai and Head-Gordon (2008), eq. 6 to 10."""

    name = "b97_short_range_exchange"
    family = "gga"

    omega: float
    coefficients: Coefficients
    gamma: float = 0.004

    def _channel_energy(self, spin: SpinChannel) -> Any:
        return short_range_slater(spin, self.omega) * power_series(self.coefficients, self.gamma, spin.x2)


@dataclass(frozen=True)
class B97Correlation(AbstractComponent):
    """Local correlation in Stoll's partition, the same-spin and opposite-spin parts each times a power series."""

    name = "b97_correlation"
    family = "gga"

    same_spin: Coefficients
    opposite_spin: Coefficients
    gamma_same: float = 0.2
    gamma_opposite: float = 0.006
    uniform: PW92Correlation = field(default_factory=PW92Correlation.as_printed)

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        a, b = point.channels()
        parallel_a, parallel_b = self.uniform.polarised(a), self.uniform.polarised(b)
        opposite = self.uniform.spin_resolved(point) - parallel_a - parallel_b
        return (
            parallel_a * power_series(self.same_spin, self.gamma_same, a.x2)
            + parallel_b * power_series(self.same_spin, self.gamma_same, b.x2)
            + opposite * power_series(self.opposite_spin, self.gamma_opposite, 0.5 * (a.x2 + b.x2))
        )

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        spin = point.channel()
        parallel = 2.0 * self.uniform.polarised(spin)
        opposite = self.uniform.closed_shell(point) - parallel
        return parallel * power_series(self.same_spin, self.gamma_same, spin.x2) + opposite * power_series(
            self.opposite_spin, self.gamma_opposite, spin.x2
        )
