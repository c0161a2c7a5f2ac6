"""Puts what was measured into docs/schnet.md, between its `<!-- measured: NAME -->` marks, and figures in docs/img.

    python benchmarks/schnet_report.py --scaling out/scaling --qm9 out/qm9-curve --finetune out/finetune \
        --variants out/variants --speed out/schnet_speed.json

Every part that is given replaces its section; the others stay. Numbers come from the tasks' own summary.json and
from benchmarks/schnet_speed.py, so that no number on the page is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "schnet.md"
IMAGES = ROOT / "docs" / "img"


def put(text: str, name: str, content: str) -> str:
    pattern = rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)"
    found, count = re.subn(pattern, lambda m: f"{m[1]}{content.strip()}\n{m[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{PAGE} has {count} sections '<!-- measured: {name} -->'")
    return found


def picture(folder: Path, name: str, target: str, caption: str) -> str:
    IMAGES.mkdir(exist_ok=True)
    shutil.copyfile(folder / name, IMAGES / target)
    return f"\n![{caption}](img/{target})\n"


def scaling(folder: Path) -> str:
    return (
        picture(folder, "scaling.png", "schnet_scaling.png", "error against training rows")
        + "\n"
        + headed(folder)
    )


def headed(folder: Path) -> str:
    """The task's own summary, its headings one level down."""
    return (folder / "summary.md").read_text(encoding="utf-8").replace("### ", "#### ")


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


def mev(errors: dict[str, Any] | None) -> str:
    return f"{1000 * errors['mean'][0]:.0f}" if errors else ""


def finetune(folder: Path) -> str:
    facts = json.loads((folder / "summary.json").read_text())["facts"]
    text = (
        f"Pre-trained on generated labels, fine-tuned on QM9's gap: {facts['molecules_removed']:,} of QM9's molecules "
        f"({facts['rows_removed']:,} of {facts['rows']:,} rows) occur in the {facts['pretraining_rows']:,} rows of the "
        f"generated set and are removed. {facts['training']['steps']:,} updates of {facts['training']['batch_size']} "
        f"either way; MAE in meV on {facts['test']:,} test molecules, means over seeds.\n\n"
    )
    table = (folder / "summary.md").read_text(encoding="utf-8")
    return (
        text + table + picture(folder, "finetune.png", "schnet_finetune.png", "from scratch and pre-trained")
    )


def variants(folder: Path) -> str:
    out = picture(folder, "judged.png", "schnet_judged.png", "kinds of labels judged by better ones")
    if (folder / "equal_compute.png").exists():
        out += picture(
            folder, "equal_compute.png", "schnet_equal_compute.png", "error against cost of the labels"
        )
    return out + "\n" + headed(folder)


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
    parts = {"scaling": scaling, "qm9": qm9, "finetune": finetune, "variants": variants, "speed": speed}
    for name in parts:
        parser.add_argument(f"--{name}", type=Path)
    options = vars(parser.parse_args())
    text = PAGE.read_text(encoding="utf-8")
    for name, make in parts.items():
        if options[name] is not None:
            text = put(text, name, make(options[name]))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
