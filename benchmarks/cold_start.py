"""Seconds of `scfx energy` on one molecule from a new process, of two checkouts that take turns.

    taskset -c 0 python benchmarks/cold_start.py OLD/.venv/bin/python NEW/.venv/bin/python --runs 5

Warm: what XLA compiles is kept from a run before. Cold: every run has a cache of its own, which is empty. Printed are
medians (and the least) of processor and of wall seconds, what the same energy takes as a script of PySCF, and what
Python takes to import JAX and do nothing. For one checkout give it twice.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WATER = "3\n\nO 0.0 0.0 0.119\nH 0.0 0.757 -0.477\nH 0.0 -0.757 -0.477\n"
PYSCF = (
    "from pyscf import dft, gto; f = dft.RKS(gto.M(atom='water.xyz', basis='sto-3g'), xc='b3lyp'); f.kernel()"
)


def timed(command: list[str], folder: Path, cache: Path) -> tuple[float, float]:
    """Processor seconds (children's) and wall seconds of one process."""
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, time.perf_counter() - start


def line(name: str, found: list[tuple[float, float]]) -> str:
    """Medians and least values as text."""
    cpu, wall = zip(*found, strict=True)
    return (
        f"{name:12s} processor {statistics.median(cpu):.2f} s (least {min(cpu):.2f}), "
        f"wall {statistics.median(wall):.2f} s (least {min(wall):.2f})"
    )


def main() -> None:
    """Time both, warm and cold, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "water.xyz").write_text(WATER)
        commands = {
            name: [os.path.abspath(python), "-m", "scfx", "energy", "water.xyz"]
            for name, python in (("old", given.old), ("new", given.new))
        }
        found: dict[str, list[tuple[float, float]]] = {}
        for name, command in commands.items():
            timed(command, folder, folder / name)
        for run in range(given.runs):
            for name, command in commands.items():
                found.setdefault(f"{name}, warm", []).append(timed(command, folder, folder / name))
                cold = folder / f"{name}-{run}"
                found.setdefault(f"{name}, cold", []).append(timed(command, folder, cold))
            for name, script in (("PySCF", PYSCF), ("import jax", "import jax")):
                found.setdefault(name, []).append(timed([sys.executable, "-c", script], folder, folder))
    print(f"water, B3LYP/STO-3G, grid level 3, {given.runs} runs each in turn")
    for name in sorted(found):
        print(line(name, found[name]))


if __name__ == "__main__":
    main()
