"""The strongly constrained and appropriately normed meta-GGA, SCAN.

Sun, Ruzsinszky, Perdew, Phys. Rev. Lett. 115, 036402 (2015), with its supplement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import pi, sqrt
from typing import Any

import jax.numpy as jnp

from scfx_xc.component import AbstractComponent, AbstractSpinExchange
from scfx_xc.pbe import GAMMA, PBE_BETA, gradient_t2, spin_scaling_phi
from scfx_xc.points import UNIFORM_TAU, ClosedShellPoint, SpinChannel, SpinPoint
from scfx_xc.pw92 import PW92Correlation
from scfx_xc.slater import SPIN_EXCHANGE_CONSTANT

MU_GE = 10.0 / 81.0
#: h_x at α = 0.
H0X = 1.174
K1 = 0.065
_B2 = sqrt(5913.0 / 405000.0)
_B1 = (511.0 / 13500.0) / (2.0 * _B2)
_B3 = 0.5
_B4 = MU_GE**2 / K1 - 1606.0 / 18225.0 - _B1**2
_A1 = 4.9479


def switching(alpha: Any, c1: float, c2: float, d: float) -> Any:
    """Return f(α) = exp[-c1 α/(1-α)] below α = 1, -d exp[c2/(1-α)] above; both vanish with all derivatives at 1."""
    # Each branch sees only arguments where it is finite; closer to 1 than this both are zero in float64.
    nearest = 1e-3
    below, above = jnp.minimum(alpha, 1.0 - nearest), jnp.maximum(alpha, 1.0 + nearest)
    low = jnp.where(alpha < 1.0 - nearest, jnp.exp(-c1 * below / (1.0 - below)), 0.0)
    high = jnp.where(alpha > 1.0 + nearest, -d * jnp.exp(c2 / (1.0 - above)), 0.0)
    return low + high


def h1x(x: Any) -> Any:
    """Return 1 + k1 - k1/(1 + x/k1)."""
    return 1.0 + K1 - K1 / (1.0 + x / K1)


def damping_gx(s2: Any) -> Any:
    """Return g_x = 1 - exp(-a1 s^(-1/2))."""
    return 1.0 - jnp.exp(-_A1 / jnp.sqrt(jnp.sqrt(s2)))


@dataclass(frozen=True)
class SCANExchange(AbstractSpinExchange):
    """F_x = {h1 + f(α) (h0 - h1)} g(s)."""

    name = "scan_exchange"
    family = "mgga"

    c1: float = 0.667
    c2: float = 0.8
    d: float = 1.24

    def _channel_energy(self, spin: SpinChannel) -> Any:
        p = spin.s2
        alpha = (spin.t - 0.125 * spin.x2) / UNIFORM_TAU
        one = 1.0 - alpha
        x = MU_GE * p + _B4 * p * p * jnp.exp(-(_B4 / MU_GE) * p)
        x = x + (_B1 * p + _B2 * one * jnp.exp(-_B3 * one * one)) ** 2
        h1 = h1x(x)
        factor = (h1 + switching(alpha, self.c1, self.c2, self.d) * (H0X - h1)) * damping_gx(p)
        return -SPIN_EXCHANGE_CONSTANT * spin.rho * spin.cbrt * factor


#: b1c, b2c, b3c of ε_c^LDA0, and χ_∞.
B1C, B2C, B3C, CHI_INFINITY = 0.0285764, 0.0889, 0.125541, 0.12802585262625815


def lda0(rs: Any) -> Any:
    """Return ε_c^LDA0 = -b1c/(1 + b2c r_s^(1/2) + b3c r_s)."""
    return -B1C / (1.0 + B2C * jnp.sqrt(rs) + B3C * rs)


def polarisation_gc(point: SpinPoint) -> Any:
    """Return G_c(ζ) = {1 - 2.3631 [d_x(ζ) - 1]} (1 - ζ¹²); d_x - 1 = (2^(1/3) - 1) f(ζ)."""
    # The authors' program, and libxc, have 2.363.
    return (1.0 - 2.363 * (2.0 ** (1.0 / 3.0) - 1.0) * point.spin_interpolation()) * (1.0 - point.zeta**12)


def energy0(rs: Any, s2: Any) -> Any:
    """Return ε_c^LDA0 + H0: the single-orbital limit, α = 0, without G_c."""
    uniform = lda0(rs)
    g = 1.0 / jnp.sqrt(jnp.sqrt(1.0 + 4.0 * CHI_INFINITY * s2))
    return uniform + B1C * jnp.log1p(jnp.expm1(-uniform / B1C) * (1.0 - g))


def beta(rs: Any) -> Any:
    """Return β(r_s) = β (1 + 0.1 r_s)/(1 + 0.1778 r_s), from revTPSS."""
    return PBE_BETA * (1.0 + 0.1 * rs) / (1.0 + 0.1778 * rs)


def total_s2(point: SpinPoint | ClosedShellPoint) -> Any:
    """Return s² of the total density."""
    return point.sigma * point.inverse_cbrt**8 * _TOTAL


_TOTAL = 0.25 / (3.0 * pi**2) ** (2.0 / 3.0)


def uniform_tau(point: SpinPoint | ClosedShellPoint) -> Any:
    """Return τ of the uniform gas at the point's spin densities."""
    if isinstance(point, ClosedShellPoint):
        return UNIFORM_TAU * 2.0 ** (-2.0 / 3.0) * point.rho * point.cbrt**2
    return UNIFORM_TAU * (point.rho_a * point.cbrt_a**2 + point.rho_b * point.cbrt_b**2)


@dataclass(frozen=True)
class SCANCorrelation(AbstractComponent):
    """The correlation of SCAN, ε_c = ε1 + f(α) (ε0 - ε1); ε1 is PBE-like with β(r_s) and g = (1 + 4At²)^(-1/4)."""

    name = "scan_correlation"
    family = "mgga"

    c1: float = 0.64
    c2: float = 1.5
    d: float = 0.7
    gamma: float = GAMMA
    uniform: PW92Correlation = field(default_factory=PW92Correlation)

    def _energy(self, point: SpinPoint | ClosedShellPoint, uniform: Any, phi: Any, gc: Any) -> Any:
        gamma_phi3 = self.gamma * phi**3
        w1 = jnp.expm1(-uniform / gamma_phi3)
        y = beta(point.rs) * gradient_t2(point, phi) / (self.gamma * w1)
        g = 1.0 / jnp.sqrt(jnp.sqrt(1.0 + 4.0 * y))
        one = uniform + gamma_phi3 * jnp.log1p(w1 * (1.0 - g))
        zero = energy0(point.rs, total_s2(point)) * gc
        alpha = (point.tau - point.sigma / (8.0 * point.rho)) / uniform_tau(point)
        return one + switching(alpha, self.c1, self.c2, self.d) * (zero - one)

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        uniform = self.uniform.energy_per_electron(point)
        return point.rho * self._energy(point, uniform, spin_scaling_phi(point), polarisation_gc(point))

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        uniform = self.uniform.closed_shell_energy_per_electron(point)
        return point.rho * self._energy(point, uniform, 1.0, 1.0)
