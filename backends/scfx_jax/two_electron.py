"""J and K from integrals (ij|kl) held as [row, k, l], a row for each pair i >= j, or made again for every call.

The rows of one tile of bra pairs are a *block*: [lane, row, n, n], padded to the AO bucket. A block is contracted by
one compiled program, which adds to J and K; so operation with kept blocks and
with blocks that are made again is the same but for who makes them, and gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int32

from scfx.contracts.two_electron import AbstractDeviceTwoElectron
from scfx.energy.two_electron.lane_operator import SelectiveTwoElectron
from scfx.errors import InputError
from scfx.execution.device import running
from scfx.execution.lanes import COMPILER_OPTIONS, ao_bucket
from scfx_jax.boys import boys_table
from scfx_jax.hermite import hermite_count
from scfx_jax.pairs import (
    PairTables,
    Products,
    QuartetProgram,
    molecules_of,
    pair_tables,
    power_of_two,
    products_of_class,
)
from scfx_jax.repulsion import needs_expansion, quartets

if TYPE_CHECKING:
    from collections.abc import Callable

    from scfx.model.batch import Batch, ShellLayout


@dataclass(frozen=True, eq=False)
class RowPlan:
    """How the integrals of a shell structure become blocks of rows; the same for every molecule of it.

    `rows` [class][tile]: AOs i and j of each row, and its weight, 0 for filling and for a product that another row has.
    `columns` [n n]: where (k, l) stands among a block's columns, which are those of all classes one after the other.
    """

    classes: tuple[PairTables, ...]
    n: int
    rows: tuple[tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...], ...]
    columns: Int32[np.ndarray, "nn"]
    n_columns: int

    def block_rows(self, number: int) -> int:
        """Return the rows of a block of one class."""
        return int(np.prod(self.classes[number].ao.shape[2:]))

    def stored_rows(self) -> int:
        """Return the rows of all blocks."""
        return sum(self.block_rows(c) * tables.n_tiles for c, tables in enumerate(self.classes))

    def working_numbers(self) -> int:
        """Return how many numbers making one block needs at most for one lane, with the block itself."""
        rows = max(self.block_rows(c) for c in range(len(self.classes)))
        # What `quartets` gives, the same in another order, and two blocks (of erfc's two operators).
        made = 4 * rows * max(self.n_columns, self.n**2)
        order = max(tables.kind.order for tables in self.classes)
        functions = max(tables.kind.n_functions for tables in self.classes)
        width = self.classes[0].ao.shape[2]
        sums = 2 * functions * (hermite_count(order) + functions) + (2 * order + 1) * hermite_count(2 * order)
        return made + width**2 * sums

    def mirrored_numbers(self) -> int:
        """Return how many numbers `Integrals.blocks` holds at once for one lane, beside the blocks."""
        rows = [self.block_rows(c) * tables.n_tiles for c, tables in enumerate(self.classes)]
        columns = [self.block_rows(c) * power_of_two(tables.n_tiles) for c, tables in enumerate(self.classes)]
        return sum(rows[c] * columns[other] for c in range(len(rows)) for other in range(c + 1))


@lru_cache(maxsize=64)
def row_plan(layout: ShellLayout, width: int) -> RowPlan:
    """Return the plan of a shell structure for tiles of `width` pairs."""
    classes = pair_tables(layout, width)
    n = ao_bucket(layout.nao)
    seen = np.zeros((n, n), dtype=bool)
    rows = []
    place = np.full((n, n), -1, dtype=np.int64)
    offset = 0
    for tables in classes:
        own = []
        for tile in range(tables.n_tiles):
            i, j = (tables.ao[side, tile].ravel() for side in range(2))
            weight = np.zeros(len(i))
            for row in np.flatnonzero(i >= 0):
                weight[row] = not seen[i[row], j[row]]
                seen[i[row], j[row]] = seen[j[row], i[row]] = True
            kept = weight > 0
            where = offset + np.flatnonzero(kept)
            place[i[kept], j[kept]] = place[j[kept], i[kept]] = where
            offset += len(i)
            own.append((np.maximum(i, 0).astype(np.int32), np.maximum(j, 0).astype(np.int32), weight))
        # Items are padded to a power of two: their columns come too, and nothing points to them.
        offset += (power_of_two(tables.n_tiles) - tables.n_tiles) * int(np.prod(tables.ao.shape[2:]))
        rows.append(tuple(own))
    columns = np.where(place >= 0, place, offset).astype(np.int32).ravel()
    return RowPlan(classes, n, tuple(rows), columns, offset + 1)


def _as_columns(
    made: Float[Array, "item fx fy wx wy lane"], swapped: bool
) -> Float[Array, "lane row column"]:
    """Return integrals of a bra tile with all tiles of a class as rows and columns; `swapped`: it was made the ket."""
    axes = (5, 4, 2, 0, 3, 1) if swapped else (5, 3, 1, 0, 4, 2)
    lane, width, functions, items, other, theirs = (made.shape[a] for a in axes)
    return jnp.transpose(made, axes).reshape(lane, width * functions, items * other * theirs)


@partial(jax.jit, static_argnames=("swapped", "n"), compiler_options=COMPILER_OPTIONS)
def _block(
    made: tuple[Any, ...], tile: Any, columns: Int32[Array, "nn"], *, swapped: tuple[bool, ...], n: int
) -> Float[Array, "lane row n n"]:
    """Return a block from what `quartets` made of its tile and each ket class.

    Or, as a tuple for each tile of such a class, from what was made of that tile and all tiles of the block's own
    class, of which `tile` is the one wanted: (ij|kl) is (kl|ij).
    """
    parts = []
    for part, other in zip(made, swapped, strict=True):
        if isinstance(part, tuple):
            found = jnp.stack([jax.lax.dynamic_index_in_dim(m, tile, 0, keepdims=False) for m in part])
            filling = power_of_two(len(part)) - len(part)
            part = jnp.pad(found, ((0, filling), *((0, 0) for _ in found.shape[1:])))
        parts.append(_as_columns(part, other))
    lane, row = parts[0].shape[:2]
    every = jnp.concatenate([*parts, jnp.zeros((lane, row, 1), parts[0].dtype)], axis=2)
    return every[:, :, columns].reshape(lane, row, n, n)


@partial(
    jax.jit,
    static_argnames=("coulomb", "exchange"),
    donate_argnames=("j", "k"),
    compiler_options=COMPILER_OPTIONS,
)
def _contract(
    block: Float[Array, "lane row n n"],
    density: Float[Array, "lane spin n n"],
    row_i: Int32[Array, "row"],
    row_j: Int32[Array, "row"],
    weight: Float[Array, "row"],
    j: Float64[Array, "lane spin n n"],
    k: Float64[Array, "lane spin n n"],
    *,
    coulomb: bool,
    exchange: bool,
) -> tuple[Any, Any]:
    """Add a block's part to J and K. Sums over l and kl are in the dtype of `density`, those over rows in float64."""
    n, working = density.shape[-1], density.dtype
    at_i = jax.nn.one_hot(row_i, n, dtype=jnp.float64) * weight[:, None]
    at_j = jax.nn.one_hot(row_j, n, dtype=jnp.float64)
    off_diagonal = (row_i != row_j).astype(jnp.float64)
    values = block.astype(working)[:, None]  # [lane, 1, row, n, n]
    # All sums go over l alone, so that one kernel of a GPU makes them and reads each integral once; the barrier keeps
    # XLA from joining the sum over k to the one over l.
    sums = []
    if coulomb:
        sums.append(jnp.sum(values * density[:, :, None], axis=4))
    if exchange:
        sums += [jnp.sum(values * density[:, :, at, None, :], axis=4) for at in (row_j, row_i)]
    sums = [made.astype(jnp.float64) for made in jax.lax.optimization_barrier(sums)]  # [lane, spin, row, k]
    if coulomb:
        rows = jnp.sum(sums[0], axis=3)
        half = jnp.einsum("ri,lsr,rj->lsij", at_i, rows * (0.5 + 0.5 * off_diagonal)[None, None], at_j)
        j = j + half + jnp.swapaxes(half, 2, 3)
    if exchange:
        with_j, with_i = sums[-2:]
        k = k + jnp.einsum("ri,lsrk->lsik", at_i, with_j)
        at_j = at_j * (weight * off_diagonal)[:, None]
        k = k + jnp.einsum("rj,lsrk->lsjk", at_j, with_i)
    return j, k


