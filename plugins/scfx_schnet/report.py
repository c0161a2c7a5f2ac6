"""Tables of a scaling run: every run, every curve's means, fits; and the figures."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scfx_schnet import dynamics, plots, relaxation
from scfx_schnet.comparisons import at_equal_compute, compare, compute_table, difference_table
from scfx_schnet.fit import DATA_LIMITED, MET, data_limited, fit_power_law, meeting_size
from scfx_schnet.runs import write_json
from scfx_schnet.targets import FORCES, thousandth


def write_scaling_report(
    root: Path,
    options: Any,
    targets: Sequence[str],
    results: Sequence[dict[str, Any]],
    facts: dict[str, dict[str, Any]],
) -> list[str]:
    """Write `results.csv`, `summary.json`, `summary.md` and the figures; returns what was written."""
    by_curve: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        by_curve[result["curve"]].append(result)
    units = next(iter(facts.values()))["units"]
    _write_runs(root / "results.csv", targets, units, results)
    summary = {name: _summary(runs, facts[name]) for name, runs in by_curve.items()}
    write_json(root / "summary.json", summary)
    text = _markdown(summary, targets)
    plots.scaling_curve(root / "scaling.png", summary, targets[0], options.reference)
    written = ["results.csv", "summary.json", "summary.md", "scaling.png"]
    pairs = [(curve.name, curve.against) for curve in options.curves if curve.against]
    if pairs:
        costs = {name: of_curve["seconds_per_label"] for name, of_curve in facts.items()}
        differences = compare(root / "runs", pairs, results, units)
        equal = at_equal_compute(pairs, results, targets, units, costs)
        write_json(root / "differences.json", {"differences": differences, "equal_compute": equal})
        written.append("differences.json")
        if differences:
            text += "\n".join(["### Differences", "", *difference_table(differences), "", ""])
            plots.differences(root / "differences.png", differences)
            written.append("differences.png")
        if equal:
            text += "\n".join(["### At the same time of making labels", "", *compute_table(equal), "", ""])
    if len(targets) > 1 and all(c["facts"]["seconds_per_label"] for c in summary.values()):
        plots.label_compute(root / "label_compute.png", summary, targets)
        written.append("label_compute.png")
    (root / "summary.md").write_text(text + _moved(results), encoding="utf-8")
    if any("judged_mae_ev" in r for r in results):
        plots.judged_curves(root / "judged.png", summary, targets[0])
        written.append("judged.png")
        if all(c["facts"]["seconds_per_label"] for c in summary.values()):
            plots.equal_compute(root / "equal_compute.png", summary, targets[0])
            written.append("equal_compute.png")
    return written


def _summary(runs: Sequence[dict[str, Any]], facts: dict[str, Any]) -> dict[str, Any]:
    law = fit_power_law(runs)
    sizes: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        sizes[run["size"]].append(run)
    return {
        "facts": facts,
        "sizes": {n: _statistics(sizes[n]) for n in sorted(sizes)},
        "data_limited_sizes": data_limited(runs),
        "power_law": law.plain() if law else None,
        "meet": meeting_size(runs),
    }


def _statistics(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of every kind of error, target by target, each in its unit."""
    out: dict[str, Any] = {"seeds": len(runs), "seconds": float(np.mean([r["seconds"] for r in runs]))}
    for key in ("train_mae_ev", "validation_mae_ev", "test_mae_ev", "judged_mae_ev", "judged_line_mae_ev"):
        values = [r[key] for r in runs if r.get(key)]
        if values:
            spread = np.std(values, axis=0, ddof=1) if len(values) > 1 else np.zeros(len(values[0]))
            out[key] = {"mean": np.mean(values, axis=0).tolist(), "std": spread.tolist()}
    for key in ("judged_rows", "calibration_rows"):
        if key in runs[0]:
            out[key] = runs[0][key]
    return out


def _write_runs(
    path: Path, targets: Sequence[str], units: Mapping[str, str], results: Sequence[dict[str, Any]]
) -> None:
    kinds = ("train", "validation", "test", "judged", "judged_line")
    columns = ["curve", "size", "seed", "epochs", "examples", "seconds"]
    thousandths = {"eV": "mev", "eV/angstrom": "mev_per_angstrom"}
    names = {t: f"{t}_mae_{thousandths.get(units[t], 'thousandths')}" for t in targets}
    columns += [f"{kind}_{names[t]}" for kind in kinds for t in targets]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for result in results:
            row = {k: result[k] for k in columns[:6]}
            for kind in kinds:
                for target, value in zip(targets, result.get(f"{kind}_mae_ev") or (), strict=False):
                    row[f"{kind}_{names[target]}"] = round(1000 * value, 3)
            writer.writerow(row)


