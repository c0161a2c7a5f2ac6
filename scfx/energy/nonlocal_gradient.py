"""The nuclear gradient of VV10 non-local correlation, with the response of its own grid.

    E = Σ_i W_i [β + ½ Σ_j W_j Φ_ij],   W = w ρ,   Φ_ij = -3/[2 g g' (g + g')]
    g = ω_i R_ij² + κ_i,   g' = ω_j R_ij² + κ_j

At a fixed density matrix E depends on the nuclei through density and gradient at the points (functions and points, as
in `exchange_correlation.gradient`), through the weights, ∂E/∂w_i = ρ_i [β + Σ_j W_j Φ_ij], and through the distances of
the points, which move with their owners:

    ∂E/∂r_i = W_i Σ_j W_j (∂Φ_ij/∂R²) 2 (r_i - r_j),   ∂Φ/∂R² = -Φ [ω_i/g + ω_j/g' + (ω_i + ω_j)/(g + g')]

Without `response` the basis functions alone move. Float64, as the energy.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.energy.exchange_correlation.portable import grid_components
from scfx.energy.exchange_correlation.portable_gradient import (
    EntryTables,
    add_block,
    in_blocks,
    on_owners,
    values_in_blocks,
)
from scfx.energy.orbitals import OrbitalTables, orbital_derivatives
from scfx.energy.vv10 import DENSITY_THRESHOLD, vv10
from scfx.execution.lanes import COMPILER_OPTIONS
from scfx.grid.weight_gradient import weight_gradient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.grid import Grid
    from scfx.model.batch import Batch

#: Points of the outer and of the inner sum that are worked on at once.
_OUTER, _INNER = 256, 32


class PointDerivatives(NamedTuple):
    """Of the VV10 energy at the points of a grid: by the components, with weights; by the weights; by the positions."""

    energy: float
    by_component: Float64[np.ndarray, "4 point"]
    by_weight: Float64[np.ndarray, "point"]
    by_position: Float64[np.ndarray, "3 point"]


def nonlocal_correlation_gradient(
    batch: Batch,
    grids: Sequence[Grid],
    parameters: tuple[float, float],
    density: Float64[np.ndarray, "active nspin nao nao"],
    lanes: Int32[np.ndarray, "active"],
    *,
    response: bool = True,
) -> Float64[np.ndarray, "active natm 3"]:
    """Return dE_VV10/dR in hartree/bohr of the entries `lanes` at fixed density matrices, which lead with `active`.

    `grids`: the non-local grid of every entry, with owners; `parameters`: (b, C). Call inside `jax.enable_x64(True)`.
    """
    tables = EntryTables(batch)
    out = np.zeros((len(lanes), batch.natm, 3))
    for row, lane in enumerate(map(int, lanes)):
        grid, own = grids[lane], tables.for_entry(lane)
        total = tables.padded(np.sum(density[row], axis=0, keepdims=True))
        points, npoint = in_blocks(grid.points), len(grid.weights)
        parts = [np.asarray(_components(own, chunk, total[0], lmax=tables.lmax)) for chunk in points]
        components = np.stack(parts).transpose(2, 0, 1, 3).reshape(4, -1)[:, :npoint]
        at_points = point_derivatives(components, grid, parameters)
        v = values_in_blocks(at_points.by_component)
        results = [_moved(own, points[c], total, v[c], lmax=tables.lmax) for c in range(len(points))]
        by_function = np.sum([np.asarray(r[0]) for r in results], axis=0)
        out[row] = tables.by_atom(by_function)
        if response:
            pulls = np.stack([np.asarray(r[1]) for r in results]).transpose(2, 0, 1, 3).reshape(3, -1)
            out[row] += on_owners(at_points.by_position - pulls[:, :npoint], grid.owner, batch.natm)
            out[row] += weight_gradient(
                batch.atomic_numbers[lane], batch.positions[lane], grid, at_points.by_weight
            )
    return out


def point_derivatives(
    components: Float64[np.ndarray, "4 point"], grid: Grid, parameters: tuple[float, float]
) -> PointDerivatives:
    """Return the energy's derivatives by all that it depends on at each point; `components` are rho and its
    gradient.
    """
    energy, by_component = vv10(components, grid.points, grid.weights, parameters)
    b, c = parameters
    npoint = len(grid.weights)
    by_weight, by_position = np.zeros(npoint), np.zeros((3, npoint))
    chosen = np.flatnonzero(components[0] >= DENSITY_THRESHOLD)
    if not len(chosen):
        return PointDerivatives(energy, by_component, by_weight, by_position)
    rho = components[0, chosen]
    sigma = np.sum(components[1:, chosen] ** 2, axis=0)
    # ω0 and κ of the points, as in `vv10`.
    omega = np.sqrt(c * (sigma / rho**2) ** 2 + 4.0 * np.pi / 3.0 * rho)
    kappa = b * 1.5 * np.pi * (rho / (9.0 * np.pi)) ** (1.0 / 6.0)
    charge = grid.weights[chosen] * rho
    padded = np.ones((6, -(-npoint // 4096) * 4096))
    padded[5] = 0.0
    padded[:, : len(chosen)] = [*grid.points[chosen].T, omega, kappa, charge]
    sums = np.asarray(_pair_derivatives(padded, len(chosen)))[:, : len(chosen)]
    beta = (3.0 / b**2) ** 0.75 / 32.0
    by_weight[chosen] = rho * (beta - 1.5 * sums[0])
    by_position[:, chosen] = 3.0 * charge * sums[1:]
    return PointDerivatives(energy, by_component, by_weight, by_position)


@partial(jax.jit, compiler_options=COMPILER_OPTIONS)
def _pair_derivatives(points: Float64[Array, "6 npad"], count: Any) -> Float64[Array, "4 npad"]:
    """Σ_j W_j/N and Σ_j (W_j/N) [ω_i/g + ω_j/g' + (ω_i + ω_j)/(g + g')] (r_i - r_j) with N = g g' (g + g').

    `points` holds x, y, z, ω0, κ and W, padded with W = 0; only `count` points (rounded up to a block) are visited.
    """

    def outer(o: Any, out: Any) -> Any:
        own = jax.lax.dynamic_slice_in_dim(points, o * _OUTER, _OUTER, axis=1)
        omega, kappa = own[3][None, :], own[4][None, :]

        def inner(i: Any, sums: Any) -> Any:
            other = jax.lax.dynamic_slice_in_dim(points, i * _INNER, _INNER, axis=1)[:, :, None]
            apart = [own[x][None, :] - other[x] for x in range(3)]
            r2 = apart[0] ** 2 + apart[1] ** 2 + apart[2] ** 2
            g, gp = r2 * omega + kappa, r2 * other[3] + other[4]
            gt = g + gp
            inverse = 1.0 / (g * gp * gt)
            t = other[5] * inverse
            slope = t * inverse * ((omega * gp + other[3] * g) * gt + (omega + other[3]) * (g * gp))
            found = (t, *(slope * along for along in apart))
            return tuple(s + jnp.sum(f, axis=0) for s, f in zip(sums, found, strict=True))

        zero = jnp.zeros(_OUTER)
        blocks = -(-count // _OUTER) * (_OUTER // _INNER)
        sums = jnp.stack(jax.lax.fori_loop(0, blocks, inner, (zero,) * 4))
        return jax.lax.dynamic_update_slice_in_dim(out, sums, o * _OUTER, axis=1)

    return jax.lax.fori_loop(0, -(-count // _OUTER), outer, jnp.zeros((4, points.shape[1])))


@partial(jax.jit, static_argnames=("lmax",), compiler_options=COMPILER_OPTIONS)
def _components(
    tables: OrbitalTables,
    points: Float64[Array, "block 3 point"],
    density: Float64[Array, "n n"],
    *,
    lmax: int,
) -> Float64[Array, "block 4 point"]:
    """rho and its gradient on some blocks of one entry."""

    def block(points: Any) -> Any:
        values = orbital_derivatives(
            tables, tables.centre, tables.exponent, tables.coefficient, points, lmax, order=1
        )
        return grid_components(values, density, "gga")

    return jax.lax.map(block, points)


@partial(jax.jit, static_argnames=("lmax",), compiler_options=COMPILER_OPTIONS)
def _moved(
    tables: OrbitalTables,
    points: Float64[Array, "block 3 point"],
    density: Float64[Array, "1 n n"],
    v: Float64[Array, "block 4 point"],
    *,
    lmax: int,
) -> tuple[Any, Any]:
    """Derivatives by the centre of each function [3, n], and at each point of all at once [block, 3, point]."""

    def block(b: Any, totals: Any) -> Any:
        values = orbital_derivatives(
            tables, tables.centre, tables.exponent, tables.coefficient, points[b], lmax, order=2
        )
        return add_block(totals, b, values, density, v[b][None], "gga")

    start = jnp.zeros((3, density.shape[-1])), jnp.zeros(points.shape)
    return jax.lax.fori_loop(0, points.shape[0], block, start)
