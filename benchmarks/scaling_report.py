"""How the points that scaling.py measured are shown: tables and a picture."""

from __future__ import annotations

from pathlib import Path

#: One molecule of ten heavy atoms, the first of throughput.py: batch size and core count.
MOLECULE = "FC=C1C2CN2N=C1C=O"
POLICIES = ("float32", "mixed")


def markdown(rows: list[dict]) -> list[str]:
    """Three tables."""
    lines = []
    for kind, title, key in (
        ("batch", "Batch size", "conformers"),
        ("cores", "Cores", "threads"),
    ):
        mine = [r for r in rows if r["kind"] == kind]
        if not mine:
            continue
        what = "conformers in a batch" if kind == "batch" else "threads (one core each)"
        lines += [f"{title}, `{MOLECULE}`:", ""]
        lines += [
            f"| {what} | "
            + " | ".join(f"{p}, labels/s | {p}, peak GiB | {p}, converged" for p in POLICIES)
            + " |"
        ]
        lines += ["|" + "---|" * (1 + 3 * len(POLICIES))]
        for value in sorted({r[key] for r in mine}):
            by_policy = {r["policy"]: r for r in mine if r[key] == value}
            cells = [
                f"{by_policy[p]['labels_per_s']:.1f} | {by_policy[p]['peak_gib']:.2f} "
                f"| {by_policy[p]['converged']}/{by_policy[p]['labels']}"
                for p in POLICIES
            ]
            lines.append(f"| {value} | {' | '.join(cells)} |")
        lines.append("")
    sizes = [r for r in rows if r["kind"] == "size"]
    if sizes:
        lines += [
            f"Molecule size, one core, {sizes[0]['conformers']} conformers for scfx:",
            "",
            "| heavy atoms (atoms) | AOs | molecule | PySCF, labels/s (conformers) | "
            + " | ".join(f"{p}, labels/s (ratio) | {p}, peak GiB | {p}, converged" for p in POLICIES)
            + " | largest energy difference from PySCF, meV ("
            + ", ".join(POLICIES)
            + ") |",
            "|" + "---|" * (5 + 3 * len(POLICIES)),
        ]
        for r in sizes:
            peer = r["pyscf_labels_per_s"]
            cells = [
                f"{r[p]['labels_per_s']:.2f} ({r[p]['labels_per_s'] / peer:.1f}) | {r[p]['peak_gib']:.2f} "
                f"| {r[p]['converged']}/{r[p]['labels']}"
                for p in POLICIES
            ]
            difference = ", ".join(f"{r['deviation_mev'][p]:.3f}" for p in POLICIES)
            lines.append(
                f"| {r['heavy']} ({r['atoms']}) | {r['nao']} | `{r['smiles']}` | {peer:.3f} ({r['peer']}) "
                f"| {' | '.join(cells)} | {difference} |"
            )
    return lines


def plot(rows: list[dict], path: str) -> None:
    """Three panels of labels a second; peak memory beside each scfx point."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = {"float32": "tab:blue", "mixed": "tab:orange", "pyscf": "tab:gray"}
    figure, axes = plt.subplots(2, 3, figsize=(13, 7), height_ratios=(2, 1), constrained_layout=True)
    panels = (
        ("batch", "conformers", "conformers in a batch", "one core, 10 heavy atoms"),
        ("cores", "threads", "threads, one core each", "10 heavy atoms"),
        ("size", "heavy", "heavy atoms", "one core"),
    )
    for column, (kind, key, label, title) in enumerate(panels):
        mine = sorted((r for r in rows if r["kind"] == kind), key=lambda r: r[key])
        rate, memory = axes[0, column], axes[1, column]
        for policy in POLICIES:
            of = [r[policy] for r in mine] if kind == "size" else [r for r in mine if r["policy"] == policy]
            x = [r[key] for r in (mine if kind == "size" else of)]
            rate.plot(x, [r["labels_per_s"] for r in of], "o-", color=colours[policy], label=f"scfx {policy}")
            memory.plot(x, [r["peak_gib"] for r in of], "o-", color=colours[policy])
        if kind == "size":
            rate.plot(
                [r[key] for r in mine],
                [r["pyscf_labels_per_s"] for r in mine],
                "s--",
                color=colours["pyscf"],
                label="PySCF",
            )
            rate.set_yscale("log")
        else:
            rate.set_ylim(bottom=0)
        memory.set_ylim(bottom=0)
        if kind == "batch":
            for axis in (rate, memory):
                axis.set_xscale("log", base=2)
                axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if kind == "cores":
            for axis in (rate, memory):
                axis.set_xticks(sorted({r[key] for r in mine}))
        rate.set_title(title)
        rate.set_ylabel("labels / s")
        memory.set_ylabel("peak memory / GiB")
        memory.set_xlabel(label)
        rate.grid(alpha=0.3)
        memory.grid(alpha=0.3)
        rate.legend(frameon=False)
    figure.suptitle("B3LYP/STO-3G, grid level 0")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
