"""Vosko-Wilk-Nusair correlation of the electron gas. Can. J. Phys. 58, 1200 (1980), eq. 4.4 and tables 5 and 6.

Two parametrisations go by the name "VWN": the fit to Ceperley and Alder's Monte Carlo ("VWN5"), and the fit to the
random-phase approximation ("VWN-RPA", functional III of the paper), which is what Gaussian's B3LYP uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan, pi, sqrt
from typing import Any

import jax.numpy as jnp

from scfx_xc.component import AbstractComponent
from scfx_xc.points import SPIN_INTERPOLATION_CURVATURE, ClosedShellPoint, SpinPoint

#: Keep the arctangent's power series up to this many terms.
_MAX_SERIES_TERMS = 8


@dataclass(frozen=True)
class VWNFit:
    """Eq. 4.4: A {ln(x²/X) + (2b/Q) atan(Q/(2x+b)) - (b x0/X0) [ln((x-x0)²/X) + (2(b+2x0)/Q) atan(Q/(2x+b))]}.

    x = r_s^(1/2), X(x) = x² + b x + c, X0 = X(x0), Q = (4c - b²)^(1/2); hartree per electron.
    """

    amplitude: float
    x0: float
    b: float
    c: float

    def energy(self, x: Any, log_rs: Any) -> Any:
        """Return the fitted energy, hartree per electron."""
        q = sqrt(4.0 * self.c - self.b**2)
        ratio = self.b * self.x0 / (self.x0**2 + self.b * self.x0 + self.c)
        angle = 2.0 / q * (self.b - ratio * (self.b + 2.0 * self.x0))
        log_quadratic = jnp.log(x * x + self.b * x + self.c)
        return self.amplitude * (
            log_rs
            - (1.0 - ratio) * log_quadratic
            + angle * _arctangent(q / (2.0 * x + self.b), q / self.b)
            - 2.0 * ratio * jnp.log(x - self.x0)
        )


def _arctangent(y: Any, largest: float) -> Any:
    """atan(y) for 0 < y <= largest: a power series, exact to rounding, where few terms do; XLA's atan costs 9 ns."""
    terms = 1
    while (
        terms <= _MAX_SERIES_TERMS
        and largest ** (2 * terms) / (2 * terms + 1) > 1e-17 * atan(largest) / largest
    ):
        terms += 1
    if terms > _MAX_SERIES_TERMS:
        return jnp.arctan(y)
    square = y * y
    series = 0.0
    for k in reversed(range(terms)):
        series = series * square + (-1.0) ** k / (2 * k + 1)
    return y * series


_SPIN_STIFFNESS = -1.0 / (6.0 * pi**2)

#: Table 5, "Padé" to Ceperley-Alder. Amplitudes in hartree (the paper's are in rydberg).
VWN5_PARAMAGNETIC = VWNFit(0.0310907, -0.10498, 3.72744, 12.9352)
VWN5_FERROMAGNETIC = VWNFit(0.01554535, -0.32500, 7.06042, 18.0578)
VWN5_STIFFNESS = VWNFit(_SPIN_STIFFNESS, -0.0047584, 1.13107, 13.0045)
#: Fits to the random-phase approximation (section 4 of the paper).
RPA_PARAMAGNETIC = VWNFit(0.0310907, -0.409286, 13.0720, 42.7198)
RPA_FERROMAGNETIC = VWNFit(0.01554535, -0.743294, 20.1231, 101.578)


@dataclass(frozen=True)
class VWN5Correlation(AbstractComponent):
    """Correlation VWN5, ε = ε_P + α f(ζ)/f''(0) (1 - ζ⁴) + (ε_F - ε_P) f(ζ) ζ⁴; the paper's eq. 3.2 and 3.3 with its
    choice of Δε.
    """

    name = "vwn5"
    family = "lda"

    paramagnetic: VWNFit = VWN5_PARAMAGNETIC
    ferromagnetic: VWNFit = VWN5_FERROMAGNETIC
    stiffness: VWNFit = VWN5_STIFFNESS

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        x = jnp.sqrt(point.rs)
        f, zeta4 = point.spin_interpolation(), point.zeta**4
        para = self.paramagnetic.energy(x, point.log_rs)
        ferro = self.ferromagnetic.energy(x, point.log_rs)
        stiffness = self.stiffness.energy(x, point.log_rs) / SPIN_INTERPOLATION_CURVATURE
        return point.rho * (para + f * (stiffness * (1.0 - zeta4) + (ferro - para) * zeta4))

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        return point.rho * self.paramagnetic.energy(jnp.sqrt(point.rs), point.log_rs)


@dataclass(frozen=True)
class VWNRPACorrelation(AbstractComponent):
    """Correlation VWN-RPA, ε = ε_P + (ε_F - ε_P) f(ζ): the RPA fits with von Barth and Hedin's interpolation."""

    name = "vwn_rpa"
    family = "lda"

    paramagnetic: VWNFit = RPA_PARAMAGNETIC
    ferromagnetic: VWNFit = RPA_FERROMAGNETIC

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        x = jnp.sqrt(point.rs)
        para = self.paramagnetic.energy(x, point.log_rs)
        ferro = self.ferromagnetic.energy(x, point.log_rs)
        return point.rho * (para + (ferro - para) * point.spin_interpolation())

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        return point.rho * self.paramagnetic.energy(jnp.sqrt(point.rs), point.log_rs)
