"""Lanes: how a batch is laid out for XLA, and how work is done on some of its entries only.

XLA sees few shapes: (lane capacity, AO bucket, grid block). What is done to a lane is written once, as a function of
one entry; it is run in one of two modes (`scfx.execution.device`), chosen once for a calculation:

- *one by one*: a jitted function loops over the *active* lanes with a dynamic trip count, each trip running the very
  same code on one entry. So a lane's bits cannot depend on its neighbours, its position or the batch size, padded
  lanes cost nothing, and converged lanes stop costing.
- *batched*: the function is mapped over all lanes of the capacity at once, and what it made of those that are not
  active is dropped. An accelerator is busy with one launch. A lane's bits do not depend on its neighbours, but may on
  the capacity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from scfx.execution.device import running

#: Compiler options of every jitted function: one thread each. Sums split over threads would make bits depend on the
#: thread count; scfx runs batches side by side instead.
COMPILER_OPTIONS: dict[str, Any] = {"xla_cpu_multi_thread_eigen": False}

#: AO counts are padded up to one of these (then to multiples of 128), so that few shapes are compiled.
AO_BUCKETS = (8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512)


def ao_bucket(count: int) -> int:
    """Return the padded size for `count` functions: a function of the row alone."""
    for size in AO_BUCKETS:
        if count <= size:
            return size
    return -(-count // 128) * 128


def lane_capacity(entries: int, lane_width: int) -> int:
    """Return the leading dimension for a batch of `entries`: 1 for a single system, else the lane width."""
    return 1 if entries == 1 else lane_width


class ActiveLanes:
    """Indices of lanes padded to the capacity, as an argument of jitted functions; the mode is compiled in."""

    def __init__(self, index: Any, batched: bool):
        self.index = index
        self.batched = batched


jax.tree_util.register_pytree_node(
    ActiveLanes,
    lambda lanes: ((lanes.index,), lanes.batched),
    lambda batched, held: ActiveLanes(held[0], batched),
)


def pad_lanes(lanes: np.ndarray, capacity: int) -> ActiveLanes:
    """Return active lane indices, padded to the capacity (the padding is never visited), in the mode in force."""
    out = np.zeros(capacity, dtype=np.int32)
    out[: len(lanes)] = lanes
    return ActiveLanes(out, running().batched)


def with_mode(lanes: Any) -> ActiveLanes:
    """Return `lanes`; bare indices, as callers before there were modes passed them, are visited one by one."""
    return lanes if isinstance(lanes, ActiveLanes) else ActiveLanes(lanes, False)


def for_lanes(body: Callable[..., Any], lanes: ActiveLanes, count: Any, out: Any, *inputs: Any) -> Any:
    """Set `out[lane] = body(out[lane], *inputs[lane])` for the first `count` of `lanes`; pytrees of [lane, ...]
    arrays.
    """
    lanes = with_mode(lanes)
    if lanes.batched:
        return _kept_where_active(jax.vmap(body)(out, *inputs), out, lanes, count)

    def take(tree: Any, lane: Any) -> Any:
        return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, lane, 0, keepdims=False), tree)

    def one(k: Any, out: Any) -> Any:
        lane = lanes.index[k]
        new = body(take(out, lane), *(take(x, lane) for x in inputs))
        return jax.tree.map(
            lambda o, v: lax.dynamic_update_index_in_dim(o, v.astype(o.dtype), lane, 0), out, new
        )

    return lax.fori_loop(0, count, one, out)


def in_lanes(body: Callable[..., Any], lanes: ActiveLanes, count: Any, out: Any, *inputs: Any) -> Any:
    """Set `out = body(lane, out, *inputs)` for the first `count` of `lanes`; `body` changes its lane of `out` only.

    For a body that touches a small part of its lane, which `for_lanes` would copy whole. Mapped over lanes it sees
    arrays of one lane, the first.
    """
    lanes = with_mode(lanes)
    if not lanes.batched:
        return lax.fori_loop(0, count, lambda k, out: body(lanes.index[k], out, *inputs), out)

    def alone(*trees: Any) -> Any:
        held = jax.tree.map(lambda a: a[None], trees)
        return jax.tree.map(lambda a: a[0], body(jnp.zeros((), jnp.int32), *held))

    return _kept_where_active(jax.vmap(alone)(out, *inputs), out, lanes, count)


def _kept_where_active(new: Any, old: Any, lanes: ActiveLanes, count: Any) -> Any:
    capacity = lanes.index.shape[0]
    wanted = jnp.arange(capacity, dtype=jnp.int32) < count
    active = jnp.zeros(capacity, bool).at[lanes.index].max(wanted)
    return jax.tree.map(
        lambda o, v: jnp.where(active.reshape(-1, *(1 for _ in o.shape[1:])), v.astype(o.dtype), o), old, new
    )
