"""The nuclear gradient of VV10 non-local correlation, with the response of its own grid.

At a fixed density matrix the energy (`vv10`) depends on the nuclei through density and gradient at the points
(functions and points, as in `exchange_correlation.gradient`), through the weights, and through the distances of the
points, which move with their owners. Without `response` the basis functions alone move. Float64, as the energy.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

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
from scfx.energy.vv10 import PointDerivatives, vv10_derivatives
from scfx.execution.lanes import COMPILER_OPTIONS
from scfx.grid.weight_gradient import weight_gradient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.contracts.grid import AbstractNonlocalBackend
    from scfx.energy.nonlocal_points import OperatorContractions
    from scfx.grid import Grid
    from scfx.model.batch import Batch


def nonlocal_correlation_gradient(
    batch: Batch,
    grids: Sequence[Grid],
    parameters: tuple[float, float],
    density: Float64[np.ndarray, "active nspin nao nao"],
    lanes: Int32[np.ndarray, "active"],
    *,
    response: bool = True,
    contractions: OperatorContractions | None = None,
    pairs: AbstractNonlocalBackend | None = None,
) -> Float64[np.ndarray, "active natm 3"]:
    """Return dE_VV10/dR in hartree/bohr of the entries `lanes` at fixed density matrices, which lead with `active`.

    `grids`: the non-local grid of every entry, with owners; `parameters`: (b, C). `contractions`, built on these grids,
    and `pairs` are a backend's; without them JAX does it. Call inside `jax.enable_x64(True)`.
    """
    out = np.zeros((len(lanes), batch.natm, 3))
    tables = EntryTables(batch) if contractions is None else None
    for row, lane in enumerate(map(int, lanes)):
        grid, total = grids[lane], np.sum(density[row], axis=0)
        atoms = batch.atomic_numbers[lane], batch.positions[lane]
        if contractions is not None:
            at_points = vv10_derivatives(contractions.components(lane, total), grid, parameters, pairs)
            functions, moved = contractions.gradient(lane, total, at_points.by_component, grid.owner)
            by_position = at_points.by_position
        else:
            assert tables is not None
            at_points, functions, pulls = _in_jax(tables, lane, grid, total, parameters, pairs)
            moved, by_position = np.zeros((batch.natm, 3)), at_points.by_position - pulls
        out[row] = functions
        if response:
            out[row] += moved + on_owners(by_position, grid.owner, batch.natm)
            out[row] += (
                weight_gradient(*atoms, grid, at_points.by_weight)
                if contractions is None
                else contractions.operator.weight_gradient(lane, *atoms, grid, at_points.by_weight)
            )
    return out


def _in_jax(
    tables: EntryTables,
    lane: int,
    grid: Grid,
    density: Float64[np.ndarray, "nao nao"],
    parameters: tuple[float, float],
    pairs: AbstractNonlocalBackend | None,
) -> tuple[PointDerivatives, Float64[np.ndarray, "natm 3"], Float64[np.ndarray, "3 point"]]:
    """Derivatives at the points, by the centres of the functions, and at each point by all centres at once."""
    own, matrix = tables.for_entry(lane), tables.padded(density[None])
    points, npoint = in_blocks(grid.points), len(grid.weights)
    parts = [np.asarray(_components(own, chunk, matrix[0], lmax=tables.lmax)) for chunk in points]
    components = np.stack(parts).transpose(2, 0, 1, 3).reshape(4, -1)[:, :npoint]
    at_points = vv10_derivatives(components, grid, parameters, pairs)
    v = values_in_blocks(at_points.by_component)
    results = [_moved(own, points[c], matrix, v[c], lmax=tables.lmax) for c in range(len(points))]
    functions = tables.by_atom(np.sum([np.asarray(r[0]) for r in results], axis=0))
    pulls = np.stack([np.asarray(r[1]) for r in results]).transpose(2, 0, 1, 3).reshape(3, -1)
    return at_points, functions, pulls[:, :npoint]


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
