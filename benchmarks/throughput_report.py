"""What throughput.py prints and writes: its rows as lines, as tables, and their summary."""

from __future__ import annotations

import numpy as np


def row_lines(row: dict) -> list[str]:
    """A row for the terminal, and where the time of its labels goes."""
    return [
        f"grid {row['grid']} {row['molecule']:20s} nao {row['nao']:3d} {row['policy']:14s} "
        f"scfx {row['scfx_labels_per_s']:6.2f}/s PySCF {row['pyscf_labels_per_s']:5.2f}/s "
        f"ratio {row['ratio']:5.1f}  dE {row['energy_mae_mev']:.4f} (max {row['energy_max_mev']:.4f}) "
        f"dgap {row['gap_mae_mev']:.4f} (max {row['gap_max_mev']:.4f}) meV  "
        f"converged {row['converged']} ({row['pyscf_converged']})  "
        f"iterations {row['iterations']:.1f} ({row['pyscf_iterations']:.1f})  residual "
        f"{row['residual']:.0e} ({row['pyscf_residual']:.0e})  compile {row['compile_s']:.1f} s",
        "      ms a label: " + ", ".join(f"{k} {v:.1f}" for k, v in row["stage_ms"].items()),
    ]


def summary(rows: list[dict]) -> list[str]:
    """By policy: what compiling is worth in labels, and the range of the ratios."""
    out = []
    for policy in dict.fromkeys(r["policy"] for r in rows):
        ratios = [r["ratio"] for r in rows if r["policy"] == policy]
        compiling = sum(r["compile_s"] for r in rows if r["policy"] == policy)
        labelling = 10_000 * np.mean([1 / r["scfx_labels_per_s"] for r in rows if r["policy"] == policy])
        out += [
            f"{policy}: compiling {compiling:.1f} s in all, "
            f"{100 * compiling / (compiling + labelling):.1f} % of 10,000 labels like these",
            f"{policy}: ratio to PySCF min {min(ratios):.1f}, median {np.median(ratios):.1f}, max {max(ratios):.1f}",
        ]
    return out


def markdown(rows: list[dict]) -> str:
    """The rows as a table."""
    lines = [
        "| molecule | AOs | grid | policy | scfx labels/s | PySCF labels/s | ratio | energy MAE (max), meV "
        "| gap MAE (max), meV "
        "| iterations (PySCF) | largest residual (PySCF) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{r['molecule']}` | {r['nao']} | {r['grid']} | {r['policy']} | {r['scfx_labels_per_s']:.3g} "
        f"| {r['pyscf_labels_per_s']:.3g} | **{r['ratio']:.1f}** | {r['energy_mae_mev']:.4f} "
        f"({r['energy_max_mev']:.4f}) | {r['gap_mae_mev']:.4f} ({r['gap_max_mev']:.4f}) "
        f"| {r['iterations']:.1f} ({r['pyscf_iterations']:.1f}) | {r['residual']:.0e} ({r['pyscf_residual']:.0e}) |"
        for r in rows
    ]
    return "\n".join([*lines, "", *stages_table(rows)]) + "\n"


def stages_table(rows: list[dict]) -> list[str]:
    """Where the time of a label goes, by the solver's own clock, in ms; stages below 2 % everywhere are summed up."""
    names = sorted(
        {k for r in rows for k, v in r["stage_ms"].items() if v > 0.02 * sum(r["stage_ms"].values())},
        key=lambda k: -sum(r["stage_ms"].get(k, 0.0) for r in rows),
    )
    lines = [
        "| molecule | grid | policy | " + " | ".join(name.replace("_", " ") for name in names) + " | other |"
    ]
    lines.append("|---" * (len(names) + 4) + "|")
    for r in rows:
        found = [r["stage_ms"].get(name, 0.0) for name in names]
        cells = [f"{ms:.0f}" for ms in (*found, sum(r["stage_ms"].values()) - sum(found))]
        lines.append(f"| `{r['molecule']}` | {r['grid']} | {r['policy']} | " + " | ".join(cells) + " |")
    return lines
