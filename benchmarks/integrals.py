"""Milliseconds a conformer of the simd backend's integrals and Fock builds, against libcint on one core.

    taskset -c 0 python benchmarks/integrals.py                           # STO-3G, then 6-31G*
    taskset -c 0 python benchmarks/integrals.py --basis sto-3g --quick    # half a minute

What is timed, for the first molecule of throughput.py:

- two-electron integrals: `SimdBackend.two_electron` (everything up to integrals in memory, Schwarz bounds included), by
  precision policy; PySCF's `intor("int2e", aosym="s8")`, which is libcint in float64.
- one J and K of a symmetric density from stored integrals: `coulomb_exchange_lanes`; PySCF's `scf.hf.dot_eri_dm`.
- one-electron integrals: overlap, kinetic, nuclear attraction and dipole.

Policies and PySCF take turns, round by round, on geometries that change with the round; the figure is the median over
rounds (the first round warms up and is dropped). J and K of every policy are checked against PySCF's.
Integrals beyond the memory budget are recomputed in each J and K, as in a run; the table says which part was stored.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
import pyscf  # noqa: E402
from machine import describe, lines_to  # noqa: E402
from pyscf import lib, scf  # noqa: E402
from scfx_simd.backend import SimdBackend  # noqa: E402
from throughput import MOLECULES, conformers, mole  # noqa: E402

import scfx  # noqa: E402
from scfx.model.basis import BasisSet  # noqa: E402
from scfx.model.batch import Batch, group_by_structure  # noqa: E402

STAGES = ("two-electron", "J and K", "one-electron")
POLICIES = ("float64", "float32", "mixed")


@dataclass
class Times:
    """Seconds a conformer by round, and the largest deviation of J and K from PySCF's, hartree."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    deviation: float = 0.0
    entries: int = 1
    bytes_an_entry: float = 0.0
    recomputed: bool = False

    def add(self, stage: str, start: float, entries: int) -> None:
        self.seconds[stage].append((time.perf_counter() - start) / entries)

    def median(self, stage: str) -> float:
        """Milliseconds a conformer, without the first round."""
        return 1e3 * float(np.median(self.seconds[stage][1:]))


def in_batch_order(batch: Batch, entry: int) -> scfx.System:
    """The system with its atoms in the batch's order, so that AOs of both programs come in the same order."""
    own, order = batch.systems[entry], batch.atom_order[entry]
    return scfx.System(own.atomic_numbers[order], own.positions[order], charge=own.charge)


def random_density(entries: int, nao: int, seed: int) -> np.ndarray:
    """Symmetric matrices [entry, 1, nao, nao] with elements of order one."""
    x = np.random.default_rng(seed).standard_normal((entries, 1, nao, nao))
    return x + np.swapaxes(x, -1, -2)


def of_scfx(solver: scfx.Solver, batch: Batch, density: np.ndarray, into: Times) -> tuple[Any, Any]:
    """One round of one policy; J and K."""
    backend, policy = solver.resolved.backend, solver.resolved.precision
    assert isinstance(backend, SimdBackend)
    lanes = np.arange(len(batch), dtype=np.int32)
    start = time.perf_counter()
    backend.one_electron(batch)
    into.add("one-electron", start, len(batch))
    start = time.perf_counter()
    with backend.two_electron(batch, policy, solver.resolved.memory_budget) as operator:
        into.add("two-electron", start, len(batch))
        into.bytes_an_entry = operator.stored_bytes / len(batch)
        into.recomputed = operator.recomputed_pairs > 0
        start = time.perf_counter()
        found = operator.coulomb_exchange_lanes(density, lanes, True)
        into.add("J and K", start, len(batch))
    return found


