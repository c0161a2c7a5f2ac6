"""Labels a second against batch size, core count and molecule size, with peak memory.

    python benchmarks/scaling.py --markdown scaling.md --plot docs/img/scaling.png     # tens of minutes
    python benchmarks/scaling.py --quick                                               # about two minutes

B3LYP/STO-3G, grid level 0 (the paper's setting), policies float32 and mixed, both with the threshold of throughput.py.
Every point runs in a process of its own, bound to as many cores as it has threads (`os.sched_setaffinity`, before
anything is imported) - the first cores of this process's affinity mask. Compilation is warmed up on geometries of
other seeds and no geometry is solved twice. The memory is the process's peak resident set.

- Batch size: one molecule of 10 heavy atoms, `lane_width` the number of conformers, so that each `solve` is one batch.
- Core count: the same molecule, `threads` 1 and 2, four batches of the default lane width for each thread.
- Molecule size: drug-like molecules of 4 to 30 heavy atoms, float32, mixed and PySCF (one thread) in turn in one
  process. PySCF solves only the first conformers of each; its energies check those of mixed. For the peak memory of
  each policy the kernel's counter is reset before its turn (Linux; the process's own 0.4 GiB are included).
"""

from __future__ import annotations

import argparse
import json
import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
if len(sys.argv) == 3 and sys.argv[1] == "--point":  # before a library counts the cores
    os.sched_setaffinity(0, json.loads(sys.argv[2])["cores"])

import resource  # noqa: E402 - after affinity and the number of threads are set
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from machine import describe, lines_to  # noqa: E402
from scaling_report import MOLECULE, POLICIES, markdown, plot  # noqa: E402

import scfx  # noqa: E402

#: By number of heavy atoms.
BY_SIZE = {
    4: "CC(N)=O",
    6: "CCNC(C)=O",
    9: "CC(=O)OC1CCNC1",
    12: "COc1ccc(NC(C)=O)cc1",
    16: "COc1ccc(CCNC(=O)OCC)cc1",
    20: "COc1ccc(CCNC(=O)c2ccc(F)cn2)cc1",
    25: "COc1ccc(CCNC(=O)c2ccc(N3CCCCC3)nc2)cc1",
    30: "COc1ccc(CCNC(=O)c2ccc(N3CCN(C(=O)OCC)CC3)nc2)cc1",
}
THRESHOLD = 5e-6
HARTREE_IN_MEV = 27211.386245988


# ---- one point, in its own process ---------------------------------------------------------------------------------


def reset_peak() -> bool:
    """Forget the process's peak memory so far (proc(5), clear_refs); False where the kernel does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_gib() -> float:
    """Peak resident set in GiB since the process began, or since `reset_peak`."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else []:
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def solver(policy: str, threads: int, lane_width: int) -> scfx.Solver:
    """B3LYP/STO-3G on grid level 0."""
    return scfx.Solver(
        functional="b3lyp",
        basis="sto-3g",
        precision=policy,
        grid=0,
        threads=threads,
        lane_width=lane_width,
        convergence={"energy": THRESHOLD, "gradient": THRESHOLD},
    )


def timed(of: scfx.Solver, systems: list[scfx.System]) -> tuple[float, Any]:
    """Seconds of one solve, without what was compiled in it, and the result."""
    before = of.profile.get("compile", 0.0)
    start = time.perf_counter()
    result = of.solve(systems)
    return time.perf_counter() - start - (of.profile.get("compile", 0.0) - before), result


def scfx_point(point: dict) -> dict:
    """One policy, batch size and thread count."""
    from throughput import conformers

    of = solver(point["policy"], point["threads"], point["lane_width"])
    batch, calls = point["conformers"], point["calls"]
    of.solve(conformers(MOLECULE, min(batch, point["lane_width"]), 100_000))
    systems = conformers(MOLECULE, batch * calls, 0)
    seconds, converged = 0.0, 0
    for call in range(calls):
        taken, result = timed(of, systems[call * batch : (call + 1) * batch])
        seconds += taken
        converged += int(result.converged.sum())
    return {
        "labels_per_s": batch * calls / seconds,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "converged": converged,
        "labels": batch * calls,
    }


def size_point(point: dict) -> dict:
    """One molecule: every policy and PySCF in turn."""
    from pyscf import lib
    from throughput import conformers

    from scfx.model.basis import BasisSet

    lib.num_threads(1)
    solvers = {policy: solver(policy, 1, point["lane_width"]) for policy in POLICIES}
    smiles, count = point["smiles"], point["conformers"]
    warm = conformers(smiles, min(count, point["lane_width"]), 100_000)  # of the same padded shape
    for of in solvers.values():
        of.solve(warm)
    systems = conformers(smiles, count, 0)
    out: dict[str, Any] = {"atoms": systems[0].natm}
    energies: dict[str, np.ndarray] = {}
    for policy, of in solvers.items():
        reset = reset_peak()
        seconds, result = timed(of, systems)
        energies[policy] = result.energy
        out[policy] = {
            "labels_per_s": count / seconds,
            "peak_gib": peak_gib() if reset else float("nan"),
            "converged": int(result.converged.sum()),
            "labels": count,
        }
        out["nao"] = int(result.nao[0])
    basis = BasisSet.from_source(
        next(iter(solvers.values())).resolved.basis, {int(z) for s in systems for z in s.atomic_numbers}
    )
    peer = [pyscf_label(system, basis) for system in systems[: point["peer"]]]
    out["pyscf_labels_per_s"] = len(peer) / sum(seconds for seconds, _ in peer)
    exact = np.array([energy for _, energy in peer])
    out["deviation_mev"] = {
        policy: float(np.abs(found[: len(exact)] - exact).max()) * HARTREE_IN_MEV
        for policy, found in energies.items()
    }
    return out


