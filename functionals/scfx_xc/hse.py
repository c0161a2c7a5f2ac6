"""Short-range PBE exchange from the PBE exchange hole: the semilocal part of HSE06.

Hole: Ernzerhof, Perdew, J. Chem. Phys. 109, 3313 (1998). With erfc(ωr)/r: Heyd, Scuseria, Ernzerhof, J. Chem. Phys.
118, 8207 (2003), appendix; 124, 219906 (2006) (erratum). HSE06 (ω = 0.11): Krukau, Vydrov, Izmaylov, Scuseria,
J. Chem. Phys. 125, 224106 (2006). The limit on large s is Henderson's, as quantum-chemistry programs have it.

ω is scaled by each spin's own k_F = (6π²ρ_s)^(1/3), which fulfils the spin-scaling relation.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, pi, sqrt
from typing import Any

import jax.numpy as jnp

from scfx_xc.component import AbstractSpinExchange
from scfx_xc.exponential_integral import (
    scaled_erfc,
    scaled_exponential_integral,
    scaled_exponential_integral_log,
)
from scfx_xc.points import SIX_PI_SQUARED, SpinChannel
from scfx_xc.slater import SPIN_EXCHANGE_CONSTANT

#: Parameters A to E of the hole.
_A, _B, _C, _D, _E = 1.0161144, -0.37170836, -0.077215461, 0.57786348, -0.051955731
#: H(s) = (a1 s² + a2 s⁴)/(1 + a3 s⁴ + a4 s⁵ + a5 s⁶).
_H = (0.00979681, 0.0410834, 0.187440, 0.00120824, 0.0347188)
#: F(s) = f1 H(s) + f2.
_F1, _F2 = 6.4753871, 0.47965830
#: E G(s) below s = 0.08, where its closed form cancels.
_SMALL_S = 0.08
_EG = (-0.02628417880, -0.07117647788, 0.08534541323)
#: Fit of the hole's long-range part, a1 to a8, and b.
_FIT = (
    -1.128223946706117, 1.452736265762971, -1.243162299390327, 0.971824836115601,
    -0.568861079687373, 0.246880514820192, -0.065032363850763, 0.008401793031216,
)  # fmt: skip
_FIT_B, _LARGE_W, _LARGE_W_B = 1.455915450052607, 14.0, 2.0
#: s saturates here: the hole does not keep the Lieb-Oxford bound beyond.
_S_MAX, _S_BEGIN, _S_END = 8.572844, 1.0, 15.0


def _saturated(s: Any) -> Any:
    """s - ln(1 + exp(s - s_max)) between 1 and 15, s below, s_max above."""
    middle = jnp.clip(s, _S_BEGIN, _S_END)
    bent = middle - jnp.log1p(exp(-_S_MAX) * jnp.exp(middle))
    return jnp.where(s < _S_BEGIN, s, jnp.where(s > _S_END, _S_MAX, bent))


def _eg(s: Any, s2: Any, q: Any, f: Any, d: Any) -> Any:
    """E G(s); q = s² H(s), f = F(s), d = D + s² H(s)."""
    small = _EG[0] + s2 * (_EG[1] + s2 * _EG[2])
    # The closed form sees nothing below its range.
    safe = s > _SMALL_S
    s2, q, d = jnp.where(safe, s2, 1.0), jnp.where(safe, q, 0.04), jnp.where(safe, d, 0.6)
    root7 = d**3 * jnp.sqrt(d)
    x = 9.0 * q / (4.0 * _A)
    polynomial = 15.0 * _E + 6.0 * _C * (1.0 + f * s2) * d + 4.0 * _B * d * d + 8.0 * _A * d**3
    a = sqrt(pi) * polynomial / (16.0 * root7) - 0.75 * sqrt(_A) * scaled_erfc(x)
    b = 15.0 * sqrt(pi) * s2 / (16.0 * root7)
    return jnp.where(safe, -(0.75 * pi + a) / b, small)


@dataclass(frozen=True)
class ShortRangePBEHoleExchange(AbstractSpinExchange):
    """Slater exchange times the enhancement factor of the PBE hole with erfc(ωr)/r; ω = 0 is the full range."""

    name = "pbe_hole_exchange"
    family = "gga"

    omega: float

    def _channel_energy(self, spin: SpinChannel) -> Any:
        s = _saturated(jnp.sqrt(spin.s2))
        w = None
        if self.omega:
            w = (self.omega / SIX_PI_SQUARED ** (1.0 / 3.0)) * spin.inverse_cbrt
        return -SPIN_EXCHANGE_CONSTANT * spin.rho * spin.cbrt * _enhancement(s, w)


def _enhancement(s: Any, w: Any | None) -> Any:
    """F_x(s, w = ω/k_F); `w` None: ω = 0."""
    s2 = s * s
    h = s2 * (_H[0] + _H[1] * s2) / (1.0 + s2 * s2 * (_H[2] + s * (_H[3] + s * _H[4])))
    q, f = s2 * h, _F1 * h + _F2
    d = _D + q
    eg = _eg(s, s2, q, f, d)
    total = (d * d * _B + d * _C * (1.0 + s2 * f) + 2.0 * _E + 2.0 * s2 * eg) / (2.0 * d**3)
    if w is None:
        x = (9.0 / (4.0 * _A)) * q
        total = total + 0.5 * _A * (scaled_exponential_integral_log(x) + log(4.0 * _A / 9.0) - jnp.log(d))
        return -(8.0 / 9.0) * total
    w2 = w * w
    e = d + w2
    root5 = e * e * jnp.sqrt(e)
    bracket = 4.0 * e * e * _B + 6.0 * e * _C * (1.0 + s2 * f) + 15.0 * (_E + s2 * eg)
    total = total - w * bracket / (8.0 * d * root5)
    total = total - w * w2 * (e * _C * (1.0 + s2 * f) + 5.0 * (_E + s2 * eg)) / (2.0 * d * d * root5)
    total = total - w * w2 * w2 * (_E + s2 * eg) / (d**3 * root5)
    return -(8.0 / 9.0) * (total + _first_term(q, w))


def _first_term(q: Any, w: Any) -> Any:
    """The integral over the hole's Gaussian-fitted first term, for w up to 14 and beyond."""
    large = w > _LARGE_W
    narrow = _fitted_term(q, jnp.minimum(w, _LARGE_W))
    t = q + _LARGE_W_B * jnp.maximum(w, _LARGE_W) ** 2
    # Far out e^x E1(x) and the logarithm nearly cancel.
    wide = -0.5 * _A * (-scaled_exponential_integral(2.25 / _A * t) + jnp.log1p(_D / t))
    return jnp.where(large, wide, narrow)


