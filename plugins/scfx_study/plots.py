"""The plots of a study, each a matplotlib figure made from its tables. Energies in meV or eV as the axes say."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scfx.reporting.figures import GREY, colour, density, heading, legend, logarithmic, panels
from scfx_study.statistics import QUANTITY_COLUMNS, errors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PANELS = 12
_MOST_MOLECULES = 60
_MANY_POINTS = 5000

Pairs = Sequence[tuple[str, str]]


def histograms(table: pd.DataFrame, pairs: Pairs) -> Figure:
    """Draw errors in energy, relative energy and gap, a row for each option: the paper's Figure 2."""
    quantities = [("energy", "total energy"), ("relative_energy", "energy relative to the conformers' mean"),
                  ("gap", "HOMO-LUMO gap")]  # fmt: skip
    shown = list(pairs)[:_MOST_PANELS]
    figure, axes = panels(len(shown), 3, 3.6, 2.3)
    for i, (option, against) in enumerate(shown):
        for axis, (quantity, title) in zip(axes[i], quantities, strict=True):
            values = 1e3 * errors(table, option, against, QUANTITY_COLUMNS[quantity][0]).values
            if not values.size:
                axis.text(0.5, 0.5, "no data", ha="center", transform=axis.transAxes)
                continue
            edge = float(np.percentile(np.abs(values), 99)) * 1.15 or 1.0
            inside = values[np.abs(values) <= edge]
            bins = int(np.clip(2 * values.size ** (1 / 3), 8, 60))  # Rice's rule
            axis.hist(
                inside, bins=bins, range=(-edge, edge), color=colour(i), edgecolor="white", linewidth=0.4
            )
            axis.axvline(0, color=GREY, linewidth=0.6)
            text = f"MAE {number_of(np.abs(values).mean())} meV"
            beyond = values.size - inside.size
            heading(axis, text + (f", {beyond} beyond" if beyond else ""))
            axis.set_xlabel(f"error in {title} (meV)" if i == len(shown) - 1 else "")
            axis.locator_params(axis="x", nbins=5)  # small errors have long numbers
            axis.xaxis.set_major_formatter("{x:g}")
            axis.locator_params(axis="y", nbins=5, integer=True)
        axes[i][0].set_ylabel(f"{option}\nconformers")
    return figure


