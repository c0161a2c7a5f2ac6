"""The traceless quadrupole moment from a density matrix, for every backend: its integrals are made here.

Second moments of pairs of Gaussians are polynomials times one Gaussian along each axis, which Gauss-Hermite quadrature
integrates without error. Asked for by `scf.quadrupole`: it costs more than the dipole, whose integrals a backend has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.contracts.property import AbstractProperty, Column
from scfx.model.basis import angular_factor, cartesian_powers

if TYPE_CHECKING:
    from scfx.model.batch import Batch
    from scfx.properties.entry import ConvergedEntry


class Quadrupole(AbstractProperty):
    """Buckingham's traceless moment about the centre of nuclear charge, in the frame of the positions."""

    name = "quadrupole"
    unit = "e bohr^2"
    axes = ("xyz", "xyz")
    summary = "traceless quadrupole moment (Buckingham) about the centre of nuclear charge"
    column = Column("quadrupole_e_bohr2", "e bohr^2", description=summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "3 3"]:
        """See `AbstractProperty.compute`."""
        return quadrupole(entry.lane.batch, entry.lane.index, entry.lane.density)


def quadrupole(
    batch: Batch, entry: int, density: Float64[np.ndarray, "spin nao nao"]
) -> Float64[np.ndarray, "3 3"]:
    """Θ = ½ Σ q (3 r r - r² 1) over nuclei and electrons, in e·bohr², about the centre of nuclear charge.

    Buckingham, Q. Rev. Chem. Soc. 13, 183 (1959), eq. 2. It depends on that origin where there is a dipole or a charge.
    The centre is that of the atomic numbers, also where core potentials replace electrons. `density` is in the batch's
    AO order.
    """
    origin = centre_of_nuclear_charge(batch, entry)
    centred = batch.positions[entry] - origin
    nuclear = np.einsum("a,ax,ay->xy", batch.nuclear_charges[entry], centred, centred)
    second = nuclear - electronic_second_moments(batch, entry, density.sum(axis=0), origin)
    return 1.5 * second - 0.5 * np.trace(second) * np.eye(3)


def centre_of_nuclear_charge(batch: Batch, entry: int) -> Float64[np.ndarray, "3"]:
    """Of the atomic numbers, also where core potentials replace electrons; bohr."""
    # A ghost atom has functions and no nucleus.
    numbers = np.where(batch.nuclear_charges[entry] > 0, batch.atomic_numbers[entry], 0)
    return numbers @ batch.positions[entry] / numbers.sum()


def electronic_second_moments(
    batch: Batch, entry: int, density: Float64[np.ndarray, "nao nao"], origin: Float64[np.ndarray, "3"]
) -> Float64[np.ndarray, "3 3"]:
    """Σ_ij D_ij <i| (r - origin)(r - origin) |j>, summed over pairs of primitive Cartesian functions."""
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
    a, c, r, power = np.array(exponent), np.array(factor), np.array(centre) - origin, np.array(powers)
    cartesian = layout.cart_to_ao @ density @ layout.cart_to_ao.T
    weights = cartesian[np.ix_(contracted, contracted)] * c[:, None] * c[None, :]

    total = a[:, None] + a[None, :]
    # Polynomials of degree 2 l + 2 at most.
    nodes, node_weights = np.polynomial.hermite.hermgauss(max(layout.angular_momentum) + 2)
    moments = []  # [axis][order]: ∫ x^order of the pair along the axis
    for axis in range(3):
        x, n = r[:, axis], power[:, axis]
        middle = (a[:, None] * x[:, None] + a[None, :] * x[None, :]) / total
        overlap = np.exp(-a[:, None] * a[None, :] / total * (x[:, None] - x[None, :]) ** 2) / np.sqrt(total)
        orders = [np.zeros_like(total) for _ in range(3)]
        for t, weight in zip(nodes, node_weights, strict=True):
            at = middle + t / np.sqrt(total)
            value = weight * overlap * (at - x[:, None]) ** n[:, None] * (at - x[None, :]) ** n[None, :]
            for order in range(3):
                orders[order] += value * at**order
        moments.append(orders)
    out = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            orders = [(axis == i) + (axis == j) for axis in range(3)]
            out[i, j] = np.sum(
                weights * moments[0][orders[0]] * moments[1][orders[1]] * moments[2][orders[2]]
            )
    return out
