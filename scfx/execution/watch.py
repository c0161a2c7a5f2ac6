"""Progress and stopping of a calculation: systems are counted as they finish, and a wish to stop is met between
iterations.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Stopped(Exception):
    """Raised between two iterations where `Watch.stop` was called; `Solver` catches it."""


class Watch:
    """Counts the systems of one call of `solve`, from any of its threads, and can be told to stop.

    `on_progress` is called with the systems done, the systems in all, and how many ended how ("converged",
    "not_converged", "failed").
    """

    def __init__(self, total: int, on_progress: Callable[[int, int, dict[str, int]], Any] | None = None):
        #: Whether the calculation is asked to stop. A plain attribute: a signal handler may set it.
        self.stopped = False
        self._total = total
        self._on_progress = on_progress
        self._status: dict[int, str] = {}
        self._lock = Lock()

    def stop(self) -> None:
        """Ask for a stop at the end of the iterations in progress."""
        self.stopped = True

    def settle(self, index: int, status: str) -> None:
        """Note that system `index` has ended so; the last word counts."""
        if self._on_progress is None:
            return
        with self._lock:
            if self._status.get(index) == status:
                return
            self._status[index] = status
            self._on_progress(len(self._status), self._total, dict(Counter(self._status.values())))

    def for_batch(self, indices: Sequence[int]) -> LaneWatch:
        """Return the watch of a batch whose entries are these systems."""
        return LaneWatch(self, indices)


class LaneWatch:
    """The part of a `Watch` that one batch reports to."""

    def __init__(self, watch: Watch, indices: Sequence[int], *, counts: bool = True):
        self._watch = watch
        self._indices = tuple(indices)
        self._counts = counts
        #: Which entries have converged so far.
        self.converged: Bool[np.ndarray, "batch"] = np.zeros(len(self._indices), dtype=bool)

    @property
    def stopped(self) -> bool:
        """Return whether the calculation is asked to stop."""
        return self._watch.stopped

    def check(self) -> None:
        """Raise `Stopped` if the calculation is asked to stop. Called where the state of the batch is whole."""
        if self._watch.stopped:
            raise Stopped

    def settle(self, lane: int, status: str = "converged") -> None:
        """Note that an entry has ended so."""
        self.converged[lane] = status == "converged"
        if self._counts:
            self._watch.settle(self._indices[lane], status)

    def for_lane(self, lane: int) -> LaneWatch:
        """Return the watch of a batch of this entry alone."""
        return LaneWatch(self._watch, [self._indices[lane]], counts=self._counts)

    def aside(self, entries: int) -> LaneWatch:
        """Return the watch of a batch that an entry of this one needs: it stops with this one, and nobody counts it."""
        return LaneWatch(self._watch, range(entries), counts=False)


def unwatched(entries: int) -> LaneWatch:
    """Return the watch of a batch that nobody watches."""
    return Watch(entries).for_batch(range(entries))


def side_by_side(work: Callable[[int], None], count: int, threads: int, watch: Watch) -> None:
    """Call `work` with 0 to `count` - 1 on threads. If one call fails, or Ctrl-C comes, the others are told to stop."""
    pool = ThreadPoolExecutor(threads)
    try:
        list(pool.map(work, range(count)))
    except BaseException as error:
        # Threads end with the iterations that they are in. Who presses Ctrl-C again does not wait for that.
        again = watch.stopped and isinstance(error, KeyboardInterrupt)
        watch.stop()
        pool.shutdown(wait=not again, cancel_futures=True)
        raise
    pool.shutdown()
