"""Hermite Gaussians: expansion coefficients of products of two Gaussians, and Coulomb integrals between them.

McMurchie and Davidson, J. Comput. Phys. 26, 218 (1978); Helgaker, Jorgensen, Olsen (2000), sections 9.5 and 9.9. What
differs between classes of shells stands in index tables, so that a program is a few vectorised steps, whatever the
angular momentum, and compiles in about a second.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scfx.model.basis import cartesian_powers


@cache
def hermite_indices(order: int) -> tuple[tuple[int, int, int], ...]:
    """Return (t, u, v) with t + u + v up to `order`, by total, in the order of `cartesian_powers` within one."""
    return tuple(powers for level in range(order + 1) for powers in cartesian_powers(level))


def hermite_count(order: int) -> int:
    """Return how many Hermite Gaussians there are up to `order`."""
    return (order + 1) * (order + 2) * (order + 3) // 6


@cache
def sum_table(bra: int, ket: int) -> np.ndarray:
    """Return [bra, ket]: where t + t', u + u', v + v' stands among `hermite_indices(bra + ket)`."""
    place: dict[tuple[int, ...], int] = {index: i for i, index in enumerate(hermite_indices(bra + ket))}
    return np.array(
        [
            [place[tuple(x + y for x, y in zip(one, two, strict=True))] for two in hermite_indices(ket)]
            for one in hermite_indices(bra)
        ],
        dtype=np.int32,
    )


@cache
def ket_signs(order: int) -> np.ndarray:
    """Return (-1)^(t + u + v) of each Hermite Gaussian of a ket."""
    return np.array([(-1.0) ** sum(index) for index in hermite_indices(order)])


@cache
def _level_tables(level: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return how a level's components follow from the two below: axis raised, where each stood, and the factor."""
    below: dict[tuple[int, ...], int] = {index: i for i, index in enumerate(cartesian_powers(level - 1))}
    two_below: dict[tuple[int, ...], int] = (
        {index: i for i, index in enumerate(cartesian_powers(level - 2))} if level > 1 else {}
    )
    axis, one, two, factor = [], [], [], []
    for index in cartesian_powers(level):
        raised = max(range(3), key=lambda x: index[x])
        once = tuple(n - (x == raised) for x, n in enumerate(index))
        twice = tuple(n - 2 * (x == raised) for x, n in enumerate(index))
        axis.append(raised)
        one.append(below[once])
        two.append(two_below.get(twice, 0))
        factor.append(float(once[raised]))
    return tuple(np.array(a, dtype=t) for a, t in zip((axis, one, two, factor), "iiid", strict=True))  # type: ignore[return-value]


def coulomb_integrals(
    order: int, start: list[Float[Array, "*lanes"]], distance: Float[Array, "3 *lanes"]
) -> Float[Array, "hermite *lanes"]:
    """Return R_tuv of all t + u + v up to `order`, by recursion.

    `start` holds R^n_000 = (-2 alpha)^n F_n, n = 0 to `order`.
    R^n_(t+1,u,v) = t R^(n+1)_(t-1,u,v) + X R^(n+1)_tuv: Helgaker et al., eq. 9.9.18.
    """
    lanes = start[0].shape
    level: Any = jnp.stack(start)[None]  # [component, n, *lanes]
    before: Any = None
    found = [level[:, 0]]
    for k in range(1, order + 1):
        axis, one, two, factor = _level_tables(k)
        new = distance[axis][:, None] * level[one, 1:]
        if k > 1 and factor.any():
            weight = jnp.asarray(factor, distance.dtype).reshape(-1, 1, *(1 for _ in lanes))
            new = new + weight * before[two, 1 : order - k + 2]
        before, level = level, new
        found.append(level[:, 0])
    return jnp.concatenate(found)


def expansion_1d(
    left: int,
    right: int,
    p: Float[Array, "*lanes"],
    pa: Float[Array, "3 *lanes"],
    pb: Float[Array, "3 *lanes"],
) -> dict[tuple[int, int, int], Float[Array, "3 *lanes"]]:
    """Return E_t^(ij) in x, y and z for i up to `left` and j up to `right`, without the factor exp(-mu R_AB²).

    Helgaker et al., eqs. 9.5.6 and 9.5.7.
    """
    half = jnp.broadcast_to((0.5 / p)[None], pa.shape)
    out: dict[tuple[int, int, int], Any] = {(0, 0, 0): jnp.ones_like(pa)}

    def raised(i: int, j: int, t: int, shift: Any) -> Any:
        value = None
        for term in (
            half * out[i, j, t - 1] if (i, j, t - 1) in out else None,
            shift * out[i, j, t] if (i, j, t) in out else None,
            float(t + 1) * out[i, j, t + 1] if (i, j, t + 1) in out else None,
        ):
            if term is not None:
                value = term if value is None else value + term
        return value

    for j in range(right + 1):
        if j:
            for t in range(j + 1):
                out[0, j, t] = raised(0, j - 1, t, pb)
        for i in range(1, left + 1):
            for t in range(i + j + 1):
                out[i, j, t] = raised(i - 1, j, t, pa)
    return out


@cache
def expansion_tables(
    left: int, right: int, hermites: tuple[tuple[int, int, int], ...]
) -> tuple[tuple[tuple[int, int, int], ...], np.ndarray]:
    """Return which E_t^(ij) there are, and where the three factors of E^(ab)_(tuv) stand among them.

    The table is [3, ncart_left ncart_right, hermite]; the row after the last stands for zero.
    """
    keys = tuple((i, j, t) for j in range(right + 1) for i in range(left + 1) for t in range(i + j + 1))
    place = {key: n for n, key in enumerate(keys)}
    table = np.full(
        (3, len(cartesian_powers(left)) * len(cartesian_powers(right)), len(hermites)), len(keys), np.int32
    )
    for row, (a, b) in enumerate((a, b) for a in cartesian_powers(left) for b in cartesian_powers(right)):
        for column, index in enumerate(hermites):
            for x in range(3):
                table[x, row, column] = place.get((a[x], b[x], index[x]), len(keys))
    return keys, table
