"""Labels a second of two checkouts of scfx, taking turns batch by batch.

    taskset -c 0 python benchmarks/compare_versions.py OLD/.venv/bin/python NEW/.venv/bin/python

Each Python runs its own scfx in a process of its own. Both get the same conformers, solve a first batch untimed (it
compiles), and then the batches in turn. Printed are medians of the seconds a label, and the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

import numpy as np

WORKER = """
import json, sys, time
import scfx
options = json.loads(sys.stdin.readline())
smiles, size = options.pop("smiles"), options.pop("size")
solver = scfx.Solver(threads=1, **options)
def batch(first):
    out, seed = [], first
    while len(out) < size:
        try:
            out.append(scfx.System.from_smiles(smiles, seed=seed))
        except scfx.InputError:
            pass
        seed += 1
    return out
solver.solve(batch(100_000))
print("ready", flush=True)
for line in sys.stdin:
    systems = batch(1000 * int(line))
    start = time.perf_counter()
    result = solver.solve(systems)
    print(json.dumps([(time.perf_counter() - start) / size, result.energy.tolist()]), flush=True)
"""


def worker(python: str, options: dict[str, Any]) -> subprocess.Popen[str]:
    """A process that solves batches on request, ready to be asked."""
    process = subprocess.Popen(
        [python, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(options) + "\n")
    return process


def answer(process: subprocess.Popen[str]) -> str:
    """The next line that a worker prints."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("a worker ended; see its message above")
    return line


def main() -> None:
    """Compare two versions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--smiles", default="FC=C1C2CN2N=C1C=O")
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--policies", nargs="+", default=["float32", "mixed"])
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--grid", type=int, default=0)
    arguments = parser.parse_args()
    for policy in arguments.policies:
        options = {
            "smiles": arguments.smiles, "size": arguments.size, "functional": "b3lyp", "basis": arguments.basis,
            "grid": arguments.grid, "precision": policy, "backend": "simd",
        }  # fmt: skip
        pair = [worker(python, options) for python in (arguments.old, arguments.new)]
        for process in pair:
            answer(process)
        seconds, same = np.zeros((arguments.rounds, 2)), True
        for turn in range(arguments.rounds):
            energies = []
            for which in (0, 1) if turn % 2 else (1, 0):
                process = pair[which]
                assert process.stdin is not None
                process.stdin.write(f"{turn}\n")
                seconds[turn, which], energy = json.loads(answer(process))
                energies.append(energy)
            same &= energies[0] == energies[1]
        for process in pair:
            process.communicate()
        old, new = 1e3 * np.median(seconds, axis=0)
        ratio = np.median(seconds[:, 0] / seconds[:, 1])
        print(
            f"{policy}: old {old:.1f}, new {new:.1f} ms a label; old over new {ratio:.3f}"
            f"; energies {'equal to the bit' if same else 'differ'}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
