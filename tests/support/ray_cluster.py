"""A Ray cluster of this machine that outlives the drivers of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_kills import children, environment

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Cluster:
    """`address` of a cluster, and the process (`pid`) that it ends with."""

    address: str
    pid: int

    def actors(self) -> list[int]:
        """The processes of its actors; Ray names a worker's process after its actor."""
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            todo += children(pid)
            found += [pid] if _title(pid).startswith("ray::Actor") else []
        return found


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


@contextmanager
def ray_cluster() -> Iterator[Cluster]:
    """A Ray cluster with two CPUs."""
    folder = Path("/tmp") / f"scfx-ray-{os.getpid()}"  # Ray's socket paths may have 107 characters
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--port=0", "--num-cpus=2", "--block",
        "--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}", "--node-ip-address=127.0.0.1",
        "--object-store-memory=100000000",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env=environment(), start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    found = folder / "ray_current_cluster"
    deadline = time.monotonic() + 240
    while not (found.exists() and found.read_text().strip()):
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield Cluster(found.read_text().strip(), process.pid)
    process.terminate()
    process.communicate(timeout=60)
    shutil.rmtree(folder, ignore_errors=True)