def _fitted_term(q: Any, w: Any) -> Any:
    a1, a2, a3, a4, a5, a6, a7, a8 = _FIT
    w2 = w * w
    t = q + _FIT_B * w2  # the exponent of the fitted hole
    v = _D + t
    x = (2.25 / _A) * t
    root_a = sqrt(_A)
    odd = w * (
        -1.5 * a1 * root_a
        + w2 * (27.0 * a3 / (8.0 * root_a))
        + w2 * w2 * (-243.0 * a5 / (32.0 * _A * root_a) + w2 * (2187.0 * a7 / (128.0 * _A**2 * root_a)))
    )
    even = w2 * (
        2.25 * a2
        + w2
        * (-81.0 * a4 / (16.0 * _A) + w2 * (729.0 * a6 / (64.0 * _A**2) - w2 * 6561.0 * a8 / (256.0 * _A**3)))
    )
    total = 0.5 * (odd * scaled_erfc(x) - even * scaled_exponential_integral(x))
    total = total + 0.5 * _A * (scaled_exponential_integral_log(x) + log(4.0 * _A / 9.0) - jnp.log(v))
    root_t, root_v, root_pi = jnp.sqrt(t), jnp.sqrt(v), sqrt(pi)
    f2 = 0.5 * a1 * root_pi * _A / root_v
    f3 = 0.5 * a2 * _A / v
    f4 = a3 * root_pi * (-9.0 / (8.0 * root_t) + 0.25 * _A / (v * root_v))
    f5 = a4 / 128.0 * (-144.0 / t + 64.0 * _A / v**2)
    f6 = (
        a5
        * 3.0
        * root_pi
        * (3.0 * (9.0 * t - 2.0 * _A) / (32.0 * t * root_t * _A) + _A / (8.0 * v**2 * root_v))
    )
    f7 = a6 / 32.0 * (32.0 * _A / v**3 + (81.0 * q / _A - 36.0) / t**2)
    f8 = (
        -3.0
        * a7
        * root_pi
        * (
            9.0 * (27.0 * t * t - 6.0 * t * _A + 4.0 * _A**2) / (128.0 * t**2 * root_t * _A**2)
            - 40.0 * _A / (128.0 * v**3 * root_v)
        )
    )
    f9 = 324.0 * a6 * _FIT_B / (128.0 * t**2 * _A) + a8 * (
        3.0 * _A / v**4 + (-729.0 * t * t + 324.0 * t * _A - 288.0 * _A**2) / (128.0 * t**3 * _A**2)
    )
    return total + w * (f2 + w * (f3 + w * (f4 + w * (f5 + w * (f6 + w * (f7 + w * (f8 + w * f9)))))))
