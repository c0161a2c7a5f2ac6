"""The files beside the data: card, HTML report, failure ledger, summary, distribution. All can be derived again."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from scfx.reporting.figures import density, draw_density, panels, save
from scfx_dataset.card import card, title
from scfx_dataset.findings import Findings, collect_findings
from scfx_dataset.force_findings import ForceFindings
from scfx_dataset.html_report import html_report

if TYPE_CHECKING:
    from scfx.jobs.store import AbstractStore
    from scfx_dataset.reader import Dataset

SUMMARY = "summary.json"

_LEDGER = (
    "row_id",
    "molecule",
    "input_smiles",
    "smiles",
    "conformer",
    "status",
    "reason",
    "rung",
    "iterations",
)


def write_report(dataset: Dataset, store: AbstractStore, summary: dict[str, Any]) -> list[str]:
    """Write failures.parquet, README.md, report.html, of what there is gaps.png and forces.png, last summary.json.

    Returns the names written.
    """
    written = ["failures.parquet", "README.md", "report.html"]
    store.replace("failures.parquet", _failures(dataset))
    found = collect_findings(dataset)
    if found.n:
        store.replace("gaps.png", _distribution(found, title(dataset)))
        written.append("gaps.png")
    if found.forces and found.forces.atoms.n > 1:
        store.replace("forces.png", _force_distribution(found.forces, title(dataset)))
        written.append("forces.png")
    store.replace("README.md", card(dataset, summary, bool(found.n)).encode())
    store.replace("report.html", html_report(dataset, summary, found, title(dataset)).encode())
    # Last: that it is there, and of these rows, says that the others are.
    store.replace(SUMMARY, (json.dumps(summary, indent=2) + "\n").encode())
    return [*written, SUMMARY]


def up_to_date(dataset: Dataset) -> bool:
    """Whether all files of `write_report` are there and of the rows that are committed now."""
    store = dataset.plan.store
    try:
        summary = json.loads(store.read(SUMMARY))
        of_these_rows = summary["digest"] == dataset.digest()
        drawn = ("gaps.png",) if summary["gap_ev"]["n"] else ()
        forces = summary.get("forces")
        drawn += ("forces.png",) if forces and forces["force_on_atom_ev_per_angstrom"]["n"] > 1 else ()
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return False
    return of_these_rows and all(
        store.size(name) for name in ("failures.parquet", "README.md", "report.html", *drawn)
    )


def html_of(dataset: Dataset, summary: dict[str, Any]) -> str:
    """The HTML report alone."""
    return html_report(dataset, summary, collect_findings(dataset), title(dataset))


def _failures(dataset: Dataset) -> bytes:
    table = dataset.filter(("not_converged", "failed", "poison")).to_table(_LEDGER)
    buffer = io.BytesIO()
    pq.write_table(table.cast(pa.schema([dataset.schema.field(name) for name in _LEDGER])), buffer)
    return buffer.getvalue()


def _distribution(found: Findings, level: str) -> bytes:
    """PNG of the distribution of gaps (eV)."""
    figure, axes = panels(1, 1, 6.4, 4.0)
    draw_density(axes[0, 0], {"all labels": density(*found.histogram())}, "HOMO-LUMO gap (eV)", found.mean)
    axes[0, 0].set_title(f"{level}   n = {found.n}")
    return save(figure, "png")


def _force_distribution(forces: ForceFindings, level: str) -> bytes:
    """PNG of the distribution of the sizes of forces on atoms (eV/angstrom)."""
    figure, axes = panels(1, 1, 6.4, 4.0)
    curves = {"all atoms": density(*forces.atoms.histogram())}
    draw_density(axes[0, 0], curves, "force on an atom (eV/angstrom)")
    axes[0, 0].set_title(f"{level}   n = {forces.atoms.n}")
    return save(figure, "png")
