"""One attempt at one shard: compute, write under a unique name, read back, commit if nobody has."""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

from scfx.contracts.executor import Outcome, Probe
from scfx.contracts.work import STATUSES, Attempt
from scfx.errors import InputError
from scfx.jobs.plan import ItemPlan
from scfx.jobs.records import sealed
from scfx.jobs.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scfx.contracts.executor import Job
    from scfx.contracts.work import AbstractWork, Row
    from scfx.jobs.plan import AbstractPlan, Shard


def commit_name(shard: Shard) -> str:
    """Return the name of the commit record of a shard."""
    return f"commits/{shard.id}.json"


class Worker:
    """Makes attempts one after another, keeping what its work has prepared (and compiled) between them.

    `threads`: its share of the cores; None: the command's own process, and all of them.
    """

    def __init__(self, job: Job, threads: int | None = None):
        # A copy: what is prepared here must not travel with the job to other processes.
        self._work = copy.copy(job.work)
        self._threads = threads
        store = open_store(job.store)
        self._plan: AbstractPlan = job.work.load_plan(store) or ItemPlan.load(store)
        self._made_with = self._work.versions()
        planned = self._plan.identity["versions"]
        if self._made_with != planned and not job.other_versions:
            raise InputError(
                f"{platform.node()} has other versions than the plan: {self._made_with}, expected "
                f"{planned}; install these, or say task.continue_with_other_versions = true"
            )
        self._start_seconds = 0.0
        self._begun = False

    def attempt(
        self,
        work: int | Probe,
        report: Callable[[Counter[str]], None],
        begun: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Make one attempt at a shard, or at the items of a probe. Errors that are no property of an item are raised.

        `report` hears of rows by status as they are computed, `begun` when work on items begins.
        """
        if isinstance(work, Probe):
            return self._probe(work, begun)
        shard = self._plan.shards[work]
        if self._plan.store.exists(commit_name(shard)):
            return Outcome(work, "lost")
        began = time.perf_counter()
        begun()
        items = self._plan.items(shard)
        self._begin()
        attempt = Attempt(self._plan, shard, self._made_with, report)
        rows = self._work.compute(items, attempt)
        attempt.seconds["start"] += self._start_seconds
        self._start_seconds = 0.0
        return commit_rows(self._work, rows, attempt, began)

    def _probe(self, probe: Probe, begun: Callable[[], None]) -> Outcome:
        # First: what kills a process before it has begun is no item's doing.
        self._begin()
        self._work.warm_up()
        shard = self._plan.shards[probe.shard]
        items = self._plan.items(shard)
        begun()
        attempt = Attempt(self._plan, shard, self._made_with)
        rows = self._work.compute_some(items, probe.places, attempt)
        _check(rows, len(probe.places), self._work)
        return Outcome(probe.shard, "tried", tried=list(rows))

    def _begin(self) -> None:
        if not self._begun:
            began = time.perf_counter()
            self._work.begin(self._threads)
            self._start_seconds = time.perf_counter() - began
            self._begun = True


def _check(rows: Sequence[Row], expected: int, work: AbstractWork) -> None:
    """What no work may do: lose a row, or invent a status. `TypeError` says which."""
    name = type(work).__name__
    if len(rows) != expected:
        raise TypeError(f"{name} returned {len(rows)} rows for {expected} items")
    for row in rows:
        status = row.get("status")
        if status not in STATUSES:
            raise TypeError(
                f"{name} returned a row with status {status!r}, expected one of {', '.join(STATUSES)}"
            )


def commit_rows(work: AbstractWork, rows: Sequence[Row], attempt: Attempt, began: float) -> Outcome:
    """Write the rows of a shard, read them back, and commit them if nobody has.

    `began`: `time.perf_counter()` at the beginning of the attempt.
    """
    shard, store = attempt.shard, attempt.plan.store
    _check(rows, shard.rows, work)
    written = time.perf_counter()
    stem = f"attempts/{shard.id}-{uuid.uuid4().hex[:12]}"
    files = {f"{stem}.{ending}": data for ending, data in work.encode(rows, attempt).items()}
    try:
        for name, data in files.items():
            _write(attempt.plan, name, data)
    except FileNotFoundError:
        # Tidying up after the winner of a race may take our files from under our hands.
        if not store.exists(commit_name(shard)):
            raise
        _remove(attempt.plan, files)
        return Outcome(shard.index, "lost")
    attempt.seconds["write"] = attempt.seconds.get("write", 0.0) + time.perf_counter() - written
    attempt.seconds["total"] = time.perf_counter() - began
    statuses = dict(sorted(Counter(row["status"] for row in rows).items()))
    if not store.put_if_absent(commit_name(shard), _record(attempt, stem, files, statuses)):
        # Only when the answer is a plain no: after any error the commit may exist and name these files.
        _remove(attempt.plan, files)
        return Outcome(shard.index, "lost")
    return Outcome(shard.index, "committed", statuses, dict(attempt.seconds))


def _remove(plan: AbstractPlan, names: Mapping[str, bytes]) -> None:
    for name in names:
        plan.store.remove(name)


def _record(attempt: Attempt, stem: str, files: Mapping[str, bytes], statuses: dict[str, int]) -> bytes:
    """The commit record. Times and places are here, never in the data, so that data can be compared by bytes."""
    (name, data), *others = files.items()
    shard, plan = attempt.shard, attempt.plan
    record: dict[str, Any] = {
        "shard": shard.id,
        "plan_id": plan.plan_id,
        **_file(name, data),
        "rows": shard.rows,
        "statuses": statuses,
        "seconds": {stage: round(value, 4) for stage, value in sorted(attempt.seconds.items())},
        "host": platform.node(),
        "committed_at": time.time(),
    }
    if others:
        record["beside"] = {
            other.removeprefix(f"{stem}."): _file(other, content) for other, content in others
        }
    if attempt.made_with != plan.identity["versions"]:
        record["versions"] = dict(attempt.made_with)
    record |= attempt.notes
    return (json.dumps(sealed(record), indent=2) + "\n").encode()


def _file(name: str, data: bytes) -> dict[str, Any]:
    return {"attempt": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _write(plan: AbstractPlan, name: str, data: bytes) -> None:
    """Write, read back and compare: what is committed has been seen on the disk."""
    plan.store.write_new(name, data)
    if plan.store.read(name) != data:
        raise OSError(f"{plan.store.where(name)!r} does not read back as it was written: a failing disk?")
