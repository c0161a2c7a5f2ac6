"""What a training writes while it runs: a CSV file, TensorBoard events, a progress line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scfx.errors import ConfigError

if TYPE_CHECKING:
    from scfx.abstract import TaskContext


class MetricLog:
    """`metrics.csv` (one row an evaluation or log step) and, if asked for, TensorBoard events beside it.

    On resuming, rows after the checkpoint's step are dropped: they are about to be written again.
    """

    COLUMNS = (
        "step",
        "examples",
        "epoch",
        "learning_rate",
        "loss",
        "train_mae_ev",
        "validation_mae_ev",
        "seconds",
    )

    def __init__(self, folder: Path, step: int, tensorboard: bool):
        self._path = folder / "metrics.csv"
        kept = []
        if step and self._path.exists():
            with self._path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self._write("w", kept, header=True)
        self._events = _events(folder, step) if tensorboard else None

    def add(self, row: dict[str, Any]) -> None:
        """Add a row to the log."""
        self._write("a", [row])
        if self._events is not None:
            for name, value in row.items():
                if name != "step" and value not in ("", None):
                    self._events.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Close the log."""
        if self._events is not None:
            self._events.close()

    def _write(self, mode: str, rows: list[dict[str, Any]], header: bool = False) -> None:
        with self._path.open(mode, newline="") as file:
            writer: Any = csv.DictWriter(file, self.COLUMNS, restval="")
            if header:
                writer.writeheader()
            writer.writerows(rows)


def _events(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "task.training.tensorboard", f"{error}; pip install 'scfx[schnet]', or turn it off"
        ) from error
    return SummaryWriter(str(folder / "events"), purge_step=step or None)


class TrainingProgress:
    """A rich progress bar on a terminal; nothing elsewhere (the log is in metrics.csv)."""

    def __init__(self, console: Any, title: str, steps: int, step: int):
        self._bar: Any = None
        if console is not None and console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[news]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(title, total=steps, completed=step, news="")

    def update(self, step: int, news: str | None = None) -> None:
        """Show how far the training is."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, **({} if news is None else {"news": news}))

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


def console_of(context: TaskContext) -> Any:
    """Return the context's console, or one on stderr."""
    if context.console is not None:
        return context.console
    from rich.console import Console

    return Console(stderr=True)
