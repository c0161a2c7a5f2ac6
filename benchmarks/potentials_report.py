"""Sections about potentials for `schnet_report.py`, from the folders that the tasks write."""

from __future__ import annotations

import csv
import json
import statistics
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from pages import DOCS, picture
from scfx_schnet.comparisons import difference_table

EXAMPLES = DOCS.parent / "examples"


def headed(folder: Path) -> str:
    """The task's own summary, its headings one level down."""
    return (folder / "summary.md").read_text(encoding="utf-8").replace("### ", "#### ")


def with_spread(errors: dict[str, Any] | None, column: int = 0) -> str:
    return f"{1000 * errors['mean'][column]:.0f} ± {1000 * errors['std'][column]:.0f}" if errors else ""


def quality(folder: Path, networks: str = "potentials", figure: str = "schnet_label_quality.png") -> str:
    """What each kind of labels costs and does; the differences that its intervals tell from nothing are marked."""
    potentials = folder / networks
    summary = json.loads((potentials / "summary.json").read_text())
    differences = json.loads((potentials / "differences.json").read_text())["differences"]
    first = next(iter(summary.values()))
    size, about = list(first["sizes"].items())[-1]
    training = first["facts"]["training"]
    lines = [
        f"{first['facts']['rows']:,} geometries of {first['facts']['molecules']} molecules; "
        f"`{first['facts']['model']['name']}`, {int(size):,} rows, {training['steps']:,} updates of "
        f"{training['batch_size']}, {about['seeds']} seeds; judged on {about['judged_rows']:,} rows of molecules that "
        "nobody was trained on. Mean absolute errors, forces in meV/angstrom and energies in meV; of the labels "
        "against the reference, of the networks by the judge's labels, mean ± standard deviation over seeds:",
        "",
        "| labels | ms a label | their forces are off by | their relative energies | network: forces | forces of the "
        "test part by its own labels | relative energies |",
        "|---|---|---|---|---|---|---|",
    ]
    off = _label_errors(folder / "labels")
    for name, curve in summary.items():
        row, cost = list(curve["sizes"].values())[-1], curve["facts"]["seconds_per_label"]
        option = curve["facts"]["labels"].partition(" ")[2]
        relative = [
            1000 * float(np.load(path)["relative energy"].mean())
            for path in (potentials / "runs" / name).glob(f"n{size}-seed*/by_molecule.npz")
        ]
        cells = [*off.get(option, ["-", "-"])]
        cells += [with_spread(row[key], 1) for key in ("judged_mae_ev", "test_mae_ev")]
        cells.append(f"{np.mean(relative):.0f} ± {np.std(relative, ddof=1):.0f}" if len(relative) > 1 else "")
        lines.append(f"| `{name}` | {1000 * cost:.0f} | {' | '.join(cells)} |")
    lines += [
        "",
        "Differences of what is asked of the networks, with 95 % intervals over seeds and molecules; bold: the "
        "interval does not contain zero.",
        "",
        *difference_table(differences),
        "",
        *moved(potentials),
        "",
    ]
    caption = "differences between kinds of labels"
    return "\n".join(lines) + picture(potentials / "differences.png", figure, caption)


def _label_errors(study: Path) -> dict[str, list[str]]:
    """Mean absolute errors of the labels of each option against the study's reference: forces, relative energies."""
    forces, energies = (
        {row["option"]: row for row in csv.DictReader((study / name).open()) if row.get(key) == value}
        for name, key, value in (
            ("forces.csv", "element", "all"), ("statistics.csv", "quantity", "relative_energy"),
        )
    )  # fmt: skip
    return {
        option: [f"{float(row['mae']):.3g}", f"{float(energies[option]['mae']):.3g}"]
        for option, row in forces.items()
    }


