"""VV10 non-local correlation on the points of a grid: the energy, and its derivatives by all that it depends on.

    E = Σ_i W_i [β + ½ Σ_j W_j Φ_ij],   W = w ρ,   Φ_ij = -3/[2 g g' (g + g')]
    g = ω_i R_ij² + κ_i,   g' = ω_j R_ij² + κ_j

Vydrov, Van Voorhis, J. Chem. Phys. 133, 244103 (2010), eq. 4 to 19. A double sum over the points, which a backend may
take over (`AbstractNonlocalBackend`).
"""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from scfx.energy.vv10_pairs import PortablePairs

if TYPE_CHECKING:
    from scfx.contracts.grid import AbstractNonlocalBackend
    from scfx.grid import Grid

#: Points of lower density (bohr⁻³) are left out, as in other programs: their pairs are most of the work.
DENSITY_THRESHOLD = 1e-8


class PointDerivatives(NamedTuple):
    """Of the VV10 energy at the points of a grid: by the components, with weights; by the weights; by the positions."""

    energy: float
    by_component: Float64[np.ndarray, "4 point"]
    by_weight: Float64[np.ndarray, "point"]
    by_position: Float64[np.ndarray, "3 point"]


class _Chosen(NamedTuple):
    """The points that count, by their places among all, and what the formulas take of them."""

    places: Int[np.ndarray, "n"]
    position: Float64[np.ndarray, "n 3"]
    rho: Float64[np.ndarray, "n"]
    gradient: Float64[np.ndarray, "3 n"]
    sigma: Float64[np.ndarray, "n"]
    weight: Float64[np.ndarray, "n"]
    omega: Float64[np.ndarray, "n"]
    kappa: Float64[np.ndarray, "n"]

    def for_pairs(self) -> Float64[np.ndarray, "6 n"]:
        """As the pair sums take them: x, y, z, ω0, κ and W."""
        return np.array([*self.position.T, self.omega, self.kappa, self.weight * self.rho])


def _chosen(
    components: np.ndarray, positions: np.ndarray, weights: np.ndarray, parameters: tuple[float, float]
) -> _Chosen | None:
    b, c = parameters
    places = np.flatnonzero(components[0] >= DENSITY_THRESHOLD)
    if not len(places):
        return None
    rho, gradient = components[0, places], components[1:, places]
    sigma = np.sum(gradient**2, axis=0)
    omega = np.sqrt(c * (sigma / rho**2) ** 2 + 4.0 * pi / 3.0 * rho)
    kappa = b * 1.5 * pi * (rho / (9.0 * pi)) ** (1.0 / 6.0)
    return _Chosen(places, positions[places], rho, gradient, sigma, weights[places], omega, kappa)


def vv10(
    components: Float64[np.ndarray, "4 point"],
    positions: Float64[np.ndarray, "point 3"],
    weights: Float64[np.ndarray, "point"],
    parameters: tuple[float, float],
    pairs: AbstractNonlocalBackend | PortablePairs | None = None,
) -> tuple[float, Float64[np.ndarray, "4 point"]]:
    """Return the energy (hartree) and its derivatives by rho and ∂rho, times the weights, on one grid.

    `parameters`: (b, C). `pairs` sums over pairs of points; None: JAX. Call inside `jax.enable_x64(True)`.
    """
    b, c = parameters
    derivative = np.zeros_like(components)
    points = _chosen(components, positions, weights, parameters)
    if points is None:
        return 0.0, derivative
    chosen, _, rho, gradient, sigma, weight, omega, kappa = points
    f, u, w = (pairs or PortablePairs(len(weights))).nonlocal_pair_sums(points.for_pairs())
    beta = (3.0 / b**2) ** 0.75 / 32.0
    kernel = -1.5 * f
    energy = float(np.sum(weight * rho * (beta + 0.5 * kernel)))
    omega_by_rho = (4.0 * pi / 3.0 - 4.0 * c * sigma**2 / rho**5) / (2.0 * omega)
    omega_by_sigma = c * sigma / (rho**4 * omega)
    by_rho = beta + kernel + 1.5 * (u * kappa / 6.0 + w * rho * omega_by_rho)
    by_sigma = 1.5 * w * rho * omega_by_sigma
    derivative[0, chosen] = weight * by_rho
    derivative[1:, chosen] = 2.0 * weight * by_sigma * gradient
    return energy, derivative


def vv10_derivatives(
    components: Float64[np.ndarray, "4 point"],
    grid: Grid,
    parameters: tuple[float, float],
    pairs: AbstractNonlocalBackend | PortablePairs | None = None,
) -> PointDerivatives:
    """The energy's derivatives by all that it depends on at each point; `components` are rho and its gradient.

    By the weights ∂E/∂w_i = ρ_i [β + Σ_j W_j Φ_ij]; by the positions
    W_i Σ_j W_j (∂Φ_ij/∂R²) 2 (r_i - r_j) with ∂Φ/∂R² = -Φ [ω_i/g + ω_j/g' + (ω_i + ω_j)/(g + g')].
    """
    pairs = pairs or PortablePairs(len(grid.weights))
    energy, by_component = vv10(components, grid.points, grid.weights, parameters, pairs)
    by_weight, by_position = np.zeros(len(grid.weights)), np.zeros((3, len(grid.weights)))
    points = _chosen(components, grid.points, grid.weights, parameters)
    if points is None:
        return PointDerivatives(energy, by_component, by_weight, by_position)
    sums = pairs.nonlocal_pair_derivatives(points.for_pairs())
    beta = (3.0 / parameters[0] ** 2) ** 0.75 / 32.0
    by_weight[points.places] = points.rho * (beta - 1.5 * sums[0])
    by_position[:, points.places] = 3.0 * points.weight * points.rho * sums[1:]
    return PointDerivatives(energy, by_component, by_weight, by_position)
