"""On which device XLA works: the one that was asked for, and no other that happens to be there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np


@contextmanager
def on_device(platform: str) -> Iterator[None]:
    """Run what is inside on the first device of a JAX platform ("cpu")."""
    with jax.default_device(jax.local_devices(backend=platform)[0]):
        yield


def to_device(values: np.ndarray) -> jax.Array:
    """Return a host array where XLA computes. Unlike `jnp.asarray` and `jnp.zeros` it compiles nothing."""
    return jax.device_put(values)