def parity(table: pd.DataFrame, pairs: Pairs) -> Figure:
    """Draw the gap of each option against the gap it is compared with: the paper's Figure 5."""
    shown = list(pairs)[:_MOST_PANELS]
    columns = min(3, len(shown))
    figure, axes = panels(-(-len(shown) // columns), columns, 3.9, 3.6)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for i, (axis, (option, against)) in enumerate(zip(axes.flat, shown, strict=False)):
        a, b = paired(table, option, against, "gap_ev")
        if not a.size:
            continue
        low, high = min(a.min(), b.min()), max(a.max(), b.max())
        axis.plot([low, high], [low, high], color=GREY, linewidth=0.7)
        axis.scatter(
            b,
            a,
            s=float(np.clip(3000 / a.size, 6, 25)),
            alpha=0.5,
            color=colour(i),
            linewidths=0,
            rasterized=a.size > _MANY_POINTS,
        )
        axis.set_xlabel(f"gap, {against} (eV)")
        axis.set_ylabel(f"gap, {option} (eV)")
        off = 1e3 * (a - b)
        heading(
            axis,
            f"MAE {number_of(np.abs(off).mean())} meV, mean error {number_of(off.mean())} meV, n = {a.size}",
        )
        axis.set_aspect("equal", adjustable="datalim")
    return figure


def densities(table: pd.DataFrame, labels: Sequence[str], reference: str) -> Figure:
    """Draw kernel density estimates of the gap by option: the paper's Figure 6."""
    figure, axes = panels(1, 1, 6.2, 3.2)
    axis = axes[0, 0]
    used = table[table["used"]]
    others = [label for label in labels if label != reference]
    for label in (reference, *others):
        values = used.loc[used["option"] == label, "gap_ev"].to_numpy(dtype=float)
        if values.size < 3 or not np.ptp(values):
            continue
        is_reference = label == reference
        style = {"color": GREY, "linewidth": 2.2} if is_reference else {"color": colour(others.index(label))}
        name = f"{label}{' (reference)' if is_reference else ''}"
        axis.plot(*density(values), label=name, **style)
    axis.set_xlabel("HOMO-LUMO gap (eV)")
    axis.set_ylabel("density (1/eV)")
    if axis.get_legend_handles_labels()[0]:  # nothing was drawn where no error was measured
        legend(axis)
    return figure


def spread(table: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw the gaps of the conformers of each molecule, a panel for each option, in the order of the first one: Figure
    4.
    """
    shown = list(labels)[: _MOST_PANELS // 2]
    used = table[table["used"]]
    order = used[used["option"] == shown[0]].groupby("molecule")["gap_ev"].mean().sort_values().index
    if len(order) > _MOST_MOLECULES:
        order = order[np.linspace(0, len(order) - 1, _MOST_MOLECULES).astype(int)]
    place = {molecule: i for i, molecule in enumerate(order)}
    figure, axes = panels(len(shown), 1, 7.4, 1.9)
    for i, (axis, label) in enumerate(zip(axes.flat, shown, strict=True)):
        part = used[(used["option"] == label) & used["molecule"].isin(place)]
        x = part["molecule"].map(place)
        limits = part.groupby(x)["gap_ev"].agg(["min", "max"])
        axis.vlines(limits.index, limits["min"], limits["max"], color="#dddddd", linewidth=5)
        axis.scatter(x, part["gap_ev"], s=9, color=GREY if i == 0 else colour(i - 1), linewidths=0, zorder=3)
        within = part.groupby("molecule")["gap_ev"].std().mean()
        heading(axis, f"{label}: mean standard deviation within a molecule {number_of(1e3 * within)} meV")
        axis.set_ylabel("gap (eV)")
        axis.set_xticks([])
    axes.flat[-1].set_xlabel(f"{len(order)} molecules, by the mean gap of {shown[0]}")
    return figure


def pareto(statistics: pd.DataFrame, cost: pd.DataFrame, reference: str) -> Figure:
    """Draw the mean absolute error against time; the line joins the options that no other beats in both."""
    figure, axes = panels(1, 2, 4.6, 3.4)
    seconds = cost.set_index("option")["seconds_per_label"]
    for axis, (quantity, title) in zip(
        axes[0], (("relative_energy", "relative energy"), ("gap", "gap")), strict=True
    ):
        part = statistics[(statistics["quantity"] == quantity) & (statistics["against"] == reference)]
        part = part.assign(seconds=part["option"].map(seconds))
        part = (
            part[part["mae"] > 0].dropna(subset=["seconds"]).sort_values("seconds")
            if "mae" in part
            else part[:0]
        )
        best = part[part["mae"] <= part["mae"].cummin()] if len(part) else part
        axis.set_xscale("log")  # now, so that margins are those of logarithms
        axis.set_yscale("log")
        if len(best):
            axis.step(best["seconds"], best["mae"], where="post", color="#bbbbbb", zorder=1)
        for i, row in enumerate(part.itertuples()):
            axis.scatter(row.seconds, row.mae, color=colour(i), zorder=2)
            axis.annotate(
                str(row.option), (row.seconds, row.mae), fontsize=7.5, xytext=(4, 4), textcoords="offset points",
                parse_math=False,
            )  # fmt: skip
        if np.isfinite(seconds.get(reference, np.nan)):
            axis.axvline(seconds[reference], color=GREY, linestyle=":", linewidth=1)
            axis.text(
                seconds[reference], 0.02, f" {reference}", rotation=90, fontsize=7, va="bottom", ha="right",
                transform=axis.get_xaxis_transform(), parse_math=False,
            )  # fmt: skip
        axis.margins(0.2)
        times = np.array([*part["seconds"], seconds.get(reference, np.nan)], dtype=float)
        if np.isfinite(times).any():  # by itself a logarithmic axis of equal times has no width
            axis.set_xlim(np.nanmin(times) / 1.5, np.nanmax(times) * 1.5)
        logarithmic(axis.xaxis)
        logarithmic(axis.yaxis)
        axis.set_xlabel("seconds a label")
        axis.set_ylabel(f"MAE of {title} (meV)")
    return figure


def convergence(traces: Mapping[str, Sequence[Sequence[tuple[float, float]]]]) -> Figure:
    """Draw the orbital gradient of every iteration, a panel for each traced conformer."""
    count = max(len(histories) for histories in traces.values())
    figure, axes = panels(1, count, 4.4, 3.6)
    for j, axis in enumerate(axes[0]):
        for i, (label, histories) in enumerate(traces.items()):
            residuals = np.array([residual for _, residual in histories[j]])
            axis.semilogy(
                np.arange(1, residuals.size + 1), residuals, marker=".", markersize=3, linewidth=1,
                color=GREY if i == 0 else colour(i - 1), label=label,
            )  # fmt: skip
        axis.set_xlabel(f"iteration (conformer {j + 1})")
    axes[0, 0].set_ylabel("largest element of the orbital gradient (hartree)")
    if axes[0, 0].get_legend_handles_labels()[0]:  # nothing was drawn where no error was measured
        legend(axes[0, 0])
    return figure


def paired(table: pd.DataFrame, option: str, against: str, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A column of two options over the conformers that are used, in one order."""
    used = table[table["used"]].set_index("entry")
    a = used.loc[used["option"] == option, column]
    b = used.loc[used["option"] == against, column].reindex(a.index)
    return a.to_numpy(dtype=float), b.to_numpy(dtype=float)


def number_of(value: Any) -> str:
    """Return a number with three significant digits, thousands with commas."""
    return f"{float(value):.3g}" if abs(value) < 1000 else f"{float(value):,.0f}"
