"""The files of a study: tables, plots, and a report that needs nothing beside itself."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import scfx
from scfx.config.spec_hash import plain
from scfx.reporting.figures import save
from scfx.reporting.pages import render_page
from scfx.versions import versions
from scfx_study import plots, report_tables
from scfx_study.conformers import every_conformer, failures, outliers
from scfx_study.force_plots import force_errors_by_option

if TYPE_CHECKING:
    from scfx_study.study import Study

#: Figures of several panels beside each other.
_BROAD = ("histograms", "pareto", "spread", "forces", "convergence")
_CAPTIONS = {
    "histograms": "Errors against the reference (the layout of QM1B's Figure 2).",
    "parity": "Gap under each option against the gap it is compared with (QM1B's Figure 5).",
    "densities": "Distribution of the gap by option: kernel density, Silverman's width (QM1B's Figure 6).",
    "spread": "Gaps of the conformers of each molecule (QM1B's Figure 4).",
    "pareto": "What accuracy costs. The line joins options that none beats in both. Seconds are those of the run that "
    "made the labels, without compiling; compare them only if the machine did nothing else.",
    "forces": "What each option costs a force: mean absolute error of a component and 1 - cosine of the angle to the "
    "force that it is compared with, with bootstrap intervals over molecules.",
    "convergence": "What each iteration leaves over, for a few conformers solved again under every option.",
}
#: Libraries that the report names with their versions.
_LIBRARIES = ("jax", "jaxlib", "numpy", "scipy", "pyscf", "basis-set-exchange", "rdkit", "pandas")


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
    (output / "plots").mkdir(exist_ok=True)
    pictures = {}
    for name, figure in _figures(study, labels, found, cost, forces).items():
        pictures[name] = save(figure)
        (output / "plots" / f"{name}.svg").write_bytes(pictures[name])
        (output / "plots" / f"{name}.png").write_bytes(save(figure, "png"))
    page = render_page(
        Path(__file__).parent / "templates",
        "study.html",
        study=study,
        **_counts(study, labels, cost),
        overview=report_tables.overview(found),
        forces=report_tables.forces(forces),
        published=report_tables.published(study, found),
        cost=report_tables.cost_of_options(cost),
        pictures=[
            (svg, name, _CAPTIONS[name], name in _BROAD or (name == "parity" and len(study.pairs) > 1))
            for name, svg in pictures.items()
        ],
        quantities=report_tables.by_quantity(found),
        outliers=outliers(study, labels),
        conformers=every_conformer(study, labels),
        failures=failures(labels),
        options=report_tables.options(study),
        specifications=_specifications(study),
        task=json.dumps(study.settings.model_dump(mode="json"), indent=1),
        versions=versions(_LIBRARIES),
        scfx_version=scfx.__version__,
    )
    path = output / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _figures(
    study: Study, labels: pd.DataFrame, found: pd.DataFrame, cost: pd.DataFrame, forces: pd.DataFrame
) -> dict[str, Any]:
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
    return figures


def _counts(study: Study, labels: pd.DataFrame, cost: pd.DataFrame) -> dict[str, Any]:
    """Return how many conformers of how many molecules are used, and how many were planned."""
    own = labels[labels["option"] == study.reference.label]
    used = own[own["used"]]
    return {
        "used": len(used),
        "molecules": used["molecule"].nunique(),
        "planned": int(cost.set_index("option").loc[study.reference.label, "rows"]),
        "complete": study.complete(),
    }


def _specifications(study: Study) -> list[tuple[str, str]]:
    """Return what each option computes, as JSON, by its label."""
    out = []
    for option in study.options:
        spec = {
            "scf": option.spec.model_dump(mode="json"),
            "spec_hash": option.spec_hash,
            "definition": plain(option.definition),
            "rows": option.rows,
            "labels": f"labels/{option.key}",
        }
        out.append((option.label, json.dumps(spec, indent=1)))
    return out
