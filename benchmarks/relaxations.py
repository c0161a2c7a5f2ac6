"""Relaxations an hour on one core: scfx against PySCF with geomeTRIC, from the same starts, alternating in one process.

    taskset -c 0 python benchmarks/relaxations.py                                   # 200 conformers, B3LYP/STO-3G
    taskset -c 0 python benchmarks/relaxations.py --basis 6-31g* --conformers 20
    taskset -c 0 python benchmarks/relaxations.py --conformers 4 --chunk 4 --out sample.md   # a sample

Functional, basis numbers, grid level and criteria (`gau`) are the same. For each chunk of conformers scfx relaxes by
pyberny, then by geomeTRIC, in each policy; then PySCF relaxes each conformer by geomeTRIC with its own default gradient
(without grid response) or, with --response, with it. Nothing is timed that compiles: a relaxation of other seeds goes
first, and what compiles later is taken off. The same minimum: RMSD of all atoms after superposing below 0.01 angstrom
and energies within 1e-6 hartree; energies of both are PySCF's at the final geometries, converged tightly, so that a
difference is one of geometry. `no guess` is pyberny with every step begun from the standard guess.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import throughput  # noqa: E402
from pyscf import dft, lib  # noqa: E402
from scfx_geometry.relax import relax  # noqa: E402

import scfx  # noqa: E402
from scfx.model.basis import BasisSet  # noqa: E402
from scfx.model.system import BOHR_IN_ANGSTROM  # noqa: E402

SAME_RMSD, SAME_ENERGY = 0.01, 1e-6  # angstrom, hartree


@dataclass
class Timed:
    """Of one program and optimiser: seconds, steps and SCF iterations, final geometries (angstrom) by conformer."""

    seconds: float = 0.0
    steps: list[int] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    ends: list[np.ndarray | None] = field(default_factory=list)

    @property
    def per_hour(self) -> float:
        return 3600 * len(self.ends) / self.seconds


class WithoutGuess:
    """A solver that begins every step from the standard guess."""

    def __init__(self, solver: scfx.Solver):
        self._solver = solver
        self.resolved, self.registry, self.spec_hash = solver.resolved, solver.registry, solver.spec_hash

    @property
    def profile(self) -> dict[str, float]:
        return self._solver.profile

    def solve(self, systems: Any, *, return_density: bool = False, initial_density: Any = None) -> Any:
        return self._solver.solve(systems, return_density=return_density)


def run_scfx(solver: Any, optimizer: str, systems: list[scfx.System], into: Timed) -> None:
    before, start = solver.profile.get("compile", 0.0), time.perf_counter()
    done = relax(solver, systems, optimizer, "gau")
    into.seconds += time.perf_counter() - start - (solver.profile.get("compile", 0.0) - before)
    for each in done:
        into.steps.append(each.steps)
        into.iterations.append(each.iterations)
        into.ends.append(each.system.positions_angstrom if each.converged else None)


def run_pyscf(
    systems: list[scfx.System], basis: BasisSet, arguments: argparse.Namespace, into: Timed
) -> None:
    from pyscf.geomopt import geometric_solver

    logging.disable(logging.CRITICAL)
    for system in systems:
        start, count, steps = time.perf_counter(), [0], [0]
        field_ = dft.RKS(throughput.mole(system, basis), xc=arguments.functional)
        field_.grids.level, field_.max_memory = arguments.grid, 16000
        field_.conv_tol, field_.conv_tol_grad = arguments.energy, arguments.gradient
        field_.callback = lambda _, count=count: count.__setitem__(0, count[0] + 1)
        nuclear = field_.nuc_grad_method()
        nuclear.grid_response = arguments.response
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            converged, end = geometric_solver.kernel(
                nuclear,
                convergence_set="GAU",
                callback=lambda _, steps=steps: steps.__setitem__(0, steps[0] + 1),
                maxsteps=100,
            )
        into.seconds += time.perf_counter() - start
        into.steps.append(steps[0])
        into.iterations.append(count[0])
        into.ends.append(end.atom_coords() * BOHR_IN_ANGSTROM if converged else None)
    logging.disable(logging.NOTSET)


def rmsd(a: np.ndarray, b: np.ndarray) -> float:
    """Of all atoms after the best rotation (Kabsch), angstrom."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, _, vt = np.linalg.svd(a.T @ b)
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    return float(np.sqrt(((a @ (u @ vt) - b) ** 2).sum(axis=1).mean()))


