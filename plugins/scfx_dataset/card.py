"""The dataset card: README.md in the layout of Hugging Face's dataset cards."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scfx_dataset.plan import Plan
    from scfx_dataset.quality import Selected
    from scfx_dataset.reader import Dataset


#: Names of the data end in a hexadecimal digit; those of files beside them, such as `.matrices.parquet`, do not.
_DATA_FILES = "attempts/*[0-9a-f].parquet"
#: Words that YAML takes for something else than text.
_WORDS = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")


def title(dataset: Dataset | Selected) -> str:
    """Return the level of theory in a line."""
    spec = dataset.plan.identity["spec"]
    return f"{spec.get('functional', '?')}/{spec.get('basis', '?')}, {spec.get('precision', '?')}"


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
    """Return a README.md in the layout of Hugging Face's dataset cards."""
    plan = dataset.plan
    raw, gap = plan.identity, summary["gap_ev"]
    identity, counts, summary = _plain(raw), _plain(plan.counts), _plain(summary)
    level, source = _plain(title(dataset)), _plain(plan.record["molecules"])
    spec = json.dumps(raw["spec"], indent=2, sort_keys=True)
    columns = "\n".join(
        f"| {f.name} | `{f.type}` | {(f.metadata or {}).get(b'unit', b'').decode()} | "
        f"{(f.metadata or {})[b'description'].decode().replace(' | ', ', ')} |"
        for f in dataset.schema
    )
    statuses = "\n".join(f"| {status} | {n} |" for status, n in summary["statuses"].items())
    filtered = sorted(_plain(_filters(raw["options"], counts)).items())
    excluded = "\n".join(f"| filter `{name}` | {n} |" for name, n in filtered)
    versions = _versions(identity["versions"])
    others = [m for m in summary["made_with"] if m["versions"] != identity["versions"]]
    changed = "".join(f" {m['rows']} rows were made with {_versions(m['versions'])}." for m in others)
    if summary["taken_over"]:
        changed += (
            f" {sum(summary['taken_over'].values())} rows were taken over from earlier datasets: plans "
        )
        changed += ", ".join(f"`{plan_id}` ({n})" for plan_id, n in summary["taken_over"].items()) + "."
    if changed:
        changed += " The column `versions` has those of every row."
    picture = "\n![Distribution of the HOMO-LUMO gap](gaps.png)\n" if has_histogram else ""
    gap_line = (
        f"HOMO-LUMO gap: mean {gap['mean']:.3f} eV, standard deviation {gap['standard_deviation']:.3f} eV, "
        f"n = {gap['n']}."
        if gap["n"]
        else "No row has a HOMO-LUMO gap."
    )
    return f"""---
license: {_scalar(plan.record["license"])}
pretty_name: {_scalar(f"{title(dataset)} labels of {plan.record['molecules']}")}
size_categories:
- {_size_category(summary["rows"])}
tags:
- chemistry
- density-functional-theory
- quantum-chemistry
- molecules
configs:
- config_name: default
  data_files: {_DATA_FILES}
---
# {level} labels of {source}

{summary["rows"]} of {counts["rows"]} planned rows: {counts["molecules"]} molecules.
{_geometries(plan, summary)} Made by scfx. {gap_line}
{picture}
Read it with `scfx_dataset.open(path).to_table()`, which checks every shard against its commit. The Parquet files in
`attempts/` that `commits/` names are the data; once the dataset is complete there are no others. `report.html` shows
distribution, spread over conformers, failures, throughput and outliers. Split it by molecule (`dataset.split()`), never
by row: conformers of one molecule are alike.

## Rows

| status | rows |
|---|---|
{statuses}

Labels are null unless the status is `ok`; `reason` says why, and `failures.parquet` lists those rows.

| records of the source | |
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
{json.dumps(raw["options"], indent=2, sort_keys=True)}
```

Source file: `{source}`, SHA-256 `{identity["molecules_sha256"]}`. Versions: {versions}.{changed}
Plan `{_plain(plan.plan_id)}`.

## Columns

| column | type | unit | meaning |
|---|---|---|---|
{columns}

## Known limits

- Low-resolution labels: orbital energies of one functional in one basis are not measured gaps, and differ from those
  of larger basis sets and other functionals by tenths of an eV to several eV. A quadrature grid of low level adds
  noise of its own, which depends on the orientation of the molecule.
- {_geometry_limits(identity["options"])}
- Bias: molecules that have no geometry, or whose SCF does not converge, are missing from the rows that are ok; they
  are not a random sample. What the source leaves out, this leaves out too.
- Only ground states of the stated charge and multiplicity; no solvent, no temperature, no relativity.
- Dipoles of ions refer to the coordinate origin.
"""


