"""One process, or several that `torchrun` started: PyTorch's own DistributedDataParallel."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as distributed

from scfx.errors import ConfigError


@dataclass(frozen=True)
class Processes:
    """Number `rank` of `world`; `local` is the number on this machine, and so of the GPU."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Return whether this process writes files and talks."""
        return self.rank == 0

    def wrap(self, model: torch.nn.Module, device: torch.device) -> torch.nn.Module:
        """Return the model with its gradients averaged over the processes."""
        if self.world == 1:
            return model
        ids = [device.index] if device.type == "cuda" else None
        return torch.nn.parallel.DistributedDataParallel(model, device_ids=ids)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of an array over the processes."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Overwrite tensors by those of the first process."""
        for tensor in tensors if self.world > 1 else ():
            distributed.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            distributed.barrier()

    def check(self, batch_size: int) -> None:
        """Raise `ConfigError` unless the batch can be shared out evenly."""
        if batch_size % self.world:
            raise ConfigError(
                "task.training.batch_size",
                f"got {batch_size}, expected a multiple of the {self.world} processes",
            )


@contextmanager
def processes(device: str = "auto") -> Iterator[Processes]:
    """Join the process group that torchrun's environment describes (nccl on GPUs, gloo on CPUs), for the block."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes()
        return
    mine = not distributed.is_initialized()
    if mine:
        on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
        distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Processes(distributed.get_rank(), world, int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        if mine:
            distributed.destroy_process_group()


def choose_device(name: str, group: Processes) -> torch.device:
    """Return a device: "auto" is this process's GPU, or the CPU if there is none. Raises `ConfigError` for what is not
    there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError("task.training.device", f"got {name!r}: {error}") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError(
                "task.training.device", f"got {name!r}, but torch sees no GPU; 'auto' takes what is there"
            )
        return torch.device("cuda", group.local if device.index is None else device.index)
    return device
