"""The commit records of a job: the only thing that says which attempts count."""

from __future__ import annotations

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from scfx.contracts.work import STATUSES
from scfx.errors import InputError
from scfx.jobs.records import unharmed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from scfx.jobs.plan import AbstractPlan, Shard

_FIELDS = ("shard", "plan_id", "attempt", "sha256", "bytes", "rows", "statuses", "seconds")

#: All records so far in one file, so that a large job is not opened by a million small reads. A copy: a commit
#: counts because its record is listed, whatever stands here.
COMPACTED = "commits.parquet"

#: Records read at once: on an object store a read is a round trip of some 10 ms, and none of the processor's time.
_READERS = 16


def committed(plan: AbstractPlan) -> list[Shard]:
    """Return shards of the plan that have a commit, in the plan's order. One listing, no record is opened."""
    names = {name.removeprefix("commits/").removesuffix(".json") for name in plan.store.names("commits")}
    return [shard for shard in plan.shards if shard.id in names]


def read_commit(plan: AbstractPlan, shard: Shard) -> dict[str, Any]:
    """Return a commit record, checked to belong to this plan and shard; `InputError` if it is damaged."""
    return _compacted(plan).get(shard.id) or read_record(plan, shard)


def read_record(plan: AbstractPlan, shard: Shard) -> dict[str, Any]:
    """Return the record that a commit file holds, read from the file itself, whatever a copy says."""
    name = f"commits/{shard.id}.json"
    where = plan.store.where(name)
    try:
        record = json.loads(plan.store.read(name))
    except (OSError, ValueError) as error:
        raise InputError(f"{where!r} cannot be read: {error}") from error
    if not isinstance(record, dict) or any(field not in record for field in _FIELDS):
        raise InputError(f"{where!r} is not a commit record")
    if problem := _malformed(record, shard):
        raise InputError(f"{where!r} is damaged: {problem}")
    if record["plan_id"] != plan.plan_id or record["shard"] != shard.id or record["rows"] != shard.rows:
        raise InputError(f"{where!r} belongs to another plan (its plan_id is {record['plan_id']!r})")
    return record


def _malformed(record: dict[str, Any], shard: Shard) -> str:
    """What no record that scfx has written can hold; "" if there is nothing."""
    number = (int, float)
    if not unharmed(record):
        return "its digest is not that of its content"
    beside = record.get("beside", {})
    if not isinstance(beside, dict) or not all(isinstance(entry, dict) for entry in beside.values()):
        return "its files beside are no files"
    for entry in (record, *beside.values()):
        name, sha256 = (str(entry.get(key))[:200] for key in ("attempt", "sha256"))
        if not re.fullmatch(rf"attempts/{re.escape(shard.id)}-[0-9a-f]+(\.[a-z0-9_]+)+", name):
            return f"its attempt is {name[:100]!r}"
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            return f"its sha256 is {sha256[:100]!r}"
        if not isinstance(entry.get("bytes"), int):
            return "its bytes are no number"
    for key, kind in (("statuses", int), ("seconds", number)):
        if not isinstance(record[key], dict) or not all(isinstance(v, kind) for v in record[key].values()):
            return f"its {key} are no numbers"
    taken, versions = record.get("taken", {}), record.get("versions", {})
    if not isinstance(taken, dict) or not all(isinstance(v, int) for v in taken.values()):
        return "its rows taken over are no numbers"
    if not isinstance(versions, dict) or not all(isinstance(v, str) for v in versions.values()):
        return "its versions are no texts"
    if not record["statuses"].keys() <= set(STATUSES):
        return "its statuses are none"
    return ""


def read_commits(
    plan: AbstractPlan, shards: Sequence[Shard] | None = None
) -> Iterator[tuple[Shard, dict[str, Any]]]:
    """Yield the records of some committed shards (default: of all), several read at once. Raises as `read_commit`."""
    wanted = committed(plan) if shards is None else shards
    compacted = _compacted(plan)
    others = [shard for shard in wanted if shard.id not in compacted]
    with ThreadPoolExecutor(_READERS, thread_name_prefix="scfx-commits") as pool:
        read = pool.map(lambda shard: read_record(plan, shard), others)
        for shard in wanted:
            yield shard, compacted.get(shard.id) or next(read)


