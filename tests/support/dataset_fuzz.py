"""What a fuzzer does to a dataset: to its bytes, to its processes, and to the answers of its object store."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scfx_dataset
from dataset_fake import fake_energy
from dataset_kills import children, lines, start, wait_until_gone
from scfx_dataset.commits import read_record

from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

if TYPE_CHECKING:
    from ray_cluster import Cluster

#: Places of a folder that bytes are changed in.
PLACES = ("plan.json", "plan", "attempts", "commits", "derived")
_DERIVED = ("README.md", "failures.parquet", "report.html", "summary.json", "gaps.png", "commits.parquet")


def flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def truncate(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(max(1, path.stat().st_size))])


def append(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() + chance.randbytes(chance.randint(1, 100)))


def overwrite(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data) + 1)
    data[at : at + 16] = chance.randbytes(len(data[at : at + 16]))
    path.write_bytes(data)


def delete(path: Path, chance: random.Random) -> None:
    path.unlink()


def rename(path: Path, chance: random.Random) -> None:
    """To a strange name, or over a sibling."""
    siblings = [p for p in sorted(path.parent.iterdir()) if p.is_file()]
    strange = path.with_name(f"{path.stem}~{path.suffix}")
    path.rename(chance.choice([strange, *siblings]))


def duplicate(path: Path, chance: random.Random) -> None:
    """Beside itself, or over a sibling."""
    siblings = [p for p in sorted(path.parent.iterdir()) if p.is_file()]
    copy = path.with_name(f"{path.stem[:-2]}{chance.randrange(16):x}{chance.randrange(16):x}{path.suffix}")
    chance.choice([copy, *siblings]).write_bytes(path.read_bytes())


MUTATIONS = (flip, truncate, append, overwrite, delete, rename, duplicate)


def mutate(folder: Path, chance: random.Random, done: Counter[str]) -> str:
    """One mutation at a random place; counts it under 'mutation place'. Returns the place, "" if there is nothing."""
    place = chance.choice(PLACES)
    if place == "plan.json":
        files = [folder / place]
    elif place == "derived":
        files = [folder / name for name in _DERIVED]
    else:
        files = sorted((folder / place).iterdir())
    files = [file for file in files if file.is_file()]
    if not files:
        return ""
    how = chance.choice(MUTATIONS)
    if place in ("plan.json", "derived") and how in (rename, duplicate):
        how = delete  # over its siblings would be another place
    how(chance.choice(files), chance)
    done[f"{how.__name__} {place}"] += 1
    return place


def disturb(
    process: subprocess.Popen, log: Path, chance: random.Random, done: Counter[str], where: Where
) -> None:
    """One signal to a run, to its group or to one of its processes, at a random moment."""
    # On Ray half of the time is the driver's start: it waits longer for rows.
    latest = 12.0 if where.cluster else 4.0
    goal, end = len(lines(log)) + chance.randint(0, 8), time.monotonic() + chance.uniform(0.2, latest)
    while process.poll() is None and len(lines(log)) < goal and time.monotonic() < end:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.05))
    kinds = ["kill", "terminate", "interrupt", "hang up", "stop", "kill a child", "signal a child"]
    if where.cluster:
        kinds[-2:] = ["kill an actor", "kill a worker of an actor", "stop an actor"]
    kind = chance.choice(kinds)
    try:
        if kind == "kill":
            os.killpg(process.pid, signal.SIGKILL)
        elif kind in ("terminate", "interrupt", "hang up"):
            number = {"terminate": signal.SIGTERM, "interrupt": signal.SIGINT, "hang up": signal.SIGHUP}[kind]
            (os.killpg if chance.random() < 0.5 else os.kill)(process.pid, number)
            if chance.random() < 0.3:
                os.kill(process.pid, number)
        elif kind == "stop":
            os.killpg(process.pid, signal.SIGSTOP)
            time.sleep(chance.uniform(0.05, 0.5))
            os.killpg(process.pid, signal.SIGCONT)
        elif where.cluster:
            found: list[int] = []
            while not found and process.poll() is None and time.monotonic() < end + latest:
                found = where.cluster.actors()
                if kind == "kill a worker of an actor":
                    found = [child for actor in found for child in children(actor)]
                time.sleep(0.02)
            if not found:
                return
            victim = chance.choice(found)
            os.kill(victim, signal.SIGSTOP if kind == "stop an actor" else signal.SIGKILL)
            if kind == "stop an actor":
                time.sleep(chance.uniform(0.05, 2.0))
                os.kill(victim, signal.SIGCONT)
        else:
            number = (
                signal.SIGKILL if kind == "kill a child" else chance.choice((signal.SIGINT, signal.SIGTERM))
            )
            found = children(process.pid)
            if found:
                os.kill(chance.choice(found), number)
    except ProcessLookupError:
        return
    done[kind] += 1


@dataclass(frozen=True)
class Where:
    """What a run is given: a cluster of Ray, or parts of the shards ("i/N", one writer each), or neither."""

    cluster: Cluster | None = None
    parts: tuple[str, ...] = ()


def run_disturbed(
    source: str, output: Path, log: Path, chance: random.Random, done: Counter[str], conformers: int, where: Where
) -> None:  # fmt: skip
    """One or two writers with one or two workers each, disturbed a few times, until they have ended.

    With parts there is a writer for each, and perhaps a second one for some of them.
    """
    parts = list(where.parts) or [""]
    if chance.random() < 1 / 3:
        parts.append(chance.choice(parts))
    running = [
        start(
            source, output, log, chance.choice((0.0, 0.01, 0.03)), chance.choice((1, 2)), conformers=conformers,
            address=where.cluster.address if where.cluster else None, part=part,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for part in parts
    ]  # fmt: skip
    for _ in range(chance.randint(1, 2)):
        disturb(chance.choice(running), log, chance, done, where)
    deadline = time.monotonic() + 240
    for process in running:
        try:
            process.wait(timeout=max(1.0, deadline - time.monotonic()))
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        wait_until_gone(process)
    if where.cluster:
        # Actors follow a driver that was killed after a second or two.
        end = time.monotonic() + 120
        while where.cluster.actors():
            assert time.monotonic() < end, "actors outlive their driver"
            time.sleep(0.1)
    done["runs"] += len(running)


def check_all(folder: Path | str, reference: dict[str, str]) -> None:
    """Nothing lost, doubled, mislabelled or different in a byte, and nothing left over."""
    dataset = scfx_dataset.open(folder)
    assert dataset.complete
    assert dataset.verify() == []
    table = dataset.to_table().to_pylist()
    assert [row["row_id"] for row in table] == list(range(dataset.plan.counts["rows"]))
    for row in table:
        assert row["status"] == "ok", row
        energy = fake_energy(row["atomic_numbers"], np.array(row["positions_angstrom"]) / BOHR_IN_ANGSTROM)
        assert abs(row["energy_ev"] - energy * HARTREE_IN_EV) < 1e-8
    # By the plan's names: a file of another name beside the commits is nothing to a reader.
    assert {s.id: read_record(dataset.plan, s)["sha256"] for s in dataset.plan.shards} == reference
    if isinstance(folder, Path):
        assert not list(folder.rglob(".*.tmp"))
        for name in ("README.md", "failures.parquet", "report.html", "summary.json"):
            assert (folder / name).stat().st_size
