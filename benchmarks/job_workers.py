"""What a second worker brings to a dataset job, against a second solver process that does nothing else.

    python benchmarks/job_workers.py --markdown job_workers.md        # 480 rows, three rounds: tens of minutes
    python benchmarks/job_workers.py --molecules 3 --conformers 8 --rounds 1

The same rows (B3LYP/STO-3G by default, molecules of `examples/gdb9.smi`) are computed in turn, every time in fresh
processes that are bound to as many cores as they use:

- `job, 1` and `job, N`: the dataset task with one worker process (a core each) and with N, from the start of the first
  attempt to the last commit. Planning and the report at the end are not counted. With N workers, the time for which a
  worker had nothing left to do before the last commit is shown as `idle`.
- `loops, 1` and `loops, N`: N processes that do nothing but call `Solver.solve` on their share of the same geometries,
  which they are given, in batches of one shape. The rate is the sum of theirs, each over its own time.
- `threads, N`: one such process with `threads` = N.

Starting and compiling are in a warm cache and taken off by the solver's own clock, alike for all. A first run of the
job, which is not counted, fills the cache and makes the geometries. The median of the rounds stands.
What counts: a job with N workers against N loops (the issue asks for at least 0.95), and N threads against N loops.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
if len(sys.argv) > 2 and sys.argv[1] == "--point":  # before a library counts the cores
    os.sched_setaffinity(0, json.loads(sys.argv[2])["cores"])

import scfx_dataset  # noqa: E402 - after affinity and the number of threads are set
from machine import describe, lines_to  # noqa: E402
from scfx_dataset.options import DatasetOptions  # noqa: E402
from scfx_dataset.task import DatasetTask  # noqa: E402

import scfx  # noqa: E402
from scfx.execution.interrupt import end_with  # noqa: E402
from scfx.jobs.commits import read_commits  # noqa: E402

EXAMPLES = Path(__file__).parents[1] / "examples"


def keywords(point: dict[str, Any]) -> dict[str, Any]:
    """Return what the solver is asked for."""
    return {key: point[key] for key in ("functional", "basis", "precision", "grid")}


# ---- one point, in a process of its own ----------------------------------------------------------------------------


def job(point: dict[str, Any]) -> dict[str, Any]:
    """Run the dataset task in a fresh folder, and read from its commits when what was done."""
    workers = len(point["cores"])
    options = DatasetOptions.model_validate(
        {
            "molecules": str(EXAMPLES / "gdb9.smi"),
            "filters": {"elements": ["H", "C", "N", "O", "F"], "min_heavy_atoms": point["heavy"]},
            "limit": point["molecules"],
            "conformers": point["conformers"],
            "output": point["output"],
            "workers": workers,
            "progress": "quiet",
        }
    )
    spec = scfx.SCFSpec.create({**keywords(point), **({"threads": 1} if workers == 1 else {})})
    context = scfx.TaskContext(spec, scfx.Registry.discover(), None)
    task = DatasetTask(options)
    task.plan(context)
    if task.run(context) != 0:
        raise SystemExit("the job did not end well")
    records = [record for _, record in read_commits(scfx_dataset.open(point["output"]).plan)]
    ends = sorted(record["committed_at"] for record in records)
    begun = min(record["committed_at"] - record["seconds"]["total"] for record in records)
    spent = {stage: sum(r["seconds"].get(stage, 0.0) for r in records) for stage in records[0]["seconds"]}
    rows = sum(record["rows"] for record in records)
    wall = ends[-1] - begun - (spent.get("start", 0.0) + spent.get("compile", 0.0)) / workers
    return {
        "rows_per_second": rows / wall,
        # Each worker's last commit: the shards that were last committed, one for each worker that still had one.
        "idle": sum(ends[-1] - end for end in ends[-workers:]) / workers / wall,
        "embedding": spent.get("embedding", 0.0) / spent["total"],
        "write": spent.get("write", 0.0) / spent["total"],
        "shards": len(records),
    }


def loop(point: dict[str, Any]) -> dict[str, Any]:
    """Solve one share of the geometries of a finished dataset, a shape at a time."""
    table = scfx_dataset.open(point["geometries"]).filter(status="ok").to_table()
    rows = table.select(["atomic_numbers", "positions_angstrom", "charge", "multiplicity"]).to_pylist()
    shapes: dict[tuple[int, ...], list[scfx.System]] = {}
    for row in rows:
        system = scfx.System.from_arrays(
            row["atomic_numbers"], row["positions_angstrom"], "angstrom", charge=row["charge"],
            multiplicity=row["multiplicity"],
        )  # fmt: skip
        shapes.setdefault(tuple(sorted(row["atomic_numbers"])), []).append(system)
    batches = [
        systems[k : k + 16] for _, systems in sorted(shapes.items()) for k in range(0, len(systems), 16)
    ]
    own = [system for batch in batches[point["share"] :: point["shares"]] for system in batch]
    solver = scfx.Solver(threads=len(point["cores"]), **keywords(point))
    began = time.perf_counter()
    for k in range(0, len(own), 128):
        solver.solve(own[k : k + 128])
    compiling = solver.profile.get("compile", 0.0) / len(point["cores"])
    return {"rows_per_second": len(own) / (time.perf_counter() - began - compiling)}


# ---- the turns -----------------------------------------------------------------------------------------------------


def start(**point: Any) -> subprocess.Popen[str]:
    """Start a process for a point."""
    command = [sys.executable, __file__, "--point", json.dumps(point), str(os.getpid())]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def found(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a point and return what it found."""
    text, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a point ended with exit code {process.returncode}")
    return json.loads(text.splitlines()[-1])


