"""One kernel for all primitive products of two classes of pairs, whose intermediates never leave the registers.

The recursions of a class are written out when the kernel is traced, for few and low angular momenta (`UNROLLED_ORDER`);
those of higher classes are loops over index tables (`repulsion`). An element of a block is one molecule and one pair of
pairs; it loops over its primitives, adds up in registers, and writes each integral once.

The kernel is Pallas: compiled by way of Triton for a GPU, and read as ordinary JAX elsewhere, where the tests run it.
"""

from __future__ import annotations

from functools import cache, partial
from itertools import chain
from math import gcd, prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jaxtyping import Array, Float, Int32

from scfx.model.basis import cartesian_powers
from scfx_jax.boys import boys
from scfx_jax.hermite import hermite_indices
from scfx_jax.pairs import PairClass, Products, QuartetProgram

#: Highest sum of four angular momenta whose recursions are written out: some 1,300 operations for four p shells.
UNROLLED_ORDER = 4
#: Elements of a block on a GPU, four warps of one lane each to a thread, and on a processor.
_ON_GPU, _ON_CPU = 128, 4096

Index = tuple[int, int, int]


def _raised(index: Index, axis: int, by: int = 1) -> Index:
    return tuple(n + by * (x == axis) for x, n in enumerate(index))  # type: ignore[return-value]


def coulomb_recursion(start: list[Any], distance: list[Any]) -> dict[Index, Any]:
    """Return R_tuv for t + u + v below the length of `start`, which holds R^n_000; see `hermite.coulomb_integrals`."""

    @cache
    def r(n: int, index: Index) -> Any:
        if not any(index):
            return start[n]
        axis = max(range(3), key=lambda x: index[x])
        once = _raised(index, axis, -1)
        value = distance[axis] * r(n + 1, once)
        if once[axis]:
            twice = r(n + 1, _raised(once, axis, -1))
            value = value + (twice if once[axis] == 1 else float(once[axis]) * twice)
        return value

    return {index: r(0, index) for index in hermite_indices(len(start) - 1)}


def products_from_hermite(
    kind: PairClass,
    functions: range,
    half: Any,
    from_first: list[Any],
    from_second: list[Any],
    hermite: Any,
    sign: int,
    top: list[Index],
) -> list[list[Any]]:
    """Return [function][h of `top`]: integrals over products of functions from those over Hermite Gaussians.

    `hermite(h)`: over Λ_h of this pair, for a ket (`sign` -1) with the sign (-1)^h taken off. `half`: 1/2p. A power of
    the first function is raised by x_A Λ_h = (P - A)_x Λ_h + 1/2p Λ_(h+1) + h Λ_(h-1) (Helgaker et al., eq. 9.5.3).
    """

    @cache
    def value(a: Index, b: Index, h: Index) -> Any:
        if not any(a) and not any(b):
            return hermite(h)
        shift, lowered = (from_second, b) if any(b) else (from_first, a)
        axis = max(range(3), key=lambda x: lowered[x])
        below = _raised(lowered, axis, -1)
        a, b = (a, below) if any(b) else (below, b)
        inner = value(a, b, _raised(h, axis))
        rest = None
        for power, less in ((a[axis], (_raised(a, axis, -1), b)), (b[axis], (a, _raised(b, axis, -1)))):
            if power:
                term = value(*less, h) if power == 1 else float(power) * value(*less, h)
                rest = term if rest is None else rest + term
        if sign < 0:
            inner = -inner if rest is None else rest - inner
        elif rest is not None:
            inner = rest + inner
        return shift[axis] * value(a, b, h) + half * inner

    (la, _), (lb, _) = kind
    powers = [(a, b) for a in cartesian_powers(la) for b in cartesian_powers(lb)]
    return [
        [_combined([(float(row[c]), value(*powers[c], h)) for c in np.flatnonzero(row)]) for h in top]
        for row in kind.transform[functions]
    ]


def _combined(terms: list[tuple[float, Any]]) -> Any:
    total = None
    for factor, value in terms:
        term = value if factor == 1.0 else factor * value
        total = term if total is None else total + term
    return total


class KernelPlan(NamedTuple):
    """What a kernel is compiled for: its program, and bra pairs, ket pairs and lanes of a block and their blocks."""

    program: QuartetProgram
    block: tuple[int, int, int]
    blocks: tuple[int, int, int]

    @property
    def turns(self) -> int:
        """Return how many programs share the functions of the ket.

        Of three and four p shells three do: each has those whose first function lies along its own axis, which it calls
        x. So the code is a third, and a program's sums fit the registers.
        """
        shells = [l for kind in self.program[:2] for l, _ in kind]
        return 3 if max(shells) == 1 and sum(shells) > 2 else 1


