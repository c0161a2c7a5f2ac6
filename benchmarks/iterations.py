"""What early iterations on a coarse grid, idle lanes and density differences save, counted in running calculations.

    taskset -c 0 python benchmarks/iterations.py --markdown iterations.md          # about two minutes
    python benchmarks/iterations.py --molecules 1                                  # some seconds
    python benchmarks/iterations.py --counts --level pbe0/def2-svp/3 --policy mixed --smiles "CCNC(C)=O" --conformers 1

Counts are read off the operators of a calculation as it runs (backend `simd`), so all but the seconds of the last
table are independent of the machine's load. B3LYP/STO-3G, grid level 0, unless `--level` says otherwise, the threshold
of throughput.py. `--counts`: the first table alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import time
from collections import Counter
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import jax  # noqa: E402 - after the number of threads is set
import numpy as np  # noqa: E402
from machine import describe, lines_to  # noqa: E402
from scfx_precision.policies import FLOAT32, MIXED  # noqa: E402
from scfx_simd.two_electron import SimdTwoElectron  # noqa: E402
from throughput import MOLECULES, conformers  # noqa: E402

import scfx  # noqa: E402
from scfx.energy.exchange_correlation.backend import BackendQuadrature  # noqa: E402

THRESHOLD: Any = {"energy": 5e-6, "gradient": 5e-6}


class Watch:
    """Counts what solvers do while it is entered."""

    def __init__(self) -> None:
        self.points: list[int] = []  # of every evaluation of the functional, by entry
        self.active: list[int] = []  # entries of every J and K
        self.screened = (0, 0)  # blocks of integrals that small densities met, and those left out
        self.seconds = 0.0  # of CPU, in J and K

    def __enter__(self) -> Watch:
        self._kept = BackendQuadrature.evaluate, SimdTwoElectron.coulomb_exchange_lanes, SimdTwoElectron.close
        evaluate, contract, close = self._kept

        def evaluated(quadrature: BackendQuadrature, density: Any, lanes: np.ndarray) -> Any:
            for lane in lanes:
                self.points.append(sum(int(np.count_nonzero(w[lane])) for w in quadrature._weights))
            return evaluate(quadrature, density, lanes)

        def contracted(operator: SimdTwoElectron, density: Any, lanes: np.ndarray, exchange: bool) -> Any:
            self.active.append(len(lanes))
            start = time.process_time()
            out = contract(operator, density, lanes, exchange)
            self.seconds += time.process_time() - start
            return out

        def closed(operator: SimdTwoElectron) -> None:
            seen, skipped = operator.screened_blocks
            self.screened = (self.screened[0] + seen, self.screened[1] + skipped)
            close(operator)

        BackendQuadrature.evaluate = evaluated  # type: ignore[method-assign]
        SimdTwoElectron.coulomb_exchange_lanes = contracted  # type: ignore[method-assign]
        SimdTwoElectron.close = closed  # type: ignore[method-assign]
        return self

    def __exit__(self, *exc: object) -> None:
        BackendQuadrature.evaluate, SimdTwoElectron.coulomb_exchange_lanes, SimdTwoElectron.close = self._kept  # type: ignore[method-assign]


POLICIES = {"float32": FLOAT32, "mixed": MIXED}


def solve(
    systems: list[scfx.System], policy: scfx.PrecisionPolicy, level: str = "b3lyp/sto-3g/0", **options: Any
) -> tuple[scfx.SCFResult, Watch]:
    """One batch at functional/basis/grid, watched; `options` are further keys of `[scf]`."""
    functional, basis, grid = level.split("/")
    solver = scfx.Solver(
        functional=functional, basis=basis, backend="simd", precision=policy, grid=int(grid),
        convergence=THRESHOLD, threads=1, lane_width=len(systems), **options,
    )  # fmt: skip
    with Watch() as watch:
        return solver.solve(systems), watch


def coarse_grid(smiles: str, count: int, policy: scfx.PrecisionPolicy, level: str) -> tuple[str, float]:
    """A row of the first table; the largest energy difference (hartree) between mixed with and without."""
    systems = conformers(smiles, count, 1)
    runs = {
        (name, early): solve(
            systems, policy if early else dataclasses.replace(policy, early_grid=None), level
        )
        for name, policy in {policy.name: policy, MIXED.name: MIXED}.items()
        for early in (False, True)
    }
    assert all(result.converged.all() for result, _ in runs.values())
    whole, all_full = runs[policy.name, False]
    stepped, some = runs[policy.name, True]
    least_full = min(all_full.points)
    full, coarse = ([n for n in some.points if (n >= least_full) == wanted] for wanted in (True, False))
    row = (
        f"| `{smiles}` | {statistics.mean(full):,.0f} and {statistics.mean(coarse):,.0f} "
        f"| {whole.iterations.mean():.1f} | {stepped.iterations.mean():.1f} | {len(full) / count:.1f} |"
    )
    apart = runs[MIXED.name, True][0].energy - runs[MIXED.name, False][0].energy
    return row, float(np.abs(apart).max())


def idle_lanes(smiles: str, count: int) -> str:
    """How many of a batch's entries each J and K was for, and what the vectors of 8 were filled with."""
    _, watch = solve(conformers(smiles, count, 1), FLOAT32)
    lanes, width = sum(watch.active), 8
    slots = sum(-(-n // width) * width for n in watch.active)
    counted = ", ".join(f"{n} ({times}x)" for n, times in sorted(Counter(watch.active).items(), reverse=True))
    return (
        f"`{smiles}`, {count} conformers: entries in J and K {counted}: {lanes} lane-iterations in {slots} to "
        f"{len(watch.active) * -(-count // width) * width} lanes"
    )


def differences(
    rows: tuple[tuple[str, str, scfx.PrecisionPolicy, Any], ...], rounds: int, count: int
) -> list[str]:
    """J and K from differences against full builds, in turn; CPU seconds of all labels together."""
    out = [
        "| molecule | basis, policy, integrals | blocks left out of differences | CPU s | of full builds, CPU s |",
        "|---|---|---|---|---|",
    ]
    for smiles, basis, policy, budget in rows:
        systems = conformers(smiles, count, 1)
        taken: dict[bool, list[float]] = {True: [], False: []}
        share = 0.0
        for _ in range(rounds):
            for screens in (True, False):
                SimdTwoElectron.screens_small_densities = screens
                try:
                    result, watch = solve(systems, policy, f"b3lyp/{basis}/0", memory_budget=budget)
                finally:
                    SimdTwoElectron.screens_small_densities = True
                assert result.converged.all()
                taken[screens].append(watch.seconds)
                if screens and watch.screened[0]:
                    share = watch.screened[1] / watch.screened[0]
        kind = "stored" if budget != 1 else "recomputed"
        medians = {screens: statistics.median(seconds) for screens, seconds in taken.items()}
        out.append(
            f"| `{smiles}` | {basis}, {policy.name}, {kind} | {100 * share:.1f} % "
            f"| {medians[True]:.2f} | {medians[False]:.2f} |"
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--molecules", type=int, default=len(MOLECULES), help="the first so many of throughput.py"
    )
    parser.add_argument("--smiles", nargs="+", help="these molecules instead")
    parser.add_argument("--level", default="b3lyp/sto-3g/0", help="functional/basis/grid of the first table")
    parser.add_argument("--policy", choices=POLICIES, default="float32", help="of the first table")
    parser.add_argument("--counts", action="store_true", help="the first table alone")
    parser.add_argument("--conformers", type=int, default=4, help="of each, for the coarse grid")
    parser.add_argument("--lanes", type=int, default=16, help="conformers of a batch, for the rest")
    parser.add_argument("--rounds", type=int, default=3, help="of differences and full builds, in turn")
    parser.add_argument("--markdown", help="write the tables to this file")
    arguments = parser.parse_args()
    lines = [
        describe(), "", f"{arguments.level}, {arguments.policy}:", "",
        "| molecule | points, full and coarse | iterations, full grid only | with the coarse grid | on the full grid |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    off = 0.0
    for smiles in arguments.smiles or MOLECULES[: arguments.molecules]:
        row, difference = coarse_grid(
            smiles, arguments.conformers, POLICIES[arguments.policy], arguments.level
        )
        lines.append(row)
        off = max(off, difference)
        print(row, flush=True)
    lines += [
        "",
        f"`mixed` with and without the coarse grid: energies differ by {off:.0e} hartree at most.",
        "",
    ]
    if arguments.counts:
        print("\n".join(lines))
        lines_to(lines, arguments.markdown)
        return
    lines += [idle_lanes(MOLECULES[0], arguments.lanes), ""]
    float64 = scfx.PrecisionPolicy("float64")
    lines += differences(
        ((MOLECULES[0], "sto-3g", FLOAT32, "4 GiB"), ("CC(N)=O", "6-31g*", float64, 1)),
        arguments.rounds,
        arguments.lanes,
    )
    print("\n".join(lines))
    lines_to(lines, arguments.markdown)


if __name__ == "__main__":
    with jax.enable_x64(True):
        main()
