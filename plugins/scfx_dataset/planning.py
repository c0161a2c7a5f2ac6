"""Making a plan: from a source to the files of a manifest, in bounded memory."""

from __future__ import annotations

import hashlib
import json
import tempfile
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from scfx.errors import InputError
from scfx.jobs.plan import PLAN, agree
from scfx.jobs.records import digest, sealed
from scfx_dataset.plan import Identity, Plan, filled
from scfx_dataset.rows import PlannedRows
from scfx_dataset.schema import EXCLUDED, MANIFEST, SHARDS

if TYPE_CHECKING:
    from scfx.jobs.store import AbstractStore
    from scfx_dataset.cost import CostModel
    from scfx_dataset.options import DatasetOptions
    from scfx_dataset.sources import Source

#: Shards of one file of the manifest: its footer stays small, and a worker reads one file, not the whole plan.
SHARDS_PER_MANIFEST = 256
_INDEX_PIECE = 4096


def ensure_plan(
    store: AbstractStore,
    identity: Identity,
    source: Source,
    options: DatasetOptions,
    cost: CostModel | None = None,
) -> tuple[Plan, bool]:
    """Return the plan in the store, made first if there is none, and whether it was made now.

    Raises `InputError` if the store holds the plan of something else, naming what differs. A plan of other versions is
    an answer where every shard is committed, since nothing is left to compute; else only with
    `options.continue_with_other_versions`.
    """
    if not store.exists(PLAN):
        created = _make(store, identity, source, options, cost)
        plan = Plan.load(store)
        if created:
            return plan, True
    else:
        plan = Plan.load(store)
    lines = identity.differences(filled(plan.identity))
    agree(plan, identity.plan_id, lines, options.continue_with_other_versions)
    return plan, False


class _Files:
    """The plan's files: written in a scratch folder, then put into the store under unique names when complete."""

    def __init__(self, store: AbstractStore, scratch: Path):
        self._store = store
        self._scratch = scratch
        self._token = uuid.uuid4().hex[:12]
        self._open: dict[str, pq.ParquetWriter] = {}
        self.stored: dict[str, dict[str, str]] = {}

    def write(self, kind: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
        """Append rows to the file of a kind, as one row group."""
        if kind not in self._open:
            self._open[kind] = pq.ParquetWriter(self._scratch / kind, schema, compression="zstd")
        self._open[kind].write_table(
            pa.Table.from_pylist(rows, schema=schema), row_group_size=max(1, len(rows))
        )

    def put(self, kind: str) -> None:
        """Close the file of a kind and store it, with its checksum."""
        self._open.pop(kind).close()
        path = self._scratch / kind
        data = path.read_bytes()
        path.unlink()
        name = f"plan/{kind}-{self._token}.parquet"
        self._store.write_new(name, data)
        self.stored[kind] = {"name": name, "sha256": hashlib.sha256(data).hexdigest()}

    def discard(self) -> None:
        """Remove what was stored: there is no plan that names it."""
        for writer in self._open.values():
            writer.close()
        for entry in self.stored.values():
            self._store.remove(entry["name"])


def _make(
    store: AbstractStore, identity: Identity, source: Source, options: DatasetOptions, cost: CostModel | None
) -> bool:
    """Write the plan's files under unique names, then plan.json if nobody else was faster."""
    with tempfile.TemporaryDirectory(prefix="scfx-plan-") as scratch:
        files = _Files(store, Path(scratch))
        won = False
        try:
            counts, seconds = _write(files, identity, source, options, cost, Path(scratch))
            record = {
                "format": Plan.FORMAT,
                "plan_id": identity.plan_id,
                "identity": asdict(identity),
                "molecules": source.path.name,
                "source_format": source.format,
                "license": options.license,
                "counts": counts,
                "model_core_seconds": round(seconds, 3),
                "shards_per_manifest": SHARDS_PER_MANIFEST,
                "files": files.stored,
            }
            won = store.put_if_absent(PLAN, (json.dumps(sealed(record), indent=2) + "\n").encode())
        finally:
            if not won:
                files.discard()
    return won


def _write(
    files: _Files,
    identity: Identity,
    source: Source,
    options: DatasetOptions,
    cost: CostModel | None,
    scratch: Path,
) -> tuple[dict[str, Any], float]:
    """All files but plan.json. Returns the counts, and the seconds that the cost model expects on one core."""
    plan_id = identity.plan_id
    # Excluded lines come between shards, in pieces, so nothing grows with the length of the source.
    rows = PlannedRows(
        source,
        options,
        cost,
        lambda lines: files.write("excluded", lines, EXCLUDED),
        scratch,
        identity.solver.get("lane_width", 16),
    )
    files.write("excluded", [], EXCLUDED)
    index: list[dict[str, Any]] = []
    total, shards, manifest = 0.0, 0, ""
    for shape, shard_rows, seconds in rows:
        content = digest([plan_id, [[row[key] for key in sorted(row)] for row in shard_rows]])
        shard_id = f"{shards:06d}-{content}"
        for row in shard_rows:
            row["shard"] = shard_id
        if shards % SHARDS_PER_MANIFEST == 0 and manifest:
            files.put(manifest)
        manifest = f"manifest-{shards // SHARDS_PER_MANIFEST:05d}"
        files.write(manifest, shard_rows, MANIFEST)
        index.append(
            {"shard": shard_id, "rows": len(shard_rows), "shape": shape, "seconds": round(seconds, 6)}
        )
        shards += 1
        total += seconds
        if len(index) >= _INDEX_PIECE:
            files.write("shards", index, SHARDS)
            index = []
    if not shards:
        raise InputError(
            f"task.molecules: {str(source.path)!r} gives no row ({json.dumps(rows.counts)}); check the file and the "
            "filters"
        )
    files.put(manifest)
    if index:
        files.write("shards", index, SHARDS)
    files.put("shards")
    files.put("excluded")
    return {**rows.counts, "shards": shards}, total
