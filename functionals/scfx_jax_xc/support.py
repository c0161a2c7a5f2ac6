"""The helpers that jax-xc's generated formulas import from their `utils`, right under reverse differentiation."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Heaviside", "NamedTuple", "lambertw", "lax_cond", "xc_E1_scaled", "xc_erfcx"]


def lax_cond(condition: Any, yes: Any, no: Any) -> Any:
    """Choose elementwise: `lax.cond` takes one condition, and a density has as many as points."""
    return jnp.where(condition, _floating(yes), _floating(no))


def _floating(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value


def Heaviside(x: Any) -> Any:
    """Return 1 from 0 on, else 0."""
    return jnp.where(x >= 0.0, 1.0, 0.0)


def xc_E1_scaled(x: Any) -> Any:
    """Return exp(x) E1(x); Abramowitz and Stegun 5.1.22 (Lentz's continued fraction) where the product would
    overflow.
    """
    large = x > 20.0
    small_x = jnp.where(large, 1.0, x)
    large_x = jnp.where(large, x, 100.0)
    fraction = jnp.zeros_like(large_x)
    for n in range(30, 0, -1):
        fraction = n * n / (large_x + 2.0 * n + 1.0 - fraction)
    return jnp.where(
        large, 1.0 / (large_x + 1.0 - fraction), jax.scipy.special.exp1(small_x) * jnp.exp(small_x)
    )


def xc_erfcx(x: Any) -> Any:
    """Return exp(x²) erfc(x); by its asymptotic series where erfc would underflow (Abramowitz and Stegun 7.1.23)."""
    large = x > 20.0
    small_x = jnp.where(large, 1.0, x)
    large_x = jnp.where(large, x, 100.0)
    inverse = 0.5 / (large_x * large_x)
    series = 1.0 - inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse * (1.0 - 7.0 * inverse)))
    return jnp.where(
        large,
        series / (large_x * jnp.sqrt(jnp.pi)),
        jnp.exp(small_x * small_x) * jax.scipy.special.erfc(small_x),
    )


def lambertw(x: Any) -> Any:
    """Return the principal branch of Lambert's W for x >= 0: Halley's iteration (Corless et al., Adv. Comput. Math. 5,
    329 (1996), eq. 5.9), with the derivative of the converged value."""
    w = jnp.log1p(x)
    for _ in range(8):
        exponential = jnp.exp(w)
        excess = w * exponential - x
        w = w - excess / (exponential * (w + 1.0) - 0.5 * (w + 2.0) * excess / (w + 1.0))
    return w
