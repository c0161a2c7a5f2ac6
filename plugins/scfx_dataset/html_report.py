"""The report of a dataset as one HTML file that needs no network: values for templates/dataset.html."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.model.drawing import structure_svg
from scfx.reporting.figures import density, draw_density, panels, save
from scfx.reporting.pages import render_page
from scfx.reporting.tables import Table, table
from scfx_dataset.findings import Findings, Outlier, throughput
from scfx_dataset.plots import draw_rate, draw_spread
from scfx_dataset.summary import size_text

if TYPE_CHECKING:
    from scfx_dataset.reader import Dataset

#: Statuses in words, with their colours in the bar.
_STATUSES = {
    "ok": ("ok", "#009e73"),
    "not_converged": ("not converged", "#e69f00"),
    "failed": ("failed", "#d55e00"),
    "poison": ("poison", "#5b2a86"),
}
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
_OUTLIERS = {
    "smallest": "Smallest gaps",
    "largest": "Largest gaps",
    "widest": "Widest range of the gap over conformers",
}
#: Lines of a table of reasons or of missing geometries.
_LINES = 12


def html_report(dataset: Dataset, summary: dict[str, Any], found: Findings, level: str) -> str:
    """Return the report. `summary` is that of `summarise`, `level` the level of theory."""
    plan = dataset.plan
    shown = {name: plan.identity[name] for name in ("spec", "solver", "options", "versions")}
    return render_page(
        Path(__file__).parent / "templates",
        "dataset.html",
        source=plan.record["molecules"],
        source_hash=plan.identity["molecules_sha256"],
        level=level,
        summary=summary,
        found=found,
        tiles=_tiles(summary, found),
        gap_plot=_gap_plot(found),
        spread_plot=_spread_plot(found),
        force_plots=_force_plots(found),
        force_table=_force_table(found),
        statuses=_statuses(summary),
        status_table=_status_table(summary),
        reasons=_reasons(found),
        source_table=_source_table(summary),
        short_table=_short_table(found),
        rate_plot=_rate_plot(dataset),
        stages=_stage_table(summary),
        outliers=_outliers(found),
        specification=json.dumps(shown, indent=2, sort_keys=True),
    )


def _tiles(summary: dict[str, Any], found: Findings) -> list[tuple[str, str]]:
    """Return the figures at the head: a number, and what it counts."""
    rows, ok = summary["rows"], summary["statuses"]["ok"]
    speed = summary["labels_per_worker_second"]
    return [
        (f"{ok:,}", f"labels, {100 * ok / rows:.1f} % of {rows:,} rows" if rows else "labels"),
        (f"{summary['planned']['molecules']:,}", "molecules planned"),
        (f"{found.mean:.2f} eV" if found.n else "-", f"mean gap, s.d. {found.standard_deviation:.2f} eV"),
        (f"{speed:.1f}" if speed else "-", "labels a second a worker"),
        _duration(summary["worker_seconds"].get("total", 0)),
        (size_text(summary["bytes"]), "in Parquet shards"),
    ]


def _duration(seconds: float) -> tuple[str, str]:
    """Return the time of workers in the unit in which there is at least one."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{seconds / length:,.1f}", f"worker-{unit}"
    return f"{seconds:.1f}", "worker-seconds"


def _gap_plot(found: Findings) -> bytes | None:
    if found.n < 2:
        return None
    figure, axes = panels(1, 1, 5.2, 2.5)
    draw_density(axes[0, 0], {"all labels": density(*found.histogram())}, "HOMO-LUMO gap (eV)", found.mean)
    return save(figure)


def _spread_plot(found: Findings) -> bytes | None:
    if len(found.spread) < 2:
        return None
    figure, axes = panels(1, 1, 5.2, 2.8)
    columns = np.array([(s.mean, s.low, s.high, s.deviation) for s in found.spread])
    draw_spread(axes[0, 0], *columns.T, label="HOMO-LUMO gap (eV)")
    return save(figure)


