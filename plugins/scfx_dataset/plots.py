"""Plots of labels: densities, spread over conformers, rates. Each function draws into axes it is given.

Figures have their own canvas: no global matplotlib backend is chosen and none is left open.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Real

if TYPE_CHECKING:
    from collections.abc import Mapping

BLUE, RED, GREY = "#2f6690", "#c1432e", "#6b7280"
_STYLE: Any = {
    "font.size": 9.5,
    "axes.edgecolor": "#9aa1ab",
    "axes.labelcolor": "#30363d",
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    # Names in the SVG are hashes of this: the same figure gives the same bytes.
    "svg.hashsalt": "scfx",
}


def kde(
    values: Real[np.ndarray, "n"], weights: Real[np.ndarray, "n"] | None = None, points: int = 400
) -> tuple[Float64[np.ndarray, "point"], Float64[np.ndarray, "point"]]:
    """Gaussian kernel density of (weighted) values on a grid: (x, density), whose integral is 1.

    Where all values are positive, as gaps are, so is the grid: density that would lie below zero is folded back at zero
    (Silverman 1986, section 2.10), so that the integral stays 1. The width is Silverman's rule of thumb, 0.9 min(s.d.,
    interquartile range / 1.34) n^(-1/5) (Silverman 1986, eq. 3.31), where n is the sum of the weights; so `weights` may
    be the counts of a histogram.
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    n = w.sum()
    mean = (w @ x) / n
    deviation = np.sqrt(w @ (x - mean) ** 2 / n)
    order = np.argsort(x)
    quartiles = np.interp([0.25, 0.75], (np.cumsum(w[order]) - 0.5 * w[order]) / n, x[order])
    scales = [s for s in (deviation, (quartiles[1] - quartiles[0]) / 1.34) if s > 0]
    width = 0.9 * min(scales) * n**-0.2 if scales else 0.01
    positive = x.min() > 0
    low = x.min() - 4 * width
    grid = np.linspace(max(0.0, low) if positive else low, x.max() + 4 * width, points)
    kernel = np.exp(-0.5 * ((grid[:, None] - x[None, :]) / width) ** 2)
    if positive and low < 0:
        kernel += np.exp(-0.5 * ((grid[:, None] + x[None, :]) / width) ** 2)
    return grid, kernel @ w / (n * width * np.sqrt(2 * np.pi))


def figure(width: float = 6.8, height: float = 3.6) -> tuple[Any, Any]:
    """A matplotlib figure (inches) and its axes."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        made = Figure(figsize=(width, height), dpi=150, layout="constrained")
        FigureCanvasAgg(made)
        axes = made.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return made, axes


def save(made: Any, form: str = "svg") -> bytes:
    """A figure as "svg" (text stays text, no date) or "png"."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        made.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()


def draw_density(
    axes: Any, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], label: str, mean: float | None = None
) -> None:
    """Kernel densities by name, as `kde` gives them; with `mean` a line at it."""
    for colour, (name, (x, y)) in zip((BLUE, RED, GREY, "#7a5195"), curves.items(), strict=False):
        axes.fill_between(x, y, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, y, color=colour, linewidth=1.6, label=name)
    if mean is not None:
        axes.axvline(mean, color=RED, linewidth=1.1, linestyle="--", label=f"mean {mean:.2f}")
    axes.set_xlabel(label)
    axes.set_ylabel("density")
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    if len(curves) > 1 or mean is not None:
        axes.legend(frameon=False)


def draw_spread(
    axes: Any, mean: np.ndarray, low: np.ndarray, high: np.ndarray, deviation: np.ndarray, label: str
) -> None:
    """Molecules in order of their mean, with range and standard deviation over conformers (QM1B paper, figure 4)."""
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
    axes.legend(frameon=False, loc="upper left")


def draw_rate(axes: Any, hours: np.ndarray, rate: np.ndarray) -> None:
    """Labels a second over time."""
    last = hours[-1] if hours.size else 0.0
    unit, scale = ("hours", 1.0) if last > 2 else ("minutes", 60.0) if last > 1 / 30 else ("seconds", 3600.0)
    axes.step(hours * scale, rate, where="mid", color=BLUE, linewidth=1.4)
    axes.fill_between(hours * scale, rate, step="mid", color=BLUE, alpha=0.15, linewidth=0)
    axes.set_xlabel(f"{unit} since the first attempt began")
    axes.set_ylabel("labels a second")
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
