"""What a plan will cost: a sample of its rows is timed and scaled up by the cost model, with error bars."""

from __future__ import annotations

import io
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scfx.errors import InputError
from scfx_dataset.label import label_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx_dataset.cost import CostModel
    from scfx_dataset.options import Embedding
    from scfx_dataset.plan import Plan
    from scfx_dataset.solvers import LabelSolver

_RESAMPLES = 2000
_Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Estimate:
    """Estimates as (middle, low, high), low to high being 95 % of a bootstrap over the timed groups of rows.

    `core_seconds` of the whole plan on cores like this one, without starting and compiling, which took
    `start_seconds` for the sample. `data_bytes` of all shards. `longest_shard` in core seconds bounds the wall-clock
    from below. `statuses` of the sampled rows.
    """

    core_seconds: _Interval
    data_bytes: _Interval
    longest_shard: float
    start_seconds: float
    statuses: dict[str, int]
    rows: int
    shards: int
    #: How many times as long as the cost model says the sample took: all figures here are multiplied by it.
    model_factor: float = 1.0

    def wall_seconds(self, cores: int) -> _Interval:
        """Return the seconds of wall time on so many cores like this one that share the shards evenly."""
        middle, low, high = (max(total / cores, self.longest_shard) for total in self.core_seconds)
        return middle, low, high


def estimate(
    plan: Plan,
    cost: CostModel,
    solver: LabelSolver,
    embedding: Embedding,
    sample: int,
    group: int = 16,
    seed: int = 0,
) -> Estimate:
    """Time `sample` rows of a plan, in groups of `group` neighbours of one shape, as full lanes of a run are.

    Every group is solved twice: the first time compiles, the second is timed, by the processor time of this process,
    so that a busy machine does not make a job look longer. `solver` should use one thread. Shards are drawn with a
    chance in proportion to their rows.
    """
    generator = np.random.default_rng(seed)
    groups = _groups(plan, max(2, round(sample / group)), group, generator)
    times, models, sizes, atoms = [], [], [], []
    statuses: Counter[str] = Counter()
    began = time.perf_counter()
    for planned in groups:
        _label(plan, planned, solver, embedding)
    warm = time.perf_counter() - began
    tables = []
    for planned in groups:
        start = time.process_time()
        table = _label(plan, planned, solver, embedding)
        times.append(time.process_time() - start)
        models.append(sum(_model(cost, numbers) for numbers in table["atomic_numbers"].to_pylist()))
        sizes.append(table.num_rows)
        atoms.append(sum(len(numbers or ()) for numbers in table["atomic_numbers"].to_pylist()))
        statuses.update(table["status"].to_pylist())
        tables.append(table)
    if not any(models):
        raise InputError(
            f"none of the {sum(sizes)} sampled rows has a geometry, so there is nothing to extrapolate from: "
            f"{tables[0]['reason'][0]}"
        )
    total_model = plan.record["model_core_seconds"]
    total_rows = plan.counts["rows"]
    t, m, n, a = (np.asarray(values, dtype=np.float64) for values in (times, models, sizes, atoms))
    draws = generator.integers(0, t.size, (_RESAMPLES, t.size))
    # Rows that have no geometry cost next to nothing and count as such: the model's share of the sample is known.
    share = m.sum() / sum(_planned_model(cost, planned) for planned in groups)
    core = total_model * share * t.sum() / m.sum()
    cores = total_model * share * t[draws].sum(1) / np.maximum(m[draws].sum(1), 1e-12)
    bytes_per_atom = _encoded(pa.concat_tables(tables)) / max(1.0, a.sum())
    data = bytes_per_atom * total_rows * a.sum() / n.sum()
    datas = bytes_per_atom * total_rows * a[draws].sum(1) / n[draws].sum(1)
    sizes_of_shards = [shard.seconds for shard in plan.shards]
    if not any(sizes_of_shards):  # a plan made before they were kept
        sizes_of_shards = [shard.rows for shard in plan.shards]
    longest = max(sizes_of_shards) / sum(sizes_of_shards) * core
    return Estimate(
        _interval(core, cores), _interval(data, datas), float(longest), max(0.0, warm - sum(times)),
        dict(statuses), total_rows, len(plan.shards), float(t.sum() / m.sum()),
    )  # fmt: skip


