"""The Ray executor: the attempts of a job on a Ray cluster, past one machine."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError

from scfx.contracts.executor import AbstractIsolatingExecutor, Outcome, Probe
from scfx.errors import InputError, ScfxError
from scfx.execution.cores import available_cores
from scfx.jobs.ray_actor import Actor

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator

    from scfx.contracts.executor import Job

#: Seconds between two looks at who has news; Ctrl-C is heard as often.
_TICK = 0.5


@dataclass(frozen=True)
class _Slot:
    """An actor and the attempt it has."""

    actor: Any
    work: int | Probe


class RayExecutor(AbstractIsolatingExecutor):
    """Runs the attempts of a job as actors of a Ray cluster.

    `address`: the cluster ("auto", "host:6379", "ray://host:10001"); default: $RAY_ADDRESS, else a cluster of this
    machine's cores that ends with the run. `workers` actors (0: one for each `cpus_per_worker` cores that the cluster
    has now), each asking for `cpus_per_worker` CPUs and working on one attempt at a time: that is the window in
    flight, whatever the number of shards. Actors that the cluster has no room for yet wait there, where its autoscaler
    sees them, and join when they start. An actor's process keeps its solver from attempt to attempt; one that dies is
    replaced.
    `resources`: custom resources that each actor asks for, to choose nodes. Every node must have scfx installed and
    reach the store: give an s3:// output, or a folder that all nodes share.
    """

    name = "ray"

    def __init__(
        self,
        job: Job,
        workers: int = 0,
        on_rows: Callable[[int, Counter[str]], None] | None = None,
        address: str | None = None,
        cpus_per_worker: int = 1,
        resources: dict[str, float] | None = None,
    ):
        if cpus_per_worker < 1:
            raise InputError(f"task.executor.cpus_per_worker: got {cpus_per_worker}, expected 1 or more")
        self._job = job
        self._on_rows = on_rows or (lambda shard, rows: None)
        self._cpus = cpus_per_worker
        self._resources = resources or {}
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(address or os.environ.get("RAY_ADDRESS") or None)
        room = int(ray.cluster_resources().get("CPU", 1)) // cpus_per_worker
        self.workers = workers or max(1, room)
        self._remote = ray.remote(Actor)

    def run(self, attempts: Iterable[int]) -> Iterator[Outcome]:
        """Yield one outcome per shard index, in the order they finish."""
        queue = list(attempts)
        return self._work(iter(queue), min(self.workers, len(queue)))

    def alone(self, probes: Iterable[Probe]) -> Iterator[Outcome]:
        """Yield one outcome per probe, each in an actor of its own."""
        return self._work(iter(probes), 1)

    def close(self) -> None:
        """Stop all actors."""
        if self._ours and ray.is_initialized():
            ray.shutdown()

    def _work(self, todo: Iterator[int | Probe], count: int) -> Iterator[Outcome]:
        slots: dict[Any, _Slot] = {}  # by the stream of news of its attempt

        def next_for(actor: Any) -> None:
            work = next(todo, None)
            if work is None:
                if actor is not None:
                    ray.kill(actor)
                return
            actor = actor if actor is not None else self._actor()
            slots[actor.work.options(num_returns="streaming").remote(work)] = _Slot(actor, work)

        try:
            for _ in range(count):
                next_for(None)
            while slots:
                ready, _ = ray.wait(list(slots), num_returns=1, timeout=_TICK, fetch_local=False)
                for news in ready:
                    slot = slots[news]
                    outcome, lost = self._hear(news, slot)
                    if outcome is None:
                        continue
                    if lost:
                        del slots[news]
                    # Seen before the next is asked for: what is tried next may depend on it.
                    yield outcome
                    slots.pop(news, None)
                    next_for(None if lost else slot.actor)
        except RayError as error:
            raise ScfxError(f"Ray: {error}") from error
        finally:
            for slot in slots.values():
                ray.kill(slot.actor)

    def _actor(self) -> Any:
        options: dict[str, Any] = {"num_cpus": self._cpus, "max_restarts": 0}
        if self._resources:
            options["resources"] = self._resources
        keep_compiled = bool(os.environ.get("JAX_COMPILATION_CACHE_DIR"))
        return self._remote.options(**options).remote(self._job, self._cpus, keep_compiled)

    def _hear(self, news: Any, slot: _Slot) -> tuple[Outcome | None, bool]:
        """One piece of news: (the outcome if that was the last one, whether the actor is lost)."""
        try:
            kind, content = ray.get(next(news))
        except (RayActorError, OutOfMemoryError) as error:
            return _loss(slot.work, error), True
        if kind == "rows":
            assert not isinstance(slot.work, Probe)
            self._on_rows(slot.work, content)
        return (content if kind == "done" else None), False


def _connect(address: str | None) -> None:
    # The cluster that is started for a run is nobody else's business.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if address is None:
            ray.init(address="local", num_cpus=available_cores(), include_dashboard=False, **quiet)
        else:
            _somebody_listens(address)
            ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        where = "a cluster on this machine" if address is None else f"the cluster at {address!r}"
        raise InputError(
            f"task.executor.address: Ray does not reach {where}: {error}. Start one (`ray start --head`), or leave the "
            "address out for a cluster of this machine"
        ) from error


def _somebody_listens(address: str) -> None:
    """`OSError` if nobody answers at host:port, which Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=20).close()


def _loss(work: int | Probe, error: RayError) -> Outcome:
    """Of an actor that is lost, which says nothing about its work, unless Ray ended it because memory ran out."""
    text = " ".join(str(error).split())
    shard = work.shard if isinstance(work, Probe) else work
    if isinstance(error, RayActorError) and error.actor_init_failed:
        hint = "the same scfx, and what its configuration needs, must be installed on every node"
        return Outcome(shard, "error", message=f"an actor cannot start ({hint}): {text}")
    if isinstance(error, OutOfMemoryError) or "running low on memory" in text:
        message, charged = "its actor was killed by Ray, as its node was running low on memory", True
    else:
        message, charged = f"its actor was lost: {text}", False
    return Outcome(shard, "died", message=message, charged=charged)
