"""One attempt at one shard: compute, write under a unique name, read back, commit if nobody has."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scfx.errors import InputError
from scfx_dataset.label import label_rows
from scfx_dataset.plan import Plan, Shard, canonical_json, current_versions, sealed
from scfx_dataset.solvers import LabelSolver, make_solver
from scfx_dataset.store import open_store
from scfx_dataset.takeover import Earlier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scfx_dataset.options import Embedding


@dataclass(frozen=True)
class Job:
    """What every attempt of a run shares. Plain data and an importable function, so that it travels to workers.

    `store` is the address of the dataset (`open_store`). A worker that finishes no batch for `hang_seconds`, or has
    more than `worker_memory` bytes resident (None: no limit), is to be ended by its executor.
    """

    store: str
    spec: Any
    embedding: Embedding
    batch_size: int
    atomic_numbers: tuple[int, ...] | None = None
    solver_factory: Callable[[Any, int | None, Sequence[int] | None], LabelSolver] = make_solver
    hang_seconds: float = 3600.0
    worker_memory: int | None = None
    #: Addresses of datasets whose rows are taken over where they are equal.
    take_over: tuple[str, ...] = ()
    #: Whether rows may be made with other versions than the plan's.
    other_versions: bool = False


@dataclass(frozen=True)
class Probe:
    """An attempt at some rows of a shard (by row_id), in a process that may die of them. It commits nothing."""

    shard: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: "committed", "lost" (another attempt was first), "tried" (a probe), "died", "error".

    `rows` by status (of the committed record); `seconds` by stage; `message` for the last two; `bad_input` if the
    error is one that the configuration must repair. `table`: the rows of a probe. Of a death, `charged` is False if
    it says nothing about the work: the worker was asked to end (preemption), or had not begun.
    """

    shard: int
    state: str
    rows: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    message: str = ""
    bad_input: bool = False
    charged: bool = True
    table: pa.Table | None = None


def commit_name(shard: Shard) -> str:
    return f"commits/{shard.id}.json"


