"""What signals do: stopping where nothing is lost, leaving at once at the second, and who is not to hear them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

#: Ctrl-C, a batch queue, a terminal that was closed.
_ASKED_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopping_at_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGINT while entered; the next one raises KeyboardInterrupt as ever.

    Does nothing outside the main thread, where Python delivers no signals, and where somebody else handles SIGINT.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return

    def first(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread: a process that is started meanwhile has it blocked for good, in all its threads."""
    from multiprocessing import resource_tracker

    # Where it does not run yet, starting a process starts it, and that unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def leave_at_second_interrupt() -> Iterator[None]:
    """End the process with exit code 130 at a second SIGINT while entered, whatever it is doing.

    The first raises KeyboardInterrupt as ever, but only once the main thread is back in Python, and one call of a
    compiled kernel can take minutes. SIGTERM and SIGHUP count too where somebody has set a handler for them. Nothing
    is lost by leaving: what is committed was committed in one step. Does nothing outside the main thread, where Python
    delivers no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def watch() -> None:
        seen = 0
        while byte := os.read(read, 1):  # the number of a signal, written as it arrives
            seen += byte[0] in _ASKED_TO_END
            if seen == 2:
                os.write(2, b"scfx: interrupted\n")
                os._exit(130)
        os.close(read)

    threading.Thread(target=watch, daemon=True, name="scfx-interrupt").start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)


def call_that_hears_interrupts(call: Callable[[], T]) -> T:
    """Return the result of `call`, or what it raises; in the main thread signals are handled while it runs.

    For compiled code that waits (for a network) without a look at signals. It runs in a thread of its own then, which
    goes on by itself after an interrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    done: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            done.append((True, call()))
        except BaseException as error:
            done.append((False, error))

    thread = threading.Thread(target=run, daemon=True, name="scfx-call")
    thread.start()
    thread.join()
    ok, value = done[0]
    if not ok:
        raise value
    return value


@contextmanager
def stops_when_asked(say: Callable[[str], None]) -> Iterator[None]:
    """Raise `KeyboardInterrupt` at Ctrl-C, SIGTERM (a batch queue) and SIGHUP (a closed terminal); a second one ends at
    once. SIGHUP that is ignored stays so: nohup means it. `say` tells people at the first one.

    Ending at once is safe where what is committed is committed in one step. The first one ends worker processes too,
    but waits for the lanes in progress where the work is done in this process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        for each in heard:
            signal.signal(each, lambda *_: os._exit(130))
        say("stopping; once more stops at once")
        raise KeyboardInterrupt

    heard = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    previous = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def end_with(parent: int) -> None:
    """End this process when its parent, process `parent`, is gone; for a thread of its own."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
