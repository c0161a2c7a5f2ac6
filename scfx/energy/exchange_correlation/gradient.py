"""The exchange-correlation part of the nuclear gradient, with the response of the quadrature's points and weights.

E = Σ_g w_g e(c_g) depends on the nuclei at a fixed density matrix through the AOs' centres (functions), through the
points, which move with the atom that owns them, and through the weights, which divide space by the atoms' positions:

    dE/dR = Σ_g w_g Σ_c (∂e/∂c) [∂c/∂R at fixed points  +  ∂c/∂r_g dr_g/dR]  +  Σ_g e_g dw_g/dR

A component c (rho, its gradient, tau) depends on differences between point and centres only, so moving a point is
minus moving all centres: functions and points add up to zero over the atoms. With all three terms the gradient is
that of the energy on that grid (B. G. Johnson, P. M. W. Gill, J. A. Pople, J. Chem. Phys. 98, 5612 (1993), eqs. 16 to
19). Without the last two (`response=False`) it is what programs without grid response report.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int32

from scfx.energy.exchange_correlation.functional_at_points import (
    evaluate_closed_shell,
    evaluate_spin_resolved,
)
from scfx.energy.exchange_correlation.portable import StaticFunctional, grid_components
from scfx.errors import InputError
from scfx.grid.weight_gradient import weight_gradient
from scfx.lanes import COMPILER_OPTIONS
from scfx.orbitals import OrbitalTables, orbital_derivatives, orbital_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.batch import Batch
    from scfx.contracts.derivatives import AbstractGridGradientOperator
    from scfx.contracts.functional import AbstractFunctional
    from scfx.grid import Grid
    from scfx.precision import PrecisionPolicy

#: Points of a block of the portable route: ten components of 56 AOs in float64 then take 1.1 MB.
BLOCK = 256
#: Blocks of one dispatched call.
BLOCKS = 8
#: Backend's blocks that go through the functional in one call.
_BACKEND_BLOCKS = 4
#: Where ∂²/∂x∂y stands among the components of `orbital_derivatives`.
_SECOND = ((4, 5, 6), (5, 7, 8), (6, 8, 9))


class XCGradient(NamedTuple):
    """Of each active entry: `gradient` in hartree/bohr, and, as by-products of the same points, `energy` in hartree and
    the number of `electrons` that the grid integrates to. Atoms are in the batch's order; float64.
    """

    gradient: Float64[np.ndarray, "active natm 3"]
    energy: Float64[np.ndarray, "active"]
    electrons: Float64[np.ndarray, "active"]


def exchange_correlation_gradient(
    batch: Batch,
    grids: Sequence[Grid],
    functional: AbstractFunctional,
    policy: PrecisionPolicy,
    density: Float64[np.ndarray, "active nspin nao nao"],
    lanes: Int32[np.ndarray, "active"],
    *,
    response: bool = True,
    operator: AbstractGridGradientOperator | None = None,
) -> XCGradient:
    """dE_xc/dR of the entries `lanes` at fixed density matrices, which lead with `active`.

    `grids` are those of all entries (`scfx.grid.owned_grids`). With `response` points move and weights change with
    the atoms; without, only the basis functions move. `operator`, built on the points and weights of `grids`, does the
    contractions in `policy`'s precision of its own; without one they run in JAX in that of `policy.orbitals`. An
    entry's bits depend on itself alone. Call inside `jax.enable_x64(True)`.

    Raises `InputError` where `operator` was built on another number of points.
    """
    lanes = np.asarray(lanes, dtype=np.int32)
    out = XCGradient(np.zeros((len(lanes), batch.natm, 3)), np.zeros(len(lanes)), np.zeros(len(lanes)))
    if functional.family == "none":
        return out
    route = (
        _Portable(batch, functional, policy) if operator is None else _Backend(operator, functional, policy)
    )
    for row, lane in enumerate(map(int, lanes)):
        grid = grids[lane]
        sums = route.entry(lane, grid, np.ascontiguousarray(density[row], dtype=np.float64))
        out.energy[row] = np.sum(grid.weights * sums.energy_density)
        out.electrons[row] = sums.electrons
        out.gradient[row] = sums.functions
        if response:
            out.gradient[row] += sums.points
            atoms = batch.atomic_numbers[lane], batch.positions[lane]
            out.gradient[row] += (
                weight_gradient(*atoms, grid, sums.energy_density)
                if operator is None
                else operator.weight_gradient(lane, *atoms, grid, sums.energy_density)
            )
    return out


class _EntrySums(NamedTuple):
    """What either route gives of one entry: gradients [natm, 3], energy per volume at each point, electrons."""

    functions: Float64[np.ndarray, "natm 3"]
    points: Float64[np.ndarray, "natm 3"]
    energy_density: Float64[np.ndarray, "npoint"]
    electrons: float


# ---- the functional, point by point ------------------------------------------------------------------------------


def functional_at_points(
    functional: AbstractFunctional, components: Float[Array, "block spin component point"], dtype: str
) -> tuple[Any, Any, Any]:
    """Energy density, electron density [block, point], and derivatives by each component, all without weights.

    Every point is a lane of its own to the functions that give the energy, so that their sums are over one point and
    vanishing densities are masked exactly as they are there.
    """
    by_point = jnp.moveaxis(components, -1, 1)[..., None]  # [block point spin component 1]
    ones = jnp.ones((*by_point.shape[:2], 1))
    if components.shape[1] == 1:
        energy, electrons, derivative = evaluate_closed_shell(
            functional, by_point[:, :, 0], ones, jnp.dtype(dtype)
        )
        derivative = derivative[:, :, None]
    else:
        energy, electrons, derivative = evaluate_spin_resolved(functional, by_point, ones, jnp.dtype(dtype))
    return energy, electrons, jnp.moveaxis(derivative[..., 0], 1, -1)


@partial(jax.jit, static_argnames=("functional", "dtype"), compiler_options=COMPILER_OPTIONS)
def _functional_on_blocks(
    functional: StaticFunctional, components: Float[Array, "block spin component point"], *, dtype: str
) -> tuple[Any, Any, Any]:
    return functional_at_points(functional.functional, components, dtype)


# ---- portable ----------------------------------------------------------------------------------------------------


def function_derivatives(
    orbitals: Float[Array, "derivative n point"],
    density: Float[Array, "n n"],
    v: Float[Array, "component point"],
    family: str,
) -> Float64[Array, "3 n point"]:
    """Σ_c v_c ∂(component c)/∂R at each point, one density matrix, where R moves the centre of one function alone.

    `orbitals` as `orbital_derivatives` gives them, to second order above "lda". Moving a centre is minus the gradient
    of its functions: with X = Dφ, X^y = D ∂_yφ the derivative is -2 [∂_xφ Y + Σ_y ∂_x∂_yφ H_y] for function by function
    Y = v_ρ X + Σ_y v_y X^y and H_y = v_y X + ½ v_τ X^y.
    """
    product = density @ orbitals[0]
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
        e, rho, v = functional_at_points(functional.functional, components[None], dtype)
        v = jax.lax.optimization_barrier((v[0] * weights[b].astype(v.dtype)).astype(working))
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

    def of(self, entry: int) -> OrbitalTables:
        """The tables of one entry, without the axis of lanes."""
        t = self._tables
        return t._replace(
            centre=t.centre[entry], exponent=t.exponent[entry], coefficient=t.coefficient[entry]
        )

    def padded(self, density: Float64[np.ndarray, "spin nao nao"]) -> Float64[np.ndarray, "spin n n"]:
        """Density matrices filled up with zeros."""
        nao = len(self._ao_atom)
        out = np.zeros((len(density), self.n, self.n))
        out[:, :nao, :nao] = density[:, :nao, :nao]
        return out

    def by_atom(self, by_function: Float64[np.ndarray, "3 n"]) -> Float64[np.ndarray, "natm 3"]:
        """Derivatives by the centre of each function, summed over the functions of each atom."""
        out = np.zeros((self._natm, 3))
        np.add.at(out, self._ao_atom, np.asarray(by_function)[:, : len(self._ao_atom)].T)
        return out


def in_blocks(
    points: Float64[np.ndarray, "npoint 3"],
) -> Float64[np.ndarray, "chunk block 3 point"]:
    """Points in calls of `BLOCKS` blocks; the last are filled up with the first point."""
    count = -(-len(points) // (BLOCK * BLOCKS))
    padded = np.concatenate([points, np.repeat(points[:1], count * BLOCK * BLOCKS - len(points), axis=0)])
    return np.ascontiguousarray(padded.reshape(count, BLOCKS, BLOCK, 3).swapaxes(-1, -2))


def values_in_blocks(
    values: Float64[np.ndarray, "*row npoint"],
) -> Float64[np.ndarray, "chunk block *row point"]:
    """Values at the points of `in_blocks`, zero where these are filled up."""
    rows, npoint = values.shape[:-1], values.shape[-1]
    count = -(-npoint // (BLOCK * BLOCKS))
    padded = np.zeros((*rows, count * BLOCK * BLOCKS))
    padded[..., :npoint] = values
    return np.ascontiguousarray(np.moveaxis(padded.reshape(*rows, count, BLOCKS, BLOCK), (-3, -2), (0, 1)))


def on_owners(
    pulls: Float64[np.ndarray, "3 npoint"], owner: Int32[np.ndarray, "npoint"], natm: int
) -> Float64[np.ndarray, "natm 3"]:
    """Values at the points summed over those of each atom; `owner` does not decrease, and every atom has points."""
    return np.add.reduceat(pulls, np.searchsorted(owner, np.arange(natm)), axis=1).T


class _Portable:
    """AO values, contractions and the functional in JAX, entry by entry."""

    def __init__(self, batch: Batch, functional: AbstractFunctional, policy: PrecisionPolicy):
        self._tables = EntryTables(batch)
        self._functional = StaticFunctional(functional)
        self._policy = policy
        self._natm = batch.natm

    def entry(self, lane: int, grid: Grid, density: np.ndarray) -> _EntrySums:
        tables, d = self._tables.of(lane), self._tables.padded(density)
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
        return _EntrySums(
            self._tables.by_atom(by_function.sum(axis=0)),
            -on_owners(total, grid.owner, self._natm),
            energy.reshape(-1)[:npoint],
            float(np.sum(rho.reshape(-1)[:npoint] * grid.weights)),
        )


# ---- by a backend's grid operator --------------------------------------------------------------------------------


class _Backend:
    """The contractions by an `AbstractGridGradientOperator`, the functional on a fixed number of its blocks."""

    def __init__(
        self, operator: AbstractGridGradientOperator, functional: AbstractFunctional, policy: PrecisionPolicy
    ):
        self._operator = operator
        self._functional = StaticFunctional(functional)
        self._policy = policy

    def entry(self, lane: int, grid: Grid, density: np.ndarray) -> _EntrySums:
        operator, own, matrices = self._operator, np.array([lane], dtype=np.int32), density[None]
        npoint, natm = len(grid.weights), int(grid.owner[-1]) + 1
        orders = [np.asarray(operator.order(block, own))[0] for block in range(operator.n_blocks)]
        present = [block for block in range(operator.n_blocks) if np.any(orders[block] >= 0)]
        given = max((int(order.max()) + 1 for order in orders), default=0)
        if given != npoint:
            raise InputError(f"the grid operator has {given} points of entry {lane}, its grid has {npoint}")
        functions, points = np.zeros((natm, 3)), np.zeros((natm, 3))
        energy_density, electrons = np.zeros(npoint), 0.0
        for first in range(0, len(present), _BACKEND_BLOCKS):
            blocks = present[first : first + _BACKEND_BLOCKS]
            components = np.concatenate([np.asarray(operator.density(b, matrices, own)) for b in blocks])
            missing = _BACKEND_BLOCKS - len(blocks)
            if missing:  # empty points
                components = np.concatenate(
                    [components, np.zeros((missing, *components.shape[1:]), components.dtype)]
                )
            e, rho, v = map(
                np.asarray, _functional_on_blocks(self._functional, components, dtype=self._policy.functional)
            )
            for k, block in enumerate(blocks):
                order = orders[block]
                filled = order >= 0
                weights = np.where(filled, grid.weights[order], 0.0)
                owners = np.where(filled, grid.owner[order], 0).astype(np.int32)
                parts = operator.gradient(block, matrices, v[k : k + 1] * weights, own, owners[None])
                functions += np.asarray(parts[0])[0]
                points += np.asarray(parts[1])[0]
                energy_density[order[filled]] = e[k, filled]
                electrons += float(np.sum(rho[k] * weights))
        return _EntrySums(functions, points, energy_density, electrons)
