"""Puts what the studies found into docs/measurements/studies.md, between its `<!-- measured: NAME -->` marks.

    scfx run examples/study_precision.toml                        # and the others: makes out/study-precision
    python benchmarks/backends.py --markdown out/backends.md
    python benchmarks/studies_report.py --precision out/study-precision --basis out/study-basis \
        --backends out/backends.md

Every part that is given replaces its section; the others stay. Numbers come from the studies' own statistics.csv,
cost.csv and table.parquet, so that no number on the page is typed by hand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pages import DOCS, picture, put
from scfx_study.statistics import errors

from scfx.reporting.tables import number_text as number

#: An error of the gap above this is another electronic state rather than rounding (meV).
_OTHER_STATE = 10.0


class Result:
    """The tables of a study's folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        record = json.loads((folder / "study.json").read_text())
        self.reference: str = record["reference"]
        self.published: list[dict[str, Any]] = record["settings"]["published"]
        self.against = {o["label"]: o["against"] for o in record["options"] if o["against"]}
        self.statistics = pd.read_csv(folder / "statistics.csv").set_index(["option", "quantity"])
        self.cost = pd.read_csv(folder / "cost.csv").set_index("option")
        self.table = pd.read_parquet(folder / "table.parquet")

    def sample(self) -> str:
        own = self.table[self.table["option"] == self.reference]
        used = own[own["used"]]
        # A file of geometries has one row for each molecule.
        several = len(used) > used["molecule"].nunique()
        conformers = f"{len(used):,} conformers of " if several else ""
        planned = self.cost.loc[self.reference, "rows"]
        missing = planned - len(used)
        left = f"; {missing} of {planned} planned rows have no label in every option and are left out of all"
        done = self.cost[["ok", "not_converged", "failed", "poison"]].sum(axis=1)
        if (done < self.cost["rows"]).any():
            left += f" (the study is not finished: {int(done.min())} rows were tried under every option)"
        return f"{conformers}{used['molecule'].nunique():,} molecules" + (left if missing else "")

    def cell(self, option: str, quantity: str, name: str = "mae") -> str:
        row = self.statistics.loc[(option, quantity)]
        low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
        between = "" if low is None or pd.isna(low) else f" [{number(float(low))}, {number(float(high))}]"
        return number(float(row[name])) + between

    def iterations(self, option: str) -> str:
        row = self.cost.loc[option]
        recovered = f", {int(row['recovered'])} by the ladder" if row["recovered"] else ""
        return f"{row['mean_iterations']:.1f}{recovered}"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(c) for c in line)} |" for line in lines)


def plot(found: Result, name: str, caption: str) -> str:
    return picture(found.folder / "plots" / f"{name}.png", f"{found.folder.name}-{name}.png", caption)


#: Columns of the common table: heading, quantity, statistic.
_COLUMNS = (
    ("energy, MAE", "energy", "mae"), ("relative energy, MAE", "relative_energy", "mae"), ("gap, MAE", "gap", "mae"),
    ("gap, largest", "gap", "max"), ("HOMO, MAE", "homo", "mae"), ("LUMO, MAE", "lumo", "mae"),
    ("dipole, MAE (debye)", "dipole", "mae"),
)  # fmt: skip


def common(found: Result) -> str:
    """Errors of every option in meV, with intervals; the literature's numbers below their option."""
    rows = []
    for option, against in found.against.items():
        label = f"`{option}`" + ("" if against == found.reference else f" against `{against}`")
        rows.append([label, *(found.cell(option, q, s) for _, q, s in _COLUMNS), found.iterations(option)])
        printed = {(p["quantity"], p["statistic"]): p for p in found.published if p["option"] == option}
        if printed:
            source = next(iter(printed.values()))["source"]
            cells = [number(p["value"]) if (p := printed.get((q, s))) else "" for _, q, s in _COLUMNS]
            rows.append([source, *cells, ""])
    rows.append(
        [f"`{found.reference}`, the reference", *[""] * len(_COLUMNS), found.iterations(found.reference)]
    )
    heads = ["meV", *(head for head, _, _ in _COLUMNS), "mean iterations"]
    return f"{found.sample()}.\n\n{markdown(heads, rows)}"


def order_kept(found: Result) -> str:
    """Does an option keep the order of a molecule's conformers?"""
    rows = [
        [f"`{o}`", *(found.cell(o, q, "spearman") for q in ("energy", "gap", "dipole"))]
        for o in found.against
    ]
    return markdown(["Spearman within molecules", "energy", "gap", "dipole"], rows)


def precision(found: Result) -> str:
    return common(found) + plot(found, "histograms", "Histograms of the errors of float32 and mixed")


