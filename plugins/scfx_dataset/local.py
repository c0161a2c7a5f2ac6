"""The local executor: worker processes on this machine, one attempt at a time each."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from scfx.abstract import AbstractExecutor
from scfx.errors import InputError
from scfx_dataset.attempt import Outcome, Worker
from scfx_dataset.solvers import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scfx_dataset.attempt import Job

#: Environment that fixes the number of threads; read by BLAS and OpenMP libraries and (NPROC) by XLA's CPU client,
#: each when first loaded, so it must stand before a worker's first import.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC",
)  # fmt: skip


class LocalExecutor(AbstractExecutor):
    """Runs the attempts of a dataset job here.

    `workers` processes (0: one per core, no more than attempts), each on its share of the cores; 1 runs in this
    process, on all threads.
    `on_rows(shard, rows by status)` hears of rows as they are computed. Workers leave Ctrl-C to this process and end
    when it does. A worker that dies is replaced and its attempt reported as "died".
    """

    name = "local"

    def __init__(
        self, job: Job, workers: int = 0, on_rows: Callable[[int, Counter[str]], None] | None = None
    ):
        self.workers = workers or available_cores()
        self._job = job
        self._on_rows = on_rows or (lambda shard, rows: None)

    def run(self, attempts: Iterable[int]) -> Iterator[Outcome]:
        """One outcome per shard index, in the order they finish."""
        queue = list(attempts)
        if self.workers == 1:
            yield from self._here(queue)
        else:
            yield from self._processes(queue)

    def _here(self, queue: list[int]) -> Iterator[Outcome]:
        worker = None
        for shard in queue:
            try:
                worker = worker or Worker(self._job)
                yield worker.attempt(shard, lambda rows, shard=shard: self._on_rows(shard, rows))
            except Exception as error:
                yield _error(shard, error)

    def _processes(self, queue: list[int]) -> Iterator[Outcome]:
        workers = min(self.workers, len(queue))
        threads = max(1, available_cores() // max(1, workers))
        todo = iter(queue)
        running: dict[Connection, tuple[Any, int]] = {}
        try:
            for _ in range(workers):
                self._assign(_start(self._job, threads), todo, running)
            while running:
                for connection in wait(list(running)):
                    assert isinstance(connection, Connection)
                    process, shard = running[connection]
                    try:
                        kind, content = connection.recv()
                    except (EOFError, OSError):
                        del running[connection]
                        process.join()
                        yield Outcome(
                            shard, "died", message=f"its worker ended with exit code {process.exitcode}"
                        )
                        self._assign(None, todo, running, threads)
                        continue
                    if kind == "rows":
                        self._on_rows(shard, content)
                        continue
                    del running[connection]
                    self._assign((process, connection), todo, running)
                    yield content
        finally:
            for process, _ in running.values():
                process.terminate()
            for process, _ in running.values():
                process.join()

    def _assign(self, worker: tuple[Any, Connection] | None, todo, running, threads: int = 1) -> None:
        """Give the next shard to a worker (None: a new one), or let it go if there is none left."""
        shard = next(todo, None)
        if shard is None:
            if worker is not None:
                worker[1].send(None)
                worker[0].join()
            return
        process, connection = worker or _start(self._job, threads)
        running[connection] = (process, shard)
        # Died while idle: its end of file is read like any other death.
        with contextlib.suppress(OSError):
            connection.send(shard)


def _start(job: Job, threads: int) -> tuple[Any, Connection]:
    context = multiprocessing.get_context("spawn")  # fork and XLA's threads do not mix
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, job, threads, os.getpid()), daemon=True)
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    try:
        process.start()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    there.close()
    return process, here


def _serve(connection: Connection, job: Job, threads: int, parent: int) -> None:
    """A worker process: attempts until told to stop, or until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    worker = None
    while (shard := connection.recv()) is not None:
        try:
            worker = worker or Worker(job, threads)
            outcome = worker.attempt(shard, lambda rows: connection.send(("rows", rows)))
        except Exception as error:
            outcome = _error(shard, error)
        connection.send(("done", outcome))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _error(shard: int, error: Exception) -> Outcome:
    if isinstance(error, InputError):
        return Outcome(shard, "error", message=str(error), bad_input=True)
    if isinstance(error, OSError):  # a full disk, a lost mount: no fault of the program, so no traceback
        return Outcome(shard, "error", message=f"{type(error).__name__}: {error}")
    return Outcome(shard, "error", message="".join(traceback.format_exception(error)))
