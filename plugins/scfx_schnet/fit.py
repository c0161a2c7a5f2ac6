"""The power law of a learning curve, with its interval, and where training and validation error meet."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import stats

#: A size counts as limited by its data where the training error is at most this share of the validation error.
DATA_LIMITED = 0.5
#: Training and validation error have met where the second is at most this much times the first.
MET = 1.1


@dataclass(frozen=True)
class PowerLaw:
    """MAE = coefficient · size^(-exponent), fitted to log-log by least squares over all seeds of `sizes`.

    `exponent_low`, `exponent_high`: 95% interval by Student's t. Seeds of one size share the validation set, so it
    covers the spread of subsets and initial weights, not that of the molecules that are asked.
    """

    coefficient_ev: float
    exponent: float
    exponent_low: float
    exponent_high: float
    sizes: tuple[int, ...]

    def at(self, size: float) -> float:
        """Return the power law's value at some sizes."""
        return self.coefficient_ev * size**-self.exponent

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def data_limited(runs: Sequence[dict[str, Any]]) -> list[int]:
    """Return sizes, from the smallest on, whose mean training error is far below the validation error (`DATA_LIMITED`).

    It stops at the first size that is not: beyond, the number of updates limits the error.
    """
    out = []
    for size, (train, validation) in means(runs).items():
        if train > DATA_LIMITED * validation:
            break
        out.append(size)
    return out


def means(runs: Sequence[dict[str, Any]]) -> dict[int, tuple[float, float]]:
    """Return, by size, the mean (training, validation) error of the first target over the seeds, eV; sizes
    ascending.
    """
    by_size: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for run in runs:
        by_size[run["size"]].append((run["train_mae_ev"][0], run["validation_mae_ev"][0]))
    return {size: tuple(np.mean(values, axis=0).tolist()) for size, values in sorted(by_size.items())}  # type: ignore[misc]


def fit_power_law(runs: Sequence[dict[str, Any]]) -> PowerLaw | None:
    """Return the law of the data-limited sizes; None if there are fewer than three of them."""
    sizes = data_limited(runs)
    if len(sizes) < 3:
        return None
    used = [run for run in runs if run["size"] in sizes]
    x = np.log([run["size"] for run in used])
    y = np.log([run["validation_mae_ev"][0] for run in used])
    line: Any = stats.linregress(x, y)
    half = stats.t.ppf(0.975, len(used) - 2) * line.stderr
    return PowerLaw(
        math.exp(line.intercept), -line.slope, -line.slope - half, -line.slope + half, tuple(sizes)
    )


def meeting_size(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return where validation falls to `MET` times the training error: {"size", "extrapolated"}; size None if it does
    not.

    Interpolated in the logarithms; beyond the largest size by the slope of the last two, and said so.
    """
    points = [(math.log(n), math.log(v / t)) for n, (t, v) in means(runs).items()]
    goal = math.log(MET)
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 > goal >= y1:
            return {"size": round(math.exp(x0 + (goal - y0) * (x1 - x0) / (y1 - y0))), "extrapolated": False}
    if points and points[0][1] <= goal:
        return {"size": None, "extrapolated": False}
    if len(points) > 1 and points[-1][1] < points[-2][1]:
        (x0, y0), (x1, y1) = points[-2:]
        return {"size": round(math.exp(x1 + (goal - y1) * (x1 - x0) / (y1 - y0))), "extrapolated": True}
    return {"size": None, "extrapolated": False}


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return (mean, low, high): 95% interval of the mean by Student's t; without a second value low = high = mean."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half


def crossed_interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Return (mean, low, high) of differences [seed, molecule]: 95% interval for other seeds and other molecules.

    Seeds and molecules are crossed random effects: the variance of the mean is (MS_seed + MS_molecule - MS_rest) / n,
    with Satterthwaite's degrees of freedom (Searle, Casella, McCulloch, Variance Components, 1992, chapter 4). With one
    seed it is that of the molecules alone.
    """
    values = np.asarray(differences, dtype=float)
    seeds, molecules = values.shape
    mean = float(values.mean())
    if molecules < 2:
        return interval(values[:, 0].tolist())
    if seeds < 2:
        return interval(values[0].tolist())
    of_seed, of_molecule = values.mean(axis=1), values.mean(axis=0)
    rest = values - of_seed[:, None] - of_molecule[None] + mean
    freedom = np.array([seeds - 1, molecules - 1, (seeds - 1) * (molecules - 1)], dtype=float)
    squares = np.array([
        molecules * np.sum((of_seed - mean) ** 2), seeds * np.sum((of_molecule - mean) ** 2), np.sum(rest**2),
    ]) / freedom  # fmt: skip
    both = float(squares @ [1.0, 1.0, -1.0])
    # Less than what is left over says that one of the two effects is nil.
    if both < squares[2]:
        both, squares, freedom = float(squares.max()), squares.max(keepdims=True), freedom[[squares.argmax()]]
    if both == 0:
        return mean, mean, mean
    half = stats.t.ppf(0.975, both**2 / np.sum(squares**2 / freedom)) * math.sqrt(both / values.size)
    return mean, mean - float(half), mean + float(half)
