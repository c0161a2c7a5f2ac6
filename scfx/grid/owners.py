"""The atom that owns each point of a molecular grid, and its weight before space was divided among the atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int32

from scfx.errors import InputError
from scfx.grid.molecular import atomic_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.grid.molecular import PointsAndWeights
    from scfx.grid.spec import GridSpec


class Grid(NamedTuple):
    """A molecular grid whose points know the atom that they move with.

    `points` in bohr and `weights` in bohr³ are those of `molecular_grid`; `owner` counts atoms from 0 and does not
    decrease; `atomic_weights` are the weights without the owner's share of space: weights = atomic_weights · share.
    """

    points: Float64[np.ndarray, "npoint 3"]
    weights: Float64[np.ndarray, "npoint"]
    owner: Int32[np.ndarray, "npoint"]
    atomic_weights: Float64[np.ndarray, "npoint"]


def owned_grid(
    atomic_numbers: Int[np.ndarray, "natm"] | Sequence[int], grid: PointsAndWeights, spec: GridSpec
) -> Grid:
    """Return `molecular_grid(..., spec)` of these atoms as a `Grid`; costs nothing, since both depend on elements
    alone.

    Raises `InputError` where the number of points is not that of `spec`.
    """
    points, weights = grid
    parts = [own for _, own in atomic_parts(atomic_numbers, spec)]
    counts = [own.size for own in parts]
    if sum(counts) != len(weights):
        raise InputError(
            f"the grid has {len(weights)} points, but these atoms have {sum(counts)} of {spec}: it is another grid"
        )
    owner = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
    return Grid(points, weights, owner, np.concatenate(parts))


def owned_grids(
    atomic_numbers: Int[np.ndarray, "batch natm"], grids: Sequence[PointsAndWeights], spec: GridSpec
) -> list[Grid]:
    """Return `owned_grid` of every entry of a batch, from what `batch_grids(..., spec)` returned."""
    return [owned_grid(numbers, grid, spec) for numbers, grid in zip(atomic_numbers, grids, strict=True)]
