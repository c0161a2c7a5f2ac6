"""The commit records of a dataset: the only thing that says which attempts count."""

from __future__ import annotations

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from scfx.errors import InputError
from scfx_dataset.plan import unharmed
from scfx_dataset.schema import STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scfx_dataset.plan import Plan, Shard
    from scfx_dataset.reader import Dataset

_FIELDS = ("shard", "plan_id", "attempt", "sha256", "bytes", "rows", "statuses", "seconds")

#: All records so far in one file, so that a large dataset is not opened by a million small reads. A copy: a commit
#: counts because its record is listed, whatever stands here.
COMPACTED = "commits.parquet"

#: Records read at once: on an object store a read is a round trip of some 10 ms, and none of the processor's time.
_READERS = 16


def committed(plan: Plan) -> list[Shard]:
    """Shards of the plan that have a commit, in the plan's order. One listing, no record is opened."""
    names = {name.removeprefix("commits/").removesuffix(".json") for name in plan.store.names("commits")}
    return [shard for shard in plan.shards if shard.id in names]


def read_commit(plan: Plan, shard: Shard) -> dict[str, Any]:
    """A commit record, checked to belong to this plan and shard; `InputError` if it is damaged."""
    return _compacted(plan).get(shard.id) or read_record(plan, shard)


def read_record(plan: Plan, shard: Shard) -> dict[str, Any]:
    """The same from the record itself, whatever a copy says."""
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
    if not re.fullmatch(rf"attempts/{re.escape(shard.id)}-[0-9a-f]+\.parquet", str(record["attempt"])):
        return f"its attempt is {str(record['attempt'])[:100]!r}"
    if not re.fullmatch("[0-9a-f]{64}", str(record["sha256"])):
        return f"its sha256 is {str(record['sha256'])[:100]!r}"
    for key, kind in (("statuses", int), ("seconds", number)):
        if not isinstance(record[key], dict) or not all(isinstance(v, kind) for v in record[key].values()):
            return f"its {key} are no numbers"
    taken, versions = record.get("taken", {}), record.get("versions", {})
    if not isinstance(taken, dict) or not all(isinstance(v, int) for v in taken.values()):
        return "its rows taken over are no numbers"
    if not isinstance(versions, dict) or not all(isinstance(v, str) for v in versions.values()):
        return "its versions are no texts"
    if not record["statuses"].keys() <= set(STATUSES) or not isinstance(record["bytes"], int):
        return "its statuses or its bytes are none"
    return ""


def read_commits(plan: Plan, shards: Sequence[Shard] | None = None) -> Iterator[tuple[Shard, dict[str, Any]]]:
    """The records of some committed shards (default: of all), several read at once. Raises as `read_commit`."""
    wanted = committed(plan) if shards is None else shards
    compacted = _compacted(plan)
    others = [shard for shard in wanted if shard.id not in compacted]
    with ThreadPoolExecutor(_READERS, thread_name_prefix="scfx-commits") as pool:
        read = pool.map(lambda shard: read_record(plan, shard), others)
        for shard in wanted:
            yield shard, compacted.get(shard.id) or next(read)


def compact(plan: Plan) -> int:
    """Write all commit records to one file, which readers use from then on. Returns how many."""
    plan.__dict__.pop("_commits", None)
    rows = [
        {
            **{key: record[key] for key in ("shard", "attempt", "sha256", "bytes", "rows")},
            "rest": json.dumps({k: v for k, v in record.items() if k not in ("attempt", "sha256")}),
        }
        for _, record in read_commits(plan)
    ]
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(rows, schema=_SCHEMA).replace_schema_metadata({"plan_id": plan.plan_id})
    pq.write_table(table, buffer, compression="zstd")
    plan.store.replace(COMPACTED, buffer.getvalue())
    plan.__dict__.pop("_commits", None)
    return len(rows)


