"""The meta-GGA of Tao, Perdew, Staroverov and Scuseria. Phys. Rev. Lett. 91, 146401 (2003).

Equation numbers are those of the long paper, Perdew, Tao, Staroverov, Scuseria, J. Chem. Phys. 120, 6898 (2004).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import pi, sqrt
from typing import Any

import jax.numpy as jnp

from scfx_xc.component import AbstractComponent, AbstractSpinExchange
from scfx_xc.pbe import PBECorrelation
from scfx_xc.points import UNIFORM_TAU, ClosedShellPoint, SpinChannel, SpinPoint
from scfx_xc.slater import SPIN_EXCHANGE_CONSTANT

#: Gradient coefficient of exchange at slowly varying density, 10/81.
_MU_GE = 10.0 / 81.0


@dataclass(frozen=True)
class TPSSExchange(AbstractSpinExchange):
    """F_x = 1 + κ - κ/(1 + x/κ), x of eq. 10 from p = s², z = τ_W/τ and q̃_b."""

    name = "tpss_exchange"
    family = "mgga"

    b: float = 0.40
    c: float = 1.59096
    e: float = 1.537
    kappa: float = 0.804
    mu: float = 0.21951

    def _channel_energy(self, spin: SpinChannel) -> Any:
        p, root_e = spin.s2, sqrt(self.e)
        z = spin.sigma / (8.0 * spin.rho * spin.tau)
        alpha = (spin.t - 0.125 * spin.x2) / UNIFORM_TAU
        q = 0.45 * (alpha - 1.0) / jnp.sqrt(1.0 + self.b * alpha * (alpha - 1.0)) + (2.0 / 3.0) * p
        z2, z_scaled = z * z, 0.36 * z * z
        x = (
            (_MU_GE + self.c * z2 / (1.0 + z2) ** 2) * p
            + (146.0 / 2025.0) * q * q
            - (73.0 / 405.0) * q * jnp.sqrt(0.5 * (z_scaled + p * p))
            + (_MU_GE**2 / self.kappa) * p * p
            + 2.0 * root_e * _MU_GE * z_scaled
            + self.e * self.mu * p**3
        ) / (1.0 + root_e * p) ** 2
        factor = 1.0 + self.kappa - self.kappa / (1.0 + x / self.kappa)
        return -SPIN_EXCHANGE_CONSTANT * spin.rho * spin.cbrt * factor


@dataclass(frozen=True)
class TPSSCorrelation(AbstractComponent):
    """The correlation of TPSS, ε = ε_rev [1 + d ε_rev (τ_W/τ)³], eq. 24, where ε_rev (eq. 25) is PBE's without
    self-correlation.
    """

    name = "tpss_correlation"
    family = "mgga"

    d: float = 2.8
    #: C(ζ, 0) = 0.53 + 0.87 ζ² + 0.50 ζ⁴ + 2.26 ζ⁶, eq. 33.
    c: tuple[float, float, float, float] = (0.53, 0.87, 0.50, 2.26)
    pbe: PBECorrelation = field(default_factory=PBECorrelation)

    def _energy(self, total: Any, larger: Any, c: Any, z: Any) -> Any:
        """ε from PBE's ε, Σ_s (ρ_s/ρ) max(ε_s, ε), C(ζ, ξ) and z = τ_W/τ."""
        revised = total * (1.0 + c * z * z) - (1.0 + c) * z * z * larger
        return revised * (1.0 + self.d * revised * z**3)

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        a, b = point.channels()
        total = self.pbe.spin_resolved(point) / point.rho
        share_a, share_b = a.rho / point.rho, b.rho / point.rho
        larger = share_a * jnp.maximum(self.pbe.polarised(a), total)
        larger = larger + share_b * jnp.maximum(self.pbe.polarised(b), total)
        z = jnp.minimum(point.sigma / (8.0 * point.rho * point.tau), 1.0)
        zeta2 = point.zeta**2
        c0, c1, c2, c3 = self.c
        c_unpolarised = c0 + zeta2 * (c1 + zeta2 * (c2 + zeta2 * c3))
        # ξ = |∇ζ| / [2 (3π²ρ)^(1/3)], and ∇ζ = 2 (ρ_b ∇ρ_a - ρ_a ∇ρ_b)/ρ².
        gradient = (
            b.rho * b.rho * point.sigma_aa
            - 2.0 * a.rho * b.rho * point.sigma_ab
            + a.rho * a.rho * point.sigma_bb
        )
        xi2 = gradient * point.inverse_cbrt**14 / (3.0 * pi**2) ** (2.0 / 3.0)
        # (1 ± ζ)^(-4/3) = (2 ρ_s/ρ)^(-4/3)
        inverse = 0.5 * 2.0 ** (-4.0 / 3.0) * point.cbrt**4 * (a.inverse_cbrt**4 + b.inverse_cbrt**4)
        c = c_unpolarised / (1.0 + xi2 * inverse) ** 4
        return point.rho * self._energy(total, larger, c, z)

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        total = self.pbe.closed_shell(point) / point.rho
        larger = jnp.maximum(self.pbe.polarised(point.channel()), total)
        z = jnp.minimum(point.sigma / (8.0 * point.rho * point.tau), 1.0)
        return point.rho * self._energy(total, larger, self.c[0], z)
