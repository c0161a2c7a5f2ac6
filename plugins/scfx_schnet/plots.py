"""Figures of the training tasks. Matplotlib is used without its global state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx_schnet.targets import thousandth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Okabe and Ito's colours, which people with colour blindness can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def _figure(width: float = 7.2, height: float = 4.8, columns: int = 1) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _points(curve: dict[str, Any], key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sizes, mean, standard deviation) of the first target in thousandths of its unit."""
    rows = [(n, row[key]) for n, row in curve["sizes"].items() if key in row]
    sizes = np.array([n for n, _ in rows], dtype=float)
    mean = 1000 * np.array([e["mean"][0] for _, e in rows])
    return sizes, mean, 1000 * np.array([e["std"][0] for _, e in rows])


def _unit(summary: dict[str, Any], target: str) -> str:
    """In which errors are drawn; summaries of before properties were targets name no units."""
    units = next(iter(summary.values()))["facts"].get("units", {})
    return thousandth(units.get(target, "eV"))


def _draw(axes: Axes, points: tuple[np.ndarray, np.ndarray, np.ndarray], **look: Any) -> None:
    """Points, joined, with bars of one standard deviation."""
    axes.errorbar(*points, **{"fmt": "o", "ms": 5, "capsize": 3, "lw": 1.3, **look})


def _logarithmic(axes: Axes, x: str, y: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        within_a_decade = limits[1] < 10 * limits[0]
        if within_a_decade or axis is axes.yaxis:
            axis.set_major_locator(LogLocator(subs=range(1, 10) if within_a_decade else (1, 2, 5)))
            axis.set_major_formatter(plain)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", alpha=0.3)


def scaling_curve(
    path: Path, summary: dict[str, Any], target: str, reference: dict[str, float] | None = None
) -> None:
    """Draw validation (filled) and training error (open) against the number of rows, both axes logarithmic."""
    figure, (axes,) = _figure(8.4, 5.2)
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
    _logarithmic(axes, "rows in the training subset", f"MAE of the {target} / {_unit(summary, target)}")
    axes.set_xlim(min(reach) / 1.5, max(reach) * 1.5)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(path, dpi=130)


def judged_curves(path: Path, summary: dict[str, Any], target: str) -> None:
    """Draw kinds of labels judged by one set of labels: as they are, and after a straight line."""
    figure, both = _figure(9.6, 4.6, columns=2)
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
        axes.set_title(title, fontsize=10)
    both[0].legend(fontsize=8)
    figure.savefig(path, dpi=130)


def equal_compute(path: Path, summary: dict[str, Any], target: str) -> None:
    """Draw the error against what making the labels cost: many cheap ones or few better ones."""
    figure, (axes,) = _figure()
    for colour, (name, curve) in zip(COLOURS * 3, summary.items(), strict=False):
        sizes, mean, spread = _points(curve, "judged_line_mae_ev")
        if len(sizes):
            cost = sizes * curve["facts"]["seconds_per_label"]
            label = f"{name} ({1000 * curve['facts']['seconds_per_label']:.0f} ms a label)"
            _draw(axes, (cost, mean, spread), ls="-", color=colour, label=label)
    error = f"MAE of the {target} by the judge, after a line / {_unit(summary, target)}"
    _logarithmic(axes, "thread seconds to make the labels", error)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)


def paired_bars(path: Path, sizes: dict[int, dict[str, Any]], target: str, unit: str = "meV") -> None:
    """Draw fine-tuning against from scratch: means as bars, every seed as a pair of points joined by a line."""
    figure, (axes,) = _figure(6.4, 4.4)
    for place, row in enumerate(sizes.values()):
        both = (row["scratch_mev"], row["pretrained_mev"])
        for x, values, colour in zip((place - 0.2, place + 0.2), both, COLOURS, strict=False):
            axes.bar(x, float(np.mean(values)), color=colour, alpha=0.35, width=0.36)
            axes.plot([x] * len(values), values, "o", color=colour, ms=5)
            axes.annotate(f"{np.mean(values):.0f}", (x, 0), ha="center", va="bottom", xytext=(0, 4),
                          textcoords="offset points")  # fmt: skip
        axes.plot([place - 0.2, place + 0.2], both, color="0.4", lw=0.8)
    axes.set_xticks(range(len(sizes)), [f"{n:,}" for n in sizes])
    axes.set_xlabel("rows of the fine-tuning subset")
    axes.set_ylabel(f"test MAE of the {target} / {unit}")
    for label, colour in zip(("from scratch", "pre-trained"), COLOURS, strict=False):
        axes.bar(0, 0, color=colour, alpha=0.35, label=label)
    axes.legend(frameon=False)
    axes.grid(True, axis="y", alpha=0.3)
    figure.savefig(path, dpi=130)
