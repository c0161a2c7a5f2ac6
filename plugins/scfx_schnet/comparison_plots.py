"""Figures of comparisons between curves: differences with their intervals, errors against the time of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scfx.reporting.figures import COLOURS, heading, legend, logarithmic, panels, save
from scfx_schnet.targets import thousandth


def differences(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the differences of each quantity, at the largest size of each curve, with their 95 % intervals."""
    largest = {
        curve: max(r["size"] for r in rows if r["curve"] == curve) for curve in (r["curve"] for r in rows)
    }
    shown = [row for row in rows if row["size"] == largest[row["curve"]]]
    quantities = list(dict.fromkeys((row["quantity"], row["unit"]) for row in shown))
    names = list(dict.fromkeys(f"{row['curve']} less {row['against']}" for row in shown))
    figure, grid = panels(1, len(quantities), 2.7, 0.9 + 0.34 * len(names))
    for axes, (quantity, unit) in zip(grid[0], quantities, strict=True):
        for row in (r for r in shown if r["quantity"] == quantity):
            place = names.index(f"{row['curve']} less {row['against']}")
            reach = [[row["difference"] - row["low"]], [row["high"] - row["difference"]]]
            axes.errorbar(
                [row["difference"]], [place], xerr=reach, fmt="o", ms=5, capsize=3, color=COLOURS[place % 8]
            )
        axes.axvline(0, color="0.4", lw=1, ls=":")
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), names if axes is grid[0][0] else [""] * len(names))
        axes.set_xlabel(unit)
        heading(axes, quantity)
    path.write_bytes(save(figure, "png"))


def label_compute(path: Path, summary: dict[str, Any], targets: Sequence[str]) -> None:
    """Draw the test error of each target against the time of making the labels, a line for each curve."""
    figure, grid = panels(1, len(targets), 4.6, 4.2)
    units = next(iter(summary.values()))["facts"]["units"]
    for column, (axes, target) in enumerate(zip(grid[0], targets, strict=True)):
        for colour, (name, curve) in zip(COLOURS * 3, summary.items(), strict=False):
            points = [
                (
                    size * curve["facts"]["seconds_per_label"],
                    row.get("test_mae_ev") or row["validation_mae_ev"],
                )
                for size, row in curve["sizes"].items()
            ]
            x, mean, spread = (
                np.array([cost for cost, _ in points]),
                *(1000 * np.array([errors[key][column] for _, errors in points]) for key in ("mean", "std")),
            )
            axes.errorbar(x, mean, spread, fmt="o-", ms=5, capsize=3, lw=1.3, color=colour, label=name)
        axes.set_xlabel("thread seconds to make the labels")
        axes.set_ylabel(f"MAE of the {target} / {thousandth(units[target])}")
        logarithmic(axes.xaxis)
        logarithmic(axes.yaxis)
        axes.grid(True, which="major", alpha=0.3)
    legend(grid[0][0])
    path.write_bytes(save(figure, "png"))
