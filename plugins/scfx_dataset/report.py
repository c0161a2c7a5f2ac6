"""The files beside the data: dataset card, failure ledger, summary, histogram. All can be derived again at any time."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scfx_dataset.schema import SCHEMA
from scfx_dataset.summary import gaps

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
    """Write summary.json, failures.parquet, README.md and, if there is a gap, gaps.png. Returns the names written."""
    written = ["summary.json", "failures.parquet", "README.md"]
    store.replace("summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    store.replace("failures.parquet", _failures(dataset))
    values = gaps(dataset)
    if values.size:
        store.replace("gaps.png", histogram(values, title(dataset)))
        written.append("gaps.png")
    store.replace("README.md", card(dataset, summary, bool(values.size)).encode())
    return written


def title(dataset: Dataset) -> str:
    """The level of theory in a line."""
    spec = dataset.plan.identity["spec"]
    return f"{spec.get('functional', '?')}/{spec.get('basis', '?')}, {spec.get('precision', '?')}"


def _failures(dataset: Dataset) -> bytes:
    table = dataset.filter(("not_converged", "failed", "poison")).to_table(_LEDGER)
    buffer = io.BytesIO()
    pq.write_table(table.cast(pa.schema([SCHEMA.field(name) for name in _LEDGER])), buffer)
    return buffer.getvalue()


def histogram(values: np.ndarray, level: str) -> bytes:
    """PNG of the distribution of gaps (eV)."""
    # The object interface with its own canvas: no global backend is chosen, no figure is left open.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    bins = int(np.clip(2 * values.size ** (1 / 3), 8, 80))  # Rice's rule
    axes.hist(values, bins=bins, color="#3b6ea5", edgecolor="white", linewidth=0.5)
    mean = float(values.mean())
    axes.axvline(
        mean, color="#c0392b", linewidth=1.2, label=f"mean {mean:.2f} eV, s.d. {values.std():.2f} eV"
    )
    axes.set_xlabel("HOMO-LUMO gap (eV)")
    axes.set_ylabel("conformers")
    axes.set_title(f"{level}   n = {values.size}")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _size_category(rows: int) -> str:
    """Hugging Face's size categories."""
    limits = [
        (10**3, "n<1K"),
        (10**4, "1K<n<10K"),
        (10**5, "10K<n<100K"),
        (10**6, "100K<n<1M"),
        (10**7, "1M<n<10M"),
    ]
    for limit, name in [*limits, (10**8, "10M<n<100M"), (10**9, "100M<n<1B")]:
        if rows < limit:
            return name
    return "n>1B"


def card(dataset: Dataset, summary: dict[str, Any], has_histogram: bool) -> str:
    """README.md in the layout of Hugging Face's dataset cards."""
    plan = dataset.plan
    identity, counts, gap = plan.identity, plan.counts, summary["gap_ev"]
    spec = json.dumps(identity["spec"], indent=2, sort_keys=True)
    columns = "\n".join(
        f"| {f.name} | {f.type} | {(f.metadata or {}).get(b'unit', b'').decode()} | "
        f"{(f.metadata or {})[b'description'].decode().replace(' | ', ', ')} |"
        for f in dataset.schema
    )
    statuses = "\n".join(f"| {status} | {n} |" for status, n in summary["statuses"].items())
    excluded = "\n".join(f"| filter `{name}` | {n} |" for name, n in sorted(counts["excluded"].items()))
    versions = ", ".join(f"{name} {v}" for name, v in sorted(identity["versions"].items()))
    picture = "\n![Distribution of the HOMO-LUMO gap](gaps.png)\n" if has_histogram else ""
    gap_line = (
        f"HOMO-LUMO gap: mean {gap['mean']:.3f} eV, standard deviation {gap['standard_deviation']:.3f} eV, "
        f"n = {gap['n']}."
        if gap["n"]
        else "No row has a HOMO-LUMO gap."
    )
    return f"""---
license: {plan.record["license"]}
pretty_name: {json.dumps(f"{title(dataset)} labels of {plan.record['molecules']}")}
size_categories:
- {_size_category(summary["rows"])}
tags:
- chemistry
- density-functional-theory
- molecules
configs:
- config_name: default
  data_files: attempts/*.parquet
---
# {title(dataset)} labels of {plan.record["molecules"]}

{summary["rows"]} of {counts["rows"]} planned rows: {counts["molecules"]} molecules, conformers of each:
{identity["options"]["conformers"]}. Made by scfx. {gap_line}
{picture}
Read it with `scfx_dataset.open(path).to_table()`, which checks every shard against its commit. The Parquet files in
`attempts/` that `commits/` names are the data; once the dataset is complete there are no others.

## Rows

| status | rows |
|---|---|
{statuses}

Labels are null unless the status is `ok`; `reason` says why, and `failures.parquet` lists those rows.

| lines of the source | |
|---|---|
| read | {counts["lines"]} |
| unreadable (one failed row each) | {counts["unreadable"]} |
| duplicates of an earlier line | {counts["duplicates"]} |
{excluded + chr(10) if excluded else ""}| molecules kept | {counts["molecules"]} |

Every line that became no row is in `plan/excluded-*.parquet` with the reason.

## How the labels were made

Specification (hash `{identity["spec_hash"]}`):

```json
{spec}
```

Rows (options of the dataset task):

```json
{json.dumps(identity["options"], indent=2, sort_keys=True)}
```

Source file: `{plan.record["molecules"]}`, SHA-256 `{identity["molecules_sha256"]}`. Versions: {versions}.
Plan `{plan.plan_id}`.

## Columns

| column | type | unit | meaning |
|---|---|---|---|
{columns}

## Known limits

- Low-resolution labels: orbital energies of one functional in one basis are not measured gaps, and differ from those
  of larger basis sets and other functionals by tenths of an eV to several eV. A quadrature grid of low level adds
  noise of its own, which depends on the orientation of the molecule.
- Geometries are ETKDGv3 embeddings without relaxation: plausible, not minima. Stereo centres that a SMILES leaves
  open are chosen at random for each conformer.
- Bias: molecules that cannot be embedded, or whose SCF does not converge, are missing from the rows that are ok; they
  are not a random sample. What the source leaves out, this leaves out too.
- Dipoles of ions refer to the coordinate origin.
"""