def _force_plots(found: Findings) -> list[tuple[bytes, str]]:
    """Return pictures with what they show."""
    forces = found.forces
    if forces is None or forces.atoms.n < 2:
        return []
    figure, axes = panels(1, 1, 5.2, 2.5)
    curves = {"all atoms": density(*forces.atoms.histogram())}
    draw_density(axes[0, 0], curves, "force on an atom (eV/angstrom)")
    made = [(save(figure), "kernel density of the force on an atom")]
    nets = {"net force (eV/angstrom)": forces.net_force, "net torque (eV)": forces.net_torque}
    if curves := {name: density(*each.histogram()) for name, each in nets.items() if each.n}:
        figure, axes = panels(1, 1, 5.2, 2.3)
        draw_density(axes[0, 0], curves, "decimal logarithm of the size, by row")
        made.append((save(figure), "kernel density of net force and net torque"))
    return made


def _force_table(found: Findings) -> Table | None:
    forces = found.forces
    if forces is None:
        return None
    kinds = {
        "force on an atom (eV/angstrom)": forces.atoms,
        "net force (eV/angstrom)": forces.net_force,
        "net torque (eV)": forces.net_torque,
    }
    rows = [
        (name, (each.root_mean_square, f"{each.root_mean_square:.3g}"), (each.largest, f"{each.largest:.3g}"),
         each.row_id)
        for name, each in kinds.items()
        if each.n
    ]  # fmt: skip
    return table(("", "root mean square", "largest", "in row"), rows)


def _statuses(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of the bar: name, rows, share in per cent, colour."""
    rows = max(1, summary["rows"])
    return [
        {"name": name, "rows": count, "share": 100 * count / rows, "colour": colour}
        for key, (name, colour) in _STATUSES.items()
        if (count := summary["statuses"].get(key))
    ]


def _status_table(summary: dict[str, Any]) -> Table:
    rows = max(1, summary["rows"])
    return table(
        ("status", "rows", "share"),
        [
            (_STATUSES[key][0], n, (100 * n / rows, f"{100 * n / rows:.2f} %"))
            for key, n in summary["statuses"].items()
        ],
    )


def _reasons(found: Findings) -> Table | None:
    top = found.reasons.most_common(_LINES)
    if not top:
        return None
    words = [
        (f"{_STATUSES[status][0] if status in _STATUSES else status}: {reason}", n)
        for (status, reason), n in top
    ]
    return table(("reason (numbers as #)", "rows"), words)


def _source_table(summary: dict[str, Any]) -> Table:
    planned = summary["planned"]
    rows = [
        ("records read", planned["lines"]),
        ("unreadable (a failed row each)", planned["unreadable"]),
        ("duplicates", planned["duplicates"]),
        *((f"filtered by {name}", n) for name, n in sorted(planned["excluded"].items())),
        ("molecules planned", planned["molecules"]),
    ]
    return table(("source", "records"), rows)


def _short_table(found: Findings) -> Table | None:
    """Return molecules by how many of their geometries are missing; None where all are there."""
    if not any(found.short):
        return None
    total = sum(found.short.values())
    rows = [
        (
            f"{k} geometr{'y' if k == 1 else 'ies'} short" if k else "all geometries",
            n,
            (100 * n / total, f"{100 * n / total:.1f} %"),
        )
        for k, n in sorted(found.short.items())[:_LINES]
    ]
    return table(("geometries", "molecules", "share"), rows)


def _rate_plot(dataset: Dataset) -> bytes | None:
    hours, rate = throughput(dataset)
    if not hours.size:
        return None
    figure, axes = panels(1, 1, 5.2, 2.2)
    draw_rate(axes[0, 0], hours, rate)
    return save(figure)


def _stage_table(summary: dict[str, Any]) -> Table | None:
    stages = {name: seconds for name, seconds in summary["worker_seconds"].items() if name != "total"}
    busy = sum(stages.values())
    if not busy:
        return None
    shares = sorted(((seconds / busy, name) for name, seconds in stages.items()), reverse=True)
    rows = [
        (_STAGES.get(name, name.replace("_", " ")), (100 * share, f"{100 * share:.1f} %"))
        for share, name in shares
        if share > 5e-3
    ]
    return table(("stage", "share of the time"), rows)


def _outliers(found: Findings) -> list[tuple[str, list[tuple[Outlier, bytes]]]]:
    """Return groups of outliers with their titles, each with its structure."""
    return [
        (_OUTLIERS[name], [(outlier, structure_svg(outlier.smiles).encode()) for outlier in outliers])
        for name, outliers in found.outliers.items()
        if outliers
    ]
