"""Calls in a process of their own, which Ctrl-C does not reach and which is kept for the next call.

For libraries that take SIGINT for themselves. RDKit does while it embeds (its ControlCHandler): it gives up, or goes on
with some of its torsion terms only, and returns what looks like a result. A signal reaches whichever thread lets it, so
blocking it in one thread does not help; here every thread of the other process has it blocked.
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
from importlib import import_module
from typing import Any

from scfx.errors import ScfxError
from scfx.execution.interrupt import end_with, interrupts_blocked

#: What a terminal or a batch queue sends to a whole group of processes.
_BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PROGRAM = """
import sys
sys.path[:] = {path!r}
from scfx.execution.sheltered import serve
serve({function!r}, {parent})
"""


class ProcessLostError(ScfxError):
    """The other process of a `Sheltered` ended during a call."""

    def __init__(self, function: str, exit_code: int):
        super().__init__(f"the process of {function} ended with exit code {exit_code}")
        self.exit_code = exit_code


class Sheltered:
    """A function, called in another process that hears no signal of the terminal; arguments and result are pickled.

    `function` is "package.module:name". Where SIGINT is blocked already, as in worker processes, it is called here.
    Ctrl-C during a call raises KeyboardInterrupt and ends the other process; a later call starts another.
    """

    def __init__(self, function: str):
        self._function = function
        self._process: subprocess.Popen[bytes] | None = None
        self._busy_for: object = None
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any, wanted_by: object = None) -> Any:
        """The function's result, or its exception. Raises `ProcessLostError` if the other process dies.

        `cancel(wanted_by)` from another thread ends this call so.
        """
        if signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
            return _named(self._function)(*arguments)
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            self._busy_for = wanted_by
            try:
                pickle.dump(arguments, process.stdin)
                process.stdin.flush()
                answer: Any = pickle.load(process.stdout)
            except BaseException as error:
                # Whatever came in between: the other process may still be at work, and its answer would be taken for
                # that of the next call.
                self._process = None
                process.kill()
                code = process.wait()
                for stream in (process.stdin, process.stdout):
                    with contextlib.suppress(OSError):
                        stream.close()
                if isinstance(error, (OSError, EOFError, ValueError, pickle.UnpicklingError)):
                    raise ProcessLostError(self._function, code) from error
                raise
            finally:
                self._busy_for = None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def cancel(self, wanted_by: object) -> None:
        """End the call that was made with `wanted_by`, if it is going on in the other process."""
        process = self._process
        if process is not None and self._busy_for is wanted_by:
            process.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            atexit.register(self.close)
            program = _PROGRAM.format(
                path=[p for p in sys.path if p], function=self._function, parent=os.getpid()
            )
            with interrupts_blocked():
                self._process = subprocess.Popen(
                    [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
        return self._process

    def close(self) -> None:
        """Let the other process go. A later call starts another."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                for stream in (process.stdin, process.stdout):
                    with contextlib.suppress(OSError):
                        stream.close()  # type: ignore[union-attr]
                process.kill()
                process.wait()


def _named(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)


def serve(function: str, parent: int) -> None:
    """Answer calls from the standard input until it closes or the parent is gone: the other process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    called = _named(function)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    while True:
        try:
            arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: Any = called(*arguments)
        except Exception as error:
            answer = error
        pickle.dump(answer, answers)
        answers.flush()
