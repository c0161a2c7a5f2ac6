"""The plot of what each option costs a force: its size and its direction."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfx.reporting.figures import GREY, colour, logarithmic, panels
from scfx_study.force_statistics import ALL
from scfx_study.plots import number_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: 1 - cosine below this is rounding of the labels, and is drawn at the edge.
_SMALLEST_ANGLE = 1e-12


def force_errors_by_option(found: pd.DataFrame) -> Figure:
    """Draw the mean absolute error of a component and 1 - cosine of each option, with their intervals.

    `found` is `force_statistics`' table. Axes are logarithmic: options differ by powers of ten.
    """
    options = list(dict.fromkeys(zip(found["option"], found["against"], strict=True)))
    figure, axes = panels(1, 2, 4.6, 1.3 + 0.36 * len(options))
    left, right = axes[0]
    for place, (option, against) in enumerate(options):
        part = found[(found["option"] == option) & (found["against"] == against)].set_index("element")
        whole = part.loc[ALL]
        _marker(left, whole, place, "mae", float)
        _marker(right, whole, place, "cosine", _angle)
    size = float(found.loc[found["element"] == ALL, "rms_force"].max())
    left.axvline(size, color=GREY, linewidth=0.8, linestyle="--")
    left.annotate(
        "the force itself, RMS", (size, len(options) - 0.45), xytext=(-3, 2), textcoords="offset points", fontsize=7,
        ha="right", color=GREY,
    )  # fmt: skip
    names = [f"{option}\nagainst {against}" for option, against in options]
    for axis, title in ((left, "MAE of a component (meV/angstrom)"), (right, "1 - cosine of the angle")):
        axis.set_xlabel(title)
        axis.set_ylim(len(options) - 0.4, -0.6)
        axis.set_yticks(range(len(options)), names if axis is left else [""] * len(options))
        logarithmic(axis.xaxis)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    return figure


def _angle(cosine: float) -> float:
    return max(1.0 - cosine, _SMALLEST_ANGLE)


def _marker(axis: Axes, row: Any, place: int, name: str, shown: Any) -> None:
    """A dot with its bootstrap interval; nothing where there is no number, or none that a logarithm has."""
    value = row.get(name)
    if value is None or pd.isna(value) or shown(float(value)) <= 0.0:
        return
    middle = shown(float(value))
    ends = [row.get(f"{name}_{end}") for end in ("low", "high")]
    if all(end is not None and np.isfinite(end) for end in ends):
        low, high = sorted(shown(float(end)) for end in ends)
        axis.plot(
            [max(low, 1e-300), high], [place, place], "|-", color=colour(place), linewidth=1.2, markersize=9
        )
    axis.plot(middle, place, "o", markersize=3.5, color=colour(place))
    axis.annotate(
        number_of(middle), (middle, place), xytext=(0, 6), textcoords="offset points", fontsize=7, ha="center",
        color=GREY,
    )  # fmt: skip
