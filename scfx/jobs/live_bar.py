"""How the progress of a run looks: a live bar that fits its terminal, a line, a record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, ConsoleOptions, RenderableType

#: Characters that a bar needs to say anything.
_SHORTEST_BAR = 8


@dataclass(frozen=True)
class ProgressState:
    """Where a run stands. `rate` in labels a second, `eta` and `elapsed` in seconds; None: not known yet.

    `statuses` are rows of this run by status, `shapes` names of what is worked on.
    """

    rows: int
    total: int
    statuses: dict[str, int]
    rate: float | None
    eta: float | None
    elapsed: float
    shapes: list[str]


class LiveBar(Live):
    """Two lines: label, bar, count, rate and time left, which nothing squeezes out; below, what is worked on.

    They are drawn four times a second from `state()`. A terminal that has gone away is no error.
    """

    def __init__(self, console: Console, state: Callable[[], ProgressState]):
        super().__init__(_WrittenLines(state), console=console, refresh_per_second=4)

    def refresh(self) -> None:
        """Draw the bar again with the present state."""
        try:
            super().refresh()
        except OSError:
            # Nobody looks any more; the thread that refreshes must not end in a traceback.
            self.auto_refresh = False


class _WrittenLines:
    def __init__(self, state: Callable[[], ProgressState]):
        self._state = state

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        state, width = self._state(), options.max_width
        after, bar = _fitting(state, width)
        end = Text(after, no_wrap=True, overflow="crop")
        if bar:
            grid = Table.grid(padding=(0, 1))
            drawn = ProgressBar(total=max(state.total, 1), completed=state.rows, width=bar)
            grid.add_row(Text("labels", no_wrap=True), drawn, end)
            yield grid
        else:
            yield end
        yield Text(_below(state), style="dim", no_wrap=True, overflow="ellipsis")


def _fitting(state: ProgressState, width: int) -> tuple[str, int]:
    """What stands right of the bar, and the width of the bar (0: none), together as wide as the terminal allows.

    Where it is narrow the time so far goes first, then the rate, then the bar.
    """
    count, rate, eta = f"{state.rows}/{state.total} rows", _rate(state.rate), f"ETA {_clock(state.eta)}"
    room = width - len("labels  ")
    for parts in ((count, rate, eta, f"in {_clock(state.elapsed)}"), (count, rate, eta), (count, eta)):
        after = "  ".join(part for part in parts if part)
        if room - len(after) >= _SHORTEST_BAR:
            return after, min(40, room - len(after))
    return f"{count}  {eta}", 0


def _below(state: ProgressState) -> str:
    parts = [_failures(state)] if state.statuses else ["starting: no row is finished yet"]
    if state.shapes:
        parts.append(f"now {_few(state.shapes)}")
    return "       " + "; ".join(parts)


def as_line(state: ProgressState) -> str:
    """Return the line of the "plain" mode."""
    parts = [f"{state.rows}/{state.total} rows", _rate(state.rate), _failures(state)]
    parts.append(f"ETA {_clock(state.eta)}")
    if state.shapes:
        parts.append(f"now {_few(state.shapes)}")
    return ", ".join(part for part in parts if part)


def as_record(state: ProgressState) -> dict[str, Any]:
    """Return the line of the "json" mode; null where a number is not known yet."""
    return {
        "rows": state.rows,
        "total": state.total,
        "statuses": state.statuses,
        "labels_per_second": None if state.rate is None else round(state.rate, 4),
        "eta_seconds": None if state.eta is None else round(state.eta, 1),
        "shapes": state.shapes,
    }


def _failures(state: ProgressState) -> str:
    others = sorted((s, n) for s, n in state.statuses.items() if s != "ok" and n)
    return ", ".join(f"{n} {s.replace('_', ' ')}" for s, n in others) or "all ok"


def _rate(rate: float | None) -> str:
    """Labels by the unit in which there is at least about one."""
    if rate is None:
        return ""
    if rate == 0 or rate >= 0.95:
        value, unit = rate, "s"
    elif 60 * rate >= 0.95:
        value, unit = 60 * rate, "min"
    else:
        value, unit = 3600 * rate, "h"
    return f"{value:.{0 if value >= 99.95 else 1}f} labels/{unit}"


def _few(shapes: list[str]) -> str:
    """Shapes for one line, in words: the first two, and how many more."""
    # The remainders of many shapes share a shard, whose name is then a list.
    named = sorted({_words(shape) for listed in shapes for shape in listed.split(", ")}, key=_natural)
    more = f" and {len(named) - 2} more kinds" if len(named) > 2 else ""
    return "; ".join(named[:2]) + more


def _words(shape: str) -> str:
    """A shape as planning names it ("p2:3 p1:4", atoms by period) in words."""
    periods = {int(p): int(n) for p, n in re.findall(r"\bp(\d):(\d+)", shape)}
    if not periods:
        return shape
    heavy = sum(n for period, n in periods.items() if period > 1)
    return f"{sum(periods.values())} atoms ({heavy} heavy{', open shell' if shape.endswith(' open') else ''})"


def _natural(text: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
