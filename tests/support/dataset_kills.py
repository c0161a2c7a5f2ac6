"""Runs of the dataset task in processes of their own, to be killed, and what must be true after any number of kills."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import scfx_dataset
from dataset_fake import MANY, run_fake, write_smiles

#: For clusters of the tests only; without it Ray would use one of the user, or make one.
_RAY_TOKEN = secrets.token_hex(32)

PROGRAM = Path(__file__).parent / "dataset_fake.py"

#: What dataset_fake.py sets when it is run as a program (but for the number of conformers, an argument).
OPTIONS = {"conformers": 3, "shard_rows": 6, "batch_size": 2}


def environment() -> dict[str, str]:
    """For processes that import dataset_fake and the packages that this one sees."""
    paths = [str(PROGRAM.parent), *(p for p in sys.path if p)]
    ray = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _RAY_TOKEN}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **ray}


def start(
    source, output, log, delay, workers, address=None, conformers=3, part="", **popen
) -> subprocess.Popen:
    """A run in a session of its own; on Ray with the address of a cluster; of a part of the shards with "i/N"."""
    arguments = [sys.executable, str(PROGRAM), source, str(output), str(log), str(delay), str(workers)]
    arguments += [str(conformers)]
    arguments += [f"ray={address}"] if address else []
    arguments += [f"part={part}"] if part else []
    return subprocess.Popen(arguments, env=environment(), start_new_session=True, **popen)


def undisturbed(folder, source, conformers=3) -> dict[str, str]:
    """Shard id -> checksum of a run in `folder` that nothing disturbs."""
    options: dict[str, Any] = {**OPTIONS, "conformers": conformers}
    assert run_fake(molecules=source, output=str(folder), **options) == 0
    return checksums(folder)


def checksums(path) -> dict[str, str]:
    """Shard id -> checksum of its data."""
    records = [json.loads(p.read_text()) for p in sorted((Path(path) / "commits").glob("*.json"))]
    return {record["shard"]: record["sha256"] for record in records}


def committed_systems(path) -> set[str]:
    """Names, as the solver's log has them, of all rows in committed shards."""
    table = scfx_dataset.open(path).to_table(["smiles", "conformer"])
    return {f"{row['smiles']} conformer {row['conformer']}" for row in table.to_pylist()}


def lines(log) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def wait_for(condition, process, seconds=300) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "the run makes no progress"
        time.sleep(0.005)


def wait_until_gone(process, seconds=60) -> None:
    """Until the last process of the killed run's session has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("workers outlive their parent")


def children(pid: int) -> list[int]:
    """Processes that a process has started and that are still there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def wait_until_quiet(log, seconds=1.5) -> None:
    """Until nothing was solved for a while: workers that are not of the run's session have ended."""
    before = -1
    while before != len(lines(log)):
        before = len(lines(log))
        time.sleep(seconds)


def kill_and_resume(
    source, output, log, reference, kills, workers, delay, address=None, conformers=3
) -> None:
    """Kill the run's whole process group at `kills` random moments, resuming each time; then assert what is promised.

    Every kill comes after progress: of a few kills so many rows that some shard must have been committed, of many at
    least one more row than at the last one; and at least a third of them find shards committed since the last one.
    """
    size = OPTIONS["shard_rows"]
    # Each worker may hold a shard that lacks one row, which the kill loses.
    uncommitted = workers * (size - 1)
    least, most = (uncommitted + 2, 2 * size + 4) if kills < 10 else (1, 2 * workers * size + 2)
    chance = random.Random(1000 * kills + workers)
    killed, settled = 0, []
    while True:
        process = start(source, output, log, delay, workers, address, conformers, stdout=subprocess.DEVNULL)
        if killed < kills:
            goal = len(lines(log)) + chance.randint(least, most)
            wait_for(lambda goal=goal: len(lines(log)) >= goal, process)
            time.sleep(chance.uniform(0.0, 2 * delay))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            break
        killed += 1
        # Workers follow their parent within a second; what they commit until then counts.
        wait_until_gone(process)
        if address:
            wait_until_quiet(log)
        settled.append((len(lines(log)), committed_systems(output)))
    assert process.returncode == 0
    assert killed == kills
    dataset = scfx_dataset.open(output)
    assert checksums(output) == reference
    assert dataset.verify() == []
    rows = dataset.to_table(["row_id"])["row_id"].to_pylist()
    assert rows == list(range(dataset.plan.counts["rows"]))
    # Shards were committed before kills, and none of those was computed again.
    sizes = [len(names) for _, names in settled]
    assert sizes == sorted(sizes)
    assert len(set(sizes) - {0}) >= max(1, kills // 3)
    solved = lines(log)
    for position, names in settled:
        assert not names & set(solved[position:])
    assert len(list((Path(output) / "attempts").iterdir())) == len(reference)


def kill_thirty_times(folder, workers, delay, address=None) -> None:
    """`kill_and_resume` of a job that is long enough for thirty kills, in `folder`."""
    source = write_smiles(folder / "many.smi", MANY)
    reference = undisturbed(folder / "reference", source, conformers=6)
    kill_and_resume(
        source, folder / "out", folder / "log", reference, 30, workers, delay, address, conformers=6
    )
