"""Perdew-Wang correlation of the electron gas. Phys. Rev. B 45, 13244 (1992), eq. 8 to 10 and table I."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from scfx_xc.component import AbstractComponent
from scfx_xc.points import SPIN_INTERPOLATION_CURVATURE, ClosedShellPoint, SpinChannel, SpinPoint


@dataclass(frozen=True)
class PW92Fit:
    """Eq. 10 with p = 1: G = -2A (1 + α1 r_s) ln[1 + 1/(2A (β1 r_s^½ + β2 r_s + β3 r_s^(3/2) + β4 r_s²))]."""

    amplitude: float
    alpha1: float
    beta1: float
    beta2: float
    beta3: float
    beta4: float

    def energy(self, x: Any) -> Any:
        """Return G at x = r_s^(1/2), hartree per electron."""
        rs = x * x
        series = x * (self.beta1 + x * (self.beta2 + x * (self.beta3 + x * self.beta4)))
        return (
            -2.0
            * self.amplitude
            * (1.0 + self.alpha1 * rs)
            * jnp.log1p(1.0 / (2.0 * self.amplitude * series))
        )


def _fits(paramagnetic: float, ferromagnetic: float, stiffness: float) -> tuple[PW92Fit, PW92Fit, PW92Fit]:
    return (
        PW92Fit(paramagnetic, 0.21370, 7.5957, 3.5876, 1.6382, 0.49294),
        PW92Fit(ferromagnetic, 0.20548, 14.1189, 6.1977, 3.3662, 0.62517),
        PW92Fit(stiffness, 0.11125, 10.357, 3.6231, 0.88026, 0.49671),
    )


#: Amplitudes with one digit more and f''(0) to all digits, as in the authors' PBE program and libxc's `lda_c_pw_mod`.
_PBE_PROGRAM = _fits(0.0310907, 0.01554535, 0.0168869)
#: Table I as printed; libxc's `lda_c_pw`.
_PRINTED = _fits(0.031091, 0.015545, 0.016887)


@dataclass(frozen=True)
class PW92Correlation(AbstractComponent):
    """Eq. 8: ε = ε_P + α_c f(ζ)/f''(0) (1 - ζ⁴) + (ε_F - ε_P) f(ζ) ζ⁴."""

    name = "pw92"
    family = "lda"

    paramagnetic: PW92Fit = _PBE_PROGRAM[0]
    ferromagnetic: PW92Fit = _PBE_PROGRAM[1]
    #: Fit to minus the spin stiffness.
    minus_stiffness: PW92Fit = _PBE_PROGRAM[2]
    curvature: float = SPIN_INTERPOLATION_CURVATURE

    @classmethod
    def as_printed(cls) -> PW92Correlation:
        """Make it with the rounded amplitudes of table I and the paper's f''(0) = 1.709921."""
        return cls(*_PRINTED, curvature=1.709921)

    def energy_per_electron(self, point: SpinPoint) -> Any:
        """Return the energy per electron, hartree."""
        return self.energy_at(jnp.sqrt(point.rs), point.spin_interpolation(), point.zeta**4)

    def energy_at(self, x: Any, f: Any, zeta4: Any) -> Any:
        """Return ε at x = r_s^(1/2), f(ζ) and ζ⁴."""
        para = self.paramagnetic.energy(x)
        stiffness = -self.minus_stiffness.energy(x) / self.curvature
        return para + f * (stiffness * (1.0 - zeta4) + (self.ferromagnetic.energy(x) - para) * zeta4)

    def closed_shell_energy_per_electron(self, point: ClosedShellPoint) -> Any:
        """Return the energy per electron where both spins are equal, hartree."""
        return self.paramagnetic.energy(jnp.sqrt(point.rs))

    def polarised(self, spin: SpinChannel) -> Any:
        """Return the energy per volume of one spin's electrons alone: the parallel part of Stoll's partition."""
        return spin.rho * self.ferromagnetic.energy(jnp.sqrt(spin.rs))

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        return point.rho * self.energy_per_electron(point)

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        return point.rho * self.closed_shell_energy_per_electron(point)
