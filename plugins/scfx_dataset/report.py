"""The files beside the data: card, HTML report, failure ledger, summary, distribution. All can be derived again."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from scfx_dataset.card import card, title
from scfx_dataset.findings import Findings, look
from scfx_dataset.html_report import html_report
from scfx_dataset.plots import draw_density, figure, kde, save

if TYPE_CHECKING:
    from scfx_dataset.reader import Dataset
    from scfx_dataset.store import AbstractStore

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
    """Write summary.json, failures.parquet, README.md, report.html and, if there is a gap, gaps.png.

    Returns the names written.
    """
    written = ["summary.json", "failures.parquet", "README.md", "report.html"]
    store.replace("summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    store.replace("failures.parquet", _failures(dataset))
    found = look(dataset)
    if found.n:
        store.replace("gaps.png", _distribution(found, title(dataset)))
        written.append("gaps.png")
    store.replace("README.md", card(dataset, summary, bool(found.n)).encode())
    store.replace("report.html", html_report(dataset, summary, found, title(dataset)).encode())
    return written


def html_of(dataset: Dataset, summary: dict[str, Any]) -> str:
    """The HTML report alone."""
    return html_report(dataset, summary, look(dataset), title(dataset))


def _failures(dataset: Dataset) -> bytes:
    table = dataset.filter(("not_converged", "failed", "poison")).to_table(_LEDGER)
    buffer = io.BytesIO()
    pq.write_table(table.cast(pa.schema([dataset.schema.field(name) for name in _LEDGER])), buffer)
    return buffer.getvalue()


def _distribution(found: Findings, level: str) -> bytes:
    """PNG of the distribution of gaps (eV)."""
    made, axes = figure(6.4, 4.0)
    draw_density(axes, {"all labels": kde(*found.histogram())}, "HOMO-LUMO gap (eV)", found.mean)
    axes.set_title(f"{level}   n = {found.n}")
    return save(made, "png")
