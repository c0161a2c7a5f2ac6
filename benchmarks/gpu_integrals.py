"""The kernels of integrals on the card: their code counted, and the clocks that a label's integrals take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from gpu import conformers, systems_of
from gpu_compiler import compiled, shape
from gpu_kernel_code import Loop, loops, registers
from gpu_rates import CLOCK, ISSUE, LANES, MULTIPROCESSORS, TILE, UNIT, Stage
from scfx_jax import repulsion
from scfx_jax.boys import boys_table
from scfx_jax.pairs import (
    PairClass,
    Products,
    QuartetProgram,
    molecules_of,
    pair_tables,
    power_of_two,
    products_of_class,
)
from scfx_jax.straight_line import UNROLLED_ORDER, KernelPlan, block_of

from scfx.model.batch import Batch

#: Those that were compiled, in that order.
KERNELS: list[QuartetKernel] = []


def _products() -> Products:
    return Products(shape(64, 9, TILE, LANES), shape(64, 3, TILE, LANES), shape(64, 0, 1, TILE, LANES))


def _name(kind: PairClass) -> str:
    return "".join("spdf"[l] for l, _ in kind)


@dataclass
class QuartetKernel:
    """A kernel of integrals: what its code does outside loops, in a round over the bra's primitives and the ket's."""

    classes: str
    dtype: str
    loops: list[Loop]
    registers: int
    spilled: int
    seconds: float


@cache
def quartet_kernel(program: QuartetProgram) -> QuartetKernel:
    """Return the kernel of a program whose recursions are written out."""
    assert program.order <= UNROLLED_ORDER
    x, y, dtype, _ = program
    table = boys_table(program.order, dtype)
    made = compiled(
        f"integrals, {dtype}", repulsion.quartets, _products(), _products(), shape(8, 6, dtype="int32"),
        shape(dtype="int32"), shape(), shape(*table.shape, dtype=dtype), program=program,
    )  # fmt: skip
    (code,) = (code for code in made.code if "entry _kernel(" in code)
    found = loops(code, "_kernel")
    assert len(found) == 3
    kernel = QuartetKernel(f"({_name(x)}|{_name(y)})", dtype, found, *registers(code), made.seconds)
    KERNELS.append(kernel)
    return kernel


def table_lines(molecule: dict, basis: Any, dtype: str) -> float:
    """Return how many lines of 128 bytes of the Boys table a warp's 32 conformers read at once, in the mean.

    Of 20,000 pairs of products of primitives at random. The first cache, which holds the table, gives a line a clock.
    """
    geometries = conformers(np.array(molecule["positions_bohr"]), 32, 0)
    batch = Batch.from_systems(systems_of(molecule, geometries), basis)
    arrays = molecules_of(batch, 0, 32)
    exponents, centres = [], []
    for tables in pair_tables(batch.layout, TILE):
        products, _ = products_of_class(arrays, tables, False)
        real = (tables.primitive[0] >= 0) & (tables.slab_tile >= 0)[:, None]
        exponents.append(np.asarray(products.values)[:, 0][real])
        centres.append(np.moveaxis(np.asarray(products.centre), 1, -1)[real])
    p, centre = np.concatenate(exponents), np.concatenate(centres)
    one, two = np.random.default_rng(0).integers(len(p), size=(2, 20_000))
    t = p[one] * p[two] / (p[one] + p[two]) * ((centre[one] - centre[two]) ** 2).sum(axis=-1)
    table = boys_table(0, dtype)
    row = np.minimum(t * 16 + 0.5, len(table) - 1).astype(int)
    first = row * table.shape[1] * table.itemsize // 128
    return float(np.count_nonzero(np.diff(np.sort(first, axis=1), axis=1), axis=1).mean() + 1)


def clocks(loop: Loop, dtype: str, gathers: float) -> float:
    """Return the clocks of one multiprocessor that a warp takes for a round, if its busiest unit bounds it."""
    return max(
        loop.all / ISSUE,
        loop.arithmetic / (2 if dtype == "float64" else ISSUE),
        2.0 * loop.special,
        loop.loads + gathers,
    )


def integrals(plan: Any, dtype: str, lines: float) -> Stage:
    """Return the making of all integrals of a label; each look-up of a warp reads `lines` of the Boys table."""
    stage, size = Stage(), 8 if dtype == "float64" else 4
    gathers = boys_table(0, dtype).shape[1] * (lines - 1.0)
    for number, x in enumerate(plan.classes):
        for y in plan.classes[: number + 1]:
            program = QuartetProgram(x.kind, y.kind, dtype, True)
            outside, bra, ket = (
                clocks(loop, dtype, gathers if depth == 2 else 0)
                for depth, loop in enumerate(quartet_kernel(program).loops)
            )
            block = block_of(TILE, LANES, True)
            turns = KernelPlan(program, block, (1, 1, 1)).turns
            for tile in range(x.n_tiles):
                _, n_x, used_x = x.slabs(tile)
                for other in range(y.n_tiles):
                    _, n_y, used_y = y.slabs(other)
                    elements = turns * used_x * (-(-used_y // block[1]) * block[1])
                    work = elements * (outside + n_x * (bra + n_y * ket))
                    stage.arithmetic += work / 32 / (MULTIPROCESSORS * CLOCK * UNIT)
                stage.launches += 1
                items = power_of_two(y.n_tiles) * TILE**2
                stage.bytes += items * x.kind.n_functions * y.kind.n_functions * size
    return stage
