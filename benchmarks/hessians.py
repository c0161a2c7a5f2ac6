"""Hessians by differences of gradients against PySCF's analytic ones, and the frequencies that follow from both.

    python benchmarks/hessians.py [--molecules 10] [--only C=O] [--grid 5] [--precision float64] [--out TABLE.md]

Ten small molecules, B3LYP; geometries relaxed by scfx at the level of the comparison (`gau_tight`). Ours: central
differences of analytic gradients that follow the grid (step 0.005 bohr). Theirs: `RKS.Hessian().kernel()`, analytic and
without the response of the grid's points and weights, at the same geometry, basis numbers and grid level, so that this
response is part of the difference. Whose part it is, the last column shows: the element where the two differ most, by
differences of PySCF's own gradients with grid response, ours minus that. Frequencies of both are made by the same lines
from the two matrices. Errors only: nothing is timed. Each molecule is printed when it is done.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import throughput  # noqa: E402
from pyscf import dft, lib  # noqa: E402
from scfx_geometry.differences import differences  # noqa: E402
from scfx_geometry.harmonic import normal_modes  # noqa: E402
from scfx_geometry.isotopes import commonest_isotope_masses  # noqa: E402
from scfx_geometry.relax import relax  # noqa: E402

import scfx  # noqa: E402
from scfx.model.basis import BasisSet  # noqa: E402

#: SMILES and basis set, the cheapest first.
MOLECULES = (
    ("F", "6-31g*"), ("O", "6-31g*"), ("N", "6-31g*"), ("C#N", "6-31g*"), ("C=O", "6-31g*"), ("C", "6-31g*"),
    ("C#C", "6-31g*"), ("OO", "sto-3g"), ("CO", "sto-3g"), ("C=C", "sto-3g"),
)  # fmt: skip
#: cm-1: only frequencies above it are judged.
LOWEST = 200.0


@dataclass(frozen=True)
class Row:
    """One molecule's errors: of the Hessian in hartree/bohr², of the frequencies in cm-1."""

    molecule: str
    basis: str
    natm: int
    worst: float
    mean: float
    frequency: float
    at: float
    asymmetry: float
    acoustic: float
    theirs_acoustic: float
    by_differences: float


def compared(smiles: str, name: str, grid: int, precision: str) -> Row:
    solver = scfx.Solver(
        functional="b3lyp", basis=name, grid=grid, precision=precision, threads=1, convergence="forces",
        properties=["gradient"],
    )  # fmt: skip
    (relaxed,) = relax(solver, [scfx.System.from_smiles(smiles)], criteria="gau_tight")
    if not relaxed.converged:
        raise SystemExit(f"{smiles}: {relaxed.reason}")
    system = relaxed.system
    ours = differences(solver, system, 5e-3)
    basis = BasisSet.from_source(solver.resolved.basis, {int(z) for z in system.atomic_numbers})
    natm = system.natm
    theirs = (
        np.asarray(by_pyscf(system, basis, grid).Hessian().kernel())
        .transpose(0, 2, 1, 3)
        .reshape(3 * natm, 3 * natm)
    )
    masses = commonest_isotope_masses(system.atomic_numbers)
    mine, other = (
        normal_modes(masses, system.positions, matrix, ours.dipole_derivatives).frequencies
        for matrix in (ours.hessian, theirs)
    )
    judged = other > LOWEST
    errors = np.abs(mine - other)[judged]
    apart = np.abs(ours.hessian - theirs)
    sums = theirs.reshape(-1, natm, 3).sum(axis=1)
    row, column = np.unravel_index(apart.argmax(), apart.shape)
    element = element_by_differences(system, basis, grid, int(row), int(column))
    return Row(
        smiles, name, natm, float(apart.max()), float(apart.mean()), float(errors.max()),
        float(other[judged][errors.argmax()]), ours.asymmetry, ours.acoustic_sum, float(np.abs(sums).max()),
        float(ours.hessian[row, column]) - element,
    )  # fmt: skip


def by_pyscf(system: scfx.System, basis: BasisSet, grid: int) -> Any:
    """PySCF's converged calculation."""
    field = dft.RKS(throughput.mole(system, basis), xc="b3lyp")
    field.grids.level, field.conv_tol, field.conv_tol_grad, field.max_memory = grid, 1e-12, 1e-8, 4000
    field.kernel()
    return field


def element_by_differences(
    system: scfx.System, basis: BasisSet, grid: int, row: int, column: int, step: float = 5e-3
) -> float:
    """One element of the Hessian from PySCF's gradients, which follow the grid here."""
    found = []
    for sign in (1, -1):
        positions = np.array(system.positions)
        positions.flat[row] += sign * step
        nuclear = by_pyscf(replace(system, positions=positions), basis, grid).nuc_grad_method()
        nuclear.grid_response = True
        found.append(nuclear.kernel().ravel()[column])
    return float(found[0] - found[1]) / (2 * step)


def table(rows: list[Row], grid: int, precision: str) -> str:
    lines = [
        f"{len(rows)} molecules, B3LYP, grid level {grid}, precision `{precision}`, step 0.005 bohr.",
        "",
        "| molecule | basis | atoms | worst element | mean | worst frequency (cm-1) | at | asymmetry | acoustic sum | "
        "PySCF's acoustic sum | worst element against PySCF's differences |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| `{r.molecule}` | {r.basis} | {r.natm} | {r.worst:.1e} | {r.mean:.1e} | {r.frequency:.3f} | "
            f"{r.at:.0f} | {r.asymmetry:.1e} | {r.acoustic:.1e} | {r.theirs_acoustic:.1e} | "
            f"{r.by_differences:+.1e} |"
        )
    worst, frequency = max(r.worst for r in rows), max(r.frequency for r in rows)
    lines += [
        "",
        f"Worst of all: {worst:.1e} hartree/bohr², {frequency:.3f} cm-1 (of frequencies above {LOWEST:.0f} cm-1).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", type=int, default=len(MOLECULES))
    parser.add_argument("--only", nargs="+", help="of these, the molecules with such SMILES")
    parser.add_argument("--grid", type=int, default=5)
    parser.add_argument("--precision", default="float64")
    parser.add_argument("--out", help="a Markdown file")
    options = parser.parse_args()
    lib.num_threads(1)
    rows = []
    for smiles, basis in MOLECULES[: options.molecules]:
        if options.only and smiles not in options.only:
            continue
        began = time.process_time()
        rows.append(compared(smiles, basis, options.grid, options.precision))
        print(f"{rows[-1]}  {time.process_time() - began:.0f} s of CPU", flush=True)
    text = table(rows, options.grid, options.precision)
    print(text)
    if options.out:
        Path(options.out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
