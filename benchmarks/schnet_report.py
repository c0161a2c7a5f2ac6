"""Puts what was measured into docs/measurements/schnet.md, between its `<!-- measured: NAME -->` marks, with figures.

    python benchmarks/schnet_report.py --scaling out/scaling --qm9 out/qm9-curve --finetune out/finetune \
        --qm9-levers out/qm9-curve \
        --variants out/variants --compute out/equal-compute --speed out/schnet_speed.json \
        --quality out/label-quality --quality-painn out/label-quality --forces out/potential-scaling/curves \
        --potential out/potential \
        --fidelity out/potential-finetune --pcq out/finetune-pcq --force-speed out/schnet_force_speed.json --budget out

Every part that is given replaces its section; the others stay. Numbers come from the tasks' own summary.json and
from benchmarks/schnet_speed.py, so that no number on the page is typed by hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pages import DOCS, picture, put
from potentials_report import budget, forces, headed, potential, quality, with_spread


def scaling(folder: Path) -> str:
    return (
        picture(folder / "scaling.png", "schnet_scaling.png", "error against training rows")
        + "\n"
        + headed(folder)
    )


def qm9(folder: Path) -> str:
    summary = json.loads((folder / "summary.json").read_text())
    lines = ["| updates | molecules | seeds | train | validation | test |", "|---|---|---|---|---|---|"]
    for curve in summary.values():
        for size, row in curve["sizes"].items():
            errors = [mev(row.get(f"{kind}_mae_ev")) for kind in ("train", "validation", "test")]
            lines.append(
                f"| {curve['facts']['training']['steps']:,} | {int(size):,} | {row['seeds']} | {' | '.join(errors)} |"
            )
    baseline = 1000 * next(iter(summary.values()))["facts"]["median_mae_ev"][0]
    return "\n".join(lines) + f"\n\nThe median predictor's validation error is {baseline:.0f} meV.\n"


def qm9_levers(folder: Path) -> str:
    """The curves of 2,000 updates, each with its model, beside each other."""
    summary = json.loads((folder / "summary.json").read_text())
    lines = [
        "| network | readout | peak of the rate | updates | molecules | seeds | train | validation | test | minutes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, curve in summary.items():
        training, model = curve["facts"]["training"], curve["facts"]["model"]
        for size, row in curve["sizes"].items():
            errors = [mev(row.get(f"{kind}_mae_ev")) for kind in ("train", "validation", "test")]
            results = [
                json.loads(p.read_text()) for p in folder.glob(f"runs/{name}/n{size}-seed*/result.json")
            ]
            minutes = sum(result["seconds"] for result in results) / len(results) / 60
            cells = (
                f"`{model['name']}`", model.get("readout", "mean"), f"{training['schedule']['peak']:g}",
                f"{training['steps']:,}", f"{int(size):,}", row["seeds"], *errors, f"{minutes:.1f}",
            )  # fmt: skip
            lines.append(f"| {' | '.join(map(str, cells))} |")
    facts = next(iter(summary.values()))["facts"]
    return "\n".join(lines) + (
        f"\n\n{facts['validation']:,} molecules for validation and {facts['test']:,} for test; the median predictor's "
        f"validation error is {1000 * facts['median_mae_ev'][0]:.0f} meV.\n"
    )


def mev(errors: dict[str, Any] | None) -> str:
    return f"{1000 * errors['mean'][0]:.0f}" if errors else ""


def finetune(folder: Path, data: str = "QM9's gap", figure: str = "schnet_finetune.png") -> str:
    facts = json.loads((folder / "summary.json").read_text())["facts"]
    removed = (
        f"{facts['molecules_removed']:,} molecules ({facts['rows_removed']:,} of {facts['rows']:,} rows) occur in the "
        f"{facts['pretraining_data_rows']:,} rows of the generated set and are removed."
        if facts["rows_removed"]
        else f"{facts['rows']:,} rows, and {facts['pretraining_data_rows']:,} of cheap labels; no molecule that is "
        "asked about is in a pre-training."
    )
    asked = "test" if facts["test"] else "validation"
    text = (
        f"{data}: {removed} {facts['training']['steps']:,} updates of {facts['training']['batch_size']} on the better "
        f"labels, {facts.get('pretraining', facts['training'])['steps']:,} on the cheap ones before (`heads`: all of "
        f"them at once); MAE on {facts[asked]:,} {asked} rows, means over seeds.\n\n"
    )
    table = (folder / "summary.md").read_text(encoding="utf-8")
    return text + table + picture(folder / "finetune.png", figure, "each way against from scratch")


def fidelity(folder: Path) -> str:
    return finetune(folder, "Energies and forces in 6-31G*, the cheap ones in STO-3G", "schnet_fidelity.png")


def quality_painn(folder: Path) -> str:
    return quality(folder, "painn", "schnet_label_quality_painn.png")


def pcq(folder: Path) -> str:
    return finetune(folder, "The gap of a sample of PCQM4Mv2", "schnet_pcq.png")


def force_speed(path: Path) -> str:
    return speed(path).replace("Updates on batches", "Updates on energies and forces, on batches")


def variants(folder: Path) -> str:
    return judged(folder) + picture(
        folder / "judged.png", "schnet_judged.png", "kinds of labels judged by better ones"
    )


def compute(folder: Path) -> str:
    return judged(folder) + picture(
        folder / "equal_compute.png", "schnet_equal_compute.png", "error against cost of the labels"
    )


def judged(folder: Path) -> str:
    """Every curve by its own labels and by the judge's: means and standard deviations over seeds, meV."""
    summary = json.loads((folder / "summary.json").read_text())
    lines = [
        "| labels | ms a label | rows | seeds | own test | judged | judged, after a line |",
        "|---|---|---|---|---|---|---|",
    ]
    first = next(iter(summary.values()))
    about = next(iter(first["sizes"].values()))
    for name, curve in summary.items():
        cost = curve["facts"]["seconds_per_label"]
        for size, row in curve["sizes"].items():
            errors = [with_spread(row.get(f"{k}_mae_ev")) for k in ("test", "judged", "judged_line")]
            cells = (
                f"`{name}`",
                f"{1000 * cost:.0f}" if cost else "-",
                f"{int(size):,}",
                row["seeds"],
                *errors,
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    training = first["facts"]["training"]
    return (
        f"Model `{first['facts']['model']['name']}`, {training['steps']:,} updates of {training['batch_size']}. MAE of "
        f"the gap in meV, mean ± standard deviation over seeds; judged on {about['judged_rows']:,} rows of molecules "
        f"that nobody was trained on, the line fitted to {about['calibration_rows']} other rows.\n\n"
        + "\n".join(lines)
    )


def speed(path: Path) -> str:
    found = json.loads(path.read_text())
    lines = [
        f"Updates on batches of 32 molecules of 14 to 27 atoms, {found['threads']} thread(s), alternating, by "
        f"{found['clock']} time:",
        "",
        "| preset | molecules/s | PyTorch Geometric | ratio, median | quartiles |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        low, high = row["ratio_quartiles"]
        lines.append(
            f"| `{row['preset']}` | {row['molecules_per_second']:,.0f} | {row['pyg_molecules_per_second']:,.0f} | "
            f"{row['ratio_median']:.2f} | {low:.2f} to {high:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = {
        "scaling": scaling, "qm9": qm9, "qm9_levers": qm9_levers, "finetune": finetune, "variants": variants,
        "compute": compute, "speed": speed, "quality": quality, "quality_painn": quality_painn,
        "forces": forces, "potential": potential,
        "fidelity": fidelity, "pcq": pcq, "force_speed": force_speed, "budget": budget,
    }  # fmt: skip
    for name in parts:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path)
    given = vars(parser.parse_args())
    put(
        DOCS / "measurements" / "schnet.md",
        {name: make(given[name]) for name, make in parts.items() if given[name] is not None},
    )


if __name__ == "__main__":
    main()
