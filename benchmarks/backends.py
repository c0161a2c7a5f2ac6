"""Like for like: labels a second, CPU-seconds a label and, where the machine tells, energy a label, by molecule size.

    taskset -c 0 python benchmarks/backends.py                           # every backend that is here, and PySCF
    taskset -c 0 python benchmarks/backends.py --conformers 4 --sizes 2 5 --backends simd

Every program gets the same conformers, basis numbers, functional, grid level and convergence rule, one thread, and no
geometry that it has seen; functions are compiled beforehand on other geometries of the same molecules. CPU-seconds
are user and system time of this process. Energy is the processor package's RAPL counter (everything that runs on it
counts, so the machine must be idle); "-" where Linux shows none, as in most virtual machines.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pyscf  # noqa: E402
from machine import describe, lines_to  # noqa: E402
from throughput import MEV, Timed, conformers, run_pyscf  # noqa: E402

import scfx  # noqa: E402
from scfx.model.basis import BasisSet  # noqa: E402

#: A molecule for each number of heavy atoms; those of 9 to 11 are like the paper's.
BY_SIZE = {
    1: "CO", 2: "CCO", 3: "CC(C)=O", 5: "CC(=O)OC", 7: "CC(=O)OC1CC1", 9: "FC=C1C2CN2N=C1C=O", 10: "CC(=O)OC1CCNCC1",
    11: "CC1CCN(C(C)=O)C(O)C1", 14: "CC(C)Cc1ccc(C(C)=O)cc1O",
}  # fmt: skip
_RAPL = Path("/sys/class/powercap")


@dataclass
class Meter:
    """Wall seconds, CPU-seconds and joules (None: not told) between entering and leaving."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    joules: float | None = None

    def __enter__(self) -> Meter:
        self._joules, self._cpu, self._wall = _package_joules(), time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *exc: object) -> None:
        self.seconds += time.perf_counter() - self._wall
        self.cpu_seconds += time.process_time() - self._cpu
        after = _package_joules()
        if (
            after is not None and self._joules is not None and after >= self._joules
        ):  # else the counter went round
            self.joules = (self.joules or 0.0) + after - self._joules


def _package_joules() -> float | None:
    """Sum of the RAPL counters of the processor packages; None where there are none or they may not be read."""
    try:
        return 1e-6 * sum(int(p.read_text()) for p in _RAPL.glob("*-rapl:[0-9]/energy_uj")) or None
    except OSError:
        return None


def measure(
    solver: scfx.Solver, systems: list[scfx.System], warm: list[scfx.System]
) -> tuple[Meter, scfx.SCFResult]:
    solver.solve(warm)
    compiled = solver.profile.get("compile", 0.0)
    with Meter() as meter:
        result = solver.solve(systems)
    late = solver.profile.get("compile", 0.0) - compiled
    if late > 0.02 * meter.seconds:
        print(f"  compiled for {late:.2f} s inside the timing", file=sys.stderr)
    return meter, result


def row(
    heavy: int, smiles: str, name: str, meter: Meter, n: int, error: float | None, pyscf_rate: float | None
) -> str:
    rate = n / meter.seconds
    joules = "-" if meter.joules is None else f"{meter.joules / n:.1f}"
    against = "-" if pyscf_rate is None else f"{rate / pyscf_rate:.1f}"
    off = "-" if error is None else f"{error:.4f}"
    cells = (heavy, f"`{smiles}`", name, f"{rate:.2f}", f"{meter.cpu_seconds / n:.3f}", joules, against, off)
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 3, 5, 7, 9, 11], choices=list(BY_SIZE))
    parser.add_argument("--backends", nargs="+", help="default: every backend that can be used here")
    parser.add_argument("--policies", nargs="+", default=["float64", "float32", "mixed"])
    parser.add_argument("--conformers", type=int, default=16)
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--grid", type=int, default=0)
    parser.add_argument(
        "--threshold", type=float, default=5e-6, help="hartree, of energy change and gradient"
    )
    parser.add_argument("--markdown", metavar="PATH")
    given = parser.parse_args()
    registry = scfx.Registry.discover()
    names = given.backends or [o.name for o in registry.offers("backends") if o.status == "available"]
    rule = {"energy": given.threshold, "gradient": given.threshold}
    lines = [
        describe(),
        "",
        f"B3LYP (VWN5)/{given.basis}, grid level {given.grid}, {given.conformers} conformers a molecule, one thread, "
        f"PySCF {pyscf.__version__}. Errors: mean absolute, total energy, against PySCF converged tightly.",
        "",
        "| heavy atoms | molecule | program | labels/s | CPU-s a label | J a label | x PySCF | energy MAE (meV) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for heavy in given.sizes:
        smiles = BY_SIZE[heavy]
        systems = conformers(smiles, given.conformers, 1)
        warm = conformers(smiles, given.conformers, 10_001)
        elements = {int(z) for z in systems[0].atomic_numbers}
        basis = BasisSet.from_source(registry.basis(given.basis), elements)
        timed = Timed()
        run_pyscf(warm[:1], basis, given.grid, "b3lyp5", rule, Timed())
        # run_pyscf times its own solutions; what it does to check them afterwards is not the label's.
        with Meter() as whole:
            run_pyscf(systems, basis, given.grid, "b3lyp5", rule, timed)
        share = sum(timed.seconds) / whole.seconds
        meter = Meter(
            sum(timed.seconds),
            whole.cpu_seconds * share,
            None if whole.joules is None else whole.joules * share,
        )
        rate = len(systems) / meter.seconds
        new = [row(heavy, smiles, "PySCF", meter, len(systems), None, None)]
        print(new[-1], flush=True)
        for name in names:
            for policy in given.policies:
                try:
                    solver = scfx.Solver(
                        scfx.SCFSpec.create(
                            functional="b3lyp5", basis=given.basis, backend=name, precision=policy, grid=given.grid,
                            threads=1, convergence=rule,
                        ), registry, atomic_numbers=elements,
                    )  # fmt: skip
                    meter, result = measure(solver, systems, warm)
                except (
                    scfx.InputError
                ) as error:  # a backend that cannot do this precision, or has no room for it
                    print(f"  {name}, {policy}: {error}", file=sys.stderr)
                    continue
                error = float(np.abs(result.energy - np.array(timed.tight_energy)).mean() * MEV)
                new.append(row(heavy, smiles, f"{name}, {policy}", meter, len(systems), error, rate))
                print(new[-1], flush=True)
        lines += new
    lines_to(lines, given.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
