"""Perdew-Burke-Ernzerhof exchange and correlation. Phys. Rev. Lett. 77, 3865 (1996), and its relatives.

revPBE: Zhang and Yang, Phys. Rev. Lett. 80, 890 (1998). RPBE: Hammer, Hansen, Norskov, Phys. Rev. B 59, 7413 (1999).
PBEsol: Perdew et al., Phys. Rev. Lett. 100, 136406 (2008).
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from math import log, pi
from typing import Any

import jax.numpy as jnp

from scfx_xc.component import AbstractComponent
from scfx_xc.points import ClosedShellPoint, SpinChannel, SpinPoint
from scfx_xc.pw92 import PW92Correlation
from scfx_xc.slater import EXCHANGE_CONSTANT

#: β of the high-density limit (Ma and Brueckner) to the digits of the authors' program; printed as 0.066725.
PBE_BETA = 0.06672455060314922
#: μ = β π²/3, printed as 0.21951.
PBE_MU = PBE_BETA * pi**2 / 3.0
#: γ = (1 - ln 2)/π².
GAMMA = (1.0 - log(2.0)) / pi**2
#: s² = REDUCED σ / ρ^(8/3), from s = |∇ρ| / (2 k_F ρ).
_REDUCED = 1.0 / (4.0 * (3.0 * pi**2) ** (2.0 / 3.0))


def _spin_scaled(closed_shell: Any, point: SpinPoint) -> Any:
    """E_x[ρ_a, ρ_b] = (E_x[2ρ_a] + E_x[2ρ_b]) / 2, Oliver and Perdew (1979); `closed_shell` takes ρ^(4/3), s²."""
    total = 0.0
    for rho, cbrt, sigma in point.spins():
        density_43 = rho * cbrt
        # (2ρ_s)^(8/3) = 2^(8/3) ρ_s^(8/3) and σ = 4 σ_ss.
        s2 = _REDUCED * 2.0 ** (-2.0 / 3.0) * sigma / density_43 / density_43
        total = total + 0.5 * closed_shell(2.0 ** (4.0 / 3.0) * density_43, s2)
    return total


def _closed_shell_s2(point: ClosedShellPoint) -> Any:
    return _REDUCED * point.sigma * point.inverse_cbrt**8


class AbstractEnhancedExchange(AbstractComponent):
    """Slater exchange times an enhancement factor F_x(s²), by spin scaling: a form is its factor and no more."""

    @abc.abstractmethod
    def _enhancement(self, s2: Any) -> Any:
        """F_x at the squared reduced gradient s²."""

    def _energy(self, density_43: Any, s2: Any) -> Any:
        return -EXCHANGE_CONSTANT * density_43 * self._enhancement(s2)

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        return _spin_scaled(self._energy, point)

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        return self._energy(point.rho * point.cbrt, _closed_shell_s2(point))


@dataclass(frozen=True)
class PBEExchange(AbstractEnhancedExchange):
    """F_x(s) = 1 + κ - κ/(1 + μ s²/κ), eq. 14. revPBE changes κ, PBEsol μ."""

    name = "pbe_exchange"
    family = "gga"

    kappa: float = 0.804
    mu: float = PBE_MU

    def _enhancement(self, s2: Any) -> Any:
        return 1.0 + self.kappa - self.kappa / (1.0 + (self.mu / self.kappa) * s2)


@dataclass(frozen=True)
class RPBEExchange(AbstractEnhancedExchange):
    """F_x(s) = 1 + κ (1 - exp(-μ s²/κ)); Hammer, Hansen, Norskov, eq. 15."""

    name = "rpbe_exchange"
    family = "gga"

    kappa: float = 0.804
    mu: float = PBE_MU

    def _enhancement(self, s2: Any) -> Any:
        return 1.0 + self.kappa * (1.0 - jnp.exp((-self.mu / self.kappa) * s2))


#: t² = T2 σ ρ^(-7/3) / φ², from t = |∇ρ| / (2 φ k_s ρ), k_s² = 4 k_F/π, k_F = (3π²ρ)^(1/3).
_T2 = pi / (16.0 * (3.0 * pi**2) ** (1.0 / 3.0))


def gradient_t2(point: SpinPoint | ClosedShellPoint, phi: Any) -> Any:
    """Return t², the squared reduced gradient of correlation."""
    return _T2 * point.sigma * point.inverse_cbrt**7 / (phi * phi)


def spin_scaling_phi(point: SpinPoint) -> Any:
    """Return φ(ζ) = [(1+ζ)^(2/3) + (1-ζ)^(2/3)]/2."""
    return 0.5 * (
        _clamped_two_thirds(point.rho_a, point.cbrt_a, point)
        + _clamped_two_thirds(point.rho_b, point.cbrt_b, point)
    )


@dataclass(frozen=True)
class PBECorrelation(AbstractComponent):
    """The correlation of PBE, e_c = ρ (ε_PW92 + H), H from eq. 7 and 8. PBEsol changes β."""

    name = "pbe_correlation"
    family = "gga"

    beta: float = PBE_BETA
    gamma: float = GAMMA
    uniform: PW92Correlation = field(default_factory=PW92Correlation)

    def _gradient_energy(self, uniform: Any, phi: Any, point: SpinPoint | ClosedShellPoint) -> Any:
        gamma_phi3 = self.gamma * phi**3
        t2 = gradient_t2(point, phi)
        return self._h(uniform, gamma_phi3, t2)

    def _h(self, uniform: Any, gamma_phi3: Any, t2: Any) -> Any:
        """H of eq. 7."""
        ratio = self.beta / self.gamma
        at2 = ratio / jnp.expm1(-uniform / gamma_phi3) * t2
        return gamma_phi3 * jnp.log1p(ratio * t2 * (1.0 + at2) / (1.0 + at2 * (1.0 + at2)))

    def polarised(self, spin: SpinChannel) -> Any:
        """Return ε_c of one spin's electrons alone, per electron: ζ = 1, φ = 2^(-1/3)."""
        uniform = self.uniform.ferromagnetic.energy(jnp.sqrt(spin.rs))
        t2 = _T2 * 2.0 ** (2.0 / 3.0) * spin.sigma * spin.inverse_cbrt**7
        return uniform + self._h(uniform, 0.5 * self.gamma, t2)

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        uniform = self.uniform.energy_per_electron(point)
        return point.rho * (uniform + self._gradient_energy(uniform, spin_scaling_phi(point), point))

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        uniform = self.uniform.closed_shell_energy_per_electron(point)
        return point.rho * (uniform + self._gradient_energy(uniform, 1.0, point))


def _clamped_two_thirds(rho: Any, cbrt: Any, point: SpinPoint) -> Any:
    """(1 ± ζ)^(2/3) = (2ρ_s/ρ)^(2/3), constant below one ulp of ζ.

    Its derivative diverges at full polarisation; libxc cuts at the same place, so that the potential felt by the
    empty spin channel (the virtual orbitals of the hydrogen atom) is the same.
    """
    epsilon = float(jnp.finfo(rho.dtype).eps)
    power = 2.0 ** (2.0 / 3.0) * (cbrt * point.inverse_cbrt) ** 2
    return jnp.where(2.0 * rho > epsilon * point.rho, power, epsilon ** (2.0 / 3.0))