def turn(name: str, cores: list[int], given: argparse.Namespace, folder: Path, number: int) -> dict[str, Any]:
    """Measure one row of the table once."""
    common = {
        "molecules": given.molecules, "conformers": given.conformers, "heavy": given.heavy,
        "functional": given.functional, "basis": given.basis, "precision": given.precision, "grid": given.grid,
        "geometries": str(folder / "first"),
    }  # fmt: skip
    if name == "job":
        output = "first" if number < 0 else f"{number}-{len(cores)}"
        return found(start(what="job", cores=cores, output=str(folder / output), **common))
    if name == "threads":
        return found(start(what="loop", cores=cores, share=0, shares=1, **common))
    running = [
        start(what="loop", cores=[core], share=share, shares=len(cores), **common)
        for share, core in enumerate(cores)
    ]
    return {"rows_per_second": sum(found(process)["rows_per_second"] for process in running)}


def table(rates: dict[tuple[str, int], list[dict[str, Any]]], workers: int) -> list[str]:
    """Return the table of medians, and the ratios that count."""
    medians = {
        key: statistics.median(turn["rows_per_second"] for turn in turns) for key, turns in rates.items()
    }
    one = medians["loops", 1]
    lines = ["| what | processes x threads | rows/s | of one loop | idle | embedding | writing | shards |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for (name, count), turns in rates.items():
        shares = ["", "", "", ""]
        if name == "job":
            shares = [
                f"{100 * statistics.median(t[k] for t in turns):.1f} %"
                for k in ("idle", "embedding", "write")
            ]
            shares.append(str(turns[0]["shards"]))
        shape = f"1 x {count}" if name == "threads" else f"{count} x 1"
        lines.append(
            f"| {name} | {shape} | {medians[name, count]:.2f} | {medians[name, count] / one:.2f} | "
            + " | ".join(shares)
            + " |"
        )
    loops = medians["loops", workers]
    lines += [
        "",
        f"A job with {workers} workers against {workers} loops: {medians['job', workers] / loops:.3f}; with one worker "
        f"against one loop: {medians['job', 1] / one:.3f}; {workers} threads against {workers} loops: "
        f"{medians['threads', workers] / loops:.3f}.",
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", type=int, default=60)
    parser.add_argument("--conformers", type=int, default=8)
    parser.add_argument("--heavy", type=int, default=9, help="fewest heavy atoms of a molecule")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--functional", default="b3lyp")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--precision", default="mixed")
    parser.add_argument("--grid", type=int, default=0)
    parser.add_argument("--markdown", help="write the table to this file")
    given = parser.parse_args()
    if given.workers < 2:
        raise SystemExit("--workers: what a second worker brings needs at least two")
    cores = sorted(os.sched_getaffinity(0))[: given.workers]
    if len(cores) < given.workers:
        raise SystemExit(f"--workers {given.workers}: this process may use {len(cores)} core(s)")
    points = [("job", 1), ("loops", 1), ("job", len(cores)), ("loops", len(cores)), ("threads", len(cores))]
    rates: dict[tuple[str, int], list[dict[str, Any]]] = {point: [] for point in points}
    about = describe()
    print(about, flush=True)
    with tempfile.TemporaryDirectory(prefix="scfx-job-workers-") as name:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(name) / "compiled")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        turn("job", cores, given, Path(name), -1)
        for number in range(given.rounds):
            for what, count in points:
                rates[what, count].append(turn(what, cores[:count], given, Path(name), number))
                print(what, count, rates[what, count][-1], flush=True)
    lines = [about, "", *table(rates, len(cores))]
    print("\n".join(lines[1:]))
    lines_to(lines, given.markdown)


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--point":
        import threading

        threading.Thread(target=end_with, args=(int(sys.argv[3]),), daemon=True).start()
        what = json.loads(sys.argv[2])
        print(json.dumps({"job": job, "loop": loop}[what["what"]](what)))
    else:
        main()
