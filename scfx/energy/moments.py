"""Second moments <i| (r - o)(r - o) |j> of the AOs of a batch, for every backend: the core's own integrals.

Moments of pairs of Gaussians are polynomials times one Gaussian along each axis, which Gauss-Hermite quadrature
integrates without error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.model.basis import angular_factor, cartesian_powers

if TYPE_CHECKING:
    from scfx.model.batch import Batch


def second_moments(
    batch: Batch, origins: Float64[np.ndarray, "batch 3"]
) -> Float64[np.ndarray, "batch 3 3 nao nao"]:
    """Return matrices of (x - o_x)(y - o_y) and the like about an origin of each entry, bohr²; symmetric in x and y."""
    return np.stack([entry_second_moments(batch, entry, origins[entry]) for entry in range(len(batch))])


def entry_second_moments(
    batch: Batch, entry: int, origin: Float64[np.ndarray, "3"]
) -> Float64[np.ndarray, "3 3 nao nao"]:
    """Return `second_moments` of one entry about one origin."""
    layout = batch.layout
    exponent, factor, centre, powers, contracted = [], [], [], [], []
    for shell, l in enumerate(layout.angular_momentum):
        start = int(layout.cartesian_offset[shell])
        for p in range(*layout.primitive_offset[shell : shell + 2]):
            for component, power in enumerate(cartesian_powers(l)):
                exponent.append(batch.exponents[entry, p])
                factor.append(batch.coefficients[entry, p] * angular_factor(l))
                centre.append(batch.positions[entry, layout.atom[shell]])
                powers.append(power)
                contracted.append(start + component)
    a, r, power = np.array(exponent), np.array(centre) - origin, np.array(powers)
    to_ao = np.array(factor)[:, None] * layout.cart_to_ao[contracted]
    total = a[:, None] + a[None, :]
    # Polynomials of degree 2 l + 2 at most.
    nodes, weights = np.polynomial.hermite.hermgauss(max(layout.angular_momentum) + 2)
    moments = []  # [axis][order]: ∫ x^order of each pair of primitives along the axis
    for axis in range(3):
        x, n = r[:, axis], power[:, axis]
        middle = (a[:, None] * x[:, None] + a[None, :] * x[None, :]) / total
        overlap = np.exp(-a[:, None] * a[None, :] / total * (x[:, None] - x[None, :]) ** 2) / np.sqrt(total)
        orders = [np.zeros_like(total) for _ in range(3)]
        for node, weight in zip(nodes, weights, strict=True):
            at = middle + node / np.sqrt(total)
            value = weight * overlap * (at - x[:, None]) ** n[:, None] * (at - x[None, :]) ** n[None, :]
            for order in range(3):
                orders[order] += value * at**order
        moments.append(orders)
    out = np.empty((3, 3, batch.nao, batch.nao))
    for i in range(3):
        for j in range(i + 1):
            orders = [(axis == i) + (axis == j) for axis in range(3)]
            product = moments[0][orders[0]] * moments[1][orders[1]] * moments[2][orders[2]]
            out[i, j] = out[j, i] = to_ao.T @ product @ to_ao
    return out
