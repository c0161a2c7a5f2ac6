"""The contractions of `gradient` in JAX, for backends that do not take them over, and for grids of their own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int32

from scfx.energy.exchange_correlation.functional_at_points import evaluate_each_point
from scfx.energy.exchange_correlation.portable import StaticFunctional, grid_components
from scfx.energy.orbitals import OrbitalTables, orbital_derivatives, orbital_tables
from scfx.execution.lanes import COMPILER_OPTIONS

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.functional import AbstractFunctional
    from scfx.grid import Grid
    from scfx.model.batch import Batch

#: Points of a block: ten components of 56 AOs in float64 then take 1.1 MB.
BLOCK = 256
#: Blocks of one dispatched call.
BLOCKS = 8
#: Where ∂²/∂x∂y stands among the components of `orbital_derivatives`.
_SECOND = ((4, 5, 6), (5, 7, 8), (6, 8, 9))


class EntrySums(NamedTuple):
    """What either route gives of one entry: gradients [natm, 3], energy per volume at each point, electrons."""

    functions: Float64[np.ndarray, "natm 3"]
    points: Float64[np.ndarray, "natm 3"]
    energy_density: Float64[np.ndarray, "npoint"]
    electrons: float


def function_derivatives(
    orbitals: Float[Array, "derivative n point"],
    density: Float[Array, "n n"],
    v: Float[Array, "component point"],
    family: str,
) -> Float64[Array, "3 n point"]:
    """Return Σ_c v_c ∂(component c)/∂R at each point, one density matrix, where R moves the centre of one function
    alone.

    `orbitals` as `orbital_derivatives` gives them, to second order above "lda". Moving a centre is minus the gradient
    of its functions: with X = Dφ, X^y = D ∂_yφ the derivative is -2 [∂_xφ Y + Σ_y ∂_x∂_yφ H_y] for function by function
    Y = v_ρ X + Σ_y v_y X^y and H_y = v_y X + ½ v_τ X^y.
    """
    product = density @ orbitals[0]
    v = v[:, None, :]
    if family == "lda":
        out = [orbitals[1 + x] * (v[0] * product) for x in range(3)]
    else:
        if family == "mgga":
            sloped = [density @ orbitals[1 + y] for y in range(3)]
            by_slope = v[0] * product + v[1] * sloped[0] + v[2] * sloped[1] + v[3] * sloped[2]
            by_second = [v[1 + y] * product + (0.5 * v[4]) * sloped[y] for y in range(3)]
        else:
            combined = v[0] * orbitals[0] + v[1] * orbitals[1] + v[2] * orbitals[2] + v[3] * orbitals[3]
            by_slope = density @ combined
            by_second = [v[1 + y] * product for y in range(3)]
        out = [
            orbitals[1 + x] * by_slope
            + orbitals[_SECOND[x][0]] * by_second[0]
            + orbitals[_SECOND[x][1]] * by_second[1]
            + orbitals[_SECOND[x][2]] * by_second[2]
            for x in range(3)
        ]
    # Summed over points and functions in float64: what an atom's functions pull at its own points is large, and
    # cancels between functions and points.
    return -2.0 * jnp.stack(out).astype(jnp.float64)


def add_block(
    totals: tuple[Any, Any],
    block: Any,
    orbitals: Float[Array, "derivative n point"],
    density: Float[Array, "spin n n"],
    v: Float[Array, "spin component point"],
    family: str,
) -> tuple[Any, Any]:
    """Add a block's `function_derivatives` to (sums over points [3 n], sums over functions [block 3 point])."""
    by_function, by_point = totals
    derivative = function_derivatives(orbitals, density[0], v[0], family)
    for s in range(1, density.shape[0]):
        derivative = derivative + function_derivatives(orbitals, density[s], v[s], family)
    derivative = jax.lax.optimization_barrier(derivative)
    return by_function + jnp.sum(derivative, axis=-1), by_point.at[block].set(jnp.sum(derivative, axis=1))


@partial(
    jax.jit, static_argnames=("functional", "lmax", "working", "dtype"), compiler_options=COMPILER_OPTIONS
)
def _portable_blocks(
    functional: StaticFunctional,
    tables: OrbitalTables,
    points: Float64[Array, "block 3 point"],
    weights: Float64[Array, "block point"],
    density: Float64[Array, "spin n n"],
    *,
    lmax: int,
    working: str,
    dtype: str,
) -> tuple[Any, Any, Any, Any]:
    """Of one entry (whose tables these are) and some blocks: energy density, electron density [block, point], and
    derivatives by the centre of each function [3, n] and of all at once [block, 3, point].
    """
    family = functional.functional.family
    d = density.astype(working)
    shape = weights.shape

    def block(b: Any, totals: tuple[Any, ...]) -> tuple[Any, ...]:
        energy, electrons, by_function, by_point = totals
        values = orbital_derivatives(
            tables,
            tables.centre,
            tables.exponent,
            tables.coefficient,
            points[b],
            lmax,
            1 if family == "lda" else 2,
        ).astype(working)
        components = jnp.stack([grid_components(values, d[s], family) for s in range(d.shape[0])])
        # As in `integrate`: the functional is not to be fused into, and repeated in, the products over functions.
        components = jax.lax.optimization_barrier(components)
        e, rho, v = evaluate_each_point(functional.functional, components[None], dtype)
        v = jax.lax.optimization_barrier((v[0] * weights[b].astype(v.dtype)[None, None]).astype(working))
        sums = add_block((by_function, by_point), b, values, d, v, family)
        return energy.at[b].set(e[0]), electrons.at[b].set(rho[0]), *sums

    start = (
        jnp.zeros(shape), jnp.zeros(shape), jnp.zeros((3, density.shape[-1])), jnp.zeros((shape[0], 3, shape[1])),
    )  # fmt: skip
    return jax.lax.fori_loop(0, shape[0], block, start)


