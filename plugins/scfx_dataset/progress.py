"""What a person (or a log collector) sees while a dataset is made."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

#: Seconds between two lines of the "plain" and "json" modes.
_INTERVAL = 10.0


class Progress:
    """Counts rows and tells. `mode`: "rich" (a live bar), "plain" or "json" (a line every 10 s), "quiet".

    Use as a context manager. Rows of a shard whose worker died are taken back with `forget`.
    """

    def __init__(self, mode: str, console: Console, total: int, done: int):
        if mode == "auto":
            mode = "rich" if console.is_terminal else "plain"
        self.mode = mode
        self._console = console
        self._total = total
        self._done_before = done
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
                TextColumn("rows  {task.fields[rate]}  {task.fields[failures]}"),
                TimeElapsedColumn(),
                TextColumn("ETA {task.fields[eta]}"),
                console=self._console,
            )
            self._bar.start()
            self._bar_task = self._bar.add_task(
                "labels", total=self._total, completed=self._done_before, rate="", failures="", eta="-"
            )
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._update()
            self._bar.stop()

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
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def finish(self, summary: dict[str, Any], text: str) -> None:
        """The summary of the dataset: text, or in the "json" mode one line."""
        if self.mode == "json":
            print(json.dumps({"summary": summary}), file=sys.stderr, flush=True)
        self.say(text)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def counts(self) -> Counter[str]:
        """Rows of this run by status."""
        return sum(self._shards.values(), Counter(self._finished))

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
        rate = counts["ok"] / max(self.seconds, 1e-9)
        eta = left * self.seconds / here if here else None
        if self.mode == "rich":
            failures = here - counts["ok"]
            self._bar.update(
                self._bar_task,
                completed=self._done_before + here,
                rate=f"{rate:.2f} labels/s",
                failures=f"{failures} not ok" if failures else "all ok",
                eta="-" if eta is None else _clock(eta),
            )
        elif self.mode == "plain":
            others = (
                ", ".join(f"{n} {s}" for s, n in sorted(counts.items()) if s != "ok" and n) or "none failed"
            )
            self.say(
                f"{self._done_before + here}/{self._total} rows, {rate:.2f} labels/s, {others}, "
                f"ETA {'-' if eta is None else _clock(eta)}"
            )
        else:
            record = {
                "rows": self._done_before + here,
                "total": self._total,
                "statuses": dict(counts),
                "labels_per_second": round(rate, 4),
                "eta_seconds": None if eta is None else round(eta, 1),
            }
            print(json.dumps(record), file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
