"""The files of a study: tables, plots, and a report that needs nothing beside itself."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import scfx
from scfx.config.spec_hash import plain
from scfx.versions import versions
from scfx_study import plots
from scfx_study.conformers import every_conformer, failures, outliers
from scfx_study.force_plots import force_errors_by_option
from scfx_study.page import NOTHING, details, number, page, picture, table
from scfx_study.statistics import QUANTITY_COLUMNS

if TYPE_CHECKING:
    from scfx_study.study import Study

_TITLES = {
    "energy": "Total energy", "relative_energy": "Energy relative to the mean over a molecule's conformers",
    "homo": "HOMO", "lumo": "LUMO", "gap": "HOMO-LUMO gap", "dipole": "Dipole moment (norm)",
}  # fmt: skip
_CAPTIONS = {
    "histograms": "Errors against the reference (the layout of QM1B's Figure 2).",
    "parity": "Gap under each option against the gap it is compared with (QM1B's Figure 5).",
    "densities": "Distribution of the gap by option: kernel density, Scott's bandwidth (QM1B's Figure 6).",
    "spread": "Gaps of the conformers of each molecule (QM1B's Figure 4).",
    "pareto": "What accuracy costs. The line joins options that none beats in both. Seconds are those of the run that "
    "made the labels, without compiling; compare them only if the machine did nothing else.",
    "forces": "What each option costs a force: mean absolute error of a component and 1 - cosine of the angle to the "
    "force that it is compared with, with bootstrap intervals over molecules.",
    "convergence": "What each iteration leaves over, for a few conformers solved again under every option.",
}
#: Figures of several panels beside each other.
_BROAD = ("histograms", "pareto", "spread", "forces", "convergence")


def write_report(study: Study) -> Path:
    """Write table.parquet, statistics.csv, cost.csv, plots/ and report.html; returns the path of the last.

    Where options have forces, forces.csv too.
    """
    labels, found, cost = study.table(), study.statistics(), study.cost()
    output = study.output
    labels.to_parquet(output / "table.parquet", index=False)
    found.to_csv(output / "statistics.csv", index=False)
    cost.to_csv(output / "cost.csv", index=False)
    forces = study.force_statistics()
    if len(forces):
        forces.to_csv(output / "forces.csv", index=False)
    pictures = _pictures(study, labels, found, cost, forces)
    (output / "plots").mkdir(exist_ok=True)
    for name, kinds in pictures.items():
        for kind, data in kinds.items():
            (output / "plots" / f"{name}.{kind}").write_bytes(data)
    body = [
        *_head(study, labels, cost),
        *_overview(found),
        *_forces(forces),
        *_published(study, found),
        *_convergence(cost),
        "<h2>Plots</h2>",
        *(
            picture(
                kinds["svg"],
                name,
                _CAPTIONS[name],
                name in _BROAD or (name == "parity" and len(study.pairs) > 1),
            )
            for name, kinds in pictures.items()
        ),
        *_tables(found),
        *outliers(study, labels),
        *every_conformer(study, labels),
        *failures(labels),
        *_definition(study),
    ]
    path = output / "report.html"
    path.write_text(page(f"Study: {'; '.join(o.label for o in study.options)}", body), encoding="utf-8")
    return path


def _pictures(
    study: Study, labels: pd.DataFrame, found: pd.DataFrame, cost: pd.DataFrame, forces: pd.DataFrame
) -> dict[str, dict[str, bytes]]:
    names, reference = [option.label for option in study.options], study.reference.label
    order = [reference, *(name for name in names if name != reference)]
    figures = {
        "histograms": plots.histograms(labels, study.pairs),
        "parity": plots.parity(labels, study.pairs),
        "densities": plots.densities(labels, names, reference),
        "spread": plots.spread(labels, order),
        "pareto": plots.pareto(found, cost, reference),
    }
    if len(forces):
        figures["forces"] = force_errors_by_option(forces)
    traces = study.traces()
    if any(traces.values()):
        figures["convergence"] = plots.convergence({name: traces[name] for name in order})
    return {name: plots.images(figure) for name, figure in figures.items()}


def _head(study: Study, labels: pd.DataFrame, cost: pd.DataFrame) -> list[str]:
    reference = study.reference
    own = labels[labels["option"] == reference.label]
    used = own[own["used"]]
    names = reference.names
    planned = int(cost.set_index("option").loc[reference.label, "rows"])
    unfinished = (
        ""
        if study.complete()
        else "<b>This study is not finished:</b> some options have only part of their rows. "
    )
    return [
        f"<h1>What each option costs: {escape('; '.join(o.label for o in study.options if o is not reference))}</h1>",
        f"<p>Compared with <b>{escape(reference.label)}</b> ({escape(names['functional'])}/{escape(names['basis'])}, "
        f"{escape(names['precision'])}, backend {escape(names['backend'])}) on <b>{len(used):,} conformers of "
        f"{used['molecule'].nunique():,} molecules</b>. {unfinished}{planned - len(used):,} of {planned:,} planned "
        "conformers are left out of every option, because at least one option has no label for them; they are counted "
        "and listed below.</p>",
        '<p class="note">Errors are option minus reference. Intervals are bootstrap intervals over molecules '
        f"({100 * study.settings.confidence:g} %, {study.settings.bootstrap:,} resamples): conformers of one "
        "molecule are not independent. Press a column's head to sort by it.</p>",
    ]


def _overview(found: pd.DataFrame) -> list[str]:
    rows = []
    for (option, against), part in found.groupby(["option", "against"], sort=False):
        by = part.set_index("quantity")
        cells = [_interval(by.loc[name], "mae") if name in by.index else None for name in QUANTITY_COLUMNS]
        rows.append([option, *cells, by.loc["gap"].get("spearman"), against])
    heads = [
        "option",
        "energy",
        "relative energy",
        "HOMO",
        "LUMO",
        "gap",
        "dipole (debye)",
        "Spearman of the gap",
    ]
    return [
        "<h2>Mean absolute errors (meV)</h2>",
        '<p class="scroll">Tables scroll sideways.</p>',
        table([*heads, "against"], rows),
        '<p class="note">Relative energy: to the mean over the molecule\'s conformers, which is what a model of '
        "conformers learns. Spearman: within molecules of three or more conformers, mean over molecules: 1 means that "
        "the option keeps their order.</p>",
    ]


def _forces(found: pd.DataFrame) -> list[str]:
    if not len(found):
        return []
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
    return [
        "<h2>Forces (meV/angstrom)</h2>",
        table(heads, rows),
        '<p class="note">Errors of components. Worst atom: length of the largest error of an atom; its mean is over '
        "conformers. Cosine: of the angle between the two forces on an atom, mean over atoms.</p>",
    ]


def _angle(row: Any) -> tuple[float | None, str]:
    """1 - cosine, since the cosine itself is 1 to many digits."""
    if row["cosine"] is None or pd.isna(row["cosine"]):
        return None, NOTHING
    value = max(0.0, 1.0 - float(row["cosine"]))
    return value, f"{value:.2g}"


def _interval(row: Any, name: str) -> tuple[float | None, str]:
    value = row.get(name)
    if value is None or pd.isna(value):
        return None, NOTHING
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    between = "" if low is None or pd.isna(low) else f" [{number(float(low))}, {number(float(high))}]"
    return float(value), number(float(value)) + between


def _published(study: Study, found: pd.DataFrame) -> list[str]:
    if not study.settings.published:
        return []
    rows = []
    for item in study.settings.published:
        part = found[(found["option"] == item.option) & (found["quantity"] == item.quantity)]
        ours = _interval(part.iloc[0], item.statistic) if len(part) else (None, "no such option")
        unit = QUANTITY_COLUMNS[item.quantity][1]
        rows.append([item.option, item.quantity, item.statistic, unit, ours, item.value, item.source])
    return [
        "<h2>Beside the literature</h2>",
        table(["option", "quantity", "statistic", "unit", "here", "published", "source"], rows),
    ]


def _convergence(cost: pd.DataFrame) -> list[str]:
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
    return [
        "<h2>Convergence and cost</h2>",
        table(heads, rows),
        '<p class="note">Failed rows mostly have no conformer (embedding). Labels a second count everything, compiling '
        "too; seconds a label are the solver's, summed over threads, without compiling.</p>",
    ]


def _tables(found: pd.DataFrame) -> list[str]:
    out = ["<h2>Statistics by quantity</h2>"]
    for quantity, (_, unit) in QUANTITY_COLUMNS.items():
        part = found[found["quantity"] == quantity]
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
            "option",
            "mean error",
            "MAE",
            "RMSE",
            "largest",
            "median",
            "90 %",
            "95 %",
            "99 %",
            "Pearson",
            "Spearman",
        ]
        heads += ["mean, kcal/mol", "MAE, kcal/mol", "RMSE, kcal/mol", "largest, kcal/mol"] if in_kcal else []
        out += [f"<h3>{_TITLES[quantity]} ({unit})</h3>", table([*heads, "n", "against"], rows)]
    return out


def _definition(study: Study) -> list[str]:
    out = ["<h2>How it was made</h2>", "<h3>Options</h3>"]
    rows: list[Sequence[Any]] = [
        [o.label, json.dumps(plain(_shown(o.changes))), o.names["backend"], o.names["functional"], o.names["basis"],
         o.names["precision"], o.spec_hash[:16]]
        for o in study.options
    ]  # fmt: skip
    out.append(table(["option", "changes", "backend", "functional", "basis", "precision", "spec hash"], rows))
    for option in study.options:
        spec = {
            "scf": option.spec.model_dump(mode="json"),
            "spec_hash": option.spec_hash,
            "definition": plain(option.definition),
            "rows": option.rows,
            "labels": f"labels/{option.key}",
        }
        out.append(details(f"specification of {option.label}", json.dumps(spec, indent=1)))
    out.append(details("task", json.dumps(study.settings.model_dump(mode="json"), indent=1)))
    found = versions(("jax", "jaxlib", "numpy", "scipy", "pyscf", "basis-set-exchange", "rdkit", "pandas"))
    out.append(f'<p class="note">{escape(", ".join(f"{k} {v}" for k, v in found.items()))}. Made by scfx '
               f"{scfx.__version__}; `study.json`, `table.parquet`, `statistics.csv` and `cost.csv` lie beside this "
               "page.</p>")  # fmt: skip
    return out


def _shown(changes: Any) -> dict[str, Any]:
    return {
        k: v if isinstance(v, (str, int, float, bool, dict)) else getattr(v, "name", repr(v))
        for k, v in changes.items()
    }
