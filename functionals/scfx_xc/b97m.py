"""The B97M form: power series in the density gradient and the kinetic-energy density.

wB97M-V: Mardirossian, Head-Gordon, J. Chem. Phys. 144, 214110 (2016), eq. 5 to 13 and table IV.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scfx_xc.attenuation import short_range_slater
from scfx_xc.component import AbstractComponent, AbstractSpinExchange
from scfx_xc.points import UNIFORM_TAU, ClosedShellPoint, SpinChannel, SpinPoint
from scfx_xc.pw92 import PW92Correlation

#: (coefficient, power of w, power of u).
Terms = tuple[tuple[float, int, int], ...]


def double_series(terms: Terms, w: Any, gamma: float, x2: Any) -> Any:
    """Return Σ c w^i u^j, u = γx²/(1 + γx²)."""
    scaled = gamma * x2
    u = scaled / (1.0 + scaled)
    return sum(c * w**i * u**j for c, i, j in terms)


def _same_spin_w(spin: SpinChannel) -> Any:
    """w = (τ_uniform - τ)/(τ_uniform + τ), between -1 and 1."""
    t = spin.t
    return (UNIFORM_TAU - t) / (UNIFORM_TAU + t)


@dataclass(frozen=True)
class ShortRangeB97MExchange(AbstractSpinExchange):
    """Short-range local exchange times a series in w and u."""

    name = "b97m_short_range_exchange"
    family = "mgga"

    omega: float
    terms: Terms
    gamma: float = 0.004

    def _channel_energy(self, spin: SpinChannel) -> Any:
        return short_range_slater(spin, self.omega) * double_series(
            self.terms, _same_spin_w(spin), self.gamma, spin.x2
        )


@dataclass(frozen=True)
class B97MCorrelation(AbstractComponent):
    """Local correlation in Stoll's partition, each part times a series in its w and u."""

    name = "b97m_correlation"
    family = "mgga"

    same_spin: Terms
    opposite_spin: Terms
    gamma_same: float = 0.2
    gamma_opposite: float = 0.006
    uniform: PW92Correlation = field(default_factory=PW92Correlation)

    def _parallel(self, spin: SpinChannel) -> Any:
        return double_series(self.same_spin, _same_spin_w(spin), self.gamma_same, spin.x2)

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        a, b = point.channels()
        parallel_a, parallel_b = self.uniform.polarised(a), self.uniform.polarised(b)
        opposite = self.uniform.spin_resolved(point) - parallel_a - parallel_b
        # The ratio τ_uniform/τ averaged over the spins, in a form without 1/τ.
        uniform, measured = UNIFORM_TAU * (a.t + b.t), 2.0 * a.t * b.t
        w = (uniform - measured) / (uniform + measured)
        series = double_series(self.opposite_spin, w, self.gamma_opposite, 0.5 * (a.x2 + b.x2))
        return parallel_a * self._parallel(a) + parallel_b * self._parallel(b) + opposite * series

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        spin = point.channel()
        parallel = 2.0 * self.uniform.polarised(spin)
        opposite = self.uniform.closed_shell(point) - parallel
        series = double_series(self.opposite_spin, _same_spin_w(spin), self.gamma_opposite, spin.x2)
        return parallel * self._parallel(spin) + opposite * series
