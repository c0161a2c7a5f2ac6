"""On which device XLA works, and how it goes through lanes: what was asked for, chosen once for a calculation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from scfx.errors import ConfigError

Device = Literal["cpu", "gpu", "auto"]
LaneMode = Literal["auto", "loop", "batched"]


@dataclass(frozen=True)
class Execution:
    """A JAX platform ("cpu" or "gpu"), whether all lanes are worked on at once (`scfx.execution.lanes`), and the share
    of their work that may go to shells which fill molecules up (`scfx.model.filling`).
    """

    platform: str = "cpu"
    batched: bool = False
    padding: float = 0.0

    def provenance(self) -> dict[str, Any]:
        """Return what results say: the platform, the model of the device, and how lanes were gone through; where
        molecules were filled up, up to which share too.
        """
        return {
            "platform": self.platform,
            "device": str(_first(self.platform).device_kind),
            "lanes": "batched" if self.batched else "loop",
            **({"padding": self.padding} if self.padding else {}),
        }


#: What holds where nothing was entered.
ONE_BY_ONE = Execution()
_RUNNING: ContextVar[Execution] = ContextVar("execution", default=ONE_BY_ONE)


def chosen(
    device: Device = "cpu", lane_mode: LaneMode = "auto", memory_budget: int = 0, padding: float = 0.0
) -> Execution:
    """Return the execution that `scf.device`, `scf.lane_mode` and `scf.lane_padding` ask for.

    "auto" takes a GPU if JAX sees one; nothing else does. A GPU works on all lanes at once, a processor on one after
    the other, unless `lane_mode` says otherwise. `ConfigError` for a GPU that is not there, or whose memory is less
    than `memory_budget` bytes, and for padding where lanes are not worked on at once.
    """
    platform = "gpu" if device == "gpu" or (device == "auto" and _has_gpu()) else "cpu"
    if platform == "gpu" and not _has_gpu():
        raise ConfigError(
            "scf.device",
            f"'gpu' is asked, and JAX {jax.__version__} sees none here; install JAX with its CUDA plugin (pip install "
            "'jax[cuda12]'), look whether JAX_PLATFORMS leaves it out, or use device = 'cpu' ('auto' takes a GPU "
            "only where there is one)",
        )
    if platform == "gpu":
        _check_memory(memory_budget)
    batched = lane_mode == "batched" or (lane_mode == "auto" and platform != "cpu")
    if padding and not batched:
        raise ConfigError(
            "scf.lane_padding",
            f"is {padding:g}, and entries are gone through one after the other here, where filling them up is only "
            "work; use lane_mode = 'batched', or leave lane_padding out",
        )
    return Execution(platform, batched, padding)


def running() -> Execution:
    """Return the execution in force here: on the processor, one lane after the other, where none was entered."""
    return _RUNNING.get()


@contextmanager
def executing(execution: Execution) -> Iterator[None]:
    """Run what is inside in an execution, in this thread."""
    token = _RUNNING.set(execution)
    try:
        with on_device(execution.platform):
            yield
    finally:
        _RUNNING.reset(token)


@contextmanager
def on_device(platform: str) -> Iterator[None]:
    """Run what is inside on the first device of a JAX platform ("cpu"), matrix products in their own precision.

    A GPU's default for float32 is to round the factors to 10 bits of mantissa (TF32).
    """
    precision = nullcontext() if platform == "cpu" else jax.default_matmul_precision("highest")
    with jax.default_device(_first(platform)), precision:
        yield


def to_device(values: np.ndarray) -> jax.Array:
    """Return a host array where XLA computes. Unlike `jnp.asarray` and `jnp.zeros` it compiles nothing."""
    return jax.device_put(values)


def _first(platform: str) -> jax.Device:
    return jax.local_devices(backend=platform)[0]


def _has_gpu() -> bool:
    try:
        return bool(jax.local_devices(backend="gpu"))
    except RuntimeError:  # how JAX says that it has no such platform
        return False


def _check_memory(memory_budget: int) -> None:
    statistics = _first("gpu").memory_stats() or {}
    most = statistics.get("bytes_limit")
    if most is not None and memory_budget > most:
        raise ConfigError(
            "scf.memory_budget",
            f"is {memory_budget:,} bytes, and JAX may take {most:,} of the GPU; use less, so that the states of the "
            "iterations have room beside integrals and AO values",
        )
