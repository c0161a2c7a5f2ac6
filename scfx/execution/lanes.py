"""Lanes: how a batch is laid out for XLA, and how work is done on some of its entries only.

XLA sees few shapes: (lane capacity, AO bucket, grid block). A jitted function loops over the *active* lanes with a
dynamic trip count, each trip running the very same code on one entry. So a lane's bits cannot depend on its
neighbours, its position or the batch size, padded lanes cost nothing, and converged lanes stop costing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jaxtyping import Array, Int32

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


def pad_lanes(lanes: np.ndarray, capacity: int) -> Int32[np.ndarray, "capacity"]:
    """Return active lane indices, padded to the capacity (the padding is never visited)."""
    out = np.zeros(capacity, dtype=np.int32)
    out[: len(lanes)] = lanes
    return out


def for_lanes(
    body: Callable[..., Any], lanes: Int32[Array, "lane"], count: Any, out: Any, *inputs: Any
) -> Any:
    """Set `out[lane] = body(out[lane], *inputs[lane])` for the first `count` of `lanes`; pytrees of [lane, ...]
    arrays.
    """

    def take(tree: Any, lane: Any) -> Any:
        return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, lane, 0, keepdims=False), tree)

    def one(k: Any, out: Any) -> Any:
        lane = lanes[k]
        new = body(take(out, lane), *(take(x, lane) for x in inputs))
        return jax.tree.map(
            lambda o, v: lax.dynamic_update_index_in_dim(o, v.astype(o.dtype), lane, 0), out, new
        )

    return lax.fori_loop(0, count, one, out)
