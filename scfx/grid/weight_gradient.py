"""How the weights of a molecular grid change when its atoms move, contracted with a function at the points.

With s_ij = ½ [1 - p(p(p(ν_ij)))] of `partition`, P_i = Π_j s_ij and the owner's share q_o = P_o/Σ_k P_k,

    d(Σ_g f_g a_g q_o(g)) = Σ_g Σ_i f_g a_g q_o (δ_io - q_i) Σ_{j≠i} (d ln s_ij/dμ_ij) dμ_ij

(a: the atomic weights). A pair's two terms have dμ_ji = -dμ_ij and go into one pull K_ij, which changes μ_ij through
the distances of the point from both atoms (the point itself moves with its owner) and through their own distance:

    dμ_ij = (dr_i - dr_j)/R_ij - μ_ij dR_ij/R_ij.

So a point costs a few operations for each pair of atoms, and nothing of size natm² is stored for it. The derivatives of
ln s come without cancellation where s itself vanishes: with 1 - p(x) = ½ (1 - x)² (2 + x),

    d ln s/dν = -27 (1 + x2)(1 + x1)(1 + ν) / [(2 + x2)(2 + x1)(2 + ν)(1 - ν)],   x1 = p(ν), x2 = p(x1).

Blocks of points and padding are those of `partition`, and so is the promise: the same bits on any number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int, Int32

from scfx.errors import InputError
from scfx.execution.lanes import COMPILER_OPTIONS
from scfx.grid.partition import cell_tables

if TYPE_CHECKING:
    from scfx.grid.owners import Grid

#: Points in one call: fewer than in `partition`, because a pass holds more arrays.
POINT_BLOCK = 1024
#: s ~ (1 - ν)^8 vanishes faster than any derivative of ln s grows: nearer to its zero than this the pull is nothing.
_LEAST = 1e-6


def weight_gradient(
    atomic_numbers: Int[np.ndarray, "natm"],
    positions: Float64[np.ndarray, "natm 3"],
    grid: Grid,
    energy_density: Float64[np.ndarray, "npoint"],
) -> Float64[np.ndarray, "natm 3"]:
    """Return Σ_g f_g ∂w_g/∂R for f = `energy_density` at the points of `grid`, which move with their owners, f held
    fixed.

    In the units of f times bohr² (hartree/bohr for f in hartree/bohr³). The sum over the atoms is zero up to rounding.
    Raises `InputError` for coincident nuclei or another number of values than of points.
    """
    natm, npoint = positions.shape[0], len(grid.weights)
    if len(energy_density) != npoint:
        raise InputError(f"weight_gradient: {len(energy_density)} values at {npoint} points")
    if natm == 1:
        return np.zeros((1, 3))
    tables = cell_tables(atomic_numbers, positions)
    n_blocks = -(-npoint // POINT_BLOCK)
    points = np.zeros((n_blocks * POINT_BLOCK, 3))
    owners = np.zeros(n_blocks * POINT_BLOCK, dtype=np.int32)
    strengths = np.zeros(n_blocks * POINT_BLOCK)
    points[:npoint], owners[:npoint] = grid.points, grid.owner
    np.multiply(energy_density, grid.atomic_weights, out=strengths[:npoint])
    pulls = np.empty((3, n_blocks * POINT_BLOCK))
    with jax.enable_x64(True):
        kernel = _compiled()
        results = []
        for block in range(n_blocks):
            part = slice(block * POINT_BLOCK, (block + 1) * POINT_BLOCK)
            results.append(
                kernel(
                    np.ascontiguousarray(points[part].T),
                    owners[part],
                    strengths[part],
                    *tables,
                    np.int32(natm),
                )
            )
        centres = np.zeros_like(tables[0])
        for block, (on_centres, on_points) in enumerate(results):
            centres += np.asarray(on_centres)
            pulls[:, block * POINT_BLOCK : (block + 1) * POINT_BLOCK] = on_points
    starts = np.searchsorted(grid.owner, np.arange(natm))
    # What moves a point moves its owner; padded points have no pull.
    return centres[:natm] + np.add.reduceat(pulls[:, :npoint], starts, axis=1).T


@lru_cache(maxsize=1)
def _compiled() -> Any:
    return jax.jit(_block_gradient, compiler_options=COMPILER_OPTIONS)


def _block_gradient(
    points: Float64[Array, "3 block"],
    owners: Int32[Array, "block"],
    strengths: Float64[Array, "block"],
    centres: Float64[Array, "atoms 3"],
    inverse_distances: Float64[Array, "atoms atoms"],
    shifts: Float64[Array, "atoms atoms"],
    natm: Int32[Array, ""],
) -> tuple[Float64[Array, "atoms 3"], Float64[Array, "3 block"]]:
    """Derivatives by the atoms' positions, points fixed, summed over the block; and by each point's position."""
    displacements = points[None, :, :] - centres[:, :, None]
    squares = displacements[:, 0] ** 2 + displacements[:, 1] ** 2 + displacements[:, 2] ** 2
    distances = jnp.sqrt(squares)
    atoms = jnp.arange(centres.shape[0], dtype=jnp.int32)

    def boundary(j: Array) -> tuple[Array, Array, Array, Array]:
        mu = (distances - distances[j][None, :]) * inverse_distances[:, j][:, None]
        nu = mu + shifts[:, j][:, None] * (1.0 - mu * mu)
        first = nu * (1.5 - 0.5 * nu * nu)
        return mu, nu, first, first * (1.5 - 0.5 * first * first)

    def times_boundary(j: Array, cells: Array) -> Array:
        # As in `partition`, i = j gives every atom the same factor, which cancels.
        second = boundary(j)[3]
        return cells * (0.25 * (1.0 - second) ** 2 * (2.0 + second))

    cells = jax.lax.fori_loop(jnp.int32(0), natm, times_boundary, jnp.ones_like(distances))
    total = jax.lax.fori_loop(
        jnp.int32(0), natm, lambda j, sum_: sum_ + cells[j], jnp.zeros_like(distances[0])
    )
    shares = cells / total[None, :]
    own = atoms[:, None] == owners[None, :]
    strength = strengths * jnp.take_along_axis(shares, owners[None, :], axis=0)[0]
    # What a change of ln P_i is worth.
    worth = jnp.where(own, 1.0 - shares, -shares) * strength[None, :]

    def pair(j: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        by_distance, by_pair = sums
        mu, nu, first, second = boundary(j)
        # d ln s_ij/dν_ij and, with every sign turned, d ln s_ji/dν_ji over a common denominator. For i = j and for
        # padded atoms the tables hold zeros, so their pull is nothing.
        up = (1.0 + nu) * (1.0 + first) * (1.0 + second)
        down = (1.0 - nu) * (1.0 - first) * (1.0 - second)
        up_below = (2.0 + nu) * (2.0 + first) * (2.0 + second) * jnp.maximum(1.0 - nu, _LEAST)
        down_below = (2.0 - nu) * (2.0 - first) * (2.0 - second) * jnp.maximum(1.0 + nu, _LEAST)
        other = worth[j][None, :]
        pull = (worth * up * down_below - other * down * up_below) / (up_below * down_below)
        pull = pull * (-27.0 * (1.0 - 2.0 * shifts[:, j][:, None] * mu)) * inverse_distances[:, j][:, None]
        return by_distance + pull, by_pair.at[:, j].set(_sum_over_points(pull * mu))

    by_distance, by_pair = jax.lax.fori_loop(
        jnp.int32(0), natm, pair, (jnp.zeros_like(distances), jnp.zeros_like(inverse_distances))
    )
    # dr_i/dr is the unit vector from atom i; a point on a nucleus has none, and the cells have no slope there.
    units = displacements / jnp.where(squares > 0.0, distances, 1.0)[:, None, :]
    along = by_distance[:, None, :] * jnp.where(own, 0.0, 1.0)[:, None, :] * units
    on_points = jax.lax.fori_loop(jnp.int32(0), natm, lambda i, sum_: sum_ + along[i], jnp.zeros_like(points))
    on_centres = -_sum_over_points(along)
    # dR_ij/dR_i is the unit vector from j to i.
    stretch = -by_pair * inverse_distances
    for axis in range(3):
        apart = centres[:, None, axis] - centres[None, :, axis]

        def along_pairs(j: Array, sum_: Array, apart: Array = apart) -> Array:
            return sum_ + stretch[:, j] * apart[:, j]

        extra = jax.lax.fori_loop(jnp.int32(0), natm, along_pairs, jnp.zeros_like(centres[:, 0]))
        on_centres = on_centres.at[:, axis].add(extra)
    return on_centres, on_points


def _sum_over_points(values: Float64[Array, "*row block"]) -> Float64[Array, "*row"]:
    """Sum over the last axis by halves: XLA may order a sum of its own by the number of threads."""
    while values.shape[-1] > 1:
        half = values.shape[-1] // 2
        values = values[..., :half] + values[..., half:]
    return values[..., 0]