class EntryTables:
    """AO tables of a batch, entry by entry, and how an entry's points are laid out for the kernels."""

    def __init__(self, batch: Batch):
        tables, self.lmax = orbital_tables(batch, len(batch))
        self._tables = tables
        self._ao_atom = batch.layout.ao_atom
        self._natm = batch.natm
        self.n = tables.shell.shape[0] if tables.transform is None else tables.transform.shape[0]

    def for_entry(self, entry: int) -> OrbitalTables:
        """Return the tables of one entry, without the axis of lanes."""
        t = self._tables
        return t._replace(
            centre=t.centre[entry], exponent=t.exponent[entry], coefficient=t.coefficient[entry]
        )

    def padded(self, density: Float64[np.ndarray, "spin nao nao"]) -> Float64[np.ndarray, "spin n n"]:
        """Return the density matrices filled up with zeros."""
        nao = len(self._ao_atom)
        out = np.zeros((len(density), self.n, self.n))
        out[:, :nao, :nao] = density[:, :nao, :nao]
        return out

    def by_atom(self, by_function: Float64[np.ndarray, "3 n"]) -> Float64[np.ndarray, "natm 3"]:
        """Return derivatives by the centre of each function, summed over the functions of each atom."""
        out = np.zeros((self._natm, 3))
        np.add.at(out, self._ao_atom, np.asarray(by_function)[:, : len(self._ao_atom)].T)
        return out


def in_blocks(
    points: Float64[np.ndarray, "npoint 3"],
) -> Float64[np.ndarray, "chunk block 3 point"]:
    """Return points in calls of `BLOCKS` blocks; the last are filled up with the first point."""
    count = -(-len(points) // (BLOCK * BLOCKS))
    padded = np.concatenate([points, np.repeat(points[:1], count * BLOCK * BLOCKS - len(points), axis=0)])
    return np.ascontiguousarray(padded.reshape(count, BLOCKS, BLOCK, 3).swapaxes(-1, -2))


def values_in_blocks(
    values: Float64[np.ndarray, "*row npoint"],
) -> Float64[np.ndarray, "chunk block *row point"]:
    """Return values at the points of `in_blocks`, zero where these are filled up."""
    rows, npoint = values.shape[:-1], values.shape[-1]
    count = -(-npoint // (BLOCK * BLOCKS))
    padded = np.zeros((*rows, count * BLOCK * BLOCKS))
    padded[..., :npoint] = values
    return np.ascontiguousarray(np.moveaxis(padded.reshape(*rows, count, BLOCKS, BLOCK), (-3, -2), (0, 1)))


def on_owners(
    pulls: Float64[np.ndarray, "3 npoint"], owner: Int32[np.ndarray, "npoint"], natm: int
) -> Float64[np.ndarray, "natm 3"]:
    """Return values at the points summed over those of each atom; `owner` does not decrease, and every atom has
    points.
    """
    return np.add.reduceat(pulls, np.searchsorted(owner, np.arange(natm)), axis=1).T


class PortableGradient:
    """AO values, contractions and the functional in JAX, entry by entry."""

    def __init__(self, batch: Batch, functional: AbstractFunctional, policy: PrecisionPolicy):
        self._tables = EntryTables(batch)
        self._functional = StaticFunctional(functional)
        self._policy = policy
        self._natm = batch.natm

    def entry(self, lane: int, grid: Grid, density: np.ndarray) -> EntrySums:
        """Return the sums over the grid that make one entry's gradient."""
        tables, d = self._tables.for_entry(lane), self._tables.padded(density)
        points, weights = in_blocks(grid.points), values_in_blocks(grid.weights)
        results = [
            _portable_blocks(
                self._functional, tables, points[c], weights[c], d,
                lmax=self._tables.lmax, working=self._policy.orbitals, dtype=self._policy.functional,
            )
            for c in range(len(points))
        ]  # fmt: skip
        npoint = len(grid.weights)
        energy, rho, by_function, by_point = (np.stack([np.asarray(r[k]) for r in results]) for k in range(4))
        total = by_point.transpose(2, 0, 1, 3).reshape(3, -1)[:, :npoint]
        return EntrySums(
            self._tables.by_atom(by_function.sum(axis=0)),
            -on_owners(total, grid.owner, self._natm),
            energy.reshape(-1)[:npoint],
            float(np.sum(rho.reshape(-1)[:npoint] * grid.weights)),
        )
