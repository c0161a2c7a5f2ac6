"""Tables and the figure of a `finetune` task: each way against from scratch, paired by seed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scfx_schnet import plots
from scfx_schnet.fit import interval
from scfx_schnet.runs import write_json
from scfx_schnet.targets import thousandth


def compare(results: list[dict[str, Any]], column: int = 0) -> dict[int, dict[str, Any]]:
    """Return, by size, the test MAE (thousandths of the unit; of validation rows where no test rows are set apart) of
    one target by seed, of each way and from scratch.

    {size: {"seeds", "scratch": [...], "ways": {way: {"errors": [...], "gain", "low", "high"}}}}; gains are paired by
    seed, with Student's 95 % interval.
    """
    out: dict[int, dict[str, Any]] = {}
    ways = list(dict.fromkeys(r["start"] for r in results))
    for size in sorted({r["size"] for r in results}):
        errors = {
            way: {
                r["seed"]: 1000 * (r["test_mae_ev"] or r["validation_mae_ev"])[column]
                for r in results
                if r["size"] == size and r["start"] == way
            }
            for way in ways
        }
        seeds = sorted(set.intersection(*(set(of_seed) for of_seed in errors.values())))
        if not seeds or "scratch" not in errors:
            continue
        scratch = [errors["scratch"][s] for s in seeds]
        row: dict[str, Any] = {"seeds": seeds, "scratch": scratch, "ways": {}}
        for way in (w for w in ways if w != "scratch"):
            own = [errors[way][s] for s in seeds]
            gain, low, high = interval([a - b for a, b in zip(scratch, own, strict=True)])
            row["ways"][way] = {"errors": own, "gain": gain, "low": low, "high": high}
        out[size] = row
    return out


def write_report(
    root: Path, results: list[dict[str, Any]], facts: dict[str, Any], targets: Sequence[str]
) -> list[str]:
    """Write `results.csv`, `summary.json`, `summary.md` and a figure of the first target."""
    kinds = ("train", "validation", "test")
    with (root / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        heads = [f"{kind}_{target}_mae_thousandths" for target in targets for kind in kinds]
        writer.writerow(["start", "size", "seed", *heads, "seconds"])
        for r in results:
            errors = [
                round(1000 * r[f"{kind}_mae_ev"][column], 3) if r[f"{kind}_mae_ev"] else ""
                for column in range(len(targets))
                for kind in kinds
            ]
            writer.writerow([r["start"], r["size"], r["seed"], *errors, r["seconds"]])
    found = {target: compare(results, column) for column, target in enumerate(targets)}
    write_json(root / "summary.json", {"facts": facts, "sizes": found[targets[0]], "targets": found})
    lines = [
        "| rows | seeds | target | from scratch | way | error | gain, 95 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for target, sizes in found.items():
        unit = thousandth(facts["units"][target])
        for size, row in sizes.items():
            for way, values in row["ways"].items():
                lines.append(
                    f"| {size:,} | {len(row['seeds'])} | {target}, {unit} | {np.mean(row['scratch']):.1f} | {way} | "
                    f"{np.mean(values['errors']):.1f} | {values['gain']:.1f} "
                    + (
                        f"[{values['low']:.1f}, {values['high']:.1f}] |"
                        if len(row["seeds"]) > 1
                        else "(one seed) |"
                    )
                )
    (root / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    written = ["results.csv", "summary.json", "summary.md"]
    if found[targets[0]]:
        unit = thousandth(facts["units"][targets[0]])
        plots.paired_bars(root / "finetune.png", found[targets[0]], targets[0], unit)
        written.append("finetune.png")
    return written
