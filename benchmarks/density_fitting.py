"""Fitted against fitted at the levels of SPICE and OMol25: time beside PySCF's, where it goes, and the errors.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/density_fitting.py [--levels spice omol25] [--smiles OC=O CCO]
        [--grid 1] [--repeats 1] [--batch 4] [--precisions float64 mixed] [--backends simd] [--exact]
        [--clock processor] [--memory-budget "8 GiB"]

RI-JK with def2-universal-jkfit in both programs, one thread, the same grids and thresholds (1e-9 and 1e-5 hartree).
After a run of scfx that compiles, each molecule is solved alone by each in turn, `--repeats` times, in alternation;
times are medians of whole calls. `--batch N`: also N conformers of it in one call of scfx, whose time is that of a
label, against the same time of PySCF. `mixed` is compared with `float64` at tight thresholds; mixed_errors.py does that
for more levels. `--exact`: the error of fitting too, from exact integrals (slow), and their seconds. D3(BJ) is the
same library in both and is left out of PySCF's times. `--clock processor` counts seconds of the process. Both programs
get the same memory.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
from levels import pyscf_molecule
from machine import describe
from pyscf import dft, lib
from pyscf.scf.hf import overlap_zero_eigenvalue_threshold
from threadpoolctl import threadpool_limits

import scfx
from scfx.config.values import number_of_bytes
from scfx.model.system import HARTREE_IN_EV

FIT = "def2-universal-jkfit"
#: Level -> (functional, basis).
LEVELS = {"spice": ("wb97m-d3bj", "def2-tzvppd"), "omol25": ("wb97m-v", "def2-tzvpd")}
SMILES = ("OC=O", "CCO", "CC(=O)N", "c1ccoc1")
MEV = 1000 * HARTREE_IN_EV
STAGES = ("exchange_correlation", "nonlocal_correlation", "coulomb_exchange", "two_electron", "quadrature")


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def pyscf_fitted(molecule: Any, level: str, grid: int, memory: int) -> float:
    """Solve with PySCF, J and K fitted, within so many bytes; returns the energy in hartree without D3(BJ)."""
    mf: Any = dft.RKS(molecule, xc="wb97m_v")
    mf.disp, mf.small_rho_cutoff = None, 0
    if level == "spice":
        mf.nlc = 0
    mf.grids.level, mf.nlcgrids.level, mf.conv_tol, mf.conv_tol_grad = grid, 1, 1e-9, 1e-5
    # What the process holds already, scfx's part of it too, counts: with less left PySCF goes to the disk.
    mf.max_memory = lib.current_memory()[0] + memory / 1e6
    mf = mf.density_fit(auxbasis=FIT)
    energy = float(mf.kernel())
    if not mf.converged:
        raise SystemExit("PySCF did not converge")
    return energy


def _conformers(smiles: str, count: int) -> list[scfx.System]:
    return [scfx.System.from_smiles(smiles, seed=42 + k) for k in range(count)]


class Bench:
    """Solvers of one level, and what they are asked for."""

    def __init__(self, level: str, arguments: argparse.Namespace, registry: scfx.Registry):
        self.level, self.arguments, self.registry = level, arguments, registry
        self.functional, self.basis = LEVELS[level]

    def solver(self, backend: str, precision: str, fitted: bool = True, tight: bool = False) -> scfx.Solver:
        """One thread, with PySCF's threshold for linear dependence."""
        options: dict[str, Any] = {"density_fitting": FIT} if fitted else {}
        return scfx.Solver(
            registry=self.registry, functional=self.functional, basis=self.basis, backend=backend,
            precision=precision, grid=self.arguments.grid, nonlocal_grid=1,
            convergence="tight" if tight else {"energy": 1e-9, "gradient": 1e-5},
            linear_dependence_threshold=overlap_zero_eigenvalue_threshold, threads=1,
            memory_budget=self.arguments.memory_budget, **options,
        )  # fmt: skip

    def speed(self, smiles: str, backend: str, precision: str) -> None:
        """A line of the table of times."""
        systems = _conformers(smiles, max(1, self.arguments.batch))
        molecule = pyscf_molecule(systems[0], self.basis, self.registry)
        solver = self.solver(backend, precision)
        if not self.arguments.cold:
            solver.solve(systems[0]).raise_for_status()
        ours, theirs, batched, found, energy = [], [], [], None, np.nan
        clock, memory = CLOCKS[self.arguments.clock], number_of_bytes(self.arguments.memory_budget)
        before = dict(solver.profile)
        for _ in range(self.arguments.repeats):
            start = clock()
            found = solver.solve(systems[0]).raise_for_status()
            ours.append(clock() - start)
            if not self.arguments.no_peer:
                start = clock()
                energy = pyscf_fitted(molecule, self.level, self.arguments.grid, memory)
                theirs.append(clock() - start)
        spent = {k: (v - before.get(k, 0.0)) / self.arguments.repeats for k, v in solver.profile.items()}
        if len(systems) > 1:
            solver.solve(systems)
            start = clock()
            solver.solve(systems).raise_for_status()
            batched.append((clock() - start) / len(systems))
        assert found is not None
        dispersion = 0.0 if found.dispersion_energy is None else found.dispersion_energy[0]
        a, b = median(ours), median(theirs or [np.nan])
        in_batch = f"{batched[0]:.2f} | {b / batched[0]:.1f}" if batched else " | "
        shares = ", ".join(
            f"{name} {100 * spent[name] / a:.0f} %" for name in STAGES if spent.get(name, 0) > 0.01 * a
        )
        print(
            f"| {self.level} | `{smiles}` | {found.nao[0]} | {backend} {precision} | {a:.2f} | {b:.2f} | {b / a:.1f} "
            f"| {in_batch} | {found.energy[0] - dispersion - energy:+.0e} | {shares} |",
            flush=True,
        )

    def errors(self, smiles: str) -> None:
        """A line of the table of errors, at tight thresholds: `mixed`, and fitting."""
        system = _conformers(smiles, 1)[0]
        double = self.solver("simd", "float64", tight=True).solve(system).raise_for_status()
        mixed = self.solver("simd", "mixed", tight=True).solve(system).raise_for_status()
        line = [self.level, f"`{smiles}`"]
        line += [
            f"{MEV * (mixed.energy[0] - double.energy[0]):+.5f}",
            f"{MEV * (mixed.gap[0] - double.gap[0]):+.5f}",
        ]
        if self.arguments.exact:
            solver, clock = self.solver("simd", "float64", fitted=False), CLOCKS[self.arguments.clock]
            start, wall = clock(), time.perf_counter()
            exact = solver.solve(system).raise_for_status()
            # What compiled is known in seconds of the wall.
            compiling = solver.profile.get("compile", 0.0) / (time.perf_counter() - wall)
            seconds = (clock() - start) * (1 - compiling)
            line += [
                f"{MEV * (double.energy[0] - exact.energy[0]) / system.natm:+.3f}",
                f"{MEV * (double.gap[0] - exact.gap[0]):+.2f}",
                f"{seconds:.0f}",
            ]
        print("| " + " | ".join(line) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--smiles", nargs="+", default=SMILES)
    parser.add_argument("--backends", nargs="+", default=["simd"])
    parser.add_argument("--precisions", nargs="+", default=["float64", "mixed"])
    parser.add_argument("--grid", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--cold", action="store_true", help="time the first run, which compiles")
    parser.add_argument("--no-peer", action="store_true", help="scfx alone")
    parser.add_argument("--no-errors", action="store_true")
    parser.add_argument("--memory-budget", default="8 GiB", help="of either program")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="whose seconds are counted")
    arguments = parser.parse_args()
    registry = scfx.Registry.discover()
    print(f"{describe()} {arguments.clock} seconds, {arguments.memory_budget} each.\n")
    print(
        "| level | molecule | AOs | scfx | alone / s | PySCF / s | ratio | a label in a batch / s | ratio "
        "| scfx minus PySCF / hartree | where the time goes |"
    )
    print("|---" * 11 + "|")
    benches = [Bench(level, arguments, registry) for level in arguments.levels]
    with threadpool_limits(limits=1):
        for bench in benches:
            for smiles in arguments.smiles:
                for backend in arguments.backends:
                    for precision in arguments.precisions:
                        if backend == "simd" or precision == "float64":
                            bench.speed(smiles, backend, precision)
        if arguments.no_errors:
            return
        print("\n| level | molecule | mixed: energy / meV | gap / meV |", end="")
        print(" fitting: energy / meV an atom | gap / meV | exact / s |" if arguments.exact else "")
        print("|---" * (7 if arguments.exact else 4) + "|")
        for bench in benches:
            for smiles in arguments.smiles:
                bench.errors(smiles)


if __name__ == "__main__":
    main()
