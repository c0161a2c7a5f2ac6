"""How fast rows and labels come, and when the last one will be there."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import NamedTuple

#: Seconds over which labels a second are counted, at least; and how many of the longest gaps between two reports.
_WINDOW = 60.0
_GAPS = 3
#: Reports that come sooner after each other than this count as one.
_CLOSE = 0.3


class _Seen(NamedTuple):
    time: float
    rows: int
    labels: int


class Pace:
    """Labels a second, and the time that is left, from the times at which rows were heard of.

    Times are seconds of one monotonic clock. Rows come in bursts, as the systems of a batch converge: what is measured
    ends at the last report while the next one is not overdue by the longest gap so far, so that neither number swings
    between bursts. Until as much time has passed since the first labels as before them, both count from `began`; then
    start-up (imports, compilation) is left out.
    """

    def __init__(self, began: float):
        self._began = _Seen(began, 0, 0)
        self._first: _Seen | None = None
        self._recent: deque[_Seen] = deque()

    def heard(self, now: float, rows: int, labels: int) -> None:
        """Note that so many rows and labels are there by now, all together."""
        if self._recent and self._recent[-1][1:] == (rows, labels):
            return
        seen = _Seen(now, rows, labels)
        if self._first is None and labels:
            self._first = seen
        if len(self._recent) > 1 and self._recent[-1].time - self._recent[-2].time < _CLOSE:
            self._recent.pop()
        self._recent.append(seen)
        begin = now - max(_WINDOW, _GAPS * self._gap())
        while len(self._recent) > 2 and self._recent[1].time <= begin:
            self._recent.popleft()

    def rate(self, now: float) -> float | None:
        """Return the labels a second over about the last minute, or some batches; None before the first label."""
        start = self._start()
        if start is None:
            return None
        # The window begins with a report, unless that is the only one or belongs to the start.
        window = self._recent[0]
        if window is not self._recent[-1] and window.time > start.time:
            start = window
        return max(0, self._recent[-1].labels - start.labels) / max(self._until(now) - start.time, 1e-9)

    def seconds_left(self, now: float, left: int) -> float | None:
        """Return the seconds that `left` more rows take at the mean pace of this run; None before the first label."""
        start = self._start()
        if start is None:
            return None
        rows, until = self._recent[-1].rows - start.rows, self._until(now)
        if rows <= 0:
            return None
        return max(0.0, left * (until - start.time) / rows - (now - until))

    def _start(self) -> _Seen | None:
        if self._first is None:
            return None
        last = self._recent[-1]
        settled = last.time - self._first.time > self._first.time - self._began.time
        return self._first if settled and last.rows > self._first.rows else self._began

    def _gap(self) -> float:
        """Return the longest time between two of the recent reports."""
        times = [seen.time for seen in self._recent]
        if len(times) < 2:
            return times[0] - self._began.time
        return max(later - earlier for earlier, later in pairwise(times))

    def _until(self, now: float) -> float:
        """Return the time of the last report, or later where the next one is overdue."""
        return max(self._recent[-1].time, now - self._gap())
