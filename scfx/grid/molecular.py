"""Assembling the points of a molecule from those of its atoms."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float64, Int, Int32

from scfx.errors import InputError
from scfx.grid.angular import lebedev, rotation
from scfx.grid.pruning import angular_counts
from scfx.grid.radial import treutler_ahlrichs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.grid.spec import GridSpec
    from scfx.model.system import System

#: Bohr. Cells fall off so fast that an atom there takes less than one unit of rounding.
_NOWHERE = 1e6

PointsAndWeights = tuple[Float64[np.ndarray, "npoint 3"], Float64[np.ndarray, "npoint"]]


@lru_cache(maxsize=32)
def atomic_quadrature(
    atomic_number: int, n_rad: int, n_ang: int, prune: bool
) -> tuple[Float64[np.ndarray, "3 npoint"], Float64[np.ndarray, "npoint"]]:
    """Return points (bohr, about the nucleus) and weights (bohr³) of one atom, shell by shell outward. Read-only."""
    radii, radial_weights = treutler_ahlrichs(n_rad, atomic_number)
    counts = angular_counts(atomic_number, radii, n_ang, prune)
    volumes = 4 * np.pi * radii**2 * radial_weights
    points = np.concatenate([r * lebedev(int(n))[0] for r, n in zip(radii, counts, strict=True)], axis=1)
    weights = np.concatenate([v * lebedev(int(n))[1] for v, n in zip(volumes, counts, strict=True)])
    points.setflags(write=False)
    weights.setflags(write=False)
    return points, weights


def point_count(atomic_numbers: Int[np.ndarray, "natm"] | Sequence[int], spec: GridSpec) -> int:
    """Return the number of points of a molecule's grid, which depends on its elements alone."""
    return sum(_of_element(int(z), spec)[1].size for z in atomic_numbers)


def molecular_grid(
    system: System | tuple[Int[np.ndarray, "natm"] | Sequence[int], Float64[np.ndarray, "natm 3"]],
    spec: GridSpec,
) -> PointsAndWeights:
    """Return points [npoint, 3] in bohr and weights [npoint] in bohr³ of a molecule.

    `system` is a `System`, or (atomic_numbers, positions in bohr). Points come atom by atom in the order
    given, each atom's shell by shell outward. The weights include 4πr² and Becke's cells; where the Lebedev
    rule has negative weights (74, 230, 266 points) so has the grid. Weights that underflow are kept: nothing
    is dropped.

    Bit for bit the same whatever is computed before, beside or on however many threads. Raises `InputError`
    for an element outside the tables, coincident or non-finite nuclei.
    """
    numbers, positions = system if isinstance(system, tuple) else (system.atomic_numbers, system.positions)
    numbers, positions = _checked(numbers, positions)
    local, weights, owners = _undivided(tuple(numbers.tolist()), spec)
    points = local + positions.T[:, owners]
    if numbers.size == 1:
        return np.ascontiguousarray(points.T), weights.copy()
    from scfx.grid.partition import becke_fractions

    return np.ascontiguousarray(points.T), weights * becke_fractions(numbers, positions, points, owners)


@lru_cache(maxsize=8)
def _undivided(
    numbers: tuple[int, ...], spec: GridSpec
) -> tuple[Float64[np.ndarray, "3 npoint"], Float64[np.ndarray, "npoint"], Int32[np.ndarray, "npoint"]]:
    """Return points about their own nuclei, the weights that they have there, and whose they are. Read-only."""
    parts = atomic_parts(numbers, spec)
    owners = np.repeat(np.arange(len(numbers), dtype=np.int32), [part[1].size for part in parts])
    made = (
        np.concatenate([part[0] for part in parts], axis=1),
        np.concatenate([part[1] for part in parts]),
        owners,
    )
    for array in made:
        array.setflags(write=False)
    return made


def batch_grids(
    atomic_numbers: Int[np.ndarray, "batch natm"],
    positions: Float64[np.ndarray, "batch natm 3"],
    spec: GridSpec,
    present: Bool[np.ndarray, "batch natm"] | None = None,
) -> list[PointsAndWeights]:
    """Return `molecular_grid` of every entry, as a list: lengths may differ between entries with different elements.

    Each entry is computed on its own, so its bits do not depend on its neighbours. Errors name the entry. Where all
    lanes are worked on at once, so are these. An atom that is not `present` has no points and no share of space.
    """
    if len(atomic_numbers) != len(positions):
        raise InputError(
            f"batch_grids: {len(atomic_numbers)} rows of atomic numbers, {len(positions)} of positions"
        )
    from scfx.execution.device import running  # imports JAX, which the grid itself does not

    at_once = running().batched and len(positions) > 1 and positions.shape[1] > 1
    made: list[Any] = []
    own = np.ones(np.shape(atomic_numbers), dtype=bool) if present is None else present
    for entry, (numbers, centres) in enumerate(zip(atomic_numbers, positions, strict=True)):
        try:
            if present is not None:
                numbers, centres = numbers[present[entry]], centres[present[entry]]
            checked = _checked(numbers, centres)
            if not at_once:
                made.append(molecular_grid(checked, spec))
                continue
            local, weights, owners = _undivided(tuple(checked[0].tolist()), spec)
            places = np.flatnonzero(own[entry]).astype(np.int32)[owners]
            made.append((local + checked[1].T[:, owners], weights, places))
        except InputError as error:
            raise InputError(f"batch entry {entry}: {error}") from error
    if not at_once:
        return made
    from scfx.grid.partition import becke_fractions_of_lanes

    points, weights, owners = (list(part) for part in zip(*made, strict=True))
    if not own.all():
        # So far away that the cells of the others do not know of them.
        away = _NOWHERE * np.cumsum(~own, axis=1)[..., None] * np.array([1.0, 0.0, 0.0])
        positions = np.where(own[..., None], positions, away)
    shares = becke_fractions_of_lanes(atomic_numbers, positions, points, owners)
    return [(r.T, w * share) for r, w, share in zip(points, weights, shares, strict=True)]


def atomic_parts(
    atomic_numbers: Int[np.ndarray, "natm"] | Sequence[int], spec: GridSpec
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return each atom's own points [3, n] about its nucleus (bohr) and weights [n] (bohr³), before space is
    divided.
    """
    return [_of_element(int(z), spec) for z in atomic_numbers]


def _of_element(atomic_number: int, spec: GridSpec) -> tuple[np.ndarray, np.ndarray]:
    points, weights = atomic_quadrature(atomic_number, *spec.counts(atomic_number), spec.prune)
    if spec.turn is None:
        return points, weights
    x, y, z = points
    # Term by term: a matrix product may order its sums by the number of threads.
    return np.stack([row[0] * x + row[1] * y + row[2] * z for row in rotation(spec.turn)]), weights


def _checked(numbers: object, positions: object) -> tuple[np.ndarray, np.ndarray]:
    atomic_numbers = np.asarray(numbers, dtype=np.int64)
    centres = np.asarray(positions, dtype=np.float64)
    if atomic_numbers.ndim != 1 or atomic_numbers.size == 0 or centres.shape != (atomic_numbers.size, 3):
        raise InputError(
            f"a grid needs atomic numbers [natm] and positions [natm, 3] of at least one atom, got shapes "
            f"{atomic_numbers.shape} and {centres.shape}"
        )
    if not np.isfinite(centres).all():
        raise InputError("positions are not finite")
    return atomic_numbers, centres
