"""What a look through all rows of a dataset finds: distribution, spread over conformers, shortages, outliers.

One pass over the shards, in memory that does not grow with them: sums, a histogram, the extremes, and a sample of the
molecules.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from scfx.jobs.commits import read_commit
from scfx_dataset.force_findings import COLUMNS as FORCE_COLUMNS
from scfx_dataset.force_findings import ForceFindings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scfx_dataset.reader import Dataset

T = TypeVar("T")

#: Width of the histogram's bins in eV: far below any kernel width.
BIN_EV = 0.01
#: Molecules whose spread is kept for drawing: those with the smallest hashes, so a fixed sample.
_MOLECULES = 2000
_OUTLIERS = 4
_REASONS = 1000
_COLUMNS = ("row_id", "molecule", "smiles", "conformer", "status", "reason", "gap_ev", "atomic_numbers")


@dataclass(frozen=True)
class Outlier:
    """A row, or a molecule with its rows, that stands out; `text` says by what."""

    smiles: str
    row_id: int
    text: str


@dataclass(frozen=True)
class Spread:
    """Gaps (eV) over the conformers of one molecule that has at least two."""

    mean: float
    low: float
    high: float
    deviation: float


@dataclass
class Findings:
    """What one pass over the rows finds. `gaps` counts rows by bin of `BIN_EV`; `spread` is the sample, `spread_of` how
    many there are.

    `short`: molecules by how many of their geometries were not made, of those asked for (embedded geometries only).
    """

    n: int = 0
    mean: float = 0.0
    sum_of_squares: float = 0.0
    minimum: float = np.inf
    maximum: float = -np.inf
    gaps: Counter[int] = field(default_factory=Counter)
    spread: list[Spread] = field(default_factory=list)
    spread_of: int = 0
    deviation_sum: float = 0.0
    short: Counter[int] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    outliers: dict[str, list[Outlier]] = field(default_factory=dict)
    #: None where the dataset has no forces.
    forces: ForceFindings | None = None

    @property
    def standard_deviation(self) -> float:
        """Return the standard deviation of the gap over all rows, eV."""
        return float(np.sqrt(self.sum_of_squares / self.n)) if self.n else 0.0

    @property
    def mean_deviation(self) -> float:
        """Return the mean over molecules of the standard deviation over their conformers, eV."""
        return self.deviation_sum / self.spread_of if self.spread_of else 0.0

    def histogram(self) -> tuple[Float64[np.ndarray, "bin"], Int64[np.ndarray, "bin"]]:
        """Return centres (eV) of the bins that are not empty, and their counts."""
        bins = np.array(sorted(self.gaps), dtype=np.int64)
        return (bins + 0.5) * BIN_EV, np.array([self.gaps[int(b)] for b in bins], dtype=np.int64)


def collect_findings(dataset: Dataset) -> Findings:
    """Go through the committed rows of a dataset once."""
    found = Findings()
    asked = dataset.plan.identity["options"]["conformers"]
    embedded = dataset.plan.identity["options"].get("geometry", "embed") == "embed"
    sample: list[tuple[float, int, Spread]] = []
    best: dict[str, list[tuple[float, int, Outlier]]] = {"smallest": [], "largest": [], "widest": []}
    of_forces = tuple(name for name in FORCE_COLUMNS if name in dataset.schema.names)
    found.forces = ForceFindings() if FORCE_COLUMNS[0] in of_forces else None
    tables = dataset.shards((*_COLUMNS, *of_forces))
    for table in _with_molecules_whole(tables, asked) if embedded else tables:
        columns = {name: table[name].to_pylist() for name in _COLUMNS if name != "atomic_numbers"}
        if found.forces is not None:
            found.forces.add(table)
        _count_reasons(found, columns)
        has_geometry = np.array(table["atomic_numbers"].is_valid().to_pylist(), dtype=bool)
        molecules = np.array(columns["molecule"], dtype=np.int64)
        if embedded:
            real, made = np.unique(molecules[molecules >= 0], return_inverse=True)
            missing = np.bincount(made, weights=~has_geometry[molecules >= 0], minlength=real.size)
            found.short.update(missing.astype(int).tolist())
        gaps = _gaps(table)
        _add_gaps(found, gaps[np.isfinite(gaps)])
        _extremes(best, columns, gaps)
        _spreads(found, sample, best["widest"], columns, molecules, gaps)
    found.spread = sorted((spread for _, _, spread in sample), key=lambda s: s.mean)
    found.outliers = {
        name: [outlier for _, _, outlier in sorted(heap, key=lambda item: (-item[0], item[1]))]
        for name, heap in best.items()
    }
    return found


def _with_molecules_whole(tables: Iterable[pa.Table], asked: int) -> Iterator[pa.Table]:
    """Yield the same rows, those of a molecule that is split over shards together. Its parts are in neighbours."""
    held: dict[int, list[pa.Table]] = {}
    for table in tables:
        molecules = table["molecule"].to_numpy()
        numbers, counts = np.unique(molecules[molecules >= 0], return_counts=True)
        parts = numbers[counts < asked]
        whole = [table.filter(pa.array(~np.isin(molecules, parts)))] if parts.size else [table]
        for number in parts.tolist():
            own = [*held.pop(number, ()), table.filter(pa.array(molecules == number))]
            if sum(map(len, own)) == asked:
                whole += own
            else:
                held[number] = own
        if joined := [part for part in whole if part.num_rows]:
            yield pa.concat_tables(joined)
    if held:  # shards are missing
        yield pa.concat_tables([table for own in held.values() for table in own])


def _gaps(table: pa.Table) -> Float64[np.ndarray, "row"]:
    values = [np.nan if value is None else value for value in table["gap_ev"].to_pylist()]
    return np.array(values, dtype=np.float64)


def _add_gaps(found: Findings, values: Float64[np.ndarray, "row"]) -> None:
    if not values.size:
        return
    # Chan, Golub and LeVeque (1979): mean and sum of squared deviations of two sets put together.
    n, mean = found.n + values.size, float(values.mean())
    step = mean - found.mean
    found.sum_of_squares += float(((values - mean) ** 2).sum()) + step**2 * found.n * values.size / n
    found.mean += step * values.size / n
    found.n = n
    found.minimum = min(found.minimum, float(values.min()))
    found.maximum = max(found.maximum, float(values.max()))
    bins, counts = np.unique(np.floor(values / BIN_EV).astype(np.int64), return_counts=True)
    for b, count in zip(bins.tolist(), counts.tolist(), strict=True):
        found.gaps[b] += count


def _count_reasons(found: Findings, columns: dict[str, list[Any]]) -> None:
    """Reasons, with numbers blotted out so that alike ones count together; beyond a limit as 'other'."""
    for status, reason in zip(columns["status"], columns["reason"], strict=True):
        if status == "ok":
            continue
        text = re.sub(r"(?<![A-Za-z\d.])\d+(\.\d+)?(e-?\d+)?", "#", reason)[:160]
        key = (status, text)
        found.reasons[
            key if key in found.reasons or len(found.reasons) < _REASONS else (status, "other")
        ] += 1


def _keep(heap: list[tuple[float, int, T]], size: int, item: tuple[float, int, T]) -> None:
    """Keep the `size` items with the largest first element; the row's number breaks ties."""
    if len(heap) < size:
        heapq.heappush(heap, item)
    elif item[:2] > heap[0][:2]:
        heapq.heapreplace(heap, item)


