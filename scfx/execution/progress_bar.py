"""What `progress` of `solve` stands for: a bar on the standard error, or lines where that is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scfx.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

#: Seconds between two lines where there is no terminal.
_EVERY = 10.0

_Callback = Callable[[int, int, dict[str, int]], Any]


@contextmanager
def reporting(progress: bool | _Callback | None, total: int) -> Iterator[_Callback | None]:
    """Give the function that is told of each system that has ended, while entered; None if nobody wants to know.

    `progress`: None or False; a function of (systems done, systems in all, {status: how many}), called from one thread
    at a time; or True for a bar that lives in a terminal or a notebook, and else a line every ten seconds.
    """
    if progress is None or progress is False:
        yield None
    elif callable(progress):
        yield progress
    elif progress is True:
        from rich.console import Console

        console = Console(stderr=True)
        with (_bar if console.is_terminal or console.is_jupyter else _lines)(console, total) as report:
            yield report
    else:
        raise InputError(
            f"progress: got {progress!r}, expected True, False or a function of (done, total, statuses)"
        )


@contextmanager
def _bar(console: Console, total: int) -> Iterator[_Callback]:
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"), bars.BarColumn(bar_width=None), bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )  # fmt: skip
    with bars.Progress(*columns, console=console) as shown:
        task = shown.add_task("systems", total=total)

        def report(done: int, total: int, statuses: dict[str, int]) -> None:
            bad = _bad(statuses)
            shown.update(task, completed=done, description=f"systems ({bad})" if bad else "systems")

        yield report


@contextmanager
def _lines(console: Console, total: int) -> Iterator[_Callback]:
    began = said = time.monotonic()

    def report(done: int, total: int, statuses: dict[str, int]) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said < _EVERY and done < total:
            return
        said = now
        bad = _bad(statuses)
        rate = done / max(now - began, 1e-9)
        console.print(
            f"scfx: {done} of {total} systems{f' ({bad})' if bad else ''}, {rate:.3g} a second",
            highlight=False, soft_wrap=True,
        )  # fmt: skip

    yield report


def _bad(statuses: dict[str, int]) -> str:
    return ", ".join(
        f"{count} {status.replace('_', ' ')}" for status, count in statuses.items() if status != "converged"
    )