_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), False),
        pa.field("attempt", pa.string(), False),
        pa.field("sha256", pa.string(), False),
        pa.field("bytes", pa.int64(), False),
        pa.field("rows", pa.int64(), False),
        pa.field("rest", pa.string(), False),
    ]
)


def _compacted(plan: Plan) -> dict[str, dict[str, Any]]:
    """Records by shard id from the compacted file, read once for each `Plan`; empty if there is none."""
    if "_commits" not in plan.__dict__:
        try:
            table = pq.read_table(io.BytesIO(plan.store.read(COMPACTED)))
        except FileNotFoundError:
            found: dict[str, dict[str, Any]] = {}
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{plan.store.where(COMPACTED)!r} cannot be read: {error}; it is a copy of the commits and can be "
                "removed"
            ) from error
        else:
            if (table.schema.metadata or {}).get(b"plan_id", b"").decode(errors="replace") != plan.plan_id:
                raise InputError(
                    f"{plan.store.where(COMPACTED)!r} belongs to another plan; it is a copy of the commits and can be "
                    "removed"
                )
            found = _whole_copies(plan, table)
        plan.__dict__["_commits"] = found
    return plan.__dict__["_commits"]


def _whole_copies(plan: Plan, table: pa.Table) -> dict[str, dict[str, Any]]:
    """Records of a compacted file by shard id; a copy that is damaged is left out, for the record itself is there."""
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


def missing_data(plan: Plan) -> list[str]:
    """What is wrong with committed shards at a glance (file absent, wrong size); empty if nothing."""
    problems = []
    sizes = plan.store.sizes("attempts")
    for _, record in read_commits(plan):
        # A file of a commit that came after the listing is asked for by name.
        size = sizes.get(record["attempt"]) or plan.store.size(record["attempt"])
        if size != record["bytes"]:
            found = "is missing" if size is None else f"has {size} bytes"
            problems.append(f"{record['attempt']} {found}, its commit says {record['bytes']} bytes")
    return problems


def remove_orphans(plan: Plan) -> int:
    """Remove the attempts that lost (their shard is committed with another file). Returns how many.

    The attempts of shards without a commit are left alone: another run may be about to commit them.
    """
    winners = {shard.id: (shard, record["attempt"]) for shard, record in read_commits(plan)}
    removed = 0
    for name in plan.store.names("attempts"):
        shard, attempt = winners.get(name.removeprefix("attempts/").rpartition("-")[0], (None, name))
        # The record itself has the last word: a copy could be older than a commit that was taken back and made again.
        if shard is not None and name not in (attempt, read_record(plan, shard)["attempt"]):
            plan.store.remove(name)
            removed += 1
    return removed


def remove_leftovers(plan: Plan) -> int:
    """Remove what a killed process left: temporary files, and files of plans that lost. Returns how many.

    Safe beside other runs: who misses a temporary file writes it again, and a plan that is not there yet has lost.
    """
    ours = {entry["name"] for entry in plan.record["files"].values()}
    found = [*plan.store.leftovers(), *(name for name in plan.store.names("plan") if name not in ours)]
    for name in found:
        plan.store.remove(name)
    return len(found)


def drop_damaged(dataset: Dataset) -> int:
    """Remove the commit of every shard that cannot be read as committed. Returns how many.

    Raises `InputError` if the plan is damaged: then nothing can be said of a shard, and no commit is removed.
    """
    plan, dropped = dataset.plan, 0
    plan.verify()
    try:
        _compacted(plan)
    except InputError:  # a copy: what it is a copy of may be whole
        plan.store.remove(COMPACTED)
    for shard in committed(plan):
        try:
            problem = dataset.problem_of(shard)
        except InputError as error:
            problem = str(error)
        if problem:
            # The copy first: it must not speak for a commit that is made again.
            plan.store.remove(COMPACTED)
            plan.store.remove(f"commits/{shard.id}.json")
            plan.__dict__.pop("_commits", None)
            dropped += 1
    return dropped
