"""A worker process: how it is started with its threads pinned, fed, watched and ended."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scfx.contracts.executor import Outcome, Probe
from scfx.errors import InputError
from scfx.execution.interrupt import end_with, interrupts_blocked
from scfx.jobs.attempt import Worker

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from scfx.contracts.executor import Job

#: Environment that fixes the number of threads; read by BLAS and OpenMP libraries and (NPROC) by XLA's CPU client,
#: each when first loaded, so it must stand before a worker's first import.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC",
)  # fmt: skip

#: How a batch queue, a terminal or a cluster asks a process to end: a death by one of these is nobody's fault.
_ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

#: Seconds between two looks at a worker that count towards hanging, at most.
_LONGEST_LOOK = 2.0


class WorkerProcess:
    """A process with a `Worker` in it, which works on one attempt at a time.

    Its connection is ready for `receive` when it has news or has died. Ends when this process does.
    """

    def __init__(self, job: Job, threads: int):
        self._job = job
        context = multiprocessing.get_context("spawn")  # fork and XLA's threads do not mix
        self.connection: Connection
        self.connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, job, threads, os.getpid()), daemon=True)
        before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        try:
            with interrupts_blocked():
                self._process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        there.close()
        self.work: int | Probe | None = None
        self._begun = False
        self._silent = 0.0
        self._looked = time.monotonic()
        self._killed_because = ""

    def give(self, work: int | Probe) -> None:
        """Give the process work to do next. One that died while idle is noticed at the next `receive`."""
        self.work = work
        self._begun = False
        self._silent, self._looked = 0.0, time.monotonic()
        with contextlib.suppress(OSError):
            self.connection.send(work)

    def receive(self) -> tuple[str, Any]:
        """Return ("rows", rows by status), ("begun", None), or ("done", outcome) after which it is idle or dead.

        Of a dead one (`alive` tells) the outcome's state is "died".
        """
        assert self.work is not None
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            return "done", self._death(self.work)
        self._silent, self._looked = 0.0, time.monotonic()
        self._begun = self._begun or kind == "begun"
        return kind, content

    @property
    def alive(self) -> bool:
        """Return whether the process lives."""
        return self._process.is_alive()

    def check_limits(self) -> None:
        """Kill it if it hangs or has outgrown its memory; `receive` then tells why."""
        allowed, limit = self._job.worker_memory, self._job.hang_seconds
        # Time in which nobody looked (the job was stopped by Ctrl-Z, or waited for a reader of its output) counts for
        # little: the worker may have been stopped too, or its news may not have been read yet.
        now = time.monotonic()
        self._silent += min(now - self._looked, _LONGEST_LOOK)
        self._looked = now
        if allowed is not None and _resident(self._process.pid) > allowed:
            self._kill(f"it had more than {allowed / 2**30:g} GiB in memory (task.worker_memory_gib)")
        elif self._silent > limit:
            self._kill(f"no batch was finished for {limit:g} s (task.hang_seconds)")

    def _kill(self, why: str) -> None:
        self._killed_because = self._killed_because or why
        self._process.kill()

    def _death(self, work: int | Probe) -> Outcome:
        code = self._process.exitcode or 0
        shard = work.shard if isinstance(work, Probe) else work
        if self._killed_because:
            message = f"its process was killed: {self._killed_because}"
        elif -code in _ASKED_TO_END:
            name = signal.Signals(-code).name
            return Outcome(shard, "died", message=f"its process was told to end ({name})", charged=False)
        else:
            message = f"its process ended with {_ending(code)}"
        if isinstance(work, Probe) and not self._begun:
            return Outcome(shard, "died", message=f"{message} before it began", charged=False)
        return Outcome(shard, "died", message=message)

    def stop(self) -> None:
        """Let an idle process go, and wait until it has."""
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.join()

    def terminate(self) -> None:
        """End it at once, whatever it does. Call `join` afterwards."""
        self._process.terminate()

    def join(self) -> None:
        """Wait until it is gone; a process that does not listen is killed after five seconds."""
        self._process.join(5.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    killer = ", as the kernel's out-of-memory killer sends it" if -code == signal.SIGKILL else ""
    return f"signal {-code} ({name}{killer})"


def _resident(pid: int | None) -> int:
    """Bytes of a process that are in memory; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _serve(connection: Connection, job: Job, threads: int, parent: int) -> None:
    """A worker process: attempts until told to stop, or until its parent is gone."""
    # Blocked since before its first thread; said again for the case that something in between unblocked it.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    worker = None
    while (work := connection.recv()) is not None:
        try:
            worker = worker or Worker(job, threads)
            outcome = worker.attempt(
                work,
                lambda rows: connection.send(("rows", rows)),
                lambda: connection.send(("begun", None)),
            )
        except Exception as error:
            outcome = failed(work, error)
        connection.send(("done", outcome))


def failed(work: int | Probe, error: Exception) -> Outcome:
    """Return the outcome of an attempt that raised."""
    shard = work.shard if isinstance(work, Probe) else work
    if isinstance(error, InputError):
        return Outcome(shard, "error", message=str(error), bad_input=True)
    if isinstance(error, OSError):  # a full disk, a lost mount: no fault of the program, so no traceback
        return Outcome(shard, "error", message=f"{type(error).__name__}: {error}")
    return Outcome(shard, "error", message="".join(traceback.format_exception(error)))