class Integrals:
    """Makes blocks of integrals of `lanes` entries of a batch from `start` on, side by side. Inside x64."""

    def __init__(
        self,
        batch: Batch,
        start: int,
        lanes: int,
        plan: RowPlan,
        inverse_omega2: tuple[float, ...],
        dtype: str,
    ):
        """`inverse_omega2`: of the operator, as `quartets` takes it, and of one whose integrals are taken off it."""
        self._plan = plan
        self._operators = inverse_omega2
        self._dtype = dtype
        molecules = jax.tree.map(jax.device_put, molecules_of(batch, start, lanes))
        expanded = needs_expansion([tables.kind for tables in plan.classes])
        self._products: list[Products] = [
            products_of_class(molecules, tables, expanded)[0] for tables in plan.classes
        ]

    def block(self, number: int, tile: int) -> Float[Array, "lane row n n"]:
        """Return the rows of one tile of the class `number`."""
        others = range(len(self._plan.classes))
        total: Any = None
        for operator in self._operators:
            made = tuple(self._quartets(number, tile, other, operator) for other in others)
            total = self._less(total, self._rows(made, number, tile))
        return total

    def blocks(self) -> list[list[Any]]:
        """Return the rows of every tile [class][tile], with each (ij|kl) of two classes computed once."""
        out: list[list[Any]] = [[None] * tables.n_tiles for tables in self._plan.classes]
        every = [(c, tile) for c, tables in enumerate(self._plan.classes) for tile in range(tables.n_tiles)]
        for operator in self._operators:
            made = {
                (c, tile, other): self._quartets(c, tile, other, operator)
                for c, tile in every
                for other in range(c + 1)
            }
            for c, tile in every:
                own = [made[c, tile, other] for other in range(c + 1)]
                higher = [
                    tuple(made[other, y, c] for y in range(self._plan.classes[other].n_tiles))
                    for other in range(c + 1, len(self._plan.classes))
                ]
                out[c][tile] = self._less(out[c][tile], self._rows((*own, *higher), c, tile))
        return out

    def _rows(self, made: tuple[Any, ...], number: int, tile: int) -> Any:
        swapped = tuple(other > number for other in range(len(self._plan.classes)))
        return _block(made, tile, self._plan.columns, swapped=swapped, n=self._plan.n)

    def _less(self, total: Any, made: Any) -> Any:
        return made if total is None else total - made

    def _quartets(self, number: int, tile: int, other: int, inverse_omega2: float) -> Any:
        # Classes in one order only, so that each two share a program whichever is the bra.
        swapped = other > number
        mine, theirs = self._plan.classes[number], self._plan.classes[other]
        items = np.zeros((power_of_two(theirs.n_tiles), 6), dtype=np.int32)
        own = mine.slabs(tile)
        for k in range(theirs.n_tiles):
            their = theirs.slabs(k)
            items[k] = (*their, *own) if swapped else (*own, *their)
        x, y = (other, number) if swapped else (number, other)
        kind_x, kind_y = (self._plan.classes[c].kind for c in (x, y))
        program = QuartetProgram(kind_x, kind_y, self._dtype, running().platform == "gpu")
        return quartets(
            self._products[x],
            self._products[y],
            items,
            theirs.n_tiles,
            inverse_omega2,
            boys_table(program.order, program.dtype),
            program=program,
        )


