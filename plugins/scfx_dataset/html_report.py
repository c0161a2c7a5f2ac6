"""A report of a dataset as one HTML file that needs no network: figures and structures are in it as SVG."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx_dataset.drawing import inline, structure_svg
from scfx_dataset.findings import Findings, throughput
from scfx_dataset.plots import draw_density, draw_rate, draw_spread, figure, kde, save
from scfx_dataset.summary import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scfx_dataset.reader import Dataset

_STYLE = """
:root { color-scheme: light; --ink: #1f2933; --soft: #5b6672; --line: #dfe3e8; --blue: #2f6690; --paper: #ffffff; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 8px; }
p { margin: 0 0 12px; }
.soft { color: var(--soft); font-size: .92rem; overflow-wrap: anywhere; }
section, .tile { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; }
section { padding: 16px 18px; margin-top: 16px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-top: 16px; }
.tile { padding: 12px 14px; }
.tile b { display: block; font-size: 1.35rem; line-height: 1.3; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 16px; }
.pair section { margin-top: 0; min-width: 0; }
.pair { margin-top: 16px; }
.wide { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; }
.plot { max-width: 780px; margin: 0 auto 8px; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; padding: 5px 0 5px 12px; }
td.n { white-space: nowrap; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(135px, 1fr)); gap: 12px; margin-bottom: 14px; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: 8px; font-size: .86rem; margin: 0; }
.card code { display: block; overflow-wrap: anywhere; color: var(--soft); }
h3 { font-size: .95rem; margin: 16px 0 8px; }
.bar { display: flex; height: 14px; border-radius: 7px; overflow: hidden; background: var(--line); margin: 4px 0 12px; }
.bar i { display: block; height: 100%; }
pre { overflow-x: auto; background: #f4f6f8; padding: 10px; border-radius: 6px; font-size: .82rem; }
summary { cursor: pointer; color: var(--blue); }
@media (max-width: 600px) {
  main { padding: 16px 10px 48px; }
  section { padding: 12px; }
  .plot svg { overflow: visible; }
  .plot svg text { font-size: 11px !important; }
}
"""
#: Nothing in the report runs or is fetched, whatever a text in it should be.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_COLOURS = {"ok": "#3c8d5a", "not_converged": "#d9a441", "failed": "#c1432e", "poison": "#5b2a86"}
#: Stages of the solver and of an attempt in words; others, as of properties, are words but for underscores.
_STAGES = {
    "compile": "compiling",
    "coulomb_exchange": "Coulomb and exchange",
    "density_fitting": "density fitting",
    "diagonalise": "diagonalisation",
    "embedding": "embedding of conformers (beside the solver)",
    "exchange_correlation": "exchange-correlation",
    "fock": "Fock matrix and DIIS",
    "grid": "integration grid",
    "guess": "initial guess",
    "one_electron": "one-electron integrals",
    "prepare": "preparation of batches",
    "quadrature": "orbitals on the grid",
    "scf": "self-consistent field",
    "start": "start of the workers",
    "two_electron": "two-electron integrals",
    "write": "writing",
}
_TITLES = {
    "smallest": "Smallest gaps",
    "largest": "Largest gaps",
    "widest": "Widest range of the gap over conformers",
}


def html_report(dataset: Dataset, summary: dict[str, Any], found: Findings, level: str) -> str:
    """The report. `summary` is that of `summarise`, `found` that of `collect_findings`, `level` the level of theory."""
    title = f"{level}: {dataset.plan.record['molecules']}"
    body = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="soft">plan {_text(summary["plan_id"])} · spec {_text(summary["spec_hash"][:16])} · '
        f"{summary['shards_committed']} of {summary['planned']['shards']} shards committed</p>",
        _tiles(summary, found),
        _distribution(found),
        _spread(found),
        _forces(found),
        '<div class="pair">',
        _statuses(summary, found),
        _source(summary, found),
        "</div>",
        _throughput(dataset, summary),
        _outliers(found),
        _specification(dataset),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _text(value: Any) -> str:
    return html.escape(str(value))


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{''.join(parts)}</section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Numbers (from the second column on) are set to the right."""

    def cell(tag: str, value: Any, i: int, n: int) -> str:
        right = ' class="n"' if i == n - 1 and n > 1 else ""
        return f"<{tag}{right}>{_text(f'{value:,}' if isinstance(value, int) else value)}</{tag}>"

    def line(tag: str, values: Sequence[Any]) -> str:
        return "<tr>" + "".join(cell(tag, v, i, len(values)) for i, v in enumerate(values)) + "</tr>"

    return (
        f'<div class="wide"><table>{line("th", head)}{"".join(line("td", row) for row in rows)}</table></div>'
    )


def _tiles(summary: dict[str, Any], found: Findings) -> str:
    rows, ok = summary["rows"], summary["statuses"]["ok"]
    speed = summary["labels_per_worker_second"]
    tiles = [
        (f"{ok:,}", f"labels, {100 * ok / rows:.1f} % of {rows:,} rows" if rows else "labels"),
        (f"{summary['planned']['molecules']:,}", "molecules planned"),
        (f"{found.mean:.2f} eV" if found.n else "-", f"mean gap, s.d. {found.standard_deviation:.2f} eV"),
        (f"{speed:.1f}" if speed else "-", "labels a second a worker"),
        _duration(summary["worker_seconds"].get("total", 0)),
        (size_text(summary["bytes"]), "in Parquet shards"),
    ]
    inner = "".join(
        f'<div class="tile"><b>{_text(big)}</b><span class="soft">{_text(small)}</span></div>'
        for big, small in tiles
    )
    return f'<div class="tiles">{inner}</div>'


def _duration(seconds: float) -> tuple[str, str]:
    """Time of workers, in the unit in which there is at least one."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{seconds / length:,.1f}", f"worker-{unit}"
    return f"{seconds:.1f}", "worker-seconds"


def _distribution(found: Findings) -> str:
    if found.n < 2:
        return _section("HOMO-LUMO gap", "<p>Too few rows have a gap to draw a distribution.</p>")
    centres, counts = found.histogram()
    made, axes = figure(6.4, 3.0)
    draw_density(axes, {"all labels": kde(centres, counts)}, "HOMO-LUMO gap (eV)", found.mean)
    note = (
        f"Kernel density of {found.n:,} labels (Silverman's width): mean {found.mean:.3f} eV, standard deviation "
        f"{found.standard_deviation:.3f} eV, {found.minimum:.3f} to {found.maximum:.3f} eV."
    )
    return _section(
        "HOMO-LUMO gap", _figure(made, "kernel density of the HOMO-LUMO gap"), f'<p class="soft">{note}</p>'
    )


def _spread(found: Findings) -> str:
    if len(found.spread) < 2:
        return ""
    made, axes = figure(6.4, 3.4)
    columns = np.array([(s.mean, s.low, s.high, s.deviation) for s in found.spread])
    draw_spread(axes, *columns.T, label="HOMO-LUMO gap (eV)")
    shown = (
        f"{len(found.spread):,} of {found.spread_of:,}"
        if found.spread_of > len(found.spread)
        else f"{found.spread_of:,}"
    )
    note = (
        f"{shown} molecules with at least two labels, in order of their mean gap, as in figure 4 of the QM1B "
        "paper (arXiv 2311.01135). Over the conformers of a molecule the standard deviation is "
        f"{found.mean_deviation:.3f} eV on average; over all labels it is {found.standard_deviation:.3f} eV."
    )
    return _section(
        "Spread over conformers",
        _figure(made, "gap of each molecule over its conformers"),
        f'<p class="soft">{note}</p>',
    )


def _forces(found: Findings) -> str:
    forces = found.forces
    if forces is None:
        return ""
    if forces.atoms.n < 2:
        return _section("Forces", "<p>Too few rows have forces to draw a distribution.</p>")
    made, axes = figure(6.4, 3.0)
    draw_density(axes, {"all atoms": kde(*forces.atoms.histogram())}, "force on an atom (eV/angstrom)")
    parts = [_figure(made, "kernel density of the force on an atom")]
    nets = {"net force (eV/angstrom)": forces.net_force, "net torque (eV)": forces.net_torque}
    if curves := {name: kde(*each.histogram()) for name, each in nets.items() if each.n}:
        made, axes = figure(6.4, 2.6)
        draw_density(axes, curves, "size of a row's, decimal logarithm")
        parts.append(_figure(made, "kernel density of net force and net torque"))
    rows = [
        (name, f"{each.root_mean_square:.3g}", f"{each.largest:.3g}", each.row_id)
        for name, each in {"force on an atom (eV/angstrom)": forces.atoms, **nets}.items()
        if each.n
    ]
    parts.append(_table(("", "root mean square", "largest", "in row"), rows))
    without = f" {forces.without:,} rows that are ok have none (property_reasons)." if forces.without else ""
    parts.append(
        f'<p class="soft">Of {forces.rows:,} rows.{without} A net force is rounding, or a fault: it is zero on any '
        "grid, and nothing is subtracted. A net torque is the noise of the grid, whose points do not turn with the "
        "molecule.</p>"
    )
    return _section("Forces", *parts)


def _statuses(summary: dict[str, Any], found: Findings) -> str:
    rows = max(1, summary["rows"])
    bar = "".join(
        f'<i style="width:{100 * n / rows:.3f}%;background:{_COLOURS[status]}" title="{_text(status)}: {n}"></i>'
        for status, n in summary["statuses"].items()
    )
    shares = [
        (s.replace("_", " "), f"{n:,} ({100 * n / rows:.2f} %)") for s, n in summary["statuses"].items()
    ]
    parts = [f'<div class="bar">{bar}</div>', _table(("status", "rows"), shares)]
    if found.reasons:
        parts.append("<h3>Why rows are not ok</h3>")
        top = found.reasons.most_common(12)
        parts.append(
            _table(
                ("reason (numbers as #)", "rows"), [(f"{s.replace('_', ' ')}: {r}", n) for (s, r), n in top]
            )
        )
    return _section("Rows", *parts)


def _source(summary: dict[str, Any], found: Findings) -> str:
    planned = summary["planned"]
    lines = [("records read", planned["lines"]), ("unreadable (a failed row each)", planned["unreadable"])]
    lines += [("duplicates", planned["duplicates"])]
    lines += [(f"filtered by {name}", n) for name, n in sorted(planned["excluded"].items())]
    lines += [("molecules planned", planned["molecules"])]
    parts = [_table(("source", ""), lines)]
    if any(found.short):
        total = sum(found.short.values())
        rows = [
            (
                f"{k} geometr{'y' if k == 1 else 'ies'} short" if k else "all geometries",
                f"{n:,} ({100 * n / total:.1f} %)",
            )
            for k, n in sorted(found.short.items())
        ]
        parts += ["<h3>Geometries made, of those asked for</h3>", _table(("molecules with", ""), rows[:12])]
    return _section("What became of the source", *parts)


def _throughput(dataset: Dataset, summary: dict[str, Any]) -> str:
    hours, rate = throughput(dataset)
    stages = {k: v for k, v in summary["worker_seconds"].items() if k != "total"}
    busy = sum(stages.values())
    parts = []
    if hours.size:
        made, axes = figure(6.4, 2.6)
        draw_rate(axes, hours, rate)
        parts.append(_figure(made, "labels a second over time"))
    if busy:
        shares = sorted(((v / busy, k) for k, v in stages.items()), reverse=True)
        rows = [
            (_STAGES.get(name, name.replace("_", " ")), f"{100 * share:.1f} %")
            for share, name in shares
            if share > 5e-3
        ]
        parts.append(_table(("stage", "share of the time"), rows))
    return _section("Throughput", *parts) if parts else ""


def _outliers(found: Findings) -> str:
    groups = []
    for name, outliers in found.outliers.items():
        cards = "".join(
            f'<figure class="card">{structure_svg(o.smiles)}<figcaption><b>{_text(o.text)}</b> '
            f"<span class='soft'>row {o.row_id}</span><code>{_text(o.smiles)}</code></figcaption></figure>"
            for o in outliers
        )
        if cards:
            groups.append(f'<h3>{_TITLES[name]}</h3><div class="cards">{cards}</div>')
    return _section("Rows to look at", *groups) if groups else ""


def _specification(dataset: Dataset) -> str:
    identity = dataset.plan.identity
    shown = {name: identity[name] for name in ("spec", "solver", "options", "versions")}
    dump = json.dumps(shown, indent=2, sort_keys=True)
    return _section(
        "How the labels were made",
        "<p class='soft'>Labels are those of this functional in this basis on this grid: compare them with other "
        "levels of theory before measuring anything against experiment. Source "
        f"{_text(dataset.plan.record['molecules'])}, SHA-256 {_text(identity['molecules_sha256'])}.</p>",
        f"<details><summary>Specification, options and versions</summary><pre>{_text(dump)}</pre></details>",
    )


def _figure(made: Any, label: str) -> str:
    svg = inline(save(made).decode())
    return f'<div class="plot" role="img" aria-label="{_text(label)}">{svg}</div>'
