"""Relaxations an hour on one core: scfx against PySCF with geomeTRIC, from the same starts, alternating in one process.

    taskset -c 0 python benchmarks/relaxations.py                                   # 200 conformers, B3LYP/STO-3G
    taskset -c 0 python benchmarks/relaxations.py --basis 6-31g* --conformers 20
    taskset -c 0 python benchmarks/relaxations.py --conformers 32 --chunk 16 --peer-conformers 2   # cut down

Functional, basis numbers, grid level and criteria (`gau`) are the same. For each chunk of conformers scfx relaxes by
pyberny and by geomeTRIC, with each step begun from the density of the one before, and (`no guess`) from the standard
guess; then PySCF relaxes the first `--peer-conformers` of the chunk (default: all) by geomeTRIC. Rates are per
relaxation, so that programs with other numbers of them can be compared; the table states how many each has. `--peers`:
with the response of the grid's points and weights in PySCF's gradient, as scfx has it, or without, its own default, or
both. scfx's seconds include the last geometry solved once more from the standard guess, which PySCF does not do.

Seconds are of this process's CPU, on one thread, so that other work on the machine is not counted. Nothing is timed
that compiles: a relaxation of other seeds goes first, and the share of the time that compiles later is taken off. The
same minimum: RMSD of all atoms after superposing below 0.01 angstrom and energies within 1e-6 hartree, of the
conformers that the first peer relaxed; energies of both are PySCF's at the final geometries, converged tightly, so that
a difference is one of geometry. The table is written after every chunk: a run that is cut has said what it has.
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
PEERS = {
    "response": "PySCF with grid response, geomeTRIC",
    "default": "PySCF without grid response, geomeTRIC",
}


@dataclass
class Timed:
    """Of one program and optimiser: seconds, steps and SCF iterations, final geometries (angstrom) by conformer."""

    seconds: float = 0.0
    steps: list[int] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    #: SCF iterations of the last geometries from the standard guess, of scfx.
    standard: list[int] = field(default_factory=list)
    #: Of those that the first peer relaxed too: distances from where it ended, angstrom, and energies above, hartree.
    apart: list[tuple[float, float]] = field(default_factory=list)
    ends: list[np.ndarray | None] = field(default_factory=list)

    @property
    def per_hour(self) -> float:
        return 3600 * len(self.ends) / self.seconds

    @property
    def same(self) -> int:
        """How many end at the first peer's minimum."""
        return sum(away < SAME_RMSD and abs(above) < SAME_ENERGY for away, above in self.apart)


@dataclass(frozen=True)
class Run:
    """One way to relax with scfx."""

    solver: scfx.Solver
    optimizer: str
    propagate_guess: bool = True


def run_scfx(run: Run, systems: list[scfx.System], into: Timed) -> None:
    before, wall, start = run.solver.profile.get("compile", 0.0), time.perf_counter(), time.process_time()
    done = relax(run.solver, systems, run.optimizer, "gau", propagate_guess=run.propagate_guess)
    compiling = (run.solver.profile.get("compile", 0.0) - before) / (time.perf_counter() - wall)
    into.seconds += (time.process_time() - start) * (1 - compiling)
    for each in done:
        into.steps.append(each.steps)
        into.iterations.append(each.iterations)
        if each.converged:
            into.standard.append(each.final_iterations)
        into.ends.append(each.system.positions_angstrom if each.converged else None)