def basis(found: Result) -> str:
    rows = []
    for option, against in found.against.items():
        gap = 1e3 * errors(found.table, option, against, "gap").values
        used = found.table[found.table["used"]]
        both = [used[used["option"] == o].set_index("entry")["gap_ev"] for o in (option, against)]
        pearson = np.corrcoef(both[0], both[1].reindex(both[0].index))[0, 1]
        shifted = np.abs(gap - gap.mean()).mean()
        rows.append(
            [f"`{option}`", found.cell(option, "gap"), found.cell(option, "gap", "mean_error"), number(float(shifted)),
             f"{pearson:.3f}", found.cell(option, "gap", "spearman")]
        )  # fmt: skip
        rows += [
            [p["source"], number(p["value"]), *[""] * 4] for p in found.published if p["option"] == option
        ]
    heads = [
        "gap, meV", "MAE", "mean error", "MAE less the mean error", "Pearson over all", "Spearman within molecules",
    ]  # fmt: skip
    text = f"{found.sample()}.\n\n{markdown(heads, rows)}\n\n{common(found).partition(chr(10))[2].strip()}"
    return text + plot(found, "parity", "Gap in STO-3G against gap in 6-31G*")


def plain(found: Result) -> str:
    return common(found)


def geometry(found: Result) -> str:
    return common(found) + plot(found, "densities", "Distribution of the gap by source of the geometry")


def grid(found: Result) -> str:
    return common(found) + f"\n\n{order_kept(found)}"


def hard(found: Result) -> str:
    """Every system, and whether each policy finds the reference's state, another one, or none."""
    reference = found.table[found.table["option"] == found.reference].set_index("entry")
    rows = []
    for entry, own in reference.iterrows():
        cells: list[str] = []
        for option in found.against:
            mine = found.table[found.table["option"] == option].set_index("entry").loc[entry]
            cells += _one(mine, own)
        rows.append([own["name"], _state(own), number(float(own["gap_ev"])), *cells])
    heads = ["system", f"`{found.reference}`: iterations", "gap (eV)"]
    for option in found.against:
        heads += [f"`{option}`: iterations", "energy error", "gap error"]
    lines = []
    for option in found.against:
        part = found.table[found.table["option"] == option].set_index("entry")
        converged = part["status"] == "ok"
        away = 1e3 * (part["gap_ev"] - reference["gap_ev"]).abs().where(converged)
        worst = [reference.loc[e, "name"] for e in away.index[away > _OTHER_STATE]]
        climbed = [reference.loc[e, "name"] for e in part.index[part["rung"].fillna("") != ""]]
        energy = 1e3 * (part["energy_ev"] - reference["energy_ev"]).abs()
        lines.append(
            f"- `{option}`: {int(converged.sum())} of {len(part)} have labels. Only by the recovery ladder: "
            f"{', '.join(climbed) or 'none'}. Median error of the energy {number(float(energy.median()))} meV, of the "
            f"gap {number(float(away.median()))} meV; largest {number(float(energy.max()))} "
            f"({reference.loc[energy.idxmax(), 'name']}) and {number(float(away.max()))} "
            f"({reference.loc[away.idxmax(), 'name']}). Another state (gap off by more than {_OTHER_STATE:g} meV): "
            f"{', '.join(worst) or 'none'}."
        )
    return "\n".join(lines) + f"\n\nErrors in meV against `{found.reference}`:\n\n" + markdown(heads, rows)


def _state(row: Any) -> str:
    if row["status"] != "ok":
        return f"**{row['status'].replace('_', ' ')}**"
    return f"{int(row['iterations'])}" + (f" ({row['rung']})" if row["rung"] else "")


def _one(mine: Any, own: Any) -> list[str]:
    if mine["status"] != "ok" or own["status"] != "ok":
        return [_state(mine), "", ""]
    return [_state(mine), *(number(float(1e3 * (mine[c] - own[c]))) for c in ("energy_ev", "gap_ev"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    studies: dict[str, Callable[[Result], str]] = {
        "precision": precision, "basis": basis, "ipu": plain, "stages": plain, "grid": grid, "geometry": geometry,
        "hard": hard,
    }  # fmt: skip
    for name in (*studies, "backends"):
        parser.add_argument(f"--{name}", type=Path)
    given = vars(parser.parse_args())
    sections = {name: make(Result(given[name])) for name, make in studies.items() if given[name] is not None}
    if given["backends"] is not None:
        sections["backends"] = given["backends"].read_text(encoding="utf-8")
    put(DOCS / "measurements" / "studies.md", sections)


if __name__ == "__main__":
    main()