class JaxTwoElectron(SelectiveTwoElectron, AbstractDeviceTwoElectron):
    """J and K of a batch, `side_by_side` entries at a time, from blocks that are kept or made again."""

    def __init__(
        self,
        batch: Batch,
        plan: RowPlan,
        side_by_side: int,
        inverse_omega2: tuple[float, ...],
        integrals_dtype: str,
        contraction_dtype: str,
        kept: bool,
        within: Callable[[], Any],
    ):
        """`within`: enters float64 and the device that all of this is to run on."""
        super().__init__(len(batch), batch.nao)
        self._plan, self._lanes, self._within = plan, side_by_side, within
        self._dtype = contraction_dtype
        self.accumulation = "float64"
        with within():
            self._makers: list[Integrals] | None = [
                Integrals(batch, start, side_by_side, plan, inverse_omega2, integrals_dtype)
                for start in range(0, len(batch), side_by_side)
            ]
            self._kept: list[list[list[Any]]] | None = None
            if kept:
                self._kept = [maker.blocks() for maker in self._makers]
                self._makers = []

    def held_bytes(self) -> int:
        """Return the bytes of integrals kept between calls; 0 where they are made again."""
        return sum(block.nbytes for group in self._kept or () for blocks in group for block in blocks)

    def contract_selected(
        self,
        density: Float64[np.ndarray, "active nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return J and K of some entries; others that share a launch with them are computed and dropped."""
        n = self._nao
        found = [np.zeros(density.shape) if wanted else None for wanted in (coulomb, exchange)]
        with self._within():
            for group in np.unique(lanes // self._lanes):
                rows = np.flatnonzero(lanes // self._lanes == group)
                padded = np.zeros((self._lanes, density.shape[1], self._plan.n, self._plan.n))
                padded[lanes[rows] % self._lanes, :, :n, :n] = density[rows]
                made = self._group(int(group), jax.device_put(padded), coulomb, exchange)
                for to, matrices in zip(found, made, strict=True):
                    if to is not None:
                        to[rows] = np.asarray(matrices)[lanes[rows] % self._lanes, :, :n, :n]
        return found[0], found[1]

    def contract_on_device(
        self,
        density: Float64[Any, "capacity nspin n n"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[Any, Any]:
        """Return padded J and K of all entries; an operator of entries side by side has them in one group."""
        capacity, most = density.shape[0], self._lanes * -(-self._entries // self._lanes)
        with self._within():
            groups = jnp.pad(density, ((0, max(0, most - capacity)), (0, 0), (0, 0), (0, 0)))
            made = [
                self._group(g, groups[g * self._lanes : (g + 1) * self._lanes], coulomb, exchange)
                for g in range(most // self._lanes)
            ]
            found = [
                jnp.pad(jnp.concatenate(parts), ((0, max(0, capacity - most)), (0, 0), (0, 0), (0, 0)))[
                    :capacity
                ]
                for parts in zip(*made, strict=True)
            ]
        return found[0] if coulomb else None, found[1] if exchange else None

    def _group(self, group: int, density: Any, coulomb: bool, exchange: bool) -> tuple[Any, Any]:
        if self._makers is None:
            raise InputError("this two-electron operator is closed: its integrals are freed")
        working = density.astype(self._dtype)
        j, k = jnp.zeros(density.shape), jnp.zeros(density.shape)
        for c, tiles in enumerate(self._plan.rows):
            for tile, (row_i, row_j, weight) in enumerate(tiles):
                kept = self._kept
                block = self._makers[group].block(c, tile) if kept is None else kept[group][c][tile]
                j, k = _contract(
                    block, working, row_i, row_j, weight, j, k, coulomb=coulomb, exchange=exchange
                )
        return j, k

    def close(self) -> None:
        """Free the integrals."""
        self._makers = self._kept = None