def export_card(selected: Selected, form: str, written: Mapping[str, int]) -> str:
    """Return the card of one export: how many rows of each part were written, which filters left out how many, the
    level.

    In the layout of Hugging Face's cards, with the parts as splits for its format.
    """
    plan = selected.plan
    rows = sum(written.values())
    splits = "".join(f"  - split: {name}\n    path: {name}.parquet\n" for name, n in written.items() if n)
    configs = f"configs:\n- config_name: default\n  data_files:\n{splits}" if form == "huggingface" else ""
    parts = "\n".join(f"| {name} | {n} |" for name, n in written.items())
    counts = selected.counts
    limits = {
        name: f"`{name}`" + (f" above {limit:g} eV/angstrom" if limit else "")
        for name, limit in selected.filters.items()
    }
    left_out = "\n".join(f"| {limits[name]} | {counts[name]} |" for name in limits)
    filters = (
        f"""
Of the rows that are ok, {counts["left_out"]} were left out. A row may fail several filters:

| filter | rows that fail it |
|---|---|
{left_out}
"""
        if selected.filters
        else "\nAll rows that are ok; no filter was set.\n"
    )
    return f"""---
license: {_scalar(plan.record["license"])}
pretty_name: {_scalar(f"{title(selected)} labels of {plan.record['molecules']}")}
size_categories:
- {_size_category(rows)}
tags:
- chemistry
- density-functional-theory
- quantum-chemistry
- molecules
{configs}---
# {_plain(title(selected))} labels of {_plain(plan.record["molecules"])}

{rows} rows, exported as `{form}` from the scfx dataset of plan `{_plain(plan.plan_id)}`.

| part | rows |
|---|---|
{parts}
{filters}
Specification (hash `{plan.identity["spec_hash"]}`):

```json
{json.dumps(plan.identity["spec"], indent=2, sort_keys=True)}
```
"""


def _plain(value: Any) -> Any:
    """The same with texts that mean nothing to Markdown or HTML, however they got into names and options."""
    if isinstance(value, str):
        words = " ".join(value.split())
        return html.escape(words, quote=False).replace("`", "'").replace("|", "&#124;").replace("[", "&#91;")
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _scalar(text: Any) -> str:
    """A scalar of YAML that is this text and nothing else."""
    text = " ".join(str(text).split())
    return text if re.fullmatch(r"[A-Za-z][A-Za-z0-9.+-]*", text) and text not in _WORDS else json.dumps(text)


def _filters(options: dict[str, Any], counts: dict[str, Any]) -> dict[str, int]:
    """What each filter excluded, also those that are set and excluded nothing."""
    active = {name: 0 for name, value in (options.get("filters") or {}).items() if value not in (None, False)}
    return {**active, **counts["excluded"]}


def _geometries(plan: Plan, summary: dict[str, Any]) -> str:
    """How many geometries were asked for, where they come from, and how many are short."""
    options, counts = plan.identity["options"], plan.counts
    if options.get("geometry", "embed") == "given":
        copies = f", {options['conformers']} displaced copies of each" if options["conformers"] > 1 else ""
        return f"{counts['geometries']} geometries given by the source{copies}."
    short = summary["geometries"]["molecules_short"]
    text = f"{options['conformers']} geometries were asked of each"
    if not short:
        return f"{text}."
    missing = sum(int(k) * n for k, n in short.items())
    return (
        f"{text}; {sum(short.values())} molecules have fewer, {missing} geometries are missing (failed rows)."
    )


def _geometry_limits(options: dict[str, Any]) -> str:
    embedding = options.get("embedding") or {}
    moved = embedding.get("displacement_angstrom") or 0
    displaced = (
        f" Every Cartesian coordinate was then displaced by a normal deviate of {moved:g} angstrom."
        if moved
        else ""
    )
    if options.get("geometry", "embed") == "given":
        return f"Geometries are those of the source: minima only as far as they are there.{displaced}"
    relaxed = (
        "relaxed with MMFF94: minima of a force field, not of this level of theory"
        if embedding.get("relax") == "mmff94"
        else "without relaxation: plausible, not minima"
    )
    return (
        f"Geometries are ETKDGv3 embeddings {relaxed}.{displaced} Stereo centres that a SMILES\n  leaves open are "
        "chosen at random for each conformer."
    )
