"""The local executor: worker processes on this machine, one attempt at a time each."""

from __future__ import annotations

import sys
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from scfx.contracts.executor import AbstractIsolatingExecutor, Outcome
from scfx.errors import InputError
from scfx.execution.cores import available_cores
from scfx.jobs.attempt import Worker
from scfx.jobs.process import WorkerProcess, failed

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection

    from scfx.contracts.executor import Job, Probe

#: Seconds between two looks at the limits of the workers.
_TICK = 0.25


class LocalExecutor(AbstractIsolatingExecutor):
    """Runs the attempts of a job here.

    `workers` processes (0: one per core, no more than attempts), each on its share of the cores; 1 runs in this
    process, on all threads, where neither a crash nor a limit of the job can be contained.
    `on_rows(shard, rows by status)` hears of rows as they are computed. Workers leave Ctrl-C to this process and end
    when it does. A worker that dies is replaced and its attempt reported as "died".
    """

    name = "local"

    def __init__(
        self, job: Job, workers: int = 0, on_rows: Callable[[int, Counter[str]], None] | None = None
    ):
        if job.worker_memory is not None and sys.platform != "linux":
            raise InputError(
                "task.worker_memory_gib: the local executor reads memory from /proc, on Linux only"
            )
        self.workers = workers or available_cores()
        self._in_this_process = workers == 1
        self._job = job
        self._on_rows = on_rows or (lambda shard, rows: None)

    def run(self, attempts: Iterable[int]) -> Iterator[Outcome]:
        """Yield one outcome per shard index, in the order they finish."""
        queue = list(attempts)
        if self._in_this_process:
            return self._here(queue)
        workers = min(self.workers, len(queue))
        return self._processes(iter(queue), workers, max(1, available_cores() // max(1, workers)))

    def alone(self, probes: Iterable[Probe]) -> Iterator[Outcome]:
        """Yield one outcome per probe, each in a process of its own."""
        return self._processes(iter(probes), 1, available_cores())

    def _here(self, queue: list[int]) -> Iterator[Outcome]:
        worker = None
        for shard in queue:
            try:
                worker = worker or Worker(self._job)
                yield worker.attempt(shard, lambda rows, shard=shard: self._on_rows(shard, rows))
            except Exception as error:
                yield failed(shard, error)

    def _processes(self, todo: Iterator[int | Probe], count: int, threads: int) -> Iterator[Outcome]:
        running: dict[Connection, WorkerProcess] = {}

        def next_for(worker: WorkerProcess | None) -> None:
            work = next(todo, None)
            if work is None:
                if worker is not None:
                    worker.stop()
                return
            worker = worker or WorkerProcess(self._job, threads)
            running[worker.connection] = worker
            worker.give(work)

        try:
            for _ in range(count):
                next_for(None)
            while running:
                for connection in wait(list(running), timeout=_TICK):
                    worker = running[connection]  # type: ignore[index]
                    kind, content = worker.receive()
                    if kind == "rows":
                        self._on_rows(worker.work, content)  # type: ignore[arg-type]
                    elif kind == "done":
                        died = content.state == "died"
                        if died:
                            del running[worker.connection]
                        # Seen before the next is asked for: what is tried next may depend on it.
                        yield content
                        if not died:
                            del running[worker.connection]
                        next_for(None if died else worker)
                for worker in running.values():
                    worker.check_limits()
        finally:
            for worker in running.values():
                worker.terminate()
            for worker in running.values():
                worker.join()
