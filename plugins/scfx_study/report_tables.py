"""The tables of a study's report, from the data frames of its statistics."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from scfx.config.spec_hash import plain
from scfx.reporting.tables import NOTHING, Table, number_text, table
from scfx_study.statistics import QUANTITY_COLUMNS

if TYPE_CHECKING:
    from scfx_study.study import Study

_TITLES = {
    "energy": "Total energy", "relative_energy": "Energy relative to the mean over a molecule's conformers",
    "homo": "HOMO", "lumo": "LUMO", "gap": "HOMO-LUMO gap", "dipole": "Dipole moment (norm)",
}  # fmt: skip


def overview(found: pd.DataFrame) -> Table:
    """Return the mean absolute errors of each option, and how well it keeps the order of conformers."""
    rows = []
    for (option, against), part in found.groupby(["option", "against"], sort=False):
        by = part.set_index("quantity")
        cells = [_interval(by.loc[name], "mae") if name in by.index else None for name in QUANTITY_COLUMNS]
        rows.append([option, *cells, by.loc["gap"].get("spearman"), against])
    heads = [
        "option", "energy", "relative energy", "HOMO", "LUMO", "gap", "dipole (debye)", "Spearman of the gap",
        "against",
    ]  # fmt: skip
    return table(heads, rows)


def forces(found: pd.DataFrame) -> Table | None:
    """Return errors of forces by option and element; None where no option has forces."""
    if not len(found):
        return None
    rows = [
        [
            row["option"], row["element"], _interval(row, "mae"), _interval(row, "rmse"), row["max"],
            row["worst_atom"], row["mean_worst_atom"], _angle(row), row["rms_force"], int(row["atoms"]),
            row["against"],
        ]
        for _, row in found.iterrows()
    ]  # fmt: skip
    heads = [
        "option", "element", "MAE", "RMSE", "largest component", "worst atom", "worst atom, mean", "1 - cosine",
        "force itself, RMS", "atoms", "against",
    ]  # fmt: skip
    return table(heads, rows)


def _angle(row: Any) -> tuple[float | None, str]:
    """Return 1 - cosine, since the cosine itself is 1 to many digits."""
    if row["cosine"] is None or pd.isna(row["cosine"]):
        return None, NOTHING
    value = max(0.0, 1.0 - float(row["cosine"]))
    return value, f"{value:.2g}"


def _interval(row: Any, name: str) -> tuple[float | None, str]:
    """Return a statistic with its bootstrap interval, as a cell."""
    value = row.get(name)
    if value is None or pd.isna(value):
        return None, NOTHING
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    between = (
        "" if low is None or pd.isna(low) else f" [{number_text(float(low))}, {number_text(float(high))}]"
    )
    return float(value), number_text(float(value)) + between


def published(study: Study, found: pd.DataFrame) -> Table | None:
    """Return our numbers beside those from the literature that the study names; None where it names none."""
    rows = []
    for item in study.settings.published:
        part = found[(found["option"] == item.option) & (found["quantity"] == item.quantity)]
        ours = _interval(part.iloc[0], item.statistic) if len(part) else (None, "no such option")
        unit = QUANTITY_COLUMNS[item.quantity][1]
        rows.append([item.option, item.quantity, item.statistic, unit, ours, item.value, item.source])
    heads = ["option", "quantity", "statistic", "unit", "here", "published", "source"]
    return table(heads, rows) if rows else None


def cost_of_options(cost: pd.DataFrame) -> Table:
    """Return how many rows each option has by status, and the time they took."""
    rows = [
        [
            row["option"], int(row["rows"]), int(row["ok"]), int(row["not_converged"]),
            int(row["failed"]) + int(row["poison"]),
            (row["convergence_rate"], f"{100 * row['convergence_rate']:.2f} %"),
            int(row["recovered"]), row["mean_iterations"], row["labels_per_second"], row["seconds_per_label"],
            row["compile_seconds"],
        ]
        for _, row in cost.iterrows()
    ]  # fmt: skip
    heads = [
        "option", "planned", "ok", "not converged", "failed", "convergence rate", "by recovery", "mean iterations",
        "labels/s a worker", "seconds a label", "compiling (s)",
    ]  # fmt: skip
    return table(heads, rows)


def by_quantity(found: pd.DataFrame) -> list[tuple[str, Table]]:
    """Return the statistics of each quantity, with its name and unit."""
    out = []
    for quantity, part in found.groupby("quantity", sort=False):
        unit = part["unit"].iloc[0]
        in_kcal = unit == "meV"
        rows = []
        for _, row in part.iterrows():
            cells = [_interval(row, name) for name in ("mean_error", "mae", "rmse")]
            cells += [row.get(name) for name in ("max", "p50", "p90", "p95", "p99")]
            cells += [_interval(row, "pearson"), _interval(row, "spearman")]
            kcal = (
                [row.get(f"{name}_kcal_mol") for name in ("mean_error", "mae", "rmse", "max")]
                if in_kcal
                else []
            )
            rows.append([row["option"], *cells, *kcal, int(row["n"]), row["against"]])
        heads = [
            "option", "mean error", "MAE", "RMSE", "largest", "median", "90 %", "95 %", "99 %", "Pearson", "Spearman",
        ]  # fmt: skip
        heads += ["mean, kcal/mol", "MAE, kcal/mol", "RMSE, kcal/mol", "largest, kcal/mol"] if in_kcal else []
        title = _TITLES.get(quantity, str(quantity)) + (f" ({unit})" if unit else "")
        out.append((title, table([*heads, "n", "against"], rows)))
    return out


def options(study: Study) -> Table:
    """Return what each option changes, and what it is called in hashes."""
    rows = [
        [o.label, json.dumps(plain(_shown(o.changes))), o.names["backend"], o.names["functional"], o.names["basis"],
         o.names["precision"], o.spec_hash[:16]]
        for o in study.options
    ]  # fmt: skip
    return table(["option", "changes", "backend", "functional", "basis", "precision", "spec hash"], rows)


def _shown(changes: Any) -> dict[str, Any]:
    return {
        k: v if isinstance(v, (str, int, float, bool, dict)) else getattr(v, "name", repr(v))
        for k, v in changes.items()
    }
