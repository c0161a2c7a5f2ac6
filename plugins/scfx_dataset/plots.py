"""Plots of a dataset: spread over conformers, labels a second. Each function draws into axes it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.reporting.figures import BLUE, RED, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_spread(
    axes: Axes, mean: np.ndarray, low: np.ndarray, high: np.ndarray, deviation: np.ndarray, label: str
) -> None:
    """Draw molecules in order of their mean, with range and deviation over conformers (QM1B paper, figure 4)."""
    order = np.argsort(mean, kind="stable")
    x, m, s = np.arange(mean.size), mean[order], deviation[order]
    if mean.size <= 200:  # few enough to see each
        axes.vlines(
            x, low[order], high[order], color=BLUE, alpha=0.35, linewidth=2, label="smallest to largest"
        )
        axes.vlines(x, m - s, m + s, color=BLUE, alpha=0.8, linewidth=2, label="± standard deviation")
    else:
        axes.fill_between(
            x, low[order], high[order], color=BLUE, alpha=0.22, linewidth=0, label="smallest to largest"
        )
        axes.fill_between(x, m - s, m + s, color=BLUE, alpha=0.45, linewidth=0, label="± standard deviation")
    axes.plot(x, m, color=RED, linewidth=1.2, label="mean over conformers")
    axes.set_xlabel("molecules, by mean")
    axes.set_ylabel(label)
    axes.margins(x=0)
    legend(axes, loc="upper left")


def draw_rate(axes: Axes, hours: np.ndarray, rate: np.ndarray) -> None:
    """Draw labels a second over time."""
    last = hours[-1] if hours.size else 0.0
    unit, scale = ("hours", 1.0) if last > 2 else ("minutes", 60.0) if last > 1 / 30 else ("seconds", 3600.0)
    axes.step(hours * scale, rate, where="mid", color=BLUE, linewidth=1.4)
    axes.fill_between(hours * scale, rate, step="mid", color=BLUE, alpha=0.15, linewidth=0)
    axes.set_xlabel(f"{unit} since the first attempt began")
    axes.set_ylabel("labels a second")
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