def pyscf_label(system: scfx.System, basis: Any) -> tuple[float, float]:
    """Seconds and energy of one label under the same convergence rule, timed from the geometry on."""
    from pyscf import dft
    from throughput import gradient, mole

    start = time.perf_counter()
    mf = dft.RKS(mole(system, basis), xc="b3lyp")
    mf.grids.level = 0
    mf.max_memory = 16000
    mf.max_cycle = 100

    def settled(state: dict) -> bool:
        return (
            abs(state["e_tot"] - state["last_hf_e"]) < THRESHOLD
            and gradient(state["s1e"], state["fock"], state["dm"]) < THRESHOLD
        )

    mf.check_convergence = settled
    energy = float(mf.kernel())
    return time.perf_counter() - start, energy


# ---- all points ----------------------------------------------------------------------------------------------------


def in_process(point: dict, cache: str) -> dict:
    """Run one point in a process of its own; its settings and what it found. `cache`: compiled functions."""
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    done = subprocess.run(
        [sys.executable, __file__, "--point", json.dumps(point)],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise SystemExit(f"the point {point} failed:\n{done.stderr}")
    found = {**point, **json.loads(done.stdout.splitlines()[-1])}
    print(in_short(found), flush=True)
    return found


def in_short(row: dict) -> str:
    """One line about a point."""
    if row["kind"] == "size":
        rates = ", ".join(
            f"{p} {row[p]['labels_per_s']:.2f} labels/s {row[p]['peak_gib']:.2f} GiB" for p in POLICIES
        )
        return f"{row['heavy']} heavy atoms ({row['nao']} AOs): {rates}, PySCF {row['pyscf_labels_per_s']:.3f} labels/s"
    return (
        f"{row['threads']} thread(s), {row['conformers']} conformers, lane width {row['lane_width']}, {row['policy']}: "
        f"{row['labels_per_s']:.2f} labels/s, {row['peak_gib']:.2f} GiB"
    )


def points(arguments: argparse.Namespace) -> list[dict]:
    """Every point to measure."""
    cores = sorted(os.sched_getaffinity(0))
    out = []
    for size in arguments.batches:
        calls = max(1, arguments.labels // size)
        common = {"kind": "batch", "threads": 1, "cores": cores[:1]}
        out += [
            {**common, "policy": policy, "conformers": size, "lane_width": size, "calls": calls}
            for policy in POLICIES
        ]
    for threads in arguments.threads:
        if threads > len(cores):
            print(f"threads = {threads} left out: {len(cores)} core(s) in the affinity mask")
            continue
        # Two batches in flight for each thread at least, or the last one decides.
        labels = max(arguments.labels, 64 if not arguments.quick else 32) * threads
        common = {"kind": "cores", "threads": threads, "cores": cores[:threads]}
        out += [
            {**common, "policy": policy, "conformers": labels, "lane_width": 16, "calls": 1}
            for policy in POLICIES
        ]
    for heavy in arguments.sizes:
        peer = arguments.peer if heavy <= 12 else 1
        out.append(
            {
                "kind": "size", "threads": 1, "cores": cores[:1], "heavy": heavy, "smiles": BY_SIZE[heavy],
                "conformers": arguments.conformers, "lane_width": 16, "peer": peer,
            }
        )  # fmt: skip
    return out


def median_of(repeats: list[list[dict]]) -> list[dict]:
    """Of each point the repeat with the median rate (the slower of two)."""

    def rate(row: dict) -> float:
        return row["mixed"]["labels_per_s"] if row["kind"] == "size" else row["labels_per_s"]

    return [sorted(rows, key=rate)[(len(rows) - 1) // 2] for rows in zip(*repeats, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--sizes", type=int, nargs="*", choices=list(BY_SIZE), default=list(BY_SIZE))
    parser.add_argument("--labels", type=int, default=64, help="of each point of the batch sizes, at least")
    parser.add_argument("--conformers", type=int, default=16, help="of each molecule size")
    parser.add_argument("--peer", type=int, default=4, help="of them by PySCF; above 12 heavy atoms one")
    parser.add_argument("--repeats", type=int, default=3, help="of all points, in turn; the median counts")
    parser.add_argument("--quick", action="store_true", help="few points, 16 labels each, one repeat")
    parser.add_argument("--markdown", help="write the tables to this file")
    parser.add_argument("--plot", help="write the picture to this file")
    parser.add_argument("--json", help="write the points to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.batches, arguments.threads, arguments.sizes = [1, 4, 16], [1, 2], [4, 9, 12]
        arguments.labels, arguments.peer, arguments.repeats = 16, 1, 1
    head = describe()
    print(head)
    with tempfile.TemporaryDirectory() as cache:
        repeats = [[in_process(p, cache) for p in points(arguments)] for _ in range(arguments.repeats)]
    rows = median_of(repeats)
    lines = [head, "", *markdown(rows)]
    print("\n".join(lines))
    lines_to(lines, arguments.markdown)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if arguments.plot:
        plot(rows, arguments.plot)
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--point":
        settings = json.loads(sys.argv[2])
        print(json.dumps(size_point(settings) if settings["kind"] == "size" else scfx_point(settings)))
        sys.exit(0)
    sys.exit(main())
