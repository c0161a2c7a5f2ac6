"""What density fitting brings and costs: time and error at SPICE's level, beside PySCF's, exact and fitted.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/density_fitting.py [--smiles OC=O CCO] [--grid 1] [--repeats 1]

wB97M-D3(BJ)/def2-TZVPPD with def2-universal-jkfit (RI-JK), float64, one thread. Each molecule is solved by the four in
turn, `--repeats` times after one run of scfx that compiles; times are medians of whole calls. The errors are those of
fitting: fitted less exact of scfx.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from levels import pyscf_molecule
from machine import describe
from pyscf import dft
from pyscf.scf.hf import overlap_zero_eigenvalue_threshold
from threadpoolctl import threadpool_limits

import scfx
from scfx.model.system import HARTREE_IN_EV

FUNCTIONAL, BASIS, FIT = "wb97m-d3bj", "def2-tzvppd", "def2-universal-jkfit"
SMILES = ("OC=O", "CCO", "CC(=O)N", "c1ccoc1")


def _pyscf(molecule: Any, grid: int, fitted: bool) -> float:
    mf = dft.RKS(molecule, xc="wb97m_v")
    mf.nlc, mf.disp, mf.small_rho_cutoff = 0, None, 0
    mf.grids.level, mf.conv_tol, mf.conv_tol_grad = grid, 1e-9, 1e-5
    mf.max_memory = 16000  # MB, in which scfx's count too: with less left PySCF goes to the disk
    if fitted:
        mf = mf.density_fit(auxbasis=FIT)
    energy = float(mf.kernel())
    if not mf.converged:
        raise SystemExit("PySCF did not converge")
    return energy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smiles", nargs="+", default=SMILES)
    parser.add_argument("--grid", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--memory-budget", default="8 GiB")
    arguments = parser.parse_args()
    registry = scfx.Registry.discover()

    def solver(backend: str, **options: Any) -> scfx.Solver:
        return scfx.Solver(
            registry=registry, functional=FUNCTIONAL, basis=BASIS, backend=backend, grid=arguments.grid,
            convergence={"energy": 1e-9, "gradient": 1e-5},
            linear_dependence=overlap_zero_eigenvalue_threshold, threads=1,
            memory_budget=arguments.memory_budget, **options,
        )  # fmt: skip

    exact, fitted = solver("simd"), solver("libcint", density_fitting=FIT)
    print(describe() + "\n")
    print(
        "| molecule | AOs | scfx exact / s | PySCF exact / s | ratio | scfx fitted / s | PySCF fitted / s | ratio "
        "| fitted: scfx minus PySCF / hartree | error of fitting, energy / meV an atom | gap / meV |"
    )
    print("|---" * 11 + "|")
    for smiles in arguments.smiles:
        system = scfx.System.from_smiles(smiles, seed=42)
        molecule = pyscf_molecule(system, BASIS, registry)
        calls: list[Callable[[], Any]] = [
            lambda system=system: exact.solve(system).raise_for_status(),
            lambda molecule=molecule: _pyscf(molecule, arguments.grid, False),
            lambda system=system: fitted.solve(system).raise_for_status(),
            lambda molecule=molecule: _pyscf(molecule, arguments.grid, True),
        ]
        calls[0](), calls[2]()
        seconds: list[list[float]] = [[] for _ in calls]
        found: list[Any] = [None] * len(calls)
        with threadpool_limits(limits=1):
            for _ in range(arguments.repeats):
                for k, call in enumerate(calls):
                    start = time.perf_counter()
                    found[k] = call()
                    seconds[k].append(time.perf_counter() - start)
        by_simd, _, by_fit, pyscf_fitted = found
        a, b, c, d = (median(of) for of in seconds)
        difference = by_fit.energy[0] - by_fit.dispersion_energy[0] - pyscf_fitted
        fitting = 1000 * HARTREE_IN_EV * (by_fit.energy[0] - by_simd.energy[0]) / system.natm
        gap = 1000 * HARTREE_IN_EV * (by_fit.gap[0] - by_simd.gap[0])
        print(
            f"| `{smiles}` | {by_simd.nao[0]} | {a:.1f} | {b:.1f} | {b / a:.1f} | {c:.1f} | {d:.1f} | {d / c:.1f} "
            f"| {difference:+.0e} | {fitting:+.3f} | {gap:+.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