class Worker:
    """Runs attempts one after another, keeping its solver (and what it has compiled) between them."""

    def __init__(self, job: Job, threads: int | None = None):
        self._job = job
        self._threads = threads
        self._store = open_store(job.store)
        self._plan = Plan.load(self._store)
        self._identity = {**self._plan.identity, "versions": current_versions()}
        if self._identity["versions"] != self._plan.identity["versions"] and not job.other_versions:
            raise InputError(
                f"{platform.node()} has other versions than the plan: {self._identity['versions']}, expected "
                f"{self._plan.identity['versions']}; install these, or say task.continue_with_other_versions = true"
            )
        self._earlier = Earlier(job.take_over) if job.take_over else None
        self._solver: LabelSolver | None = None
        self._start_seconds = 0.0

    def attempt(
        self,
        work: int | Probe,
        report: Callable[[Counter[str]], None],
        begun: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Make one attempt at a shard, or at the rows of a probe. Errors that are no property of a row are raised.

        `report` hears of rows by status as they are computed, `begun` when work on rows begins.
        """
        if isinstance(work, Probe):
            return self._probe(work, begun)
        shard = self._plan.shards[work]
        if self._store.exists(commit_name(shard)):
            return Outcome(work, "lost")
        began = time.perf_counter()
        seconds: dict[str, float] = defaultdict(float)
        before = dict(self._solver.profile) if self._solver else {}
        begun()
        planned = self._plan.rows(shard)
        known, taken = {}, {}
        if self._earlier is not None:
            known, taken = self._earlier.rows(planned, self._job.embedding.prune_rms is not None)
        table = self._label(planned, report, seconds, known=known)
        seconds["start"] += self._start_seconds
        self._start_seconds = 0.0
        if self._solver:
            for stage, value in self._solver.profile.items():
                seconds[stage] += value - before.get(stage, 0.0)
        return commit_rows(self._plan, shard, table, seconds, began, self._identity["versions"], taken)

    def _probe(self, probe: Probe, begun: Callable[[], None]) -> Outcome:
        # Made first: what kills a process before it has begun is no row's doing.
        self._get_solver()
        planned = self._plan.rows(self._plan.shards[probe.shard])
        begun()
        if self._job.embedding.prune_rms is None:
            planned = planned.filter(pc.field("row_id").isin(list(probe.rows)))
        # Else the other conformers of a molecule are embedded too, for a conformer may be pruned because of them.
        table = self._label(planned, lambda rows: None, defaultdict(float), frozenset(probe.rows))
        return Outcome(probe.shard, "tried", table=table)

    def _label(
        self,
        planned: pa.Table,
        report: Callable[[Counter[str]], None],
        seconds: dict[str, float],
        wanted: frozenset[int] | None = None,
        known: Mapping[int, dict[str, Any]] | None = None,
    ) -> pa.Table:
        return label_rows(
            planned,
            self._get_solver,
            self._job.embedding,
            self._job.batch_size,
            self._identity,
            report,
            seconds,
            wanted,
            known,
        )

    def _get_solver(self) -> LabelSolver:
        if self._solver is None:
            began = time.perf_counter()
            self._solver = self._job.solver_factory(self._job.spec, self._threads, self._job.atomic_numbers)
            self._start_seconds = time.perf_counter() - began
        return self._solver


def commit_rows(
    plan: Plan,
    shard: Shard,
    table: pa.Table,
    seconds: dict[str, float],
    began: float,
    made_with: Mapping[str, str],
    taken: Mapping[str, int] | None = None,
) -> Outcome:
    """Write the rows of a shard, read them back, and commit them if nobody has.

    `began`: `time.perf_counter()` at the beginning of the attempt. `made_with`: versions that computed here; `taken`:
    rows that were not computed, by the plan_id of the dataset that they come from.
    """
    store = plan.store
    written = time.perf_counter()
    data = encode(table, plan, shard, made_with)
    statuses = dict(sorted(Counter(table["status"].to_pylist()).items()))
    name = f"attempts/{shard.id}-{uuid.uuid4().hex[:12]}.parquet"
    try:
        _write(plan, name, data, shard)
    except FileNotFoundError:
        # Tidying up after the winner of a race may take our file from under our hands.
        if not store.exists(commit_name(shard)):
            raise
        return Outcome(shard.index, "lost")
    seconds["write"] = seconds.get("write", 0.0) + time.perf_counter() - written
    seconds["total"] = time.perf_counter() - began
    if not store.put_if_absent(
        commit_name(shard), _record(plan, shard, name, data, statuses, seconds, made_with, taken)
    ):
        # Only when the answer is a plain no: after any error the commit may exist and name this file.
        store.remove(name)
        return Outcome(shard.index, "lost")
    return Outcome(shard.index, "committed", statuses, dict(seconds))


def _record(
    plan: Plan,
    shard: Shard,
    name: str,
    data: bytes,
    statuses: dict[str, int],
    seconds: dict[str, float],
    made_with: Mapping[str, str],
    taken: Mapping[str, int] | None,
) -> bytes:
    """The commit record. Times and places are here, never in the data, so that data can be compared by bytes."""
    record = {
        "shard": shard.id,
        "plan_id": plan.plan_id,
        "attempt": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "rows": shard.rows,
        "statuses": statuses,
        "seconds": {stage: round(value, 4) for stage, value in sorted(seconds.items())},
        "host": platform.node(),
        "committed_at": time.time(),
    }
    if made_with != plan.identity["versions"]:
        record["versions"] = dict(made_with)
    if taken:
        record["taken"] = dict(taken)
    return (json.dumps(sealed(record), indent=2) + "\n").encode()


def _write(plan: Plan, name: str, data: bytes, shard: Shard) -> None:
    """Write, read back and compare: what is committed has been seen on the disk."""
    plan.store.write_new(name, data)
    back = plan.store.read(name)
    if back != data:
        raise OSError(f"{plan.store.where(name)!r} does not read back as it was written: a failing disk?")
    if pq.ParquetFile(io.BytesIO(back)).metadata.num_rows != shard.rows:
        raise AssertionError(f"shard {shard.id} has not the planned {shard.rows} rows")


def encode(table: pa.Table, plan: Plan, shard: Shard, made_with: Mapping[str, str]) -> bytes:
    """Parquet bytes of a shard: a function of rows, plan and pyarrow's version, with no time or place in them."""
    identity = plan.identity
    metadata = {
        "scfx": canonical_json(
            {
                "plan_id": plan.plan_id,
                "shard": shard.id,
                "format_version": identity["format_version"],
                "spec_hash": identity["spec_hash"],
                "spec": identity["spec"],
                "versions": dict(made_with),
            }
        )
    }
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd")
    return buffer.getvalue()