def moved(folder: Path) -> list[str]:
    """What became of the molecules that the potentials moved, a line for each curve, all seeds together."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("runs/*/*/result.json")):
        result = json.loads(path.read_text())
        if "dynamics" in result:
            found.setdefault(result["curve"], []).append(result)
    if not found:
        return []
    options = next(iter(found.values()))[0]["dynamics"]["options"]
    lines = [
        f"Dynamics of {options['picoseconds']:g} ps in steps of {options['timestep']:g} fs, and relaxations, of "
        "molecules that nobody was trained on; all seeds:",
        "",
        "| labels | trajectories | with a broken bond | drift, median, meV per atom and ps | largest | relaxed | above "
        "the level's minimum, median, meV | largest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, results in found.items():
        broken = [b for r in results for b in r["dynamics"]["broken"]]
        drifts = sorted(
            abs(d) for r in results for d in r["dynamics"]["drift_mev_per_atom_ps"] if d is not None
        )
        relaxed = [done for r in results for done in r.get("relaxation", {}).get("relaxed", [])]
        above = sorted(
            a for r in results for a in r.get("relaxation", {}).get("above_mev", []) if a is not None
        )
        cells = [
            len(broken), sum(map(bool, broken)), f"{statistics.median(drifts):.3f}", f"{drifts[-1]:.3f}",
            f"{sum(relaxed)} of {len(relaxed)}",
            f"{statistics.median(above):.1f}" if above else "", f"{above[-1]:.1f}" if above else "",
        ]  # fmt: skip
        lines.append(f"| `{name}` | {' | '.join(map(str, cells))} |")
    return lines


def forces(folder: Path) -> str:
    """Curves by molecules, by conformers and of energies alone; differences at equal rows and equal compute."""
    caption = "errors against the time of making labels"
    return headed(folder) + picture(folder / "label_compute.png", "schnet_label_compute.png", caption)


def potential(folder: Path) -> str:
    return (folder / "summary.md").read_text(encoding="utf-8")


def budget(folder: Path) -> str:
    """What the examples ask for as they stand, and what was run of them, at the rates of the runs below `folder`."""
    lines = [
        "| example | labels | hours | samples seen | hours | run here: labels | samples | hours in all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    examples = (
        ("study_label_quality", folder / "label-quality" / "potentials"),
        ("potential_scaling", folder / "potential-scaling" / "curves"),
        ("potential_finetune", folder / "potential-finetune"),
        ("schnet_scaling", folder / "scaling"),
        ("schnet_finetune", folder / "finetune"),
        ("schnet_pcq", folder / "finetune-pcq"),
    )
    for name, runs in examples:
        if not (runs / "summary.json").exists():
            continue
        found = [json.loads(path.read_text()) for path in runs.glob("runs/**/result.json")]
        done = json.loads((runs / "summary.json").read_text())
        table = tomllib.loads((EXAMPLES / f"{name}.toml").read_text())
        tasks = {task["name"]: task for task in table["task"]}
        maker = tasks.get("study", tasks.get("dataset"))
        if maker and next(iter(done.values()))["facts"]["labels"].split()[0] != maker["output"]:
            continue  # run on other labels, whose cost says nothing about these
        labels, label_hours, made, made_hours = _labels(tasks, done)
        training = tasks["scaling" if "scaling" in tasks else "finetune"]
        per_sample = statistics.median(r["seconds"] / r["examples"] for r in found)
        samples = _samples(training)
        seen = sum(r["examples"] for r in found)
        hours = (made_hours + sum(r["seconds"] for r in found)) / 3600
        lines.append(
            f"| `{name}.toml` | {labels:,} | {label_hours / 3600:.1f} | {samples:,} | "
            f"{samples * per_sample / 3600:.1f} | {made:,} | {seen:,} | {hours:.1f} |"
        )
    return "\n".join(lines) + (
        "\n\nHours are by what each label and each sample took here, without compiling, the judge's labels, dynamics "
        "and relaxations.\n"
    )


def _labels(tasks: dict[str, Any], done: dict[str, Any]) -> tuple[int, float, int, float]:
    """(labels of the file as it stands, seconds for them, labels made here, seconds for them)."""
    maker = tasks.get("study", tasks.get("dataset"))
    if "scaling" in tasks and maker is None:  # labels that another file makes: those that are there
        facts = next(iter(done.values()))["facts"]
        made, seconds = facts["rows"], facts["rows"] * facts["seconds_per_label"]
        return made, seconds, made, seconds
    if maker is None:
        return 0, 0.0, 0, 0.0
    smiles = (EXAMPLES / maker["molecules"]).read_text().split()
    geometries = len(smiles[: maker.get("limit")]) * maker["conformers"]
    cost: dict[str, float] = {}
    for curve in done.values():
        facts = curve["facts"]
        key = facts.get("labels", "labels")
        cost[key] = max(cost.get(key, 0.0), facts["seconds_per_label"])
    made = next(iter(done.values()))["facts"]["rows"]
    seconds = sum(cost.values())
    return geometries * len(cost), geometries * seconds, made * len(cost), made * seconds


def _samples(training: dict[str, Any]) -> int:
    """Examples that the trainings of a task see, those before fine-tuning included."""
    seeds, batch = len(training["seeds"]), training["training"]["batch_size"]
    steps = training["training"]["steps"]
    if "ways" in training or "pretraining" in training:
        before, ways = training["pretraining"], training.get("ways", ("scratch", "pretrained"))
        # A network that is given was trained before, and its updates count there; `heads` does as many again.
        first = before.get("training", {}).get("steps", steps)
        of_sizes = len(training["sizes"]) * (steps * len(ways) + first * ("heads" in ways))
        return seeds * batch * (of_sizes + (0 if "model" in before else first))
    updates = sum(
        len(curve.get("sizes", training.get("sizes", ()))) * curve.get("training", {}).get("steps", steps)
        for curve in training["curves"]
    )
    return seeds * batch * updates
