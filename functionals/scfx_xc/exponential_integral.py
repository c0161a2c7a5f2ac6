"""The functions e^x E1(x) and e^x erfc(x^½) for positive x, without overflow, and with derivatives that do not cancel.

Abramowitz and Stegun, Handbook of Mathematical Functions, 5.1.11, 5.1.22 and 7.1.23.
"""

from __future__ import annotations

from math import factorial, pi, sqrt
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import erfc

_EULER = 0.57721566490153286061
#: Below this the power series, above it the continued fraction.
_SWITCH = 2.0
_SERIES_TERMS = 26
_FRACTION_TERMS = 60


def _entire(x: Any) -> Any:
    """Ein(x) = Σ (-1)^(k+1) x^k/(k k!)."""
    total = jnp.zeros_like(x)
    for k in range(_SERIES_TERMS, 0, -1):
        total = x * (total + (-1.0) ** (k + 1) / (k * factorial(k)))
    return total


def _fraction(x: Any) -> Any:
    """e^x E1(x) = 1/(x+1-1/(x+3-4/(x+5-...)))."""

    def term(j: Any, tail: Any) -> Any:
        k = _FRACTION_TERMS - j.astype(x.dtype)
        return x + (2.0 * k - 1.0) - k * k / tail

    # A loop, not sixty statements: those take XLA many seconds to compile.
    return 1.0 / jax.lax.fori_loop(0, _FRACTION_TERMS, term, x + (2 * _FRACTION_TERMS + 1.0))


@jax.custom_jvp
def scaled_exponential_integral_log(x: Any) -> Any:
    """Return e^x E1(x) + ln x: finite at x = 0."""
    small = jnp.minimum(x, _SWITCH)
    # E1 = -γ - ln x + Ein
    near = jnp.exp(small) * (_entire(small) - _EULER) - jnp.expm1(small) * jnp.log(small)
    far = jnp.maximum(x, _SWITCH)
    return jnp.where(x < _SWITCH, near, _fraction(far) + jnp.log(far))


@scaled_exponential_integral_log.defjvp
def _log_jvp(primals: tuple, tangents: tuple) -> tuple:
    # d/dx [e^x E1 + ln x] = e^x E1: the poles of the two terms cancel analytically.
    (x,), (dx,) = primals, tangents
    return scaled_exponential_integral_log(x), scaled_exponential_integral(x) * dx


@jax.custom_jvp
def scaled_exponential_integral(x: Any) -> Any:
    """Return e^x E1(x)."""
    small = jnp.minimum(x, _SWITCH)
    near = jnp.exp(small) * (_entire(small) - _EULER - jnp.log(small))
    return jnp.where(x < _SWITCH, near, _fraction(jnp.maximum(x, _SWITCH)))


@scaled_exponential_integral.defjvp
def _integral_jvp(primals: tuple, tangents: tuple) -> tuple:
    (x,), (dx,) = primals, tangents
    value = scaled_exponential_integral(x)
    return value, (value - 1.0 / x) * dx


@jax.custom_jvp
def scaled_erfc(x: Any) -> Any:
    """Return π e^x erfc(x^½)."""
    near = jnp.minimum(x, 50.0)
    far = jnp.maximum(x, 50.0)
    # Asymptotic series: at x = 50 its twentieth term is 39!!/100^20 = 3e-17.
    series = jnp.ones_like(x)
    for k in range(20, 0, -1):
        series = 1.0 - (2 * k - 1.0) / (2.0 * far) * series
    return jnp.where(x < 50.0, pi * jnp.exp(near) * erfc(jnp.sqrt(near)), sqrt(pi) / jnp.sqrt(far) * series)


@scaled_erfc.defjvp
def _erfc_jvp(primals: tuple, tangents: tuple) -> tuple:
    # d/dx [π e^x erfc(√x)] = itself - (π/x)^½
    (x,), (dx,) = primals, tangents
    value = scaled_erfc(x)
    return value, (value - sqrt(pi) / jnp.sqrt(x)) * dx
