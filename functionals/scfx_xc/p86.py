"""Perdew's 1986 gradient correction to Perdew-Zunger correlation, the "P86" of BP86.

Perdew, Phys. Rev. B 33, 8822 (1986), and erratum 34, 7406; Perdew, Zunger, Phys. Rev. B 23, 5048 (1981), appendix C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from scfx_xc.component import AbstractComponent
from scfx_xc.points import ClosedShellPoint, SpinPoint


@dataclass(frozen=True)
class PZ81Fit:
    """The fit γ/(1 + β1 r_s^½ + β2 r_s) for r_s >= 1, A ln r_s + B + C r_s ln r_s + D r_s below; hartree per
    electron.
    """

    gamma: float
    beta1: float
    beta2: float
    a: float
    b: float
    c: float
    d: float

    def energy(self, rs: Any, log_rs: Any) -> Any:
        """Return the fitted energy, hartree per electron."""
        low = self.gamma / (1.0 + self.beta1 * jnp.sqrt(rs) + self.beta2 * rs)
        high = self.a * log_rs + self.b + (self.c * log_rs + self.d) * rs
        return jnp.where(rs >= 1.0, low, high)


@dataclass(frozen=True)
class P86Correlation(AbstractComponent):
    """Perdew's correlation of 1986, e_c = ρ ε_PZ81(r_s, ζ) + exp(-Φ) C(r_s) σ ρ^(-4/3) / d(ζ), eq. 4, 6, 8 and 9."""

    name = "p86"
    family = "gga"

    paramagnetic: PZ81Fit = PZ81Fit(-0.1423, 1.0529, 0.3334, 0.0311, -0.048, 0.0020, -0.0116)
    ferromagnetic: PZ81Fit = PZ81Fit(-0.0843, 1.3981, 0.2611, 0.01555, -0.0269, 0.0007, -0.0048)
    alpha: float = 0.023266
    beta: float = 7.389e-6
    gamma: float = 8.723
    delta: float = 0.472
    constant: float = 0.001667
    numerator: float = 0.002568
    #: f̃ times (9π)^(1/6), the latter rounded to 1.745 as in the paper's eq. 9.
    phi_factor: float = 1.745 * 0.11

    def _gradient_energy(self, point: SpinPoint | ClosedShellPoint) -> Any:
        rs, r = point.rs, point.inverse_cbrt
        numerator = self.numerator + rs * (self.alpha + rs * self.beta)
        denominator = 1.0 + rs * (self.gamma + rs * (self.delta + rs * 1e4 * self.beta))
        c = self.constant + numerator / denominator
        # |∇ρ| / ρ^(7/6)
        reduced = jnp.sqrt(point.sigma * r) * r**3
        phi = self.phi_factor * (self.constant + self.numerator) / c * reduced
        return point.sigma * r**4 * c * jnp.exp(-phi)

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        para = self.paramagnetic.energy(point.rs, point.log_rs)
        ferro = self.ferromagnetic.energy(point.rs, point.log_rs)
        uniform = para + (ferro - para) * point.spin_interpolation()
        r = point.inverse_cbrt
        # d = 2^(1/3) {[(1+ζ)/2]^(5/3) + [(1-ζ)/2]^(5/3)}^(1/2)
        d = 2.0 ** (1.0 / 3.0) * jnp.sqrt((point.cbrt_a * r) ** 5 + (point.cbrt_b * r) ** 5)
        return point.rho * uniform + self._gradient_energy(point) / d

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        return point.rho * self.paramagnetic.energy(point.rs, point.log_rs) + self._gradient_energy(point)
