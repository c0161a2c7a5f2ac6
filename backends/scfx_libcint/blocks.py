"""Rows of the electron-repulsion tensor from libcint, block by block, in the storage that a policy asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, UInt8

from scfx_libcint.environment import Environment, function_offsets
from scfx_libcint.kernel import SLACK, Rows, pack

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.model.batch import ShellLayout

#: A block of integrals is cut at this many doubles (64 MB), or at one pair of shells if that is more.
_BLOCK = 8_000_000


@dataclass(frozen=True)
class BlockPlan:
    """Pairs of shells (i, j_start..j_stop) whose rows are computed together; the same for every entry of a
    layout.
    """

    offsets: tuple[int, ...]
    blocks: tuple[tuple[int, int, int], ...]

    @classmethod
    def from_layout(cls, layout: ShellLayout) -> BlockPlan:
        """Cut the pairs of shells of a layout into blocks."""
        offsets = tuple(int(x) for x in function_offsets(layout))
        blocks = []
        for shell in range(layout.n_shells):
            upper = offsets[shell + 1]
            row = (upper - offsets[shell]) * (upper * (upper + 1) // 2)
            start = 0
            while start <= shell:
                stop = start + 1
                while stop <= shell and (offsets[stop + 1] - offsets[start]) * row <= _BLOCK:
                    stop += 1
                blocks.append((shell, start, stop))
                start = stop
        return cls(offsets, tuple(blocks))

    @property
    def n(self) -> int:
        """Return functions in the basis that libcint computes in."""
        return self.offsets[-1]

    @property
    def n_pairs(self) -> int:
        """Return the number of pairs j <= i of functions."""
        return self.n * (self.n + 1) // 2

    @property
    def n_integrals(self) -> int:
        """Return the number of integrals (ij|kl) with ij >= kl."""
        return self.n_pairs * (self.n_pairs + 1) // 2

    def shape(self, block: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return the shape [ni, nj, nkl] of a block."""
        shell, start, stop = block
        upper = self.offsets[shell + 1]
        return upper - self.offsets[shell], self.offsets[stop] - self.offsets[start], upper * (upper + 1) // 2

    @property
    def buffer_size(self) -> int:
        """Return the doubles that the largest block needs."""
        return max(int(np.prod(self.shape(block))) for block in self.blocks) + SLACK


def schwarz_roots(molecule: Environment, plan: BlockPlan) -> Float64[np.ndarray, "npair"]:
    """Return sqrt((ij|ij)) for all pairs j <= i, packed."""
    root = np.zeros((plan.n, plan.n))
    optimizer = molecule.optimizer()
    for a in range(len(plan.offsets) - 1):
        for b in range(a + 1):
            block = molecule.diagonal_block(a, b, optimizer)
            ni, nj = block.shape[:2]
            diagonal = np.einsum("ijij->ij", block)
            i, j = plan.offsets[a], plan.offsets[b]
            root[i : i + ni, j : j + nj] = np.sqrt(np.maximum(diagonal, 0.0))
    return root[np.tril_indices(plan.n)]


def row_is_double(
    molecule: Environment, plan: BlockPlan, policy: PrecisionPolicy
) -> UInt8[np.ndarray, "npair"]:
    """Return which rows a policy keeps in float64.

    With a Schwarz threshold, every row of which some integral has a bound sqrt((ij|ij)) sqrt((kl|kl)) above
    it.
    """
    if policy.integrals == "float64":
        return np.ones(plan.n_pairs, dtype=np.uint8)
    if policy.schwarz_float64 is None:
        return np.zeros(plan.n_pairs, dtype=np.uint8)
    root = schwarz_roots(molecule, plan)
    # Row ij holds kl <= ij only.
    largest = np.maximum.accumulate(root)
    return (root * largest > policy.schwarz_float64).astype(np.uint8)


def computed_rows(
    molecule: Environment, plan: BlockPlan, buffer: Float64[np.ndarray, "size"]
) -> Iterator[Rows]:
    """Yield all rows, a block at a time, in `buffer`: each block is valid until the next is asked for. Not yet
    weighted.
    """
    optimizer = molecule.optimizer()
    for block in plan.blocks:
        shell, start, stop = block
        integrals = molecule.repulsion_block(shell, start, stop, optimizer, buffer)
        shape = plan.shape(block)
        a, b = np.indices(shape[:2])
        i, j = a + plan.offsets[shell], b + plan.offsets[start]
        kept = j <= i
        row = (a * shape[1] + b)[kept].astype(np.uint64)
        address = np.uint64(integrals.ctypes.data) + row * np.uint64(shape[2] * 8)
        pair_i, pair_j = i[kept].astype(np.int32), j[kept].astype(np.int32)
        yield Rows(pair_i, pair_j, address, np.ones(len(row), dtype=np.uint8), (buffer,))


def weighted_in_place(rows: Rows) -> Rows:
    """Return the rows weighted as the kernel wants them, without a copy."""
    pack(rows, rows.address)
    return rows


def stored(rows: Rows, is_double: UInt8[np.ndarray, "npair"]) -> Rows:
    """Return a weighted copy of `rows` that owns its memory, each row in float64 or float32 as `is_double` says."""
    pair = rows.i.astype(np.int64) * (rows.i + 1) // 2 + rows.j
    wide = is_double[pair]
    length = pair + 1
    address = np.empty(len(pair), dtype=np.uint64)
    memory = []
    for flag, dtype in ((1, np.float64), (0, np.float32)):
        chosen = wide == flag
        if chosen.any():
            ends = np.cumsum(length[chosen])
            memory.append(np.empty(int(ends[-1]) + SLACK, dtype=dtype))
            offset = (ends - length[chosen]) * np.dtype(dtype).itemsize
            address[chosen] = np.uint64(memory[-1].ctypes.data) + offset.astype(np.uint64)
    out = Rows(rows.i, rows.j, address, wide, tuple(memory))
    pack(out, rows.address)
    return out