def energies(
    systems: list[scfx.System], ends: list[np.ndarray | None], basis: BasisSet, arguments: argparse.Namespace
) -> list[float]:
    """PySCF's energies at some geometries, converged tightly; outside the timing."""
    out = []
    for system, end in zip(systems, ends, strict=True):
        if end is None:
            out.append(np.nan)
            continue
        moved = scfx.System.from_arrays(system.symbols, end, "angstrom", system.charge)
        field_ = dft.RKS(throughput.mole(moved, basis), xc=arguments.functional)
        field_.grids.level, field_.conv_tol = arguments.grid, 1e-11
        out.append(float(field_.kernel()))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smiles", default=throughput.MOLECULES[0])
    parser.add_argument("--conformers", type=int, default=200)
    parser.add_argument("--chunk", type=int, default=16)
    parser.add_argument("--functional", default="b3lyp")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--grid", type=int, default=1)
    parser.add_argument("--policies", nargs="+", default=["mixed"])
    parser.add_argument("--energy", type=float, default=1e-9, help="SCF thresholds of both, hartree")
    parser.add_argument("--gradient", type=float, default=1e-5)
    parser.add_argument("--response", action="store_true", help="PySCF's gradient with grid response")
    parser.add_argument("--out", help="a Markdown file")
    arguments = parser.parse_args()
    lib.num_threads(1)
    options: dict[str, Any] = {
        "functional": arguments.functional, "basis": arguments.basis, "grid": arguments.grid, "threads": 1,
        "convergence": {"energy": arguments.energy, "gradient": arguments.gradient}, "properties": ["gradient"],
    }  # fmt: skip
    solvers = {policy: scfx.Solver(precision=policy, **options) for policy in arguments.policies}
    systems = throughput.conformers(arguments.smiles, arguments.conformers, 0)
    first = next(iter(solvers.values()))
    basis = BasisSet.from_source(first.resolved.basis, {int(z) for s in systems for z in s.atomic_numbers})
    runs: dict[str, tuple[Any, str]] = {}
    for policy, solver in solvers.items():
        runs[f"scfx {policy}, pyberny"] = solver, "berny"
        runs[f"scfx {policy}, geomeTRIC"] = solver, "geometric"
        runs[f"scfx {policy}, pyberny, no guess"] = WithoutGuess(solver), "berny"
    warm = throughput.conformers(arguments.smiles, arguments.chunk, 100_000)
    for solver, optimizer in runs.values():
        run_scfx(solver, optimizer, warm[:2] if arguments.chunk > 4 else warm, Timed())
    timed = {name: Timed() for name in (*runs, "PySCF, geomeTRIC")}
    for start in range(0, len(systems), arguments.chunk):
        chunk = systems[start : start + arguments.chunk]
        for name, (solver, optimizer) in runs.items():
            run_scfx(solver, optimizer, chunk, timed[name])
        run_pyscf(chunk, basis, arguments, timed["PySCF, geomeTRIC"])
        print(json.dumps({name: [len(t.ends), round(t.seconds, 1)] for name, t in timed.items()}), flush=True)
    peer = timed["PySCF, geomeTRIC"]
    reference = energies(systems, peer.ends, basis, arguments)
    rows = [
        f"{len(systems)} conformers of `{arguments.smiles}`, {arguments.functional}/{arguments.basis}, grid "
        f"{arguments.grid}, criteria gau, chunks of {arguments.chunk}; PySCF's gradient "
        f"{'with' if arguments.response else 'without'} grid response",
        "",
        "| program | relaxations an hour | ratio | steps | SCF iterations a step | converged | same minimum |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, t in timed.items():
        found = energies(systems, t.ends, basis, arguments)
        same = sum(
            a is not None and b is not None and rmsd(a, b) < SAME_RMSD and abs(e - r) < SAME_ENERGY
            for a, b, e, r in zip(t.ends, peer.ends, found, reference, strict=True)
        )
        rows.append(
            f"| {name} | {t.per_hour:.0f} | {peer.seconds / t.seconds:.1f} | {np.mean(t.steps):.1f} | "
            f"{sum(t.iterations) / max(sum(t.steps), 1):.1f} | {sum(e is not None for e in t.ends)} | {same} |"
        )
    text = "\n".join(rows) + "\n"
    print(text)
    if arguments.out:
        Path(arguments.out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
