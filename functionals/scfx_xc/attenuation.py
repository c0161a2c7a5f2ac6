"""Exchange with the short-range operator erfc(ωr)/r: the fraction of the uniform gas's exchange that it keeps.

Gill, Adamson, Pople, Mol. Phys. 88, 1005 (1996), eq. 13; Iikura, Tsuneda, Yanai, Hirao, J. Chem. Phys. 115, 3540
(2001), eq. 8 to 12, for the form in which a gradient-corrected exchange is attenuated.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, pi, sqrt
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import erf

from scfx_xc.b88 import Becke88Exchange
from scfx_xc.component import AbstractSpinExchange
from scfx_xc.points import SIX_PI_SQUARED, SpinChannel
from scfx_xc.slater import SPIN_EXCHANGE_CONSTANT

#: Terms of the power series; at u = 1 the first one left out is 1e-19.
_TERMS = 19


def _series() -> tuple[float, ...]:
    """Coefficients of u², u⁴, ... from those of erf and exp."""
    out = []
    for k in range(1, _TERMS + 1):
        bracket = 2.0 / (factorial(k) * (2 * k + 1)) - 1.0 / factorial(k + 1) - 0.5 / factorial(k + 2)
        out.append(-4.0 / 3.0 * (-1.0) ** k * bracket)
    return tuple(out)


_COEFFICIENTS = _series()


def attenuation(u: Any) -> Any:
    """Return the share of exchange at short range, for u = k_F/ω: 1 for slowly (large u), 0 for quickly vanishing
    density.

    1 - 4/(3u) [√π erf u + (1/u - 1/(2u³)) exp(-u²) - 3/(2u) + 1/(2u³)]; its power series below u = 1, where the
    closed form cancels.
    """
    small = jnp.minimum(u, 1.0) ** 2
    series = jnp.zeros_like(u)
    for coefficient in reversed(_COEFFICIENTS):
        series = small * (series + coefficient)
    large = jnp.maximum(u, 1.0)
    inverse = 1.0 / large
    half_cube = 0.5 * inverse**3
    bracket = (
        sqrt(pi) * erf(large) + (inverse - half_cube) * jnp.exp(-large * large) - 1.5 * inverse + half_cube
    )
    return jnp.where(u < 1.0, series, 1.0 - (4.0 / 3.0) * inverse * bracket)


def short_range_slater(spin: SpinChannel, omega: float) -> Any:
    """Return the energy per volume of one spin's local exchange with erfc(ωr)/r."""
    share = attenuation((SIX_PI_SQUARED ** (1.0 / 3.0) / omega) * spin.cbrt)
    return -SPIN_EXCHANGE_CONSTANT * spin.rho * spin.cbrt * share


@dataclass(frozen=True)
class ShortRangeBecke88Exchange(AbstractSpinExchange):
    """Becke's 1988 exchange with erfc(ωr)/r: the wave vector is k = [9π/(2K)]^(1/2) ρ_s^(1/3), e_x = -K ρ_s^(4/3)."""

    name = "b88_short_range"
    family = "gga"

    omega: float
    beta: float = Becke88Exchange.beta

    def _channel_energy(self, spin: SpinChannel) -> Any:
        x2 = spin.x2
        x = jnp.sqrt(x2)
        asinh = jnp.log(x + jnp.sqrt(1.0 + x2))
        k = SPIN_EXCHANGE_CONSTANT + self.beta * x2 / (1.0 + 6.0 * self.beta * x * asinh)
        wave_vector = jnp.sqrt(4.5 * pi / k) * spin.cbrt
        return -spin.rho * spin.cbrt * k * attenuation(wave_vector / self.omega)
