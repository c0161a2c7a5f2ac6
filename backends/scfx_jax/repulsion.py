"""Electron-repulsion integrals between two classes of pairs: one compiled program for each two classes.

A program works off a list of tiles: all pairs of a bra tile with all pairs of a ket tile, of all its lanes, at once.
Sums over primitives are loops with dynamic trip counts, so neither their number nor that of tiles is compiled in. An
element of the result is the work of one lane and one pair of pairs, in an order that their primitives alone fix.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from scfx.execution.lanes import COMPILER_OPTIONS
from scfx_jax.boys import boys
from scfx_jax.hermite import coulomb_integrals, hermite_count, ket_signs, sum_table
from scfx_jax.pairs import PairClass, Products, QuartetProgram
from scfx_jax.straight_line import UNROLLED_ORDER, unrolled_quartets

#: Sums over so many Hermite Gaussians are written out; longer ones are loops, so that programs stay small.
_UNROLLED = 10


def _hermite_sum(table: np.ndarray | None, left: Any, right: Any, shape: tuple[int, ...]) -> Any:
    """Return the sum over h of the rows left[table[:, h]] (or left[h]) times right[:, h]."""
    n = right.shape[1]

    def term(h: Any) -> Any:
        rows = left[h][:, None] if table is None else left[jnp.asarray(table)[:, h]][:, None]
        return rows * right[:, h][None]

    if n <= _UNROLLED:
        total = term(0)
        for h in range(1, n):
            total = total + term(h)
        return total
    return jax.lax.fori_loop(0, n, lambda h, total: total + term(h), jnp.zeros(shape, right.dtype))


def needs_expansion(kinds: list[PairClass]) -> bool:
    """Return whether some two classes of these have too high an angular momentum for recursions written out."""
    return 2 * max(kind.order for kind in kinds) > UNROLLED_ORDER


@partial(jax.jit, static_argnames=("program",), compiler_options=COMPILER_OPTIONS)
def quartets(
    x: Products,
    y: Products,
    items: Int32[Array, "item 6"],
    count: Any,
    inverse_omega2: Any,
    table: Float[Array, "row term"],
    *,
    program: QuartetProgram,
) -> Float[Array, "item fx fy wx wy lane"]:
    """Return (ab|cd) of the first `count` items, each (first slab, slabs, pairs) of a tile of `x` and of one of `y`.

    `inverse_omega2`: 0 for 1/r, 1/omega² for erf(omega r)/r. `table`: `boys_table` of the order and dtype. Centres and
    their distances are float64; what follows, and the sums over primitives, are of the program's dtype.
    """
    if program.order <= UNROLLED_ORDER:
        return unrolled_quartets(x, y, items, count, inverse_omega2, table, program)
    order_x, order_y, order, dtype = program.kind_x.order, program.kind_y.order, program.order, program.dtype
    (wx, lanes), wy = x.values.shape[2:], y.values.shape[2]
    hx, fx, fy = hermite_count(order_x), x.expansion.shape[1], y.expansion.shape[1]
    tile = (wx, wy, lanes)
    signs = ket_signs(order_y)

    def hermite(of_x: Any, of_y: Any, centre_p: Any, centre_q: Any) -> Any:
        p, q = jnp.broadcast_to(of_x[0][:, None], tile), jnp.broadcast_to(of_y[0][None], tile)
        distance = (centre_p[:, :, None] - centre_q[:, None]).astype(dtype)
        # With erf(omega r)/r, 1/omega² joins 1/p + 1/q.
        root = jax.lax.rsqrt(p + q + p * q * inverse_omega2)
        prefactor = of_x[2][:, None] * of_y[2][None] * root
        alpha = (p * q * root * root).astype(dtype)
        functions = boys(order, alpha * jnp.sum(distance * distance, axis=0), table)
        start, power = [], prefactor.astype(dtype)
        for n in range(order + 1):
            start.append(power * functions[n])
            power = power * (-2.0 * alpha)
        return coulomb_integrals(order, start, distance)

    def ket(slab_x: Any, slab_y: Any, total: Any) -> Any:
        at = partial(jax.lax.dynamic_index_in_dim, axis=0, keepdims=False)
        r = hermite(at(x.values, slab_x), at(y.values, slab_y), at(x.centre, slab_x), at(y.centre, slab_y))
        right = at(y.expansion, slab_y).astype(dtype) * jnp.asarray(signs, dtype)[None, :, None, None]
        return total + _hermite_sum(sum_table(order_x, order_y), r, right[:, :, None], total.shape)

    def bra(slab_x: Any, first: Any, last: Any, total: Any) -> Any:
        inner = jax.lax.fori_loop(
            first, last, lambda k, t: ket(slab_x, k, t), jnp.zeros((hx, fy, *tile), dtype)
        )
        left = jax.lax.dynamic_index_in_dim(x.expansion, slab_x, 0, keepdims=False).astype(dtype)
        # [fy, fx]: the same sum with the parts of bra and ket exchanged
        return total + _hermite_sum(None, inner, left[:, :, :, None], total.shape)

    def item(k: Any, out: Any) -> Any:
        xs, nx, ys, ny = (items[k, c] for c in (0, 1, 3, 4))
        zero = jnp.zeros((fy, fx, *tile), dtype)
        made = jax.lax.fori_loop(xs, xs + nx, lambda s, total: bra(s, ys, ys + ny, total), zero)
        return jax.lax.dynamic_update_index_in_dim(out, jnp.swapaxes(made, 0, 1), k, 0)

    return jax.lax.fori_loop(0, count, item, jnp.zeros((items.shape[0], fx, fy, *tile), dtype))
