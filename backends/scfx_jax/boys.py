"""The Boys function F_m(T) = ∫_0^1 t^(2m) exp(-T t²) dt of many arguments, by one table and a recursion."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

#: Arguments that the table covers; beyond, exp(-T) is below the rounding of float64 (for m up to 12).
LARGEST = 64.0
#: Distance between two rows. A Taylor series about the nearest row has terms of (1/32)^k / k!.
_STEP = 1.0 / 16.0
#: Terms of the series by dtype: the first one left out is below 6e-15, or 4e-8.
_TERMS = {"float64": 7, "float32": 4}


@cache
def boys_table(order: int, dtype: str = "float64") -> Float[np.ndarray, "row term"]:
    """Return F_(order + k)(T) (-1)^k / k! at the rows T: the Taylor coefficients of F_order that `dtype`
    needs.
    """
    from scipy.special import gamma, gammainc

    t = np.arange(round(LARGEST / _STEP) + 1) * _STEP
    out = np.zeros((len(t), _TERMS[dtype]))
    factorial = 1.0
    for k in range(_TERMS[dtype]):
        factorial *= max(k, 1)
        half = order + k + 0.5
        out[0, k] = 0.5 / half
        out[1:, k] = 0.5 * gamma(half) * gammainc(half, t[1:]) / t[1:] ** half
        out[:, k] *= (-1) ** k / factorial
    out = out.astype(dtype)
    out.setflags(write=False)
    return out


def boys(order: int, t: Float[Array, "*lanes"], table: Any) -> list[Float[Array, "*lanes"]]:
    """Return F_0 to F_order of non-negative arguments, in their dtype; `table` is `boys_table(order, dtype)`, or a
    kernel's reference to it.

    Helgaker, Jorgensen, Olsen (2000), sections 9.8.2 and 9.8.3: a table for the highest order, whose asymptotic form
    takes over where the table ends, and downward recursion, which is stable.
    """
    near = jnp.minimum(t, jnp.full_like(t, LARGEST))
    row = (near * (1.0 / _STEP) + 0.5).astype(jnp.int32)
    step = near - row.astype(t.dtype) * _STEP
    terms = table.shape[1]
    highest: Any = table[row, terms - 1]
    for k in reversed(range(terms - 1)):
        highest = highest * step + table[row, k]
    # (2m - 1)!! / 2^(m+1) sqrt(pi / T^(2m+1)), by square roots and products only
    far = jnp.maximum(t, jnp.full_like(t, LARGEST))
    inverse = 1.0 / far
    asymptotic = jnp.sqrt(inverse) * (0.5 * float(np.sqrt(np.pi)))
    for m in range(order):
        asymptotic = asymptotic * inverse * (m + 0.5)
    out = [jnp.where(t < jnp.full_like(t, LARGEST), highest, asymptotic)]
    if order:
        decay = jnp.exp(-t)
        for m in reversed(range(order)):
            out.append((2.0 * t * out[-1] + decay) * (1.0 / (2 * m + 1)))
    return out[::-1]
