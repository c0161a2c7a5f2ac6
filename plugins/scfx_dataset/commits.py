"""The commit records of a dataset: the only thing that says which attempts count."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scfx.errors import InputError

if TYPE_CHECKING:
    from scfx_dataset.plan import Plan, Shard
    from scfx_dataset.reader import Dataset

_FIELDS = ("shard", "plan_id", "attempt", "sha256", "bytes", "rows", "statuses", "seconds")


def committed(plan: Plan) -> list[Shard]:
    """Shards of the plan that have a commit, in the plan's order. One listing, no record is opened."""
    names = {name.removeprefix("commits/").removesuffix(".json") for name in plan.store.names("commits")}
    return [shard for shard in plan.shards if shard.id in names]


def read_commit(plan: Plan, shard: Shard) -> dict[str, Any]:
    """A commit record, checked to belong to this plan and shard; `InputError` if it is damaged."""
    name = f"commits/{shard.id}.json"
    where = plan.store.where(name)
    try:
        record = json.loads(plan.store.read(name))
    except (OSError, ValueError) as error:
        raise InputError(f"{where!r} cannot be read: {error}") from error
    if not isinstance(record, dict) or any(field not in record for field in _FIELDS):
        raise InputError(f"{where!r} is not a commit record")
    if record["plan_id"] != plan.plan_id or record["shard"] != shard.id or record["rows"] != shard.rows:
        raise InputError(f"{where!r} belongs to another plan (its plan_id is {record['plan_id']!r})")
    return record


def missing_data(plan: Plan) -> list[str]:
    """What is wrong with committed shards at a glance (file absent, wrong size); empty if nothing."""
    problems = []
    for shard in committed(plan):
        record = read_commit(plan, shard)
        size = plan.store.size(record["attempt"])
        if size != record["bytes"]:
            found = "is missing" if size is None else f"has {size} bytes"
            problems.append(f"{record['attempt']} {found}, its commit says {record['bytes']} bytes")
    return problems


def remove_orphans(plan: Plan) -> int:
    """Remove the attempts that lost (their shard is committed with another file). Returns how many.

    The attempts of shards without a commit are left alone: another run may be about to commit them.
    """
    winners = {shard.id: read_commit(plan, shard)["attempt"] for shard in committed(plan)}
    removed = 0
    for name in plan.store.names("attempts"):
        shard_id = name.removeprefix("attempts/").rpartition("-")[0]
        if shard_id in winners and winners[shard_id] != name:
            plan.store.remove(name)
            removed += 1
    return removed


def drop_damaged(dataset: Dataset) -> int:
    """Remove the commit of every shard that cannot be read as committed. Returns how many."""
    plan, dropped = dataset.plan, 0
    for shard in committed(plan):
        try:
            dataset.read_shard(shard)
        except InputError:
            plan.store.remove(f"commits/{shard.id}.json")
            dropped += 1
    return dropped
