"""Embedding where no Ctrl-C can reach RDKit.

While RDKit embeds or searches for substructures it takes SIGINT for itself (its ControlCHandler). It then gives up, or
goes on with some of its torsion terms only, says so in its log, and returns what looks like a result: a good row would
be recorded as failed, or with another geometry. A signal reaches whichever thread lets it, so blocking it in one thread
does not help. Workers are started with SIGINT blocked in every thread (`interrupts_blocked`); where the work is in the
command's own process, which must hear Ctrl-C, the embedding is in a process of its own that does not.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from scfx.errors import ScfxError
from scfx.execution.interrupt import interrupts_blocked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx_dataset.conformers import Conformers
    from scfx_dataset.options import Embedding

#: What a terminal or a batch queue sends to a whole group of processes.
_BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PROGRAM = "import sys; sys.path[:] = {path!r}; from scfx_dataset.embedding import serve; serve({parent})"


class Embedder:
    """`scfx_dataset.conformers.embed`, in this process if no SIGINT can come here, else in one of its own."""

    def __init__(self) -> None:
        #: Set in worker processes, which are started with SIGINT blocked.
        self.in_this_process = False
        self._process: subprocess.Popen[bytes] | None = None
        self._busy_for: threading.Event | None = None
        self._lock = threading.Lock()

    def embed(
        self, smiles: str, seeds: Sequence[int], options: Embedding, stop: threading.Event
    ) -> Conformers:
        """One conformer of a canonical SMILES per seed. Raises `ScfxError` if the process that embeds dies.

        `stop` says for whom: `cancel(stop)` ends this call.
        """
        if self.in_this_process:
            from scfx_dataset.conformers import embed

            return embed(smiles, seeds, options)
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            self._busy_for = stop
            try:
                pickle.dump((smiles, tuple(seeds), options), process.stdin)
                process.stdin.flush()
                answer: Any = pickle.load(process.stdout)
            except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
                self._process = None
                process.kill()
                raise ScfxError(
                    f"the process that embeds conformers ended (exit code {process.wait()}) over {smiles!r}; with "
                    "task.workers = 2 a molecule that ends its process is found and costs its own row only"
                ) from error
            finally:
                self._busy_for = None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def cancel(self, stop: threading.Event) -> None:
        """End the call of `embed` that was made with `stop`, if it is going on in the other process."""
        process = self._process
        if self._busy_for is stop and process is not None:
            process.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            atexit.register(self.close)
            program = _PROGRAM.format(path=[p for p in sys.path if p], parent=os.getpid())
            with interrupts_blocked():
                self._process = subprocess.Popen(
                    [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
        return self._process

    def close(self) -> None:
        """Let the other process go. A later call of `embed` starts another."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                for stream in (process.stdin, process.stdout):
                    with contextlib.suppress(OSError):
                        stream.close()  # type: ignore[union-attr]
                process.kill()
                process.wait()


#: The one of this process.
embedder = Embedder()


def serve(parent: int) -> None:
    """The other process: requests from the standard input until it closes or the parent is gone."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    from scfx.jobs.process import end_with
    from scfx_dataset.conformers import embed

    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: Any = embed(*request)
        except Exception as error:
            answer = error
        pickle.dump(answer, answers)
        answers.flush()
