"""The Ray actor: a supervisor on a node, with one worker process that keeps its compiled functions between attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scfx.contracts.executor import Job, Probe

#: Seconds between two looks at the limits of the worker process.
_TICK = 0.25


class Actor:
    """Feeds a `WorkerProcess`, enforces the limits of the job on it, and replaces it when it dies.

    The work is in a process of its own so that a crash of it is seen for what it is, by its exit code, on the node
    where it happens. If the actor itself is lost, a node was, and no work is to blame.
    """

    def __init__(self, job: Job, threads: int, keep_compiled: bool):
        if keep_compiled:
            from scfx.commands import compilation_cache

            # By this node's processor, not the driver's; the worker process inherits it.
            compilation_cache.enable()
        self._job = job
        self._threads = threads
        self._process: Any = None

    def work(self, work: int | Probe) -> Iterator[tuple[str, Any]]:
        """Yield news as of `WorkerProcess.receive`; the last is ("done", outcome)."""
        from scfx.jobs.process import WorkerProcess

        self._process = self._process or WorkerProcess(self._job, self._threads)
        self._process.give(work)
        while True:
            if not self._process.connection.poll(_TICK):
                self._process.check_limits()
                continue
            kind, content = self._process.receive()
            if kind == "done" and content.state == "died":
                self._process = None
            yield kind, content
            if kind == "done":
                return
