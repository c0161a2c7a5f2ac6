"""What a person (or a log collector) sees while a dataset is made."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

#: Seconds between two lines of the "plain" and "json" modes.
_INTERVAL = 10.0

#: Seconds over which labels a second are counted.
_WINDOW = 60.0


class Progress:
    """Counts rows and tells. `mode`: "rich" (a live bar), "plain" or "json" (a line every 10 s), "quiet".

    Use as a context manager. Rows of a shard whose worker died are taken back with `forget`. `shape(shard)` names the
    shape of a shard's molecules, so that people see what is being worked on. Labels a second are those of the last
    minute.
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
            mode = "rich" if console.is_terminal else "plain"
        self.mode = mode
        self._console = console
        # Rich would end the program, and throw away what other tasks print.
        console.on_broken_pipe = _broken_pipe
        self._total = total
        self._done_before = done
        self._shape = shape
        self._recent: deque[tuple[float, int]] = deque()
        self._shards: dict[int, Counter[str]] = {}
        self._finished: Counter[str] = Counter()
        self._began = time.monotonic()
        self._told = self._began
        self._bar: Any = None
        self._bar_task: Any = None

    def __enter__(self) -> Progress:
        if self.mode == "rich":
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("rows  {task.fields[rate]}  {task.fields[failures]}  {task.fields[shapes]}"),
                TimeElapsedColumn(),
                TextColumn("ETA {task.fields[eta]}"),
                console=self._console,
            )
            self._bar.start()
            self._bar_task = self._bar.add_task(
                "labels",
                total=self._total,
                completed=self._done_before,
                rate="",
                failures="",
                shapes="",
                eta="-",
            )
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            with self._heard():
                self._update()
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
        """More rows of a shard are computed."""
        self._shards.setdefault(shard, Counter()).update(rows)
        self._update()

    def settle(self, shard: int, rows: dict[str, int]) -> None:
        """A shard is committed by this run, with these rows by status."""
        self.forget(shard)
        self._finished.update(rows)
        self._update()

    def settle_elsewhere(self, shard: int, rows: int) -> None:
        """A shard was committed by another run: done, but not our labels."""
        self.forget(shard)
        self._done_before += rows
        self._update()

    def forget(self, shard: int) -> None:
        """A shard's worker died: its rows are not done."""
        self._shards.pop(shard, None)

    def say(self, text: str) -> None:
        """A line for people; not in the "json" and "quiet" modes."""
        if self.mode in ("rich", "plain"):
            with self._heard():
                self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def finish(self, summary: dict[str, Any], text: str) -> None:
        """The summary of the dataset: text, or in the "json" mode one line."""
        if self.mode == "json":
            with self._heard():
                print(json.dumps({"summary": summary}), file=sys.stderr, flush=True)
        self.say(text)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def counts(self) -> Counter[str]:
        """Rows of this run by status."""
        return sum(self._shards.values(), Counter(self._finished))

    def _rate(self, now: float, labels: int) -> float:
        """Labels a second over the last minute, or since the start if that is shorter."""
        self._recent.append((now, labels))
        while len(self._recent) > 2 and self._recent[1][0] < now - _WINDOW:
            self._recent.popleft()
        since, before = self._recent[0] if self._recent[0][0] < now - _WINDOW else (self._began, 0)
        return max(0, labels - before) / max(now - since, 1e-9)

    def _update(self) -> None:
        if self.mode == "quiet":
            return
        now = time.monotonic()
        if self.mode != "rich" and now - self._told < _INTERVAL:
            return
        self._told = now
        counts = self.counts()
        here = counts.total()
        left = self._total - self._done_before - here
        rate = self._rate(now, counts["ok"])
        shapes = sorted({self._shape(shard) for shard in self._shards} - {""})
        eta = left * self.seconds / here if here else None
        if self.mode == "rich":
            failures = here - counts["ok"]
            self._bar.update(
                self._bar_task,
                completed=self._done_before + here,
                rate=f"{rate:.2f} labels/s",
                failures=f"{failures} not ok" if failures else "all ok",
                shapes=_few(shapes),
                eta="-" if eta is None else _clock(eta),
            )
        elif self.mode == "plain":
            others = (
                ", ".join(f"{n} {s}" for s, n in sorted(counts.items()) if s != "ok" and n) or "none failed"
            )
            self.say(
                f"{self._done_before + here}/{self._total} rows, {rate:.2f} labels/s, {others}, "
                f"ETA {'-' if eta is None else _clock(eta)}" + (f", now {_few(shapes)}" if shapes else "")
            )
        else:
            record = {
                "rows": self._done_before + here,
                "total": self._total,
                "statuses": dict(counts),
                "labels_per_second": round(rate, 4),
                "eta_seconds": None if eta is None else round(eta, 1),
                "shapes": shapes,
            }
            with self._heard():
                print(json.dumps(record), file=sys.stderr, flush=True)


def _broken_pipe() -> None:
    raise BrokenPipeError("nobody reads the progress any more")


def _few(shapes: list[str]) -> str:
    """Shapes for one line: the first two, and how many more."""
    more = f" and {len(shapes) - 2} more" if len(shapes) > 2 else ""
    # The remainders of many shapes share a shard, whose name is then a list.
    return "; ".join(text if len(text) < 40 else text[:37] + "..." for text in shapes[:2]) + more


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
