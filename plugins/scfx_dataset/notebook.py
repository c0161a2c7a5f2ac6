"""A dataset in a notebook: what it is, how far it is, and what failed. Reads commits only, no rows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from scfx.jobs.commits import read_commit
from scfx.notebook import facts, panel
from scfx_dataset.card import title

if TYPE_CHECKING:
    from scfx_dataset.reader import Dataset


def dataset_html(dataset: Dataset) -> str:
    """Return HTML with level, source, rows by status (others than "ok" in red) and columns."""
    plan = dataset.plan
    shards = dataset.committed_shards()
    statuses: Counter[str] = Counter()
    for shard in shards:
        statuses.update(read_commit(plan, shard)["statuses"])
    planned, done = plan.counts["rows"], sum(statuses.values())
    unfinished = len(shards) < len(plan.shards)
    rows = [
        ("level", title(dataset), False),
        ("source", plan.record["molecules"], False),
        ("molecules", plan.counts["molecules"], False),
        (
            "rows",
            f"{done} of {planned} planned" + ("; run the task again to go on" if unfinished else ""),
            unfinished,
        ),
        *((f"status {name}", count, name != "ok") for name, count in sorted(statuses.items())),
        ("columns", ", ".join(dataset.schema.names), False),
    ]
    return panel(repr(dataset), facts(rows))
