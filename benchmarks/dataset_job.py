"""What a dataset job cost: labels a second, time by stage, failures and file sizes of a finished dataset.

    python benchmarks/dataset_job.py out/demo
    python benchmarks/dataset_job.py s3://bucket/prefix --json

Reads the commit records, file sizes, and the reasons of rows that are not ok. Stages are seconds over all workers, as
the workers counted them: "total" is an attempt's wall time. Embedding goes on in a thread beside the other stages, so
they may sum to more than it.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict

import scfx_dataset

from scfx.jobs.commits import read_commits
from scfx.jobs.stores import open_store


def figures(path: str) -> dict:
    """Plain data about the dataset in `path`."""
    dataset = scfx_dataset.open(path)
    statuses: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    times, hosts, rates = [], set(), []
    for _, record in read_commits(dataset.plan):
        statuses.update(record["statuses"])
        for stage, value in record["seconds"].items():
            seconds[stage] += value
        ended = record.get("committed_at")
        if ended is not None:
            times.append((ended - record["seconds"]["total"], ended))
            hosts.add(record.get("host"))
        if record["seconds"]["total"] > 0:
            rates.append(record["statuses"].get("ok", 0) / record["seconds"]["total"])
    rates.sort()
    total = seconds.pop("total", 0.0)
    busy = sum(seconds.values())
    wall = max(e for _, e in times) - min(b for b, _ in times) if times else None
    store = open_store(path)
    sizes = {folder: store.sizes(folder) for folder in ("plan", "attempts", "commits")}
    rows = sum(statuses.values())
    reasons: Counter[str] = Counter()
    for table in dataset.filter(("failed", "not_converged", "poison")).shards(["status", "reason"]):
        reasons.update(
            f"{row['status']}: {row['reason'].split('(')[0].split('=')[0].strip()[:90]}"
            for row in table.to_pylist()
        )
    return {
        "path": path,
        "complete": dataset.complete,
        "rows": rows,
        "planned": dataset.plan.counts["rows"],
        "shards": len(dataset.plan.shards),
        "statuses": dict(statuses),
        "reasons": dict(reasons.most_common(12)),
        "hosts": len(hosts),
        "wall_seconds": wall,
        "labels_per_second": statuses["ok"] / wall if wall else None,
        "rows_per_second": rows / wall if wall else None,
        "worker_seconds": total,
        "workers_busy_on_average": total / wall if wall else None,
        "labels_per_worker_second": statuses["ok"] / total if total else None,
        "labels_per_worker_second_quartiles": [rates[len(rates) * q // 4] for q in (1, 2, 3)]
        if rates
        else None,
        "share_of_stage": {
            stage: value / busy for stage, value in sorted(seconds.items(), key=lambda item: -item[1])
        },
        "compile_share": seconds.get("compile", 0.0) / busy if busy else None,
        "files": {folder: len(found) for folder, found in sizes.items()},
        "bytes": {folder: sum(found.values()) for folder, found in sizes.items()},
        "bytes_per_row": sum(sizes["attempts"].values()) / rows if rows else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = figures(given.path)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['rows']} of {found['planned']} rows in {found['shards']} shards: {found['statuses']}")
    for reason, count in found["reasons"].items():
        print(f"  {count:8d}  {reason}")
    if found["wall_seconds"]:
        print(
            f"wall {found['wall_seconds']:.0f} s on {found['hosts']} host(s): "
            f"{found['labels_per_second']:.2f} labels/s, {found['rows_per_second']:.2f} rows/s, "
            f"{found['workers_busy_on_average']:.2f} workers busy on average"
        )
    if found["labels_per_worker_second"]:
        quartiles = ", ".join(f"{rate:.2f}" for rate in found["labels_per_worker_second_quartiles"])
        print(
            f"labels/s a worker: {found['labels_per_worker_second']:.2f} (quartiles over shards {quartiles})"
        )
    shares = ", ".join(f"{k} {100 * v:.2f} %" for k, v in found["share_of_stage"].items())
    print(f"stages: {shares}")
    print(f"compiling: {100 * (found['compile_share'] or 0):.2f} %")
    for folder, size in found["bytes"].items():
        print(f"{folder}/: {found['files'][folder]} files, {size / 1e6:.2f} MB")
    if found["bytes_per_row"]:
        print(f"{found['bytes_per_row']:.0f} bytes a row")


if __name__ == "__main__":
    main()