def _kernel(
    items: Any, count: Any, inverse_omega2: Any, table: Any, x: Any, x_centre: Any, y: Any, y_centre: Any, out: Any,
    *, plan: KernelPlan,
) -> None:  # fmt: skip
    (kind_x, kind_y, dtype, _), (bx, by, bl), (_, y_blocks, lane_blocks) = plan
    order = plan.program.order

    def split(number: Any, by: int) -> tuple[Any, Any]:
        return jax.lax.div(number, jnp.int32(by)), jax.lax.rem(number, jnp.int32(by))

    item, inside = pl.program_id(0), pl.program_id(1)
    inside, turn = split(inside, plan.turns)
    inside, lane_start = split(inside, lane_blocks)
    x_start, y_start = split(inside, y_blocks)
    x_start, y_start = x_start * bx, y_start * by
    at_x, at_y, at_lane = pl.ds(x_start, bx), pl.ds(y_start, by), pl.ds(lane_start * bl, bl)
    first_x, n_x, used_x, first_y, n_y, used_y = (items[item, c] for c in range(6))
    # Filling has no primitives, and comes out as zero.
    n_x = jnp.where((item < count[0]) & (x_start < used_x) & (y_start < used_y), n_x, 0)
    hermites = list(hermite_indices(kind_x.order))
    functions_x, functions_y = range(kind_x.n_functions), range(kind_y.n_functions // plan.turns)
    zero = jnp.zeros((bx, by, bl), dtype)

    def axis(number: int) -> Any:
        return split(turn + number, 3)[1] if plan.turns > 1 else number

    def pair(
        values: Any, centre: Any, slab: Any, at: Any, other: int
    ) -> tuple[Any, Any, Any, list, list, list]:
        p, half, factor, *shifts = (
            jnp.expand_dims(values[slab, c, at, at_lane], other)
            for c in (0, 1, 2, *(3 + axis(c) for c in range(3)), *(6 + axis(c) for c in range(3)))
        )
        centres = [jnp.expand_dims(centre[slab, axis(c), at, at_lane], other) for c in range(3)]
        return p, half, factor, shifts[:3], shifts[3:], centres

    def ket(bra: Any, slab: Any, total: tuple) -> tuple:
        p, centre_p = bra
        q, half, factor, from_c, from_d, centre_q = pair(y, y_centre, slab, at_y, 0)
        distance = [(a - b).astype(dtype) for a, b in zip(centre_p, centre_q, strict=True)]
        product = p * q
        # With erf(omega r)/r, 1/omega² joins 1/p + 1/q.
        root = jax.lax.rsqrt(p + q + product * inverse_omega2[0])
        alpha = product * root * root
        square = distance[0] * distance[0] + distance[1] * distance[1] + distance[2] * distance[2]
        start, power = [], factor * root
        for function in boys(order, alpha * square, table):
            start.append(power * function)
            power = power * (-2.0 * alpha)
        r = coulomb_recursion(start, distance)
        made = products_from_hermite(kind_y, functions_y, half, from_c, from_d, r.__getitem__, -1, hermites)
        return tuple(t + new for t, new in zip(total, chain(*made), strict=True))

    def bra(slab: Any, total: tuple) -> tuple:
        p, half, factor, from_a, from_b, centre = pair(x, x_centre, slab, at_x, 1)
        inner = jax.lax.fori_loop(
            first_y, first_y + n_y, partial(ket, (p, centre)), (zero,) * (len(functions_y) * len(hermites))
        )
        made = []
        for f in functions_y:
            own = dict(zip(hermites, inner[f * len(hermites) :], strict=False))
            made += products_from_hermite(
                kind_x, functions_x, half, from_a, from_b, own.__getitem__, 1, [(0, 0, 0)]
            )
        return tuple(t + factor * new for t, new in zip(total, chain(*made), strict=True))

    found = jax.lax.fori_loop(first_x, first_x + n_x, bra, (zero,) * (len(functions_x) * len(functions_y)))

    def place(function: int, kind: PairClass) -> Any:
        if plan.turns == 1:
            return function
        return axis(function) if kind.order == 1 else 3 * axis(function // 3) + axis(function % 3)

    for f in functions_y:
        for g in functions_x:
            out[item, place(g, kind_x), place(f, kind_y), at_x, at_y, at_lane] = found[
                f * len(functions_x) + g
            ]


def block_of(width: int, lanes: int, on_gpu: bool) -> tuple[int, int, int]:
    """Return bra pairs, ket pairs and lanes of a block: powers of two that divide what there is."""
    most, lane = (_ON_GPU, gcd(lanes, 32)) if on_gpu else (_ON_CPU, gcd(lanes, _ON_CPU))
    ket = gcd(width, max(1, most // lane))
    return gcd(width, max(1, most // (lane * ket))), ket, lane


def unrolled_quartets(
    x: Products,
    y: Products,
    items: Int32[Array, "item 6"],
    count: Any,
    inverse_omega2: Any,
    table: Float[Array, "row term"],
    program: QuartetProgram,
) -> Float[Array, "item fx fy wx wy lane"]:
    """Return (ab|cd) of the first `count` items, as `repulsion.quartets` does. Inside `jit`."""
    kind_x, kind_y, dtype, on_gpu = program
    width, lanes = x.values.shape[2:]
    block = block_of(width, lanes, on_gpu)
    plan = KernelPlan(program, block, (width // block[0], width // block[1], lanes // block[2]))
    shape = (items.shape[0], kind_x.n_functions, kind_y.n_functions, width, width, lanes)
    options: dict[str, Any] = {"interpret": True}
    if on_gpu:
        from jax.experimental.pallas import triton

        options = {"compiler_params": triton.CompilerParams(num_warps=4, num_stages=1)}
    return pl.pallas_call(
        partial(_kernel, plan=plan),
        out_shape=jax.ShapeDtypeStruct(shape, jnp.dtype(dtype)),
        grid=(items.shape[0], plan.turns * prod(plan.blocks)),
        **options,
    )(
        items,
        jnp.reshape(count, (1,)).astype(jnp.int32),
        jnp.reshape(inverse_omega2, (1,)).astype(dtype),
        table,
        x.values.astype(dtype),
        x.centre,
        y.values.astype(dtype),
        y.centre,
    )  # fmt: skip
