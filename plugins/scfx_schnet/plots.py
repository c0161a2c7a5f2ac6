"""Figures of the training tasks. Matplotlib is used without its global state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.reporting.figures import COLOURS, heading, legend, logarithmic, panels, save
from scfx_schnet.targets import thousandth

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _points(curve: dict[str, Any], key: str, column: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sizes, mean, standard deviation) of one target in thousandths of its unit."""
    rows = [(n, row[key]) for n, row in curve["sizes"].items() if key in row]
    sizes = np.array([n for n, _ in rows], dtype=float)
    mean = 1000 * np.array([e["mean"][column] for _, e in rows])
    return sizes, mean, 1000 * np.array([e["std"][column] for _, e in rows])


def _unit(summary: dict[str, Any], target: str) -> str:
    """In which errors are drawn; summaries of before properties were targets name no units."""
    units = next(iter(summary.values()))["facts"].get("units", {})
    return thousandth(units.get(target, "eV"))


def _draw(axes: Axes, points: tuple[np.ndarray, np.ndarray, np.ndarray], **look: Any) -> None:
    """Points, joined, with bars of one standard deviation."""
    axes.errorbar(*points, **{"fmt": "o", "ms": 5, "capsize": 3, "lw": 1.3, **look})


def _logarithmic(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    logarithmic(axes.xaxis)
    logarithmic(axes.yaxis)
    axes.grid(True, which="major", alpha=0.3)


def scaling_curve(
    path: Path, summary: dict[str, Any], target: str, reference: dict[str, float] | None = None
) -> None:
    """Draw validation (filled) and training error (open) against the number of rows, both axes logarithmic."""
    figure, ((axes,),) = panels(1, 1, 8.4, 5.2)
    reach: list[float] = []
    for colour, (name, curve) in zip(COLOURS * 3, summary.items(), strict=False):
        for key, face, style in (("validation_mae_ev", colour, "-"), ("train_mae_ev", "white", "--")):
            sizes, mean, spread = _points(curve, key)
            reach += sizes.tolist()
            label = f"{name}: validation" if key.startswith("val") else f"{name}: training"
            _draw(axes, (sizes, mean, spread), ls=style, color=colour, mfc=face, label=label)
        law = curve["power_law"]
        if law:
            x = np.array([min(law["sizes"]) / 1.3, max(law["sizes"]) * 1.3])
            text = f"{name}: n^-{law['exponent']:.2f} [{law['exponent_low']:.2f}, {law['exponent_high']:.2f}]"
            y = 1000 * law["coefficient_ev"] * x ** -law["exponent"]
            axes.plot(x, y, color=colour, lw=5, alpha=0.25, label=text)
    first = next(iter(summary.values()))
    baseline = 1000 * first["facts"]["median_mae_ev"][0]
    axes.axhline(baseline, color="0.4", ls=":", lw=1.2, label=f"median predictor: {baseline:.0f}")
    for shade, (name, value) in zip(("0.55", "0.7", "0.3"), (reference or {}).items(), strict=False):
        axes.axhline(value, color=shade, ls="-.", lw=1.2, label=f"{name}: {value:g}")
    axes.set_xlim(min(reach) / 1.5, max(reach) * 1.5)
    _logarithmic(axes, "rows in the training subset", f"MAE of the {target} / {_unit(summary, target)}")
    legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    path.write_bytes(save(figure, "png"))


def judged_curves(path: Path, summary: dict[str, Any], target: str) -> None:
    """Draw kinds of labels judged by one set of labels: as they are, and after a straight line."""
    figure, (both,) = panels(1, 2, 4.8, 4.6)
    titles = ("as predicted", "after a straight line to the judge's labels")
    for axes, key, title in zip(both, ("judged_mae_ev", "judged_line_mae_ev"), titles, strict=True):
        # Kinds of labels may be as good as equal: later ones are drawn smaller and broken.
        looks = zip(COLOURS * 3, (8, 6, 5, 4) * 6, ("-", "--", "-.", ":") * 6, strict=False)
        for (colour, size, style), (name, curve) in zip(looks, summary.items(), strict=False):
            sizes, mean, spread = _points(curve, key)
            if len(sizes):
                _draw(axes, (sizes, mean, spread), ls=style, color=colour, ms=size, label=name)
        _logarithmic(
            axes,
            "rows in the training subset",
            f"MAE of the {target} by the judge / {_unit(summary, target)}",
        )
        heading(axes, title)
    legend(both[0])
    path.write_bytes(save(figure, "png"))


def equal_compute(path: Path, summary: dict[str, Any], target: str) -> None:
    """Draw the error against what making the labels cost: many cheap ones or few better ones."""
    figure, ((axes,),) = panels(1, 1, 7.2, 4.8)
    for colour, (name, curve) in zip(COLOURS * 3, summary.items(), strict=False):
        sizes, mean, spread = _points(curve, "judged_line_mae_ev")
        if len(sizes):
            cost = sizes * curve["facts"]["seconds_per_label"]
            label = f"{name} ({1000 * curve['facts']['seconds_per_label']:.0f} ms a label)"
            _draw(axes, (cost, mean, spread), ls="-", color=colour, label=label)
    error = f"MAE of the {target} by the judge, after a line / {_unit(summary, target)}"
    _logarithmic(axes, "thread seconds to make the labels", error)
    legend(axes)
    path.write_bytes(save(figure, "png"))


def label_compute(path: Path, summary: dict[str, Any], targets: Sequence[str]) -> None:
    """Draw the error of each target against the time of making the labels, a line for each curve: by its judge where it
    has one, else of test rows (validation rows where there are none).
    """
    figure, grid = panels(1, len(targets), 4.6, 4.2)
    for column, (axes, target) in enumerate(zip(grid[0], targets, strict=True)):
        for colour, (name, curve) in zip(COLOURS * 3, summary.items(), strict=False):
            kinds = ("judged_mae_ev", "test_mae_ev", "validation_mae_ev")
            key = next(kind for kind in kinds if any(kind in row for row in curve["sizes"].values()))
            name = f"{name}, by the judge" if key == kinds[0] else name
            sizes, mean, spread = _points(curve, key, column)
            cost = sizes * curve["facts"]["seconds_per_label"]
            _draw(axes, (cost, mean, spread), ls="-", color=colour, label=name)
        error = f"MAE of the {target} / {_unit(summary, target)}"
        _logarithmic(axes, "thread seconds to make the labels", error)
    legend(grid[0][0])
    path.write_bytes(save(figure, "png"))


#: So many times the narrowest interval, and a linear axis would not show it.
_FAR = 30


def differences(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the differences of each quantity, at the largest size of each curve, with their 95 % intervals.

    Where one difference is so large that the others' intervals would be dots, the axis is logarithmic away from zero.
    """
    largest = {
        curve: max(r["size"] for r in rows if r["curve"] == curve) for curve in (r["curve"] for r in rows)
    }
    shown = [row for row in rows if row["size"] == largest[row["curve"]]]
    quantities = list(dict.fromkeys((row["quantity"], row["unit"]) for row in shown))
    names = list(dict.fromkeys(f"{row['curve']} less {row['against']}" for row in shown))
    figure, grid = panels(1, len(quantities), 2.7, 0.9 + 0.34 * len(names))
    for axes, (quantity, unit) in zip(grid[0], quantities, strict=True):
        asked = [row for row in shown if row["quantity"] == quantity]
        for row in asked:
            place = names.index(f"{row['curve']} less {row['against']}")
            reach = [[row["difference"] - row["low"]], [row["high"] - row["difference"]]]
            axes.errorbar(
                [row["difference"]],
                [place],
                xerr=reach,
                fmt="o",
                ms=5,
                capsize=3,
                color=COLOURS[place % len(COLOURS)],
            )
        widths = sorted(row["high"] - row["low"] for row in asked)
        farthest = max(max(abs(row["low"]), abs(row["high"])) for row in asked)
        if 0 < _FAR * widths[0] < farthest:
            axes.set_xscale("symlog", linthresh=widths[len(widths) // 2])
        axes.axvline(0, color="0.4", lw=1, ls=":")
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), names if axes is grid[0][0] else [""] * len(names))
        axes.set_xlabel(unit)
        heading(axes, quantity)
    path.write_bytes(save(figure, "png"))


def paired_bars(path: Path, sizes: dict[int, dict[str, Any]], target: str, unit: str) -> None:
    """Draw each way against from scratch: means as bars, every seed as a line of points through them."""
    figure, ((axes,),) = panels(1, 1, 6.4, 4.4)
    ways = list(next(iter(sizes.values()))["ways"])
    names = ["from scratch", *("pre-trained" if way == "pretrained" else way for way in ways)]
    step = 0.8 / len(names)
    for place, row in enumerate(sizes.values()):
        columns = [row["scratch"], *(row["ways"][way]["errors"] for way in ways)]
        x = place + step * (np.arange(len(columns)) - (len(columns) - 1) / 2)
        for left, values, colour in zip(x, columns, COLOURS, strict=False):
            axes.bar(left, float(np.mean(values)), color=colour, alpha=0.35, width=0.9 * step)
            axes.plot([left] * len(values), values, "o", color=colour, ms=5)
            axes.annotate(f"{np.mean(values):.0f}", (left, 0), ha="center", va="bottom", xytext=(0, 4),
                          textcoords="offset points")  # fmt: skip
        axes.plot(x, np.array(columns), color="0.4", lw=0.8)
    axes.set_xticks(range(len(sizes)), [f"{n:,}" for n in sizes])
    axes.set_xlabel("rows of the fine-tuning subset")
    axes.set_ylabel(f"test MAE of the {target} / {unit}")
    for label, colour in zip(names, COLOURS, strict=False):
        axes.bar(0, 0, color=colour, alpha=0.35, label=label)
    legend(axes)
    axes.grid(True, axis="y", alpha=0.3)
    path.write_bytes(save(figure, "png"))
