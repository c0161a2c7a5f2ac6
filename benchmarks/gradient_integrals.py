"""Milliseconds a conformer of the simd backend's integral gradients, beside making the integrals of the energy.

    taskset -c 0 python benchmarks/gradient_integrals.py                  # STO-3G, then 6-31G*
    taskset -c 0 python benchmarks/gradient_integrals.py --basis sto-3g --scf

One batch of conformers of a molecule of nine heavy atoms, with their own Hartree-Fock densities. In turns, by round:

- integrals: `SimdBackend.two_electron`, everything up to integrals in memory, Schwarz bounds included.
- gradient J+K: `two_electron_gradient` of a fifth of exchange, as B3LYP has it; gradient J: of Coulomb alone.
- one-electron: `one_electron_gradient`.
- with `--scf`: B3LYP's whole self-consistent field on grid level 0, `Solver.solve`, after a first one that compiles.

Figures are medians over rounds; the deviation is that of the J+K gradient from float64's, hartree/bohr.
"""

from __future__ import annotations

import argparse
import os
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
from integrals import in_batch_order  # noqa: E402
from machine import describe, lines_to  # noqa: E402
from scfx_simd.backend import SimdBackend  # noqa: E402
from throughput import conformers  # noqa: E402

import scfx  # noqa: E402
from scfx.contracts.derivatives import TwoElectronEnergy  # noqa: E402
from scfx.model.basis import BasisSet  # noqa: E402
from scfx.model.batch import Batch  # noqa: E402

POLICIES = ("float64", "float32", "mixed")
ENERGIES = {
    "gradient J+K": [TwoElectronEnergy(coulomb=1.0, exchange=0.2)],
    "gradient J": [TwoElectronEnergy(coulomb=1.0)],
}
STAGES = ("integrals", *ENERGIES, "one-electron")


def compare(smiles: str, basis_name: str, arguments: argparse.Namespace) -> list[str]:
    """Table rows of one molecule in one basis."""
    solver = scfx.Solver(functional="hf", basis=basis_name, backend="simd", threads=1)
    resolved = {
        policy: scfx.Solver(basis=basis_name, backend="simd", precision=policy).resolved
        for policy in POLICIES
    }
    found = conformers(smiles, arguments.conformers, 0)
    basis = BasisSet.from_source(solver.resolved.basis, {int(z) for s in found for z in s.atomic_numbers})
    systems = [
        in_batch_order(batch, i) for batch in [Batch.from_systems(found, basis)] for i in range(len(found))
    ]
    batch = Batch.from_systems(systems, basis)
    matrices = solver.solve(systems, return_density=True).density
    assert matrices is not None
    density = np.stack(matrices)
    lanes = np.arange(len(batch), dtype=np.int32)
    seconds: dict[tuple[str, str], list[float]] = {}
    gradients: dict[tuple[str, str], np.ndarray] = {}

    def timed(policy: str, stage: str, start: float) -> None:
        seconds.setdefault((policy, stage), []).append((time.perf_counter() - start) / len(batch))

    for _ in range(arguments.rounds):
        for policy, spec in resolved.items():
            backend = spec.backend
            assert isinstance(backend, SimdBackend)
            start = time.perf_counter()
            with backend.two_electron(batch, spec.precision, spec.memory_budget):
                timed(policy, "integrals", start)
            for stage, energies in ENERGIES.items():
                start = time.perf_counter()
                gradients[policy, stage] = backend.two_electron_gradient(
                    batch, lanes, density, energies, spec.precision
                )
                timed(policy, stage, start)
            start = time.perf_counter()
            backend.one_electron_gradient(batch, lanes, density.sum(1), density.sum(1))
            timed(policy, "one-electron", start)
    rows = []
    for policy in POLICIES:
        cells = [f"{1e3 * float(np.median(seconds[policy, stage])):.2f}" for stage in STAGES]
        ratio = np.median(np.array(seconds[policy, "gradient J+K"]) / np.array(seconds[policy, "integrals"]))
        error = np.abs(gradients[policy, "gradient J+K"] - gradients["float64", "gradient J+K"]).max()
        field = "-"
        if arguments.scf:
            b3lyp = scfx.Solver(
                functional="b3lyp", basis=basis_name, backend="simd", precision=policy, grid=0, threads=1
            )
            b3lyp.solve(systems)
            start = time.perf_counter()
            b3lyp.solve(systems)
            field = f"{1e3 * (time.perf_counter() - start) / len(batch):.2f}"
        rows.append(
            f"| `{smiles}` | {basis_name} | {batch.nao} | {policy} | {' | '.join(cells)} | {field} | {ratio:.2f} "
            f"| {error:.0e} |"
        )
        print(rows[-1], flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smiles", default="CC(=O)OC1CCNC1")
    parser.add_argument("--basis", nargs="+", default=["sto-3g", "6-31g*"])
    parser.add_argument("--conformers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scf", action="store_true", help="time a whole B3LYP field of the batch too")
    parser.add_argument("--markdown", help="write the table to this file")
    arguments = parser.parse_args()
    lines = [
        describe(),
        "",
        f"Milliseconds a conformer, {arguments.conformers} in a batch, median of {arguments.rounds} rounds, 1 thread.",
        "",
        f"| molecule | basis | AOs | policy | {' | '.join(STAGES)} | B3LYP field | J+K gradient / integrals "
        "| largest deviation |",
        "|---|---|---|---|" + "---|" * (len(STAGES) + 3),
    ]
    print("\n".join(lines))
    for basis_name in arguments.basis:
        lines += compare(arguments.smiles, basis_name, arguments)
    lines_to(lines, arguments.markdown)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
