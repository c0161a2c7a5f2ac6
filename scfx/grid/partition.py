"""Dividing space among the atoms: A. D. Becke, J. Chem. Phys. 88, 2547 (1988).

Atom i's share at a point is P_i/Σ_k P_k with the cell functions (eqs. 11, 13 and 19 to 22 of the paper)

    P_i = Π_{j≠i} ½ [1 - p(p(p(ν_ij)))],   p(x) = (3x - x³)/2,
    ν = μ + a (1 - μ²),   μ_ij = (r_i - r_j)/R_ij,

and its appendix's a_ij = (1/χ - χ)/4, |a| <= ½, for the ratio χ of the atoms' sizes. The sizes are square
roots of the Bragg-Slater radii: O. Treutler and R. Ahlrichs, J. Chem. Phys. 102, 346 (1995).

The kernel sees few shapes: `POINT_BLOCK` points at a time and the atoms padded to a multiple of
`ATOM_BUCKET`, both functions of the molecule alone. No sum or product is split: a point's share has the same
bits on any number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int, Int32

from scfx.errors import InputError
from scfx.execution.lanes import COMPILER_OPTIONS
from scfx.grid.tables import BRAGG_RADIUS_ANGSTROM

#: Points in one call: distances and cell functions of 20 atoms then take 0.6 MB and stay in the second-level
#: cache.
POINT_BLOCK = 2048
#: Atoms are padded to a multiple of this; it bounds the number of compiled shapes (about 0.1 s each).
ATOM_BUCKET = 4


def becke_fractions(
    atomic_numbers: Int[np.ndarray, "natm"],
    positions: Float64[np.ndarray, "natm 3"],
    points: Float64[np.ndarray, "3 npoint"],
    owners: Int32[np.ndarray, "npoint"],
) -> Float64[np.ndarray, "npoint"]:
    """Return the share of each point's owner at that point, between 0 and 1. Positions and points in bohr.

    Raises `InputError` for coincident nuclei.
    """
    natm, npoint = positions.shape[0], owners.size
    tables = cell_tables(atomic_numbers, positions)
    n_blocks = -(-npoint // POINT_BLOCK)
    padded_points = np.zeros((n_blocks, 3, POINT_BLOCK))
    padded_owners = np.zeros((n_blocks, POINT_BLOCK), dtype=np.int32)
    for block in range(n_blocks):
        part = slice(block * POINT_BLOCK, min((block + 1) * POINT_BLOCK, npoint))
        padded_points[block, :, : part.stop - part.start] = points[:, part]
        padded_owners[block, : part.stop - part.start] = owners[part]
    with jax.enable_x64(True):
        cells = _compiled()
        shares = [
            cells(padded_points[block], padded_owners[block], *tables, np.int32(natm))
            for block in range(n_blocks)
        ]
        return np.concatenate([np.asarray(share) for share in shares])[:npoint]


def becke_fractions_of_lanes(
    atomic_numbers: Int[np.ndarray, "lane natm"],
    positions: Float64[np.ndarray, "lane natm 3"],
    points: list[Float64[np.ndarray, "3 _"]],
    owners: list[Int32[np.ndarray, "_"]],
) -> list[Float64[np.ndarray, "_"]]:
    """Return what `becke_fractions` does of each lane, from all lanes at once: a few launches of an accelerator."""
    tables = []
    for lane, of_lane in enumerate(zip(atomic_numbers, positions, strict=True)):
        try:
            tables.append(cell_tables(*of_lane))
        except InputError as error:
            raise InputError(f"batch entry {lane}: {error}") from error
    centres, inverse_distances, shifts = (np.stack(table) for table in zip(*tables, strict=True))
    most = -(-max(own.size for own in owners) // POINT_BLOCK) * POINT_BLOCK
    every_point, every_owner = np.zeros((len(points), 3, most)), np.zeros((len(points), most), dtype=np.int32)
    for lane, (r, own) in enumerate(zip(points, owners, strict=True)):
        every_point[lane, :, : own.size], every_owner[lane, : own.size] = r, own
    with jax.enable_x64(True):
        cells = _compiled_for_lanes()
        shares = [
            cells(
                every_point[:, :, start : start + POINT_BLOCK],
                every_owner[:, start : start + POINT_BLOCK],
                centres,
                inverse_distances,
                shifts,
                np.int32(positions.shape[1]),
            )
            for start in range(0, most, POINT_BLOCK)
        ]
        every = np.concatenate([np.asarray(share) for share in shares], axis=1)
    return [row[: own.size] for row, own in zip(every, owners, strict=True)]


def cell_tables(
    atomic_numbers: Int[np.ndarray, "natm"], positions: Float64[np.ndarray, "natm 3"]
) -> tuple[
    Float64[np.ndarray, "atoms 3"], Float64[np.ndarray, "atoms atoms"], Float64[np.ndarray, "atoms atoms"]
]:
    """Return positions, inverse distances and size shifts of the atoms, filled up with zeros to whole `ATOM_BUCKET`s.

    Raises `InputError` for coincident nuclei.
    """
    natm = positions.shape[0]
    padded_atoms = -(-natm // ATOM_BUCKET) * ATOM_BUCKET
    inverse_distances = np.zeros((padded_atoms, padded_atoms))
    inverse_distances[:natm, :natm] = _inverse_distances(positions)
    shifts = np.zeros((padded_atoms, padded_atoms))
    shifts[:natm, :natm] = size_shifts(atomic_numbers)
    centres = np.zeros((padded_atoms, 3))
    centres[:natm] = positions
    return centres, inverse_distances, shifts


def size_shifts(atomic_numbers: Int[np.ndarray, "natm"]) -> Float64[np.ndarray, "natm natm"]:
    """Return a_ij of the cell boundary between atoms i and j; antisymmetric, negative where i is the larger atom."""
    sizes = np.sqrt(np.array(BRAGG_RADIUS_ANGSTROM)[atomic_numbers])
    ratio = sizes[:, None] / sizes[None, :]
    return np.clip((1.0 / ratio - ratio) / 4, -0.5, 0.5)


def _inverse_distances(positions: Float64[np.ndarray, "natm 3"]) -> Float64[np.ndarray, "natm natm"]:
    distances = np.sqrt(((positions[:, None] - positions[None]) ** 2).sum(axis=-1))
    np.fill_diagonal(distances, np.inf)
    if distances.min() == 0.0:
        i, j = np.unravel_index(np.argmin(distances), distances.shape)
        raise InputError(f"atoms {i} and {j} coincide: space cannot be divided between them")
    return 1.0 / distances


@lru_cache(maxsize=1)
def _compiled() -> Any:
    return jax.jit(_owner_shares, compiler_options=COMPILER_OPTIONS)


@lru_cache(maxsize=1)
def _compiled_for_lanes() -> Any:
    mapped = jax.vmap(_owner_shares, in_axes=(0, 0, 0, 0, 0, None))
    return jax.jit(mapped, compiler_options=COMPILER_OPTIONS)


def _owner_shares(
    points: Float64[Array, "3 block"],
    owners: Int32[Array, "block"],
    centres: Float64[Array, "atoms 3"],
    inverse_distances: Float64[Array, "atoms atoms"],
    shifts: Float64[Array, "atoms atoms"],
    natm: Int32[Array, ""],
) -> Float64[Array, "block"]:
    """Shares of one block; rows of `centres` from `natm` on are padding."""
    displacements = points[None, :, :] - centres[:, :, None]
    distances = jnp.sqrt(displacements[:, 0] ** 2 + displacements[:, 1] ** 2 + displacements[:, 2] ** 2)

    def times_boundary(j: Array, cells: Array) -> Array:
        # For i = j the tables hold zeros, so every atom gets the same spurious factor ½: it cancels in the
        # share, and the loop needs no mask.
        mu = (distances - distances[j][None, :]) * inverse_distances[:, j][:, None]
        nu = mu + shifts[:, j][:, None] * (1.0 - mu * mu)
        for _ in range(2):
            nu = nu * (1.5 - 0.5 * nu * nu)
        return cells * (0.5 - nu * (0.75 - 0.25 * nu * nu))

    cells = jax.lax.fori_loop(jnp.int32(0), natm, times_boundary, jnp.ones_like(distances))
    # Atom by atom: XLA would order a sum over the axis by the number of threads that it splits the points over.
    total = jax.lax.fori_loop(
        jnp.int32(0), natm, lambda j, partial: partial + cells[j], jnp.zeros_like(distances[0])
    )
    return jnp.take_along_axis(cells, owners[None, :], axis=0)[0] / total