def run_pyscf(
    systems: list[scfx.System], basis: BasisSet, arguments: argparse.Namespace, response: bool, into: Timed
) -> None:
    from pyscf.geomopt import geometric_solver

    logging.disable(logging.CRITICAL)
    for system in systems:
        start, count, steps = time.process_time(), [0], [0]
        field_: Any = dft.RKS(throughput.mole(system, basis), xc=arguments.functional)
        field_.grids.level, field_.max_memory = arguments.grid, 16000
        field_.conv_tol, field_.conv_tol_grad = arguments.energy, arguments.gradient
        field_.callback = lambda _, count=count: count.__setitem__(0, count[0] + 1)
        nuclear = field_.nuc_grad_method()
        nuclear.grid_response = response
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            converged, end = geometric_solver.kernel(
                nuclear,
                convergence_set="GAU",
                callback=lambda _, steps=steps: steps.__setitem__(0, steps[0] + 1),
                maxsteps=100,
            )
        into.seconds += time.process_time() - start
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
        field_: Any = dft.RKS(throughput.mole(moved, basis), xc=arguments.functional)
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
    parser.add_argument(
        "--peers",
        nargs="+",
        choices=list(PEERS),
        default=["response"],
        help="PySCF's gradient with grid response, or not",
    )
    parser.add_argument("--peer-conformers", type=int, help="PySCF relaxes only so many of each chunk")
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
    runs: dict[str, Run] = {}
    for policy, solver in solvers.items():
        runs[f"scfx {policy}, pyberny"] = Run(solver, "berny")
        runs[f"scfx {policy}, geomeTRIC"] = Run(solver, "geometric")
        runs[f"scfx {policy}, pyberny, no guess"] = Run(solver, "berny", propagate_guess=False)
    warm = throughput.conformers(arguments.smiles, min(arguments.chunk, arguments.conformers), 100_000)
    for run in runs.values():
        run_scfx(run, warm[:2] if len(warm) > 4 else warm, Timed())
    timed = {name: Timed() for name in (*runs, *(PEERS[peer] for peer in arguments.peers))}
    for start in range(0, len(systems), arguments.chunk):
        chunk = systems[start : start + arguments.chunk]
        few = chunk[: arguments.peer_conformers]
        for name, run in runs.items():
            run_scfx(run, chunk, timed[name])
            print(json.dumps({name: [len(timed[name].ends), round(timed[name].seconds, 1)]}), flush=True)
        for peer in arguments.peers:
            run_pyscf(few, basis, arguments, peer == "response", timed[PEERS[peer]])
            print(json.dumps({peer: [len(few), round(timed[PEERS[peer]].seconds, 1)]}), flush=True)
        judge(few, start, timed, PEERS[arguments.peers[0]], basis, arguments)
        print(json.dumps({name: [len(t.ends), round(t.seconds, 1)] for name, t in timed.items()}), flush=True)
        text = table(timed, arguments)
        if arguments.out:
            Path(arguments.out).write_text(text, encoding="utf-8")
    print(text)


def judge(
    few: list[scfx.System],
    start: int,
    timed: dict[str, Timed],
    reference: str,
    basis: BasisSet,
    arguments: argparse.Namespace,
) -> None:
    """Tell how far from the reference's minima the others end, of the conformers of a chunk that it relaxed; outside
    the timing.
    """
    theirs = timed[reference].ends[len(timed[reference].ends) - len(few) :]
    lowest = energies(few, theirs, basis, arguments)
    for name, t in timed.items():
        at = start if name.startswith("scfx") else len(t.ends) - len(few)
        ours = t.ends[at : at + len(few)]
        found = lowest if name == reference else energies(few, ours, basis, arguments)
        t.apart += [
            (rmsd(a, b), e - r)
            for a, b, e, r in zip(ours, theirs, found, lowest, strict=True)
            if a is not None and b is not None
        ]


def table(timed: dict[str, Timed], arguments: argparse.Namespace) -> str:
    reference = timed[PEERS[arguments.peers[0]]]
    rows = [
        f"`{arguments.smiles}`, {arguments.functional}/{arguments.basis}, grid {arguments.grid}, criteria gau, chunks "
        f"of {arguments.chunk}; ratio: relaxations an hour over those of {PEERS[arguments.peers[0]]}",
        "",
        "| program | relaxed | an hour | ratio | steps | SCF iterations a step | from the standard guess | converged | "
        "same minimum | farthest from it, angstrom | energies above, hartree |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, t in timed.items():
        standard = f"{np.mean(t.standard):.1f}" if t.standard else ""
        away, above = zip(*t.apart, strict=True) if t.apart else ((np.nan,), (np.nan,))
        rows.append(
            f"| {name} | {len(t.ends)} | {t.per_hour:.0f} | {t.per_hour / reference.per_hour:.1f} | "
            f"{np.mean(t.steps):.1f} | {sum(t.iterations) / max(sum(t.steps), 1):.1f} | {standard} | "
            f"{sum(e is not None for e in t.ends)} | {t.same} of {len(reference.ends)} | {max(away):.4f} | "
            f"{min(above):.1e} to {max(above):.1e} |"
        )
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
