"""Figures in one style, by matplotlib: panels, colours, kernel densities, and the same bytes for the same figure.

Figures have their own canvas: no global matplotlib backend is chosen and none is left open. `matplotlib` is imported
when the first figure is made.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Real

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, told apart with every kind of colour vision.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7500", "#555555")
BLUE, RED = COLOURS[:2]
GREY = "#4b5563"

_STYLE: Any = {
    "font.size": 8.5,
    "font.family": "sans-serif",
    "axes.titlesize": 8.5,
    "axes.edgecolor": "#9aa1ab",
    "axes.labelcolor": "#30363d",
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    # Text as outlines: it looks the same where the font is another one.
    "svg.fonttype": "path",
    # Names in the SVG are hashes of this: the same figure gives the same bytes.
    "svg.hashsalt": "scfx",
}


def colour(index: int) -> str:
    """Return the colour of the `index`-th thing in a figure; they come again after eight."""
    return COLOURS[index % len(COLOURS)]


def panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes [rows, columns]; `width` and `height` in inches are those of one panel."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width * columns, height * rows), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        axes = np.asarray(figure.subplots(rows, columns, squeeze=False))
    # Names are somebody's own: what they have between dollars is not TeX.
    for each in axes.flat:
        for text in (each.title, each.xaxis.label, each.yaxis.label):
            text.set_parse_math(False)
    return figure, axes


def legend(axes: Axes, **place: Any) -> None:
    """Draw a legend in the style; `place` is matplotlib's `loc` and the like."""
    import matplotlib

    with matplotlib.rc_context({**_STYLE, "text.parse_math": False}):
        axes.legend(**place)


def heading(axes: Axes, text: str) -> None:
    """Write a title over one panel."""
    axes.set_title(text, fontsize=_STYLE["axes.titlesize"])


def logarithmic(axis: XAxis | YAxis) -> None:
    """Make an axis logarithmic, with plain numbers where it spans less than three powers of ten.

    Call it when everything is drawn: it looks at the limits.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = axis.get_view_interval()
    if 0 < low < high < 1e3 * low:
        subs = (
            (1, 1.5, 2, 3, 4, 5, 6, 8)
            if high < 4 * low
            else (1, 2, 3, 5, 7)
            if high < 10 * low
            else (1, 2, 5)
        )
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def save(figure: Figure, form: str = "svg") -> bytes:
    """Return a figure as "svg" or "png", without date or random names in it."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
    return buffer.getvalue()


def density(
    values: Real[np.ndarray, "n"], weights: Real[np.ndarray, "n"] | None = None, points: int = 400
) -> tuple[Float64[np.ndarray, "point"], Float64[np.ndarray, "point"]]:
    """Return the Gaussian kernel density (SciPy's) of weighted values on a grid: (x, density), whose integral is 1.

    The width is Silverman's rule of thumb, 0.9 min(s.d., interquartile range / 1.34) n^(-1/5) (Silverman 1986, eq.
    3.31), where n is the sum of the weights; so `weights` may be the counts of a histogram. Where all values are
    positive, as gaps are, so is the grid: density that would lie below zero is folded back at zero (Silverman 1986,
    section 2.10).
    """
    from scipy.stats import gaussian_kde, norm

    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    n = w.sum()
    order = np.argsort(x)
    quartiles = np.interp([0.25, 0.75], (np.cumsum(w[order]) - 0.5 * w[order]) / n, x[order])
    spread = np.sqrt(w @ (x - (w @ x) / n) ** 2 / n)
    scales = [scale for scale in (spread, (quartiles[1] - quartiles[0]) / 1.34) if scale > 0]
    width = 0.9 * min(scales) * n**-0.2 if scales else 0.01
    low, positive = x.min() - 4 * width, x.min() > 0
    grid = np.linspace(max(0.0, low) if positive else low, x.max() + 4 * width, points)
    if spread == 0:  # one value has no covariance
        return grid, norm.pdf(grid, x[0], width)
    kernel = gaussian_kde(x, 1.0, weights=w)
    # SciPy counts bins where we count the labels in them, so the width is set by hand.
    kernel.set_bandwidth(width / float(np.sqrt(kernel.covariance.item())))
    return grid, kernel(grid) + (kernel(-grid) if positive and low < 0 else 0.0)


def draw_density(
    axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], label: str, mean: float | None = None
) -> None:
    """Draw kernel densities by name, as `density` gives them; with `mean` a line at it."""
    for i, (name, (x, y)) in enumerate(curves.items()):
        axes.fill_between(x, y, color=colour(i), alpha=0.15, linewidth=0)
        axes.plot(x, y, color=colour(i), linewidth=1.5, label=name)
    if mean is not None:
        axes.axvline(mean, color=RED, linewidth=1.1, linestyle="--", label=f"mean {mean:.2f}")
    axes.set_xlabel(label)
    axes.set_ylabel("density")
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    if len(curves) > 1 or mean is not None:
        legend(axes)
