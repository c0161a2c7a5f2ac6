"""The regularised, restored SCAN. Furness, Kaplan, Ning, Perdew, Sun, J. Phys. Chem. Lett. 11, 8208 (2020), supplement.

Equation numbers are those of the supplement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from scfx_xc.component import AbstractComponent, AbstractSpinExchange
from scfx_xc.pbe import GAMMA, gradient_t2, spin_scaling_phi
from scfx_xc.points import UNIFORM_TAU, ClosedShellPoint, SpinChannel, SpinPoint
from scfx_xc.pw92 import PW92Correlation
from scfx_xc.scan import (
    H0X,
    MU_GE,
    beta,
    damping_gx,
    energy0,
    h1x,
    lda0,
    polarisation_gc,
    total_s2,
    uniform_tau,
)  # fmt: skip
from scfx_xc.slater import SPIN_EXCHANGE_CONSTANT

#: f(α) for 0 <= α <= 2.5, coefficients of α⁰ to α⁷, for exchange and correlation.
_FX = (
    1.0, -0.667, -0.4445555, -0.663086601049, 1.451297044490, -0.887998041597, 0.234528941479, -0.023185843322,
)  # fmt: skip
_FC = (
    1.0, -0.64, -0.4352, -1.535685604549, 3.061560252175, -1.915710236206, 0.516884468372, -0.051848879792,
)  # fmt: skip


def _switching(alpha: Any, polynomial: tuple[float, ...], c1: float, c2: float, d: float) -> Any:
    """Eq. 7: exp[-c1 α/(1-α)] for α < 0, the polynomial to 2.5, -d exp[c2/(1-α)] beyond."""
    negative, middle, large = jnp.minimum(alpha, 0.0), jnp.clip(alpha, 0.0, 2.5), jnp.maximum(alpha, 2.5)
    value = jnp.full_like(alpha, polynomial[-1])
    for coefficient in reversed(polynomial[:-1]):
        value = value * middle + coefficient
    low = jnp.exp(-c1 * negative / (1.0 - negative))
    high = -d * jnp.exp(c2 / (1.0 - large))
    return jnp.where(alpha <= 0.0, low, jnp.where(alpha <= 2.5, value, high))


def _slope_at_one(polynomial: tuple[float, ...]) -> float:
    return sum(i * c for i, c in enumerate(polynomial))


@dataclass(frozen=True)
class R2SCANExchange(AbstractSpinExchange):
    """F_x = {h1 + f(ᾱ) (h0 - h1)} g(s), eq. 5 to 12, with ᾱ = (τ - τ_W)/(τ_uniform + η τ_W)."""

    name = "r2scan_exchange"
    family = "mgga"

    c1: float = 0.667
    c2: float = 0.8
    d: float = 1.24
    eta: float = 0.001
    dp2: float = 0.361

    def _channel_energy(self, spin: SpinChannel) -> Any:
        p, weizsaecker = spin.s2, 0.125 * spin.x2
        alpha = (spin.t - weizsaecker) / (UNIFORM_TAU + self.eta * weizsaecker)
        c_eta = 20.0 / 27.0 + self.eta * 5.0 / 3.0
        c2x = -_slope_at_one(_FX) * (1.0 - H0X)
        h1 = h1x((c_eta * c2x * jnp.exp(-p * p / self.dp2**4) + MU_GE) * p)
        factor = (h1 + _switching(alpha, _FX, self.c1, self.c2, self.d) * (H0X - h1)) * damping_gx(p)
        return -SPIN_EXCHANGE_CONSTANT * spin.rho * spin.cbrt * factor


@dataclass(frozen=True)
class R2SCANCorrelation(AbstractComponent):
    """The correlation of r2SCAN, ε_c = ε1 + f(ᾱ) (ε0 - ε1), eq. 24 to 41; Δy restores the gradient expansion."""

    name = "r2scan_correlation"
    family = "mgga"

    c1: float = 0.64
    c2: float = 1.5
    d: float = 0.7
    eta: float = 0.001
    dp2: float = 0.361
    gamma: float = GAMMA
    uniform: PW92Correlation = field(default_factory=PW92Correlation)

    def _energy(
        self, point: SpinPoint | ClosedShellPoint, lsda: tuple[Any, Any], phi: Any, gc: Any, d_s: Any
    ) -> Any:
        uniform, uniform_slope = lsda
        rs, s2 = point.rs, total_s2(point)
        single, single_slope = jax.jvp(lda0, (rs,), (jnp.ones_like(rs),))
        gamma_phi3 = self.gamma * phi**3
        w1 = jnp.expm1(-uniform / gamma_phi3)
        y = beta(rs) * gradient_t2(point, phi) / (self.gamma * w1)
        bracket = 20.0 * rs * (single_slope * gc - uniform_slope) - 45.0 * self.eta * (single * gc - uniform)
        delta_y = (
            _slope_at_one(_FC)
            / (27.0 * gamma_phi3 * d_s * w1)
            * bracket
            * s2
            * jnp.exp(-s2 * s2 / self.dp2**4)
        )
        g = 1.0 / jnp.sqrt(jnp.sqrt(1.0 + 4.0 * (y - delta_y)))
        one = uniform + gamma_phi3 * jnp.log1p(w1 * (1.0 - g))
        zero = energy0(rs, s2) * gc
        weizsaecker = point.sigma / (8.0 * point.rho)
        alpha = (point.tau - weizsaecker) / (uniform_tau(point) + self.eta * weizsaecker)
        return one + _switching(alpha, _FC, self.c1, self.c2, self.d) * (zero - one)

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        f, zeta4 = point.spin_interpolation(), point.zeta**4
        rs = point.rs
        lsda = jax.jvp(lambda r: self.uniform.energy_at(jnp.sqrt(r), f, zeta4), (rs,), (jnp.ones_like(rs),))
        r = point.inverse_cbrt
        # d_s = [(1+ζ)^(5/3) + (1-ζ)^(5/3)]/2, eq. 28
        d_s = 2.0 ** (2.0 / 3.0) * ((point.cbrt_a * r) ** 5 + (point.cbrt_b * r) ** 5)
        return point.rho * self._energy(point, lsda, spin_scaling_phi(point), polarisation_gc(point), d_s)

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        rs = point.rs
        energy = self.uniform.paramagnetic.energy
        lsda = jax.jvp(lambda r: energy(jnp.sqrt(r)), (rs,), (jnp.ones_like(rs),))
        return point.rho * self._energy(point, lsda, 1.0, 1.0, 1.0)