def _extremes(best: dict[str, list], columns: dict[str, list[Any]], gaps: Float64[np.ndarray, "row"]) -> None:
    order = np.argsort(gaps, kind="stable")  # NaN comes last
    n = int(np.isfinite(gaps).sum())
    for name, sign, chosen in (
        ("smallest", -1, order[:n][:_OUTLIERS]),
        ("largest", 1, order[:n][-_OUTLIERS:]),
    ):
        for i in chosen.tolist():
            text = f"gap {gaps[i]:.3f} eV, conformer {columns['conformer'][i]}"
            outlier = Outlier(columns["smiles"][i] or "", columns["row_id"][i], text)
            _keep(best[name], _OUTLIERS, (sign * float(gaps[i]), columns["row_id"][i], outlier))


def _spreads(
    found: Findings,
    sample: list[tuple[float, int, Spread]],
    widest: list[tuple[float, int, Outlier]],
    columns: dict[str, list[Any]],
    molecules: Int64[np.ndarray, "row"],
    gaps: Float64[np.ndarray, "row"],
) -> None:
    """Gaps over the conformers of each molecule of one shard."""
    fine = np.flatnonzero(np.isfinite(gaps))
    if not fine.size:
        return
    fine = fine[np.argsort(molecules[fine], kind="stable")]
    starts = np.flatnonzero(np.diff(molecules[fine], prepend=molecules[fine][0] - 1))
    for rows in np.split(fine, starts[1:]):
        if rows.size < 2:
            continue
        values, number = gaps[rows], int(molecules[rows[0]])
        spread = Spread(
            float(values.mean()), float(values.min()), float(values.max()), float(values.std(ddof=1))
        )
        found.spread_of += 1
        found.deviation_sum += spread.deviation
        place = int.from_bytes(hashlib.blake2b(str(number).encode(), digest_size=8).digest(), "big")
        # Geometries of one molecule may lie in two shards: its number would not tell the two apart.
        first = int(rows[0])
        row_id = columns["row_id"][first]
        _keep(sample, _MOLECULES, (-place, row_id, spread))
        text = f"{spread.low:.2f} to {spread.high:.2f} eV over {rows.size} conformers"
        outlier = Outlier(columns["smiles"][first] or "", row_id, text)
        _keep(widest, _OUTLIERS, (spread.high - spread.low, row_id, outlier))


def throughput(
    dataset: Dataset, bins: int = 60
) -> tuple[Float64[np.ndarray, "bin"], Float64[np.ndarray, "bin"]]:
    """Return (hours since the first attempt began, labels a second) in equal bins, from the commit records.

    The labels of a shard are spread evenly over the time that its attempt took.
    """
    spans = []
    for shard in dataset.committed_shards():
        record = read_commit(dataset.plan, shard)
        if "committed_at" in record and record["seconds"].get("total"):
            end = record["committed_at"]
            spans.append((end - record["seconds"]["total"], end, record["statuses"].get("ok", 0)))
    if not spans:
        return np.zeros(0), np.zeros(0)
    begin, end, labels = np.array(sorted(spans), dtype=np.float64).T
    edges = np.linspace(begin.min(), end.max(), bins + 1)
    rates = np.zeros(bins)
    for a, b, n in zip(begin, end, labels, strict=True):
        overlap = np.clip(np.minimum(b, edges[1:]) - np.maximum(a, edges[:-1]), 0, None)
        rates += n * overlap / max(b - a, 1e-9)
    rates /= np.diff(edges)
    return (edges[:-1] + edges[1:] - 2 * edges[0]) / 7200, rates
