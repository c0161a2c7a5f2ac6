"""Error statistics of options against their reference, with bootstrap intervals over molecules."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from scipy.constants import calorie, eV, kilo
from scipy.constants import value as codata
from scipy.stats import rankdata

#: Column of the table and unit of its statistics, by quantity.
QUANTITY_COLUMNS = {
    "energy": ("energy_ev", "meV"),
    "relative_energy": ("relative_energy_ev", "meV"),
    "homo": ("homo_ev", "meV"),
    "lumo": ("lumo_ev", "meV"),
    "gap": ("gap_ev", "meV"),
    "dipole": ("dipole_debye", "debye"),
}
#: One electronvolt a particle in kcal/mol (thermochemical calorie), CODATA as SciPy has it: 23.0605.
EV_IN_KCAL_PER_MOL = eV * codata("Avogadro constant") / (calorie * kilo)
PERCENTILES = (50, 90, 95, 99)
#: Fewer conformers than this have no order worth a correlation.
FEWEST_FOR_CORRELATION = 3

_MOMENTS = ("mean_error", "mae", "rmse")
_BOOTSTRAP_SEED = 20230


@dataclass(frozen=True)
class Errors:
    """Errors of one quantity of one option, molecule by molecule, in the unit of the table."""

    values: Float64[np.ndarray, "row"]
    molecule: Int64[np.ndarray, "row"]
    pearson: Float64[np.ndarray, "molecule"]
    spearman: Float64[np.ndarray, "molecule"]


def statistics(
    table: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    resamples: int = 1000,
    confidence: float = 0.95,
    properties: Mapping[str, tuple[str, str]] | None = None,
) -> pd.DataFrame:
    """Return one row for each pair (option, compared with) and quantity, over the used rows of `table`.

    `properties`: further quantities, as `QUANTITY_COLUMNS`.

    In meV (others in their unit): `mean_error` (option minus reference), `mae`, `rmse`, `max` (of absolute errors) and
    percentiles `p50`... of absolute errors; the same in kcal/mol as `..._kcal_mol`. `_low`, `_high`: bootstrap
    interval over molecules, since conformers of one molecule are no independent samples. `pearson`, `spearman`: mean
    over molecules of three or more conformers of the correlation within the molecule: does the option keep the order?
    Nulls where there is nothing to average, and for the mean error of relative energies, which is 0 by definition.
    """
    rows = [
        summary(
            errors(table, option, against, column), option, against, (quantity, unit), resamples, confidence
        )
        for option, against in pairs
        for quantity, (column, unit) in {**QUANTITY_COLUMNS, **(properties or {})}.items()
    ]
    return pd.DataFrame(rows)


def errors(table: pd.DataFrame, option: str, against: str, column: str) -> Errors:
    """Return errors of an option in a column, paired by `entry`, over used rows that have a value in both."""
    used = table[table["used"]]
    mine = used[used["option"] == option].set_index("entry")
    other = used[used["option"] == against].set_index("entry")
    values = pd.DataFrame(
        {"mine": mine[column], "other": other[column].reindex(mine.index), "molecule": mine["molecule"]}
    ).dropna()
    pearson, spearman = [], []
    for _, group in values.groupby("molecule"):
        a, b = group["mine"].to_numpy(), group["other"].to_numpy()
        if len(a) >= FEWEST_FOR_CORRELATION:
            pearson.append(_correlation(a, b))
            spearman.append(_correlation(rankdata(a), rankdata(b)))
    return Errors(
        (values["mine"] - values["other"]).to_numpy(dtype=np.float64),
        values["molecule"].to_numpy(dtype=np.int64),
        np.array(pearson, dtype=np.float64),
        np.array(spearman, dtype=np.float64),
    )


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's coefficient; NaN where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


def summary(
    found: Errors, option: str, against: str, of: tuple[str, str], resamples: int, confidence: float
) -> dict[str, Any]:
    """Return the row of a quantity; `of`: its name, and the unit of its statistics."""
    quantity, unit = of
    scale = 1e3 if unit == "meV" else 1.0
    size = np.abs(found.values)
    molecules, index = np.unique(found.molecule, return_inverse=True)
    row: dict[str, Any] = {
        "option": option, "against": against, "quantity": quantity, "unit": unit,
        "n": found.values.size, "molecules": molecules.size,
    }  # fmt: skip
    if not found.values.size:
        return row
    counts, sums = np.ones((1, molecules.size)), _sums(found.values, index, molecules.size)
    row |= {
        name: scale * float(value[0]) for name, value in zip(_MOMENTS, _moments(counts, sums), strict=True)
    }
    row["max"] = scale * float(size.max())
    row |= {f"p{p}": scale * float(np.percentile(size, p)) for p in PERCENTILES}
    row |= {"pearson": _mean(found.pearson), "spearman": _mean(found.spearman)}
    if resamples and molecules.size > 1:
        tails = [50 * (1 - confidence), 50 * (1 + confidence)]
        drawn = _resamples(molecules.size, resamples)
        for name, value in zip(_MOMENTS, _moments(drawn, sums), strict=True):
            row[f"{name}_low"], row[f"{name}_high"] = (scale * float(v) for v in np.percentile(value, tails))
        for name in ("pearson", "spearman"):
            each = getattr(found, name)
            each = each[np.isfinite(each)]
            if each.size > 1:
                weights = _resamples(each.size, resamples)
                low, high = np.percentile(weights @ each / each.size, tails)
                row[f"{name}_low"], row[f"{name}_high"] = float(low), float(high)
    if quantity == "relative_energy":  # zero by its definition: only rounding would show
        row |= dict.fromkeys(("mean_error", "mean_error_low", "mean_error_high"))
    if unit == "meV":
        kcal = EV_IN_KCAL_PER_MOL / 1e3
        row |= {f"{name}_kcal_mol": kcal * row[name] for name in (*_MOMENTS, "max") if row[name] is not None}
    return row


def _sums(
    values: Float64[np.ndarray, "row"], index: Int64[np.ndarray, "row"], n: int
) -> Float64[np.ndarray, "4 molecule"]:
    """Number of errors, their sum, sum of sizes and sum of squares, by molecule."""
    weights = (np.ones_like(values), values, np.abs(values), values**2)
    return np.stack([np.bincount(index, weights=w, minlength=n) for w in weights])


def _moments(
    drawn: Float64[np.ndarray, "sample molecule"], sums: Float64[np.ndarray, "4 molecule"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean error, mean absolute error and root mean square of each resample."""
    n, total, size, square = (
        drawn @ sums.T[:, 0],
        drawn @ sums.T[:, 1],
        drawn @ sums.T[:, 2],
        drawn @ sums.T[:, 3],
    )
    return total / n, size / n, np.sqrt(square / n)


def _resamples(n: int, samples: int) -> Float64[np.ndarray, "sample molecule"]:
    """How often each of `n` molecules is drawn, with replacement, in each sample: the same for the same n."""
    random = np.random.default_rng(_BOOTSTRAP_SEED)
    return random.multinomial(n, np.full(n, 1 / n), size=samples).astype(np.float64)


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else None
