"""Curves against curves: differences of errors, seed by seed and molecule by molecule, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scfx.errors import InputError
from scfx_schnet.examination import BY_MOLECULE
from scfx_schnet.fit import crossed_interval, interval
from scfx_schnet.targets import thousandth

#: Quantities of `Minima` and `dynamics` that are compared molecule by molecule: their section, key, name and unit.
_MOVED = (
    ("relaxation", "above_mev", "minimum above the level's own", "meV"),
    ("relaxation", "rmsd_angstrom", "distance of the minima", "angstrom"),
    ("dynamics", "drift_mev_per_atom_ps", "size of the energy drift", "meV per atom and ps"),
)


def compare(
    folder: Path,
    pairs: Sequence[tuple[str, str]],
    results: Sequence[dict[str, Any]],
    units: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return one row for each pair of curves, size and quantity: both means, the difference and its 95% interval.

    `folder` is that of the runs. Errors of energies and forces are in thousandths of their unit. Taken are the seeds
    that both have, and molecules that nobody was trained on.
    """
    rows = []
    by_curve: dict[str, dict[tuple[int, int], dict[str, Any]]] = {}
    for result in results:
        by_curve.setdefault(result["curve"], {})[result["size"], result["seed"]] = result
    for curve, against in pairs:
        mine, theirs = by_curve.get(curve, {}), by_curve.get(against, {})
        both = sorted(set(mine) & set(theirs))
        for size in sorted({n for n, _ in both}):
            seeds = [seed for n, seed in both if n == size]
            chosen = [[of[size, seed] for seed in seeds] for of in (mine, theirs)]
            for name, unit, one, other in _quantities(folder, chosen, units):
                mean, low, high = crossed_interval(one - other)
                rows.append({
                    "curve": curve, "against": against, "size": size, "seeds": len(seeds), "molecules": one.shape[1],
                    "quantity": name, "unit": unit, "error": float(one.mean()), "other": float(other.mean()),
                    "difference": mean, "low": low, "high": high,
                })  # fmt: skip
    return rows


def _quantities(
    folder: Path, chosen: Sequence[Sequence[dict[str, Any]]], units: Mapping[str, str]
) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """(name, unit, one [seed, molecule], other [seed, molecule]) of all that two curves have in common."""
    errors = [[_errors(folder / result["run"]) for result in runs] for runs in chosen]
    out = []
    first = errors[0][0]
    assert all(np.array_equal(each["keys"], first["keys"]) for runs in errors for each in runs)
    for name in (name for name in first if name != "keys"):
        one, other = (np.array([1000 * each[name] for each in runs]) for runs in errors)
        out.append((name, thousandth(units.get(name, "eV")), one, other))
    for section, key, name, unit in _MOVED:
        found = [[result[section][key] for result in runs if section in result] for runs in chosen]
        if (
            not found[0]
            or len(found[0]) != len(found[1])
            or len({len(v) for v in (*found[0], *found[1])}) != 1
        ):
            continue
        values = np.abs(np.array(found, dtype=float))  # [curve, seed, molecule]
        known = np.isfinite(values).all(axis=(0, 1))
        if known.any():
            out.append((name, unit, values[0][:, known], values[1][:, known]))
    return out


def _errors(folder: Path) -> dict[str, np.ndarray]:
    if not (folder / BY_MOLECULE).exists():
        raise InputError(
            f"{folder} has no {BY_MOLECULE}: it was not compared before. Run it without report_only"
        )
    with np.load(folder / BY_MOLECULE) as content:
        return {name: content[name] for name in content.files}


def at_equal_compute(
    pairs: Sequence[tuple[str, str]],
    results: Sequence[dict[str, Any]],
    targets: Sequence[str],
    units: Mapping[str, str],
    costs: Mapping[str, float | None],
) -> list[dict[str, Any]]:
    """Return, for each size of a curve, the error of the other one at the same time of making labels.

    `costs`: seconds a label, by curve. By the judge where there is one, else by test rows (validation rows where there
    are none). The other curve is read between its sizes by straight lines in
    the logarithms, seed by seed; sizes beyond its reach are left out.
    """
    rows = []
    for curve, against in pairs:
        mine, theirs = ([r for r in results if r["curve"] == name] for name in (curve, against))
        own, other = costs.get(curve), costs.get(against)
        if own is None or other is None or own == other:
            continue
        for size in sorted({r["size"] for r in mine}):
            for column, target in enumerate(targets):
                pairs_of_errors = []
                for result in (r for r in mine if r["size"] == size):
                    line = sorted(
                        (r["size"] * other, _asked(r)[column]) for r in theirs if r["seed"] == result["seed"]
                    )
                    if len(line) > 1 and line[0][0] <= size * own <= line[-1][0]:
                        x, y = np.log(np.array(line)).T
                        pairs_of_errors.append(
                            (_asked(result)[column], np.exp(np.interp(np.log(size * own), x, y)))
                        )
                if pairs_of_errors:
                    both = 1000 * np.array(pairs_of_errors)
                    mean, low, high = interval((both[:, 0] - both[:, 1]).tolist())
                    rows.append({
                        "curve": curve, "against": against, "size": size, "label_seconds": size * own,
                        "other_size": size * own / other, "seeds": len(both), "quantity": target,
                        "unit": thousandth(units.get(target, "eV")), "error": float(both[:, 0].mean()),
                        "other": float(both[:, 1].mean()), "difference": mean, "low": low, "high": high,
                    })  # fmt: skip
    return rows


def _asked(result: dict[str, Any]) -> list[float]:
    """The errors that a run is compared by; curves that are compared have one judge, or none."""
    return result.get("judged_mae_ev") or result.get("test_mae_ev") or result["validation_mae_ev"]


def difference_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of a Markdown table of `compare`'s rows; bold: the interval does not contain zero.

    Of one seed it covers other molecules alone, and is never bold.
    """
    lines = [
        "| curve | against | rows | quantity | its own | the other's | difference, 95 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {r['curve']} | {r['against']} | {r['size']:,} | {_told(r)} |" for r in rows]
    return lines


def compute_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of a Markdown table of `at_equal_compute`'s rows; bold as in `difference_table`."""
    lines = [
        "| curve | rows | label seconds | against | rows for the same | quantity | its own | the other's | difference, "
        "95 % interval |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['curve']} | {r['size']:,} | {r['label_seconds']:.0f} | {r['against']} | {r['other_size']:,.0f} | "
        f"{_told(r)} |"
        for r in rows
    ]
    return lines


def _told(row: dict[str, Any]) -> str:
    """The quantity of a row, both errors, and their difference, bold where the interval is away from zero."""
    digits = 3 if row["unit"] == "angstrom" or row["error"] < 1 else 1
    own, other, mean, low, high = (
        f"{row[k]:.{digits}f}" for k in ("error", "other", "difference", "low", "high")
    )
    told = f"{row['quantity']}, {row['unit']} | {own} | {other} | "
    if row["low"] == row["high"]:
        return f"{told}{mean} (one seed)"  # of which there is no interval
    if row["seeds"] == 1:
        return f"{told}{mean} [{low}, {high}] (one seed, other molecules)"
    mark = "**" if row["low"] > 0 or row["high"] < 0 else ""
    return f"{told}{mark}{mean} [{low}, {high}]{mark}"
