"""Shells, and products of two as Hermite Gaussians, of the slow integrals that check backends: McMurchie-Davidson.

Equation numbers are those of Helgaker, Jorgensen, Olsen, Molecular Electronic-Structure Theory (2000), chapter 9.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import gamma, gammainc

from scfx.model.basis import angular_factor, cartesian_powers

if TYPE_CHECKING:
    from scfx.model.batch import Batch


class Primitives(NamedTuple):
    """One shell of one molecule; `coefficients` include the angular factor of its Cartesian components."""

    angular_momentum: int
    centre: Float64[np.ndarray, "3"]
    exponents: Float64[np.ndarray, "nprim"]
    coefficients: Float64[np.ndarray, "nprim"]


class HermitePair(NamedTuple):
    """The product of two shells as Hermite Gaussians, primitive pair by primitive pair."""

    exponent: Float64[np.ndarray, "pair"]
    centre: Float64[np.ndarray, "pair 3"]
    weight: Float64[np.ndarray, "pair"]
    hermite: Float64[np.ndarray, "pair a b tuv"]
    order: int


@cache
def hermite_orders(total: int) -> tuple[tuple[int, int, int], ...]:
    """Hermite orders (t, u, v) with t + u + v <= total."""
    return tuple(powers for n in range(total + 1) for powers in cartesian_powers(n))


def shells_of(batch: Batch, entry: int) -> list[Primitives]:
    layout = batch.layout
    out = []
    for shell, (atom, momentum) in enumerate(zip(layout.atom, layout.angular_momentum, strict=True)):
        primitives = slice(layout.primitive_offset[shell], layout.primitive_offset[shell + 1])
        out.append(
            Primitives(
                momentum,
                batch.positions[entry, atom],
                batch.exponents[entry, primitives],
                batch.coefficients[entry, primitives] * angular_factor(momentum),
            )
        )
    return out


def expansion(
    la: int, lb: int, a: np.ndarray, b: np.ndarray, x_ab: float
) -> dict[tuple[int, int, int], np.ndarray]:
    """E_t^{ij} of eqs. 9.5.6 and 9.5.7 along one direction; arrays over primitive pairs. Missing keys are
    zero.
    """
    p = a + b
    x_pa, x_pb = -b / p * x_ab, a / p * x_ab
    table = {(0, 0, 0): np.exp(-a * b / p * x_ab**2)}
    zero = np.zeros_like(p)
    for i in range(la + 1):
        for j in range(lb + 1):
            if i == j == 0:
                continue
            # Raise i first, then j.
            i0, j0, shift = (i - 1, j, x_pa) if j == 0 else (i, j - 1, x_pb)
            for t in range(i + j + 1):
                table[i, j, t] = (
                    table.get((i0, j0, t - 1), zero) / (2 * p)
                    + shift * table.get((i0, j0, t), zero)
                    + (t + 1) * table.get((i0, j0, t + 1), zero)
                )
    return table


def primitive_pairs(first: Primitives, second: Primitives) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b = (x.ravel() for x in np.meshgrid(first.exponents, second.exponents, indexing="ij"))
    return a, b, np.outer(first.coefficients, second.coefficients).ravel()


@cache
def _places(la: int, lb: int) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]:
    """Of x, y and z: which powers i and j, and which Hermite order t, each [a, b, tuv] of a pair has."""
    grids = (
        np.meshgrid(
            [power[d] for power in cartesian_powers(la)],
            [power[d] for power in cartesian_powers(lb)],
            [order[d] for order in hermite_orders(la + lb)],
            indexing="ij",
        )
        for d in range(3)
    )
    return tuple((i, j, t) for i, j, t in grids)


def hermite_pair(first: Primitives, second: Primitives) -> HermitePair:
    a, b, weight = primitive_pairs(first, second)
    la, lb = first.angular_momentum, second.angular_momentum
    tables = [expansion(la, lb, a, b, x) for x in first.centre - second.centre]
    zero = np.zeros_like(a)
    hermite = np.ones((a.size, *_places(la, lb)[0][0].shape))
    for table, (i, j, t) in zip(tables, _places(la, lb), strict=True):
        filled = np.array(
            [
                [[table.get((m, n, order), zero) for order in range(la + lb + 1)] for n in range(lb + 1)]
                for m in range(la + 1)
            ]
        )
        hermite *= np.moveaxis(filled[i, j, t], -1, 0)
    centre = (a[:, None] * first.centre + b[:, None] * second.centre) / (a + b)[:, None]
    return HermitePair(a + b, centre, weight, hermite, la + lb)


def boys(order: int, x: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Return F_n(x) = ∫_0^1 t^2n exp(-x t²) dt, eq. 9.8.20, by the incomplete gamma function."""
    small = x < 1e-10
    safe = np.where(small, 1.0, x)
    half = order + 0.5
    large = 0.5 * gamma(half) * gammainc(half, safe) / safe**half
    return np.where(small, 1.0 / (2 * order + 1) - x / (2 * order + 3), large)


def hermite_coulomb(
    total: int, exponent: np.ndarray, vector: np.ndarray
) -> dict[tuple[int, int, int], np.ndarray]:
    """R_tuv of eqs. 9.9.13 and 9.9.18 to 9.9.20 for all t + u + v <= total."""
    argument = exponent * np.sum(vector**2, axis=-1)
    table: dict[tuple[int, ...], np.ndarray] = {
        (n, 0, 0, 0): (-2.0 * exponent) ** n * boys(n, argument) for n in range(total + 1)
    }
    for order in hermite_orders(total)[1:]:
        direction = next(d for d in range(3) if order[d])
        lower = list(order)
        lower[direction] -= 1
        lowest = list(lower)
        lowest[direction] -= 1
        for n in range(total - sum(order) + 1):
            value = vector[..., direction] * table[(n + 1, *lower)]
            if lower[direction]:
                value = value + lower[direction] * table[(n + 1, *lowest)]
            table[(n, *order)] = value
    return {order: table[(0, *order)] for order in hermite_orders(total)}
