"""The M06 family: M06-L and M06-2X.

Zhao, Truhlar, J. Chem. Phys. 125, 194101 (2006), eq. 3 to 17 (M06-L); Theor. Chem. Acc. 120, 215 (2008) (M06-2X).
Van Voorhis, Scuseria, J. Chem. Phys. 109, 400 (1998), for the form h(x, z).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scfx_xc.b97 import Coefficients, power_series
from scfx_xc.component import AbstractComponent, AbstractSpinExchange
from scfx_xc.pbe import PBE_MU
from scfx_xc.points import UNIFORM_TAU, ClosedShellPoint, SpinChannel, SpinPoint
from scfx_xc.pw92 import PW92Correlation
from scfx_xc.slater import SPIN_EXCHANGE_CONSTANT


def vs98(coefficients: Coefficients, alpha: float, x2: Any, z: Any) -> Any:
    """Return h(x, z) = d0/γ + (d1 x² + d2 z)/γ² + (d3 x⁴ + d4 x² z + d5 z²)/γ³, γ = 1 + α (x² + z)."""
    d0, d1, d2, d3, d4, d5 = coefficients
    inverse = 1.0 / (1.0 + alpha * (x2 + z))
    quadratic = d3 * x2 * x2 + d4 * x2 * z + d5 * z * z
    return inverse * (d0 + inverse * (d1 * x2 + d2 * z + inverse * quadratic))


def _z(spin: SpinChannel) -> Any:
    """2 (τ - τ_uniform)/ρ_s^(5/3), with the factor of 2 of these papers' τ."""
    return 2.0 * (spin.t - UNIFORM_TAU)


@dataclass(frozen=True)
class M06Exchange(AbstractSpinExchange):
    """PBE exchange times a series in w = (τ_uniform - τ)/(τ_uniform + τ), plus local exchange times h(x, z)."""

    name = "m06_exchange"
    family = "mgga"

    series: Coefficients
    local: Coefficients | None = None
    alpha: float = 0.00186726
    kappa: float = 0.804
    mu: float = PBE_MU

    def _channel_energy(self, spin: SpinChannel) -> Any:
        t = spin.t
        w = (UNIFORM_TAU - t) / (UNIFORM_TAU + t)
        total = self.series[-1]
        for a in reversed(self.series[:-1]):
            total = total * w + a
        factor = (1.0 + self.kappa - self.kappa / (1.0 + (self.mu / self.kappa) * spin.s2)) * total
        if self.local is not None:
            factor = factor + vs98(self.local, self.alpha, spin.x2, _z(spin))
        return -SPIN_EXCHANGE_CONSTANT * spin.rho * spin.cbrt * factor


@dataclass(frozen=True)
class M06Correlation(AbstractComponent):
    """Local correlation in Stoll's partition times g(x) + h(x, z), the same-spin part also times 1 - τ_W/τ."""

    name = "m06_correlation"
    family = "mgga"

    series_same: Coefficients
    local_same: Coefficients
    series_opposite: Coefficients
    local_opposite: Coefficients
    gamma_same: float = 0.06
    gamma_opposite: float = 0.0031
    alpha_same: float = 0.00515088
    alpha_opposite: float = 0.00304966
    uniform: PW92Correlation = field(default_factory=PW92Correlation)

    def _parallel(self, spin: SpinChannel) -> Any:
        x2 = spin.x2
        factor = power_series(self.series_same, self.gamma_same, x2)
        factor = factor + vs98(self.local_same, self.alpha_same, x2, _z(spin))
        # 1 - τ_W/τ vanishes where there is one electron: no correlation with itself.
        return factor * (1.0 - spin.sigma / (8.0 * spin.rho * spin.tau))

    def _opposite(self, x2: Any, z: Any) -> Any:
        return power_series(self.series_opposite, self.gamma_opposite, x2) + vs98(
            self.local_opposite, self.alpha_opposite, x2, z
        )

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        a, b = point.channels()
        parallel_a, parallel_b = self.uniform.polarised(a), self.uniform.polarised(b)
        opposite = self.uniform.spin_resolved(point) - parallel_a - parallel_b
        series = self._opposite(a.x2 + b.x2, _z(a) + _z(b))
        return parallel_a * self._parallel(a) + parallel_b * self._parallel(b) + opposite * series

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        spin = point.channel()
        parallel = 2.0 * self.uniform.polarised(spin)
        opposite = self.uniform.closed_shell(point) - parallel
        return parallel * self._parallel(spin) + opposite * self._opposite(2.0 * spin.x2, 2.0 * _z(spin))