def compact(plan: AbstractPlan) -> int:
    """Write all commit records to one file, which readers use from then on. Returns how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plan.kept.pop("commits", None)
    rows = [
        {
            **{key: record[key] for key in ("shard", "attempt", "sha256", "bytes", "rows")},
            "rest": json.dumps({k: v for k, v in record.items() if k not in ("attempt", "sha256")}),
        }
        for _, record in read_commits(plan)
    ]
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(rows, schema=_schema()).replace_schema_metadata({"plan_id": plan.plan_id})
    pq.write_table(table, buffer, compression="zstd")
    plan.store.replace(COMPACTED, buffer.getvalue())
    plan.kept.pop("commits", None)
    return len(rows)


def _schema() -> pa.Schema:
    import pyarrow as pa

    texts, numbers = ("shard", "attempt", "sha256"), ("bytes", "rows")
    fields = [pa.field(name, pa.string(), False) for name in texts]
    fields += [pa.field(name, pa.int64(), False) for name in numbers]
    return pa.schema([*fields, pa.field("rest", pa.string(), False)])


def _compacted(plan: AbstractPlan) -> dict[str, dict[str, Any]]:
    """Records by shard id from the compacted file, read once for each `Plan`; empty if there is none."""
    if "commits" not in plan.kept:
        try:
            data = plan.store.read(COMPACTED)
        except FileNotFoundError:
            plan.kept["commits"] = {}
        except OSError as error:
            raise InputError(_unreadable_copy(plan, error)) from error
        else:
            plan.kept["commits"] = _copies(plan, data)
    return plan.kept["commits"]


def _unreadable_copy(plan: AbstractPlan, error: Exception) -> str:
    where = plan.store.where(COMPACTED)
    return f"{where!r} cannot be read: {error}; it is a copy of the commits and can be removed"


def _copies(plan: AbstractPlan, data: bytes) -> dict[str, dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (OSError, pa.ArrowException) as error:
        raise InputError(_unreadable_copy(plan, error)) from error
    if (table.schema.metadata or {}).get(b"plan_id", b"").decode(errors="replace") != plan.plan_id:
        raise InputError(
            f"{plan.store.where(COMPACTED)!r} belongs to another plan; it is a copy of the commits and can be removed"
        )
    return _whole_copies(plan, table)


def _whole_copies(plan: AbstractPlan, table: pa.Table) -> dict[str, dict[str, Any]]:
    """Records of a compacted file by shard id; a copy that is damaged is left out, for the record itself is there."""
    import pyarrow as pa

    shards = {shard.id: shard for shard in plan.shards}
    found: dict[str, dict[str, Any]] = {}
    try:
        rows = table.select(["shard", "attempt", "sha256", "rest"]).to_pylist()
    except (KeyError, ValueError, pa.ArrowException):
        return found
    for row in rows:
        try:
            record = {**json.loads(row["rest"]), "attempt": row["attempt"], "sha256": row["sha256"]}
            shard = shards[record["shard"]]
            if all(field in record for field in _FIELDS) and not _malformed(record, shard):
                found[shard.id] = record
        except (ValueError, LookupError, TypeError):
            continue
    return found


def files_of(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the files of a commit: its own, and those that were committed beside it; each with attempt, sha256,
    bytes.
    """
    return [record, *record.get("beside", {}).values()]


def missing_data(plan: AbstractPlan) -> list[str]:
    """Return what is wrong with committed shards at a glance (file absent, wrong size); empty if nothing."""
    problems = []
    sizes = plan.store.sizes("attempts")
    for file in (file for _, record in read_commits(plan) for file in files_of(record)):
        # A file of a commit that came after the listing is asked for by name.
        size = sizes.get(file["attempt"]) or plan.store.size(file["attempt"])
        if size != file["bytes"]:
            found = "is missing" if size is None else f"has {size} bytes"
            problems.append(f"{file['attempt']} {found}, its commit says {file['bytes']} bytes")
    return problems


def remove_orphans(plan: AbstractPlan) -> int:
    """Remove the attempts that lost (their shard is committed with another file). Returns how many.

    The attempts of shards without a commit are left alone: another run may be about to commit them.
    """
    winners = {shard.id: (shard, _names(record)) for shard, record in read_commits(plan)}
    removed = 0
    for name in plan.store.names("attempts"):
        shard, kept = winners.get(name.removeprefix("attempts/").rpartition("-")[0], (None, {name}))
        # The record itself has the last word: a copy could be older than a commit that was taken back and made again.
        if shard is not None and name not in kept and name not in _names(read_record(plan, shard)):
            plan.store.remove(name)
            removed += 1
    return removed


def _names(record: Mapping[str, Any]) -> set[str]:
    return {file["attempt"] for file in files_of(record)}


def remove_leftovers(plan: AbstractPlan) -> int:
    """Remove what a killed process left: temporary files, and files of plans that lost. Returns how many.

    Safe beside other runs: who misses a temporary file writes it again, and a plan that is not there yet has lost.
    """
    ours = {entry["name"] for entry in plan.record["files"].values()}
    found = [*plan.store.leftovers(), *(name for name in plan.store.names("plan") if name not in ours)]
    for name in found:
        plan.store.remove(name)
    return len(found)


def drop_damaged(plan: AbstractPlan, problem_of: Callable[[Shard], str]) -> int:
    """Remove the commit of every shard of which `problem_of` says (or raises as `InputError`) what is wrong with it.

    Returns how many. Raises `InputError` if the plan is damaged: then nothing can be said of a shard, and no commit is
    removed.
    """
    dropped = 0
    plan.verify()
    try:
        _compacted(plan)
    except InputError:  # a copy: what it is a copy of may be whole
        plan.store.remove(COMPACTED)
    for shard in committed(plan):
        try:
            problem = problem_of(shard)
        except InputError as error:
            problem = str(error)
        if problem:
            # The copy first: it must not speak for a commit that is made again.
            plan.store.remove(COMPACTED)
            plan.store.remove(f"commits/{shard.id}.json")
            plan.kept.pop("commits", None)
            dropped += 1
    return dropped