def _groups(plan: Plan, count: int, size: int, generator: np.random.Generator) -> list[pa.Table]:
    """So many times up to `size` neighbouring rows of one shape, from shards drawn by their rows."""
    weights = np.array([shard.rows for shard in plan.shards], dtype=np.float64)
    chosen = generator.choice(weights.size, count, p=weights / weights.sum())
    groups = []
    for index in chosen:
        table = plan.rows(plan.shards[int(index)])
        table = table.take(pa.array(np.argsort(np.array(table["shape"].to_pylist()), kind="stable")))
        shapes = table["shape"].to_pylist()
        at = int(generator.integers(len(shapes)))
        first, last = shapes.index(shapes[at]), len(shapes) - shapes[::-1].index(shapes[at])
        first = max(first, min(at, last - size))
        groups.append(table.slice(first, min(size, last - first)))
    return groups


def _label(plan: Plan, planned: pa.Table, solver: LabelSolver, embedding: Embedding) -> pa.Table:
    seconds: dict[str, float] = defaultdict(float)
    rows = label_rows(
        planned.to_pylist(),
        lambda: solver,
        embedding,
        planned.num_rows,
        plan.identity,
        lambda rows: None,
        seconds,
    )
    return pa.Table.from_pylist(rows, schema=plan.schema)


def _model(cost: CostModel, numbers: Sequence[int] | None) -> float:
    return cost.seconds(Counter(numbers).items()) if numbers else 0.0


def _planned_model(cost: CostModel, planned: pa.Table) -> float:
    """Model seconds of planned rows, also of those that turn out to have no geometry."""
    from scfx_dataset.molecules import read_molecule

    total = 0.0
    for smiles, numbers in zip(
        planned["smiles"].to_pylist(), planned["atomic_numbers"].to_pylist(), strict=True
    ):
        molecule = read_molecule(smiles) if smiles and not numbers else None
        if molecule is not None and not isinstance(molecule, str):
            total += cost.seconds(molecule.numbers)
        else:
            total += _model(cost, numbers)
    return total


def _encoded(table: pa.Table) -> int:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.tell()


def _interval(middle: float, draws: np.ndarray) -> _Interval:
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(middle), float(min(low, middle)), float(max(high, middle))


def as_text(found: Estimate, cores: Sequence[int]) -> str:
    """Return the estimate for a terminal, one fact a line."""
    middle, low, high = (value / 3600 for value in found.core_seconds)
    size, least, most = (value / 1e6 for value in found.data_bytes)
    timed = sum(found.statuses.values())
    others = ", ".join(f"{n} {status}" for status, n in sorted(found.statuses.items()) if status != "ok")
    lines = [
        f"timed       {timed} rows of {found.rows} ({others or 'all ok'}); starting and compiling took "
        f"{found.start_seconds:.1f} s",
        f"model       the sample took {found.model_factor:.2g} times as long as the cost model says; what follows is "
        "corrected by that",
        f"core-hours  {middle:.3g} (95 %: {low:.3g} to {high:.3g}), {found.rows / 3600 / middle:.3g} rows/s a core",
        f"disk        {size:.3g} MB of shards (95 %: {least:.3g} to {most:.3g})",
    ]
    lines.append(
        f"shards      the longest takes about {clock(found.longest_shard)} of one core like this one"
    )
    for k in cores:
        wall = [clock(value) for value in found.wall_seconds(k)]
        lines.append(f"wall-clock  {wall[0]} on {k} core{'s' * (k != 1)} (95 %: {wall[1]} to {wall[2]})")
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """Return the seconds for people: '42 s', '12 min', '3.4 h', '12 d'."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} d"


def to_json(found: Estimate, cores: Sequence[int]) -> dict[str, Any]:
    """Return plain data: every interval as {middle, low, high}."""
    names = ("middle", "low", "high")
    return {
        "core_seconds": dict(zip(names, found.core_seconds, strict=True)),
        "data_bytes": dict(zip(names, found.data_bytes, strict=True)),
        "wall_seconds": {str(k): dict(zip(names, found.wall_seconds(k), strict=True)) for k in cores},
        "start_seconds": found.start_seconds,
        "model_factor": found.model_factor,
        "longest_shard_seconds": found.longest_shard,
        "sampled": found.statuses,
        "rows": found.rows,
        "shards": found.shards,
    }