def of_pyscf(batch: Batch, basis: BasisSet, density: np.ndarray, entries: int, into: Times) -> list[tuple]:
    """One round of PySCF for the first `entries`; (J, K) of each."""
    molecules = [mole(in_batch_order(batch, entry), basis) for entry in range(entries)]
    start = time.perf_counter()
    for molecule in molecules:
        for name in ("int1e_ovlp", "int1e_kin", "int1e_nuc", "int1e_r"):
            molecule.intor(name)
    into.add("one-electron", start, entries)
    found = []
    integrals, contraction = 0.0, 0.0
    for entry, molecule in enumerate(
        molecules
    ):  # one at a time: s8 integrals of 150 AOs take half a gigabyte
        start = time.perf_counter()
        eri = molecule.intor("int2e", aosym="s8")
        middle = time.perf_counter()
        found.append(scf.hf.dot_eri_dm(eri, density[entry, 0], hermi=1))
        integrals += middle - start
        contraction += time.perf_counter() - middle
        into.bytes_an_entry = eri.nbytes
    into.seconds["two-electron"].append(integrals / entries)
    into.seconds["J and K"].append(contraction / entries)
    return found


def compare(smiles: str, basis_name: str, arguments: argparse.Namespace) -> list[str]:
    """Table rows of one molecule in one basis."""
    solvers = {
        policy: scfx.Solver(basis=basis_name, backend="simd", precision=policy, threads=1)
        for policy in POLICIES
    }
    times: dict[str, Times] = {name: Times() for name in (*POLICIES, "libcint")}
    systems = conformers(smiles, arguments.conformers * (arguments.rounds + 1), 0)
    basis = BasisSet.from_source(
        solvers["float64"].resolved.basis, {int(z) for s in systems for z in s.atomic_numbers}
    )
    ((_, whole),) = group_by_structure(systems, basis)
    for number in range(arguments.rounds + 1):
        first = number * arguments.conformers
        batch = whole.take(range(first, first + arguments.conformers))
        density = random_density(len(batch), batch.nao, number)
        results = {}
        for policy, solver in solvers.items():
            resolved = solver.resolved
            limit = resolved.backend.max_batch(batch.layout, resolved.precision, resolved.memory_budget)
            entries = min(len(batch), limit or len(batch))  # what `Solver` would put into a batch
            times[policy].entries = entries
            results[policy] = of_scfx(solver, batch.take(range(entries)), density[:entries], times[policy])
        compared = min(len(batch), arguments.peer_conformers)
        exact = of_pyscf(batch, basis, density, compared, times["libcint"])
        for policy, (coulomb, exchange) in results.items():
            for entry, (j, k) in enumerate(exact[: len(coulomb)]):
                difference = max(np.abs(coulomb[entry, 0] - j).max(), np.abs(exchange[entry, 0] - k).max())
                times[policy].deviation = max(times[policy].deviation, float(difference))
    rows = []
    for name, of in times.items():
        peer = times["libcint"]
        cells = [
            f"{of.median(stage):.2f}"
            + ("" if name == "libcint" else f" ({peer.median(stage) / of.median(stage):.1f}x)")
            for stage in STAGES
        ]
        memory = f"{of.bytes_an_entry / 2**20:.1f}" + (", rest recomputed" if of.recomputed else "")
        label = "PySCF (libcint), float64" if name == "libcint" else f"simd, {name}"
        deviation = "" if name == "libcint" else f"{of.deviation:.0e}"
        width = 1 if name == "libcint" else of.entries
        rows.append(
            f"| `{smiles}` | {basis_name} | {whole.nao} | {label} | {width} | {' | '.join(cells)} | {memory} "
            f"| {deviation} |"
        )
        print(rows[-1], flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--basis", nargs="+", default=["sto-3g", "6-31g*"])
    parser.add_argument(
        "--conformers", type=int, default=16, help="in a batch, as far as the memory budget goes"
    )
    parser.add_argument("--peer-conformers", type=int, default=4, help="of them, by PySCF in each round")
    parser.add_argument("--rounds", type=int, default=5, help="after the one that warms up")
    parser.add_argument("--quick", action="store_true", help="two rounds, two conformers for PySCF")
    parser.add_argument("--markdown", help="write the table to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.peer_conformers = 2, 2
    lib.num_threads(1)
    lines = [
        describe(),
        "",
        f"Milliseconds a conformer (times faster than PySCF {pyscf.__version__}), median of {arguments.rounds} rounds, "
        "1 thread each.",
        "",
        "| molecule | basis | AOs | program | conformers at once | two-electron | J and K | one-electron "
        "| integrals stored, MiB a conformer | largest deviation of J, K |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    print(lines[0])
    for basis_name in arguments.basis:
        lines += compare(MOLECULES[0], basis_name, arguments)
    lines_to(lines, arguments.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
