"""What a plan with very many shards costs its readers: listing, reading and compacting commits of a synthetic dataset.

    python benchmarks/dataset_store.py --shards 100000 --folder /tmp/store

Makes the plan and the commit records of a dataset without data (its rows are never read), times what every run, resume
and reader does with them, and removes the folder. All operations are the product's own. The processor's time stays
about the same on a busy machine; the rest of the wall time is the file system's, or other work's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from scfx_dataset.plan import Plan
from scfx_dataset.schema import FORMAT_VERSION, SHARDS

from scfx.jobs.commits import COMPACTED, committed, compact, missing_data, read_commits
from scfx.jobs.stores import open_store

STAGES = (
    "compile", "coulomb_exchange", "diagonalise", "embedding", "exchange_correlation", "fock", "grid", "guess",
    "one_electron", "prepare", "properties", "quadrature", "start", "total", "two_electron", "write",
)  # fmt: skip


def make(folder: Path, shards: int, rows: int) -> Plan:
    """A plan of `shards` shards of `rows` rows, all of them committed, with records of the usual length."""
    store = open_store(folder)
    store.create()
    index = [
        {
            "shard": f"{i:06d}-{hashlib.sha256(b'%d' % i).hexdigest()[:16]}",
            "rows": rows,
            "shape": "p2:9 p1:10",
        }
        for i in range(shards)
    ]
    with store.writer("plan/shards.parquet") as handle:
        table = pa.Table.from_pylist(
            [{f.name: row.get(f.name) for f in SHARDS} for row in index], schema=SHARDS
        )
        pq.write_table(table, handle, compression="zstd")
    record = {
        "format": "scfx-dataset",
        "plan_id": "0" * 16,
        "identity": {"format_version": FORMAT_VERSION},
        "counts": {"rows": shards * rows, "shards": shards},
        "files": {
            "shards": {
                "name": "plan/shards.parquet",
                "sha256": hashlib.sha256(store.read("plan/shards.parquet")).hexdigest(),
            }
        },
    }
    store.write_new("plan.json", json.dumps(record).encode())
    for row in index:
        name = row["shard"]
        commit = {
            "shard": name,
            "plan_id": "0" * 16,
            "attempt": f"attempts/{name}-0123456789ab.parquet",
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
            "bytes": 1,
            "rows": rows,
            "statuses": {"failed": 9, "ok": rows - 9},
            "seconds": dict.fromkeys(STAGES, 123.4567),
            "host": "node-0123",
            "committed_at": 1.7e9,
        }
        # Straight to the folder: what is timed is reading, and 100,000 flushes to the disk would take the afternoon.
        (folder / "commits" / f"{name}.json").write_text(json.dumps(commit, indent=2) + "\n")
        (folder / commit["attempt"]).write_bytes(b"x")
    return Plan.load(store)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--folder", default="out/dataset-store")
    given = parser.parse_args()
    folder = Path(given.folder)
    folder.mkdir(parents=True)
    try:
        make(folder, given.shards, given.rows)
        _time_all(folder, given.shards)
    finally:
        shutil.rmtree(folder)


def _time_all(folder: Path, shards: int) -> None:
    def fresh() -> Plan:
        return Plan.load(open_store(folder))

    def timed(what: str, action) -> None:
        began, spent = time.perf_counter(), time.process_time()
        action()
        print(
            f"{what:<55} {time.perf_counter() - began:8.2f} s, processor {time.process_time() - spent:8.2f} s",
            flush=True,
        )

    print(f"{shards} shards")
    plan = fresh()
    timed("index of shards (every reader and worker, once)", lambda: plan.shards)
    timed("which are committed (one listing)", lambda: committed(plan))
    timed("all commit records, one file each", lambda: list(read_commits(plan)))
    timed("look for missing files at the start of a run", lambda: missing_data(plan))
    timed("compact", lambda: compact(plan))
    print(f"{COMPACTED}: {(folder / COMPACTED).stat().st_size / 1e6:.1f} MB")
    plan = fresh()
    timed("index and all commit records, compacted", lambda: list(read_commits(plan)))
    timed("look for missing files at the start, compacted", lambda: missing_data(plan))


if __name__ == "__main__":
    main()
