"""What a person (or a log collector) sees while a job runs."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scfx.jobs.live_bar import LiveBar, ProgressState, as_line, as_record
from scfx.jobs.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

#: Seconds between two lines of the "plain" and "json" modes.
_INTERVAL = 10.0


class Progress:
    """Counts rows and tells. `mode`: "rich" (a live bar), "plain" or "json" (a line every 10 s), "quiet".

    "auto" is "rich" in a terminal that can move its cursor, else "plain". Use as a context manager. Rows of a shard
    whose worker died are taken back with `forget`. `shape(shard)` names the shape of a shard's molecules, so that
    people see what is being worked on.
    """

    def __init__(
        self,
        mode: str,
        console: Console,
        total: int,
        done: int,
        shape: Callable[[int], str] = lambda shard: "",
    ):
        if mode == "auto":
            live = console.is_terminal and not console.is_dumb_terminal and not console.is_jupyter
            mode = "rich" if live else "plain"
        self.mode = mode
        self._console = console
        # Rich would end the program, and throw away what other tasks print.
        console.on_broken_pipe = _broken_pipe
        self._total = total
        self._done_before = done
        self._shape = shape
        self._shards: dict[int, Counter[str]] = {}
        self._finished: Counter[str] = Counter()
        self._began = time.monotonic()
        self._pace = Pace(self._began)
        self._told: float | None = None
        self._heard_of: Counter[str] = Counter()
        self._shapes: list[str] = []
        self._bar: LiveBar | None = None

    def __enter__(self) -> Progress:
        if self.mode == "rich":
            self._bar = LiveBar(self._console, self.state)
            with self._heard():
                self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            with self._heard():
                self._bar.stop()

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Whoever listened may be gone (a closed terminal, a pipe whose reader ended): work goes on in silence."""
        try:
            yield
        except OSError:
            self.mode = "quiet"

    def rows(self, shard: int, rows: Counter[str]) -> None:
        """Note that more rows of a shard are computed."""
        self._shards.setdefault(shard, Counter()).update(rows)
        self._update()

    def settle(self, shard: int, rows: dict[str, int]) -> None:
        """Count a shard as committed by this run, with these rows by status."""
        self.forget(shard)
        self._finished.update(rows)
        self._update()

    def settle_elsewhere(self, shard: int, rows: int) -> None:
        """Count a shard as committed by another run: done, but not our labels."""
        self.forget(shard)
        self._done_before += rows
        self._update()

    def forget(self, shard: int) -> None:
        """Take back the rows of a shard whose worker died."""
        self._shards.pop(shard, None)

    def say(self, text: str) -> None:
        """Print a line for people; not in the "json" and "quiet" modes."""
        if self.mode in ("rich", "plain"):
            with self._heard():
                self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def finish(self, summary: dict[str, Any], text: str) -> None:
        """Print the summary of the job: text, or in the "json" mode one line."""
        if self.mode == "json":
            with self._heard():
                print(json.dumps({"summary": summary}), file=sys.stderr, flush=True)
        self.say(text)

    @property
    def seconds(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self._began

    def counts(self) -> Counter[str]:
        """Return rows of this run by status."""
        return sum(self._shards.values(), Counter(self._finished))

    def state(self) -> ProgressState:
        """Return where the run stands now. From any thread: the live bar asks from its own."""
        now, counts, done_before = time.monotonic(), self._heard_of, self._done_before
        here = counts.total()
        return ProgressState(
            rows=done_before + here,
            total=self._total,
            statuses=dict(counts),
            rate=self._pace.rate(now),
            eta=self._pace.seconds_left(now, max(0, self._total - done_before - here)),
            elapsed=now - self._began,
            shapes=self._shapes,
        )

    def _update(self) -> None:
        if self.mode == "quiet":
            return
        now = time.monotonic()
        # Never changed, only replaced: no lock that a signal's handler could wait for.
        self._heard_of = counts = self.counts()
        self._shapes = sorted({self._shape(shard) for shard in self._shards} - {""})
        self._pace.heard(now, counts.total(), counts["ok"])
        if self.mode == "rich" or not counts or (self._told is not None and now - self._told < _INTERVAL):
            return
        self._told = now
        if self.mode == "plain":
            self.say(as_line(self.state()))
        else:
            with self._heard():
                print(json.dumps(as_record(self.state())), file=sys.stderr, flush=True)


def _broken_pipe() -> None:
    raise BrokenPipeError("nobody reads the progress any more")
