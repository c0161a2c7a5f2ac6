"""What a dataset holds and what it cost, as plain data and as text."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from scfx.jobs.commits import committed, files_of, read_commit
from scfx.jobs.records import canonical_json
from scfx_dataset.findings import collect_findings
from scfx_dataset.schema import STATUSES

if TYPE_CHECKING:
    from scfx_dataset.reader import Dataset


def summarise(dataset: Dataset) -> dict[str, Any]:
    """Return plain data: planned and committed rows, rows by status, gap statistics (eV), seconds by stage over all
    workers.

    `digest` is that of the rows (`Dataset.digest`). `forces`: root mean square and largest (with its row) of the forces
    on atoms, of net forces and torques; None where the dataset has none. `geometries` says how many each molecule was
    to have, and how many molecules are how many short of that.
    `taken_over` counts rows by the plan_id of the earlier dataset that computed them; `made_with` those that were
    computed for this one, by versions. `worker_seconds` sums committed attempts: "total" is their wall time, the stages
    count every thread of a worker.
    `labels_per_worker_second` is ok rows that were computed here over "total"; `compile_share` is compiling over the
    sum of all stages.
    """
    plan = dataset.plan
    statuses: Counter[str] = Counter(dict.fromkeys(STATUSES, 0))
    seconds: dict[str, float] = defaultdict(float)
    size = 0
    taken: Counter[str] = Counter()
    made_with: Counter[str] = Counter()
    shards = committed(plan)
    for shard in shards:
        record = read_commit(plan, shard)
        statuses.update(record["statuses"])
        for stage, value in record["seconds"].items():
            seconds[stage] += value
        size += sum(file["bytes"] for file in files_of(record))
        taken.update(record.get("taken", {}))
        of_shard = sum(record["statuses"].values()) - sum(record.get("taken", {}).values())
        made_with[canonical_json(record.get("versions", plan.identity["versions"]))] += of_shard
    found = collect_findings(dataset)
    total = seconds["total"]
    busy = sum(value for stage, value in seconds.items() if stage != "total")
    return {
        "plan_id": plan.plan_id,
        "digest": dataset.digest(),
        "spec_hash": plan.identity["spec_hash"],
        "planned": plan.counts,
        "shards_committed": len(shards),
        "complete": len(shards) == len(plan.shards),
        "rows": sum(statuses.values()),
        "statuses": dict(statuses),
        "bytes": size,
        "taken_over": dict(sorted(taken.items())),
        "made_with": [{"versions": json.loads(v), "rows": n} for v, n in sorted(made_with.items()) if n],
        "gap_ev": {
            "n": found.n,
            **(
                {
                    "mean": found.mean,
                    "standard_deviation": found.standard_deviation,
                    "minimum": found.minimum,
                    "maximum": found.maximum,
                    "mean_deviation_over_conformers": found.mean_deviation if found.spread_of else None,
                }
                if found.n
                else {}
            ),
        },
        "forces": found.forces.as_dict() if found.forces else None,
        "geometries": {
            "asked": plan.identity["options"]["conformers"],
            "molecules_short": {str(k): n for k, n in sorted(found.short.items()) if k},
        },
        "worker_seconds": dict(sorted((stage, round(value, 3)) for stage, value in seconds.items())),
        "labels_per_worker_second": max(0, statuses["ok"] - taken.total()) / total if total else None,
        "compile_share": seconds["compile"] / busy if busy else None,
    }


def as_text(summary: dict[str, Any]) -> str:
    """Return the summary for a terminal, one fact a line."""
    planned = summary["planned"]
    excluded = ", ".join(f"{n} by {name}" for name, n in sorted(planned["excluded"].items())) or "none"
    lines = [
        f"plan {summary['plan_id']}, spec {summary['spec_hash'][:16]}",
        f"source     {planned['lines']} lines: {planned['molecules']} molecules, {planned['duplicates']} duplicates, "
        f"{planned['unreadable']} unreadable, filtered: {excluded}",
        f"rows       {summary['rows']} of {planned['rows']} planned"
        + (
            ""
            if summary["complete"]
            else f" ({summary['shards_committed']} of {planned['shards']} shards committed)"
        ),
    ]
    lines += [f"  {status:<14} {n}" for status, n in summary["statuses"].items() if n or status == "ok"]
    if short := summary["geometries"]["molecules_short"]:
        missing = sum(int(k) * n for k, n in short.items())
        lines.append(
            f"short      {sum(short.values())} molecules have fewer than {summary['geometries']['asked']} geometries: "
            f"{missing} are missing"
        )
    if summary["taken_over"]:
        parts = ", ".join(f"{n} of plan {plan}" for plan, n in summary["taken_over"].items())
        lines.append(f"taken over {sum(summary['taken_over'].values())} rows: {parts}")
    if len(summary["made_with"]) > 1:
        lines.append(
            f"versions   rows were made with {len(summary['made_with'])} sets of versions; each states its own"
        )
    gap = summary["gap_ev"]
    if gap["n"]:
        lines.append(
            f"gap        mean {gap['mean']:.3f} eV, standard deviation {gap['standard_deviation']:.3f} eV, "
            f"{gap['minimum']:.3f} to {gap['maximum']:.3f} eV (n = {gap['n']})"
        )
    if forces := summary.get("forces"):
        atoms = forces["force_on_atom_ev_per_angstrom"]
        lines.append(
            f"forces     of {forces['rows']} rows, on an atom: root mean square {atoms['rms']:.3f}, largest "
            f"{atoms['largest']:.3f} eV/angstrom (row {atoms['row_id']})"
            + (f"; {forces['rows_without']} rows that are ok have none" if forces["rows_without"] else "")
        )
        for name, key, unit in (
            ("net force ", "net_force_ev_per_angstrom", "eV/angstrom"),
            ("net torque", "net_torque_ev", "eV"),
        ):
            if forces[key]["n"]:
                lines.append(
                    f"{name} root mean square {forces[key]['rms']:.2e}, largest {forces[key]['largest']:.2e} {unit} "
                    f"(row {forces[key]['row_id']})"
                )
    if summary["labels_per_worker_second"]:
        lines.append(f"speed      {summary['labels_per_worker_second']:.2f} labels/s a worker")
    if "last_run" in summary:
        run = summary["last_run"]
        lines.append(
            f"last run   {run['labels']} labels in {run['seconds']:.1f} s: {run['labels_per_second']:.2f} labels/s "
            f"with {run['workers']} worker{'s' * (run['workers'] != 1)}"
        )
    stages = {k: v for k, v in summary["worker_seconds"].items() if k != "total"}
    if busy := sum(stages.values()):
        shares = sorted(((v / busy, k) for k, v in stages.items()), reverse=True)
        lines.append(f"compiling  {100 * summary['compile_share']:.1f} % of the time")
        lines.append("time       " + ", ".join(f"{k} {100 * v:.1f} %" for v, k in shares if v > 0.001))
    lines.append(f"data       {size_text(summary['bytes'])} in Parquet shards")
    return "\n".join(lines)


def size_text(count: int) -> str:
    """Return the bytes in the decimal unit in which there is at least one."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
