"""What every component needs at a grid point, computed once: cube roots, the logarithm, spin fractions.

Powers of the density are built by multiplying cube roots, because in XLA's CPU code `pow` and `cbrt` cost 10 ns a
point against 2 to 4 ns for `log` and `exp`, and because products of inverse roots neither overflow nor underflow
where `sigma / rho**(8/3)` does.
"""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from scfx.abstract import ClosedShellDensity, Density

#: r_s = RS_FACTOR ρ^(-1/3), the Wigner-Seitz radius in bohr.
RS_FACTOR = (3.0 / (4.0 * pi)) ** (1.0 / 3.0)
_LOG_RS_FACTOR = log(RS_FACTOR)
#: k_F of one spin is (6π²ρ_s)^(1/3).
SIX_PI_SQUARED = 6.0 * pi**2
#: τ_s / ρ_s^(5/3) of the uniform gas, (3/10) (6π²)^(2/3).
UNIFORM_TAU = 0.3 * SIX_PI_SQUARED ** (2.0 / 3.0)


@jax.custom_jvp
def cube_root(x: Any) -> Any:
    """Return x^(1/3) for x > 0, to about one ulp: exp(log(x)/3) and one Newton step."""
    root = jnp.exp(jnp.log(x) * (1.0 / 3.0))
    return (2.0 * root + x / (root * root)) * (1.0 / 3.0)


@cube_root.defjvp
def _cube_root_jvp(primals: tuple, tangents: tuple) -> tuple:
    # Without this rule JAX would differentiate through the logarithm, the exponential and the Newton step.
    (x,), (dx,) = primals, tangents
    root = cube_root(x)
    return root, dx / (3.0 * root * root)


class SpinChannel(NamedTuple):
    """One spin: density `rho`, its cube root and inverse cube root, `sigma` = |∇ρ_s|² and `tau`."""

    rho: Any
    cbrt: Any
    inverse_cbrt: Any
    sigma: Any
    tau: Any

    @property
    def rs(self) -> Any:
        """Return the Wigner-Seitz radius of this spin's density alone."""
        return RS_FACTOR * self.inverse_cbrt

    @property
    def x2(self) -> Any:
        """Return x² = |∇ρ_s|² / ρ_s^(8/3)."""
        return self.sigma * self.inverse_cbrt**8

    @property
    def s2(self) -> Any:
        """Return the squared reduced gradient of spin-scaled exchange, s² = x² / [4 (6π²)^(2/3)]."""
        return (0.25 / SIX_PI_SQUARED ** (2.0 / 3.0)) * self.x2

    @property
    def t(self) -> Any:
        """Return τ_s / ρ_s^(5/3); `UNIFORM_TAU` in the uniform gas."""
        return self.tau * self.inverse_cbrt**5


class ClosedShellPoint(NamedTuple):
    """Total density `rho`, its cube root and inverse cube root, `log_rs` = ln r_s, `sigma` = |∇ρ|², and `tau`."""

    rho: Any
    cbrt: Any
    inverse_cbrt: Any
    log_rs: Any
    sigma: Any
    tau: Any = None

    @classmethod
    def from_density(cls, density: ClosedShellDensity) -> ClosedShellPoint:
        """Return the point of a density."""
        cbrt = cube_root(density.rho)
        return cls(density.rho, cbrt, 1.0 / cbrt, _log_rs(density.rho), density.sigma, density.tau)

    @property
    def rs(self) -> Any:
        """Return the Wigner-Seitz radius."""
        return RS_FACTOR * self.inverse_cbrt

    def channel(self) -> SpinChannel:
        """Return either spin: ρ_s = ρ/2, σ_ss = σ/4, τ_s = τ/2."""
        root = 2.0 ** (1.0 / 3.0)
        tau = None if self.tau is None else 0.5 * self.tau
        sigma = None if self.sigma is None else 0.25 * self.sigma
        return SpinChannel(0.5 * self.rho, self.cbrt / root, self.inverse_cbrt * root, sigma, tau)


class SpinPoint(NamedTuple):
    """A `ClosedShellPoint` of the total density, with the spin densities, their cube roots and invariants."""

    rho: Any
    cbrt: Any
    inverse_cbrt: Any
    log_rs: Any
    rho_a: Any
    rho_b: Any
    cbrt_a: Any
    cbrt_b: Any
    sigma_aa: Any
    sigma_ab: Any
    sigma_bb: Any
    tau_a: Any = None
    tau_b: Any = None

    @classmethod
    def from_density(cls, density: Density) -> SpinPoint:
        """Return the point of a density."""
        rho = density.rho_a + density.rho_b
        cbrt = cube_root(rho)
        return cls(
            rho, cbrt, 1.0 / cbrt, _log_rs(rho),
            density.rho_a, density.rho_b, cube_root(density.rho_a), cube_root(density.rho_b),
            density.sigma_aa, density.sigma_ab, density.sigma_bb, density.tau_a, density.tau_b,
        )  # fmt: skip

    @property
    def rs(self) -> Any:
        """Return the Wigner-Seitz radius of the total density."""
        return RS_FACTOR * self.inverse_cbrt

    @property
    def sigma(self) -> Any:
        """Return |∇ρ|² of the total density."""
        return self.sigma_aa + 2.0 * self.sigma_ab + self.sigma_bb

    @property
    def zeta(self) -> Any:
        """Return the relative spin polarisation (ρ_a - ρ_b)/ρ."""
        return (self.rho_a - self.rho_b) / self.rho

    @property
    def tau(self) -> Any:
        """Return the kinetic-energy density of both spins."""
        return self.tau_a + self.tau_b

    def channels(self) -> tuple[SpinChannel, SpinChannel]:
        """Return each spin by itself, with what meta-GGA forms need."""
        return (
            SpinChannel(self.rho_a, self.cbrt_a, 1.0 / self.cbrt_a, self.sigma_aa, self.tau_a),
            SpinChannel(self.rho_b, self.cbrt_b, 1.0 / self.cbrt_b, self.sigma_bb, self.tau_b),
        )

    def spins(self) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
        """Return (ρ_s, ρ_s^(1/3), σ_ss) of each spin: what exchange needs, which does not couple the spins."""
        return (self.rho_a, self.cbrt_a, self.sigma_aa), (self.rho_b, self.cbrt_b, self.sigma_bb)

    def spin_interpolation(self) -> Any:
        """Return f(ζ) = [(1+ζ)^(4/3) + (1-ζ)^(4/3) - 2] / (2^(4/3) - 2); von Barth and Hedin (1972), eq. 5.6."""
        # 1 ± ζ = 2 ρ_s/ρ: no cancellation at full polarisation.
        up = (self.cbrt_a * self.inverse_cbrt) ** 4
        down = (self.cbrt_b * self.inverse_cbrt) ** 4
        return (2.0 ** (4.0 / 3.0) * (up + down) - 2.0) / (2.0 ** (4.0 / 3.0) - 2.0)


#: f''(0) of the spin interpolation.
SPIN_INTERPOLATION_CURVATURE = 4.0 / (9.0 * (2.0 ** (1.0 / 3.0) - 1.0))


def _log_rs(rho: Any) -> Any:
    return _LOG_RS_FACTOR - jnp.log(rho) * (1.0 / 3.0)