def _markdown(summary: dict[str, Any], targets: Sequence[str]) -> str:
    lines = []
    for name, curve in summary.items():
        facts = curve["facts"]
        training, cost = facts["training"], facts["seconds_per_label"]
        lines += [
            f"### {name}",
            "",
            f"Model `{facts['model']['name']}`, {training['steps']:,} updates of {training['batch_size']}; pool "
            f"{facts['pool']:,} rows, validation {facts['validation']:,}, test {facts['test']:,}"
            + (f"; {1000 * cost:.0f} ms a label" if cost else "")
            + ". "
            + " ".join(_explained(target, facts, column) for column, target in enumerate(targets)),
            "",
        ]
        kinds = [k for k in ("train", "validation", "test", "judged") if _has(curve, k)]
        many = len(targets) > 1
        heads = [f"{kind}, {target}" if many else kind for target in targets for kind in kinds]
        lines += [f"| rows | seeds | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
        for size, row in curve["sizes"].items():
            cells = [
                _cell(row.get(f"{kind}_mae_ev"), row["seeds"], column)
                for column in range(len(targets))
                for kind in kinds
            ]
            lines.append(f"| {size:,} | {row['seeds']} | {' | '.join(cells)} |")
        lines += ["", _law_text(curve), ""]
    return "\n".join([*lines, ""])


def _explained(target: str, facts: dict[str, Any], column: int) -> str:
    unit, lazy = thousandth(facts["units"][target]), 1000 * facts["median_mae_ev"][column]
    if target == FORCES:
        return f"MAE of the forces in {unit}; predicting zero: {lazy:.0f}."
    return (
        f"MAE of the {target} in {unit}, mean ± standard deviation over seeds; predicting the pool's median: "
        f"{lazy:.0f}."
    )


def _has(curve: dict[str, Any], kind: str) -> bool:
    """Whether there is anything under a kind of error; training, validation and test always have a column."""
    return kind != "judged" or any(f"{kind}_mae_ev" in row for row in curve["sizes"].values())


def _moved(results: Sequence[dict[str, Any]]) -> str:
    """What molecules did that the potentials moved, run by run."""
    lines = []
    for section, sentence in (("relaxation", relaxation.sentence), ("dynamics", dynamics.sentence)):
        found = [result for result in results if section in result]
        if found:
            lines += [f"### {section.capitalize()}", ""]
            lines += [f"- {result['run']}: {sentence(result[section])}" for result in found]
            lines.append("")
    return "\n".join(lines)


def _cell(errors: dict[str, Any] | None, seeds: int, column: int = 0) -> str:
    """Mean in thousandths of the unit, and its spread where there are seeds enough for one."""
    if not errors:
        return ""
    mean, spread = (1000 * errors[name][column] for name in ("mean", "std"))
    return f"{mean:.0f}" + (f" ± {spread:.0f}" if seeds > 1 else "")


def _law_text(curve: dict[str, Any]) -> str:
    law, meet = curve["power_law"], curve["meet"]
    if law is None:
        text = (
            f"No power law is fitted: fewer than three sizes are limited by their data (training error at most "
            f"{DATA_LIMITED:.0%} of the validation error)."
        )
    else:
        text = (
            f"Power law over {', '.join(f'{n:,}' for n in law['sizes'])} rows, where data limits (training error at "
            f"most {DATA_LIMITED:.0%} of the validation error): exponent {law['exponent']:.3f} "
            f"(95% interval {law['exponent_low']:.3f} to {law['exponent_high']:.3f})."
        )
    if meet["size"] is None:
        return f"{text} Training and validation error do not meet (within {MET - 1:.0%}) on the way."
    how = "would meet, extrapolated from the last two sizes, near" if meet["extrapolated"] else "meet near"
    return f"{text} Training and validation error (within {MET - 1:.0%}) {how} {meet['size']:,} rows."
