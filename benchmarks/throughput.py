"""Labels a second on one core: scfx against PySCF, alternating in one process.

    taskset -c 0 python benchmarks/throughput.py                     # the paper's setting and grid 1, four molecules
    taskset -c 0 python benchmarks/throughput.py --forces            # energies with forces (forces.py)
    taskset -c 0 python benchmarks/throughput.py --conformers 8 --grids 0 --molecules 1
    taskset -c 0 python benchmarks/throughput.py --alone --basis 6-31g* --grids 3 --smiles "CC(N)=O" --peer-conformers 2
    taskset -c 0 python benchmarks/throughput.py --settle --clock processor                       # on a shared machine

With `--alone` every policy has two rows: conformers in batches, and each of them solved by itself.
Both programs get the same molecules, basis numbers, functional, grid level and convergence rule: energy change and
largest element of the orbital gradient X^T (FDS - SDF) X below the same thresholds (--threshold, by default the
tightest that the float32 policy can meet).
Conformers are cut into chunks of the lane width; for each chunk scfx's policies and PySCF take turns. No geometry is
solved before it is timed or timed twice by one program: compilation is warmed up on geometries of other seeds, and its
seconds are reported apart. Every timed label is then checked: convergence, and the error against PySCF converged
tightly on the same grid (from its own solution, outside the timing). With `--peer-conformers N` PySCF, and `--alone`,
solve the first N of each chunk only: rates are per label either way.
`--settle`: each program solves conformers of other seeds untimed just before its turn, as in a running job, where no
memory lies idle while another program works. `--clock processor` counts the seconds of the process, not of the wall.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pyscf  # noqa: E402
import throughput_report  # noqa: E402
from pyscf import dft, gto, lib  # noqa: E402

import scfx  # noqa: E402
from scfx.model.basis import BasisSet, radial_norm  # noqa: E402
from scfx.model.elements import SYMBOLS  # noqa: E402

MOLECULES = ("FC=C1C2CN2N=C1C=O", "Fc1nocnc(=O)c1=O", "CC(=O)OC1CCNC1", "CCCCCCCCC")
MEV = 27211.386245988
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
#: Ends the name of a policy whose conformers are solved one by one.
ALONE = "alone"


@dataclass
class Timed:
    """Seconds and labels of one program on one molecule."""

    clock: Callable[[], float] = time.perf_counter
    seconds: list[float] = field(default_factory=list)
    energy: list[float] = field(default_factory=list)
    gap: list[float] = field(default_factory=list)
    tight_energy: list[float] = field(default_factory=list)
    tight_gap: list[float] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    converged: int = 0

    @property
    def per_second(self) -> float:
        return len(self.energy) / sum(self.seconds)


def conformers(smiles: str, count: int, first_seed: int) -> list[scfx.System]:
    """`count` ETKDGv3 conformers, one seed each, starting from `first_seed`; seeds that fail are passed over."""
    out: list[scfx.System] = []
    seed = first_seed
    while len(out) < count:
        with contextlib.suppress(scfx.InputError):
            out.append(scfx.System.from_smiles(smiles, seed=seed))
        seed += 1
    return out


def mole(system: scfx.System, basis: BasisSet) -> gto.Mole:
    """The same molecule in PySCF, with the same basis numbers."""
    shells = {
        SYMBOLS[z]: [
            [
                s.angular_momentum,
                *zip(s.exponents, s.coefficients / radial_norm(s.angular_momentum, s.exponents), strict=True),
            ]
            for s in basis.shells[z]
        ]
        for z in {int(z) for z in system.atomic_numbers}
    }
    return gto.M(
        atom=list(zip(system.symbols, system.positions, strict=True)),
        unit="Bohr",
        charge=system.charge,
        basis=shells,
        cart=any(s.cartesian for z in shells for s in basis.shells[scfx.model.elements.atomic_number(z)]),
        verbose=0,
    )


def gradient(overlap: np.ndarray, fock: np.ndarray, density: np.ndarray) -> float:
    """Largest element of X^T (FDS - SDF) X / 2 with X = S^(-1/2): scfx's residual, for PySCF's matrices."""
    values, vectors = np.linalg.eigh(overlap)
    x = (vectors / np.sqrt(values)) @ vectors.T
    commutator = fock @ density @ overlap
    return float(np.abs(x @ (commutator - commutator.T) @ x).max()) / 2


def run_pyscf(
    systems: list[scfx.System], basis: BasisSet, level: int, xc: str, rule: dict, into: Timed
) -> None:
    """Solve with PySCF under scfx's own convergence rule, timing everything from the geometry on."""
    for system in systems:
        start = into.clock()
        molecule = mole(system, basis)
        mf = dft.RKS(molecule, xc=xc)
        mf.grids.level = level
        mf.max_memory = 16000
        mf.max_cycle = 100

        met: list[bool] = []

        def settled(state: dict, met: list[bool] = met) -> bool:
            change = abs(state["e_tot"] - state["last_hf_e"])
            residual = gradient(state["s1e"], state["fock"], state["dm"])
            if (
                met
            ):  # PySCF asks again after a last diagonalisation, by its own habit ten and three times looser
                return change < 10 * rule["energy"] or residual < 3 * rule["gradient"]
            if change < rule["energy"] and residual < rule["gradient"]:
                met.append(True)
            return bool(met)

        mf.check_convergence = settled
        energy = mf.kernel()
        into.seconds.append(into.clock() - start)
        into.energy.append(energy)
        into.gap.append(gap(mf))
        density = mf.make_rdm1()
        into.residual.append(gradient(molecule.intor("int1e_ovlp"), mf.get_fock(dm=density), density))
        into.iterations.append(mf.cycles)
        into.converged += bool(mf.converged)
        mf.check_convergence, mf.conv_tol, mf.conv_tol_grad = None, 1e-10, 1e-7
        into.tight_energy.append(mf.kernel(dm0=density))
        into.tight_gap.append(gap(mf))


def gap(mf: dft.rks.RKS) -> float:
    """LUMO minus HOMO, hartree."""
    occupied = mf.mo_occ > 0
    return float(mf.mo_energy[~occupied].min() - mf.mo_energy[occupied].max())


def run_scfx(solver: scfx.Solver, systems: list[scfx.System], into: Timed) -> None:
    """Solve one batch with scfx."""
    before = solver.profile.get("compile", 0.0)
    start = into.clock()
    result = solver.solve(systems)
    compiling = solver.profile.get("compile", 0.0) - before
    into.seconds.append(into.clock() - start - compiling)
    into.energy += result.energy.tolist()
    into.gap += result.gap.tolist()
    into.residual += result.residual.tolist()
    into.iterations += result.iterations.tolist()
    into.converged += int(result.converged.sum())


def made(policy: str, level: int, arguments: argparse.Namespace) -> scfx.Solver:
    """A solver of one policy."""
    return scfx.Solver(
        functional=arguments.functional,
        basis=arguments.basis,
        backend=arguments.backend,
        precision=policy,
        grid=level,
        threads=1,
        convergence={"energy": arguments.threshold, "gradient": arguments.threshold},
        memory_budget=arguments.memory_budget,
    )


def compare(smiles: str, level: int, arguments: argparse.Namespace) -> list[dict]:
    """One molecule at one grid level: every policy and PySCF, chunk by chunk in turn."""
    solvers = {policy: made(policy, level, arguments) for policy in arguments.policies}
    if arguments.alone:
        solvers |= {f"{policy} {ALONE}": made(policy, level, arguments) for policy in arguments.policies}
    timed = {name: Timed(CLOCKS[arguments.clock]) for name in (*solvers, "pyscf")}
    warm = conformers(smiles, arguments.chunk, 100_000)
    for name, solver in solvers.items():
        solver.solve(warm[:1] if name.endswith(ALONE) else warm)
    compiling = {policy: solver.profile.get("compile", 0.0) for policy, solver in solvers.items()}
    profiles = {policy: dict(solver.profile) for policy, solver in solvers.items()}
    systems = conformers(smiles, arguments.conformers, 0)
    basis = BasisSet.from_source(
        next(iter(solvers.values())).resolved.basis, {int(z) for s in systems for z in s.atomic_numbers}
    )
    rule = {"energy": arguments.threshold, "gradient": arguments.threshold}
    for policy, solver in solvers.items():
        if solver.provenance()["gradient_threshold"] != rule["gradient"]:
            raise SystemExit(
                f"{policy} cannot meet the threshold {rule['gradient']}; choose a larger --threshold"
            )
    run_pyscf(warm[:1], basis, level, arguments.functional, rule, Timed())
    compared: list[int] = []
    for start in range(0, len(systems), arguments.chunk):
        chunk = systems[start : start + arguments.chunk]
        few = chunk[: arguments.peer_conformers]
        compared += range(start, start + len(few))
        for name, solver in solvers.items():
            if arguments.settle:
                before = dict(solver.profile)
                solver.solve(warm[:1] if name.endswith(ALONE) else warm)
                for stage, seconds in solver.profile.items():  # not to be counted
                    profiles[name][stage] = profiles[name].get(stage, 0.0) + seconds - before.get(stage, 0.0)
            for part in [[system] for system in few] if name.endswith(ALONE) else [chunk]:
                run_scfx(solver, part, timed[name])
        if arguments.settle:
            run_pyscf(warm[:1], basis, level, arguments.functional, rule, Timed())
        run_pyscf(few, basis, level, arguments.functional, rule, timed["pyscf"])
    rows = []
    peer = timed["pyscf"]
    for policy, solver in solvers.items():
        mine = timed[policy]
        labels = len(mine.energy)
        of_peer = slice(None) if policy.endswith(ALONE) else compared
        energy = np.abs(np.array(mine.energy)[of_peer] - peer.tight_energy) * MEV
        gap = np.abs(np.array(mine.gap)[of_peer] - peer.tight_gap) * MEV
        stages = {k: v - profiles[policy].get(k, 0.0) for k, v in solver.profile.items() if k != "compile"}
        rows.append(
            {
                "molecule": smiles,
                "grid": level,
                "policy": policy,
                "nao": basis_size(systems[0], basis),
                "scfx_labels_per_s": mine.per_second,
                "pyscf_labels_per_s": peer.per_second,
                "ratio": mine.per_second / peer.per_second,
                "energy_mae_mev": float(energy.mean()),
                "energy_max_mev": float(energy.max()),
                "gap_mae_mev": float(gap.mean()),
                "gap_max_mev": float(gap.max()),
                "converged": f"{mine.converged}/{labels}",
                "pyscf_converged": f"{peer.converged}/{len(compared)}",
                "iterations": float(np.mean(mine.iterations)),
                "pyscf_iterations": float(np.mean(peer.iterations)),
                "residual": float(np.max(mine.residual)),
                "pyscf_residual": float(np.max(peer.residual)),
                "threshold": solver.provenance()["gradient_threshold"],
                "compile_s": compiling[policy],
                "stage_ms": {k: 1e3 * v / labels for k, v in sorted(stages.items(), key=lambda i: -i[1])},
            }
        )
    return rows


def basis_size(system: scfx.System, basis: BasisSet) -> int:
    """Number of AOs."""
    return sum(basis.nao(int(z)) for z in system.atomic_numbers)


def write(rows: list[dict], tables: str, arguments: argparse.Namespace) -> None:
    """Write tables and rows to the files that were asked for."""
    if arguments.markdown:
        Path(arguments.markdown).write_text(tables, encoding="utf-8")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")


def with_forces(arguments: argparse.Namespace) -> None:
    """The same of energies with forces."""
    import forces

    rows = []
    for level in arguments.grids:
        for smiles in arguments.smiles or MOLECULES[: arguments.molecules]:
            for row in forces.compare(smiles, level, arguments):
                rows.append(row)
                print(forces.line(row), flush=True)
    write(rows, forces.markdown(rows), arguments)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", type=int, default=4, help="how many of the four molecules")
    parser.add_argument("--smiles", nargs="+", help="these molecules instead of the four")
    parser.add_argument("--conformers", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=16, help="conformers per turn; the lane width")
    parser.add_argument("--grids", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--policies", nargs="+", default=["float32", "mixed"])
    parser.add_argument("--alone", action="store_true", help="each conformer by itself too")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="whose seconds are counted")
    parser.add_argument(
        "--settle", action="store_true", help="solve other conformers untimed before each turn"
    )
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--memory-budget", default="4 GiB", help="of scfx; PySCF may take 16 GB")
    parser.add_argument("--functional", default="b3lyp")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument(
        "--threshold", type=float, default=5e-6, help="hartree: energy change and orbital gradient"
    )
    parser.add_argument("--forces", action="store_true", help="energies with forces: see forces.py")
    parser.add_argument(
        "--peer-conformers", type=int, help="of each chunk, PySCF (and --alone) solves so many (all)"
    )
    parser.add_argument("--markdown", help="write a table to this file")
    parser.add_argument("--json", help="write the rows to this file")
    arguments = parser.parse_args()
    lib.num_threads(1)
    cores = len(os.sched_getaffinity(0))
    print(
        f"scfx {scfx.__version__}, PySCF {pyscf.__version__}, {cores} core(s) in the affinity mask, 1 thread each"
    )
    print(
        f"{arguments.functional}/{arguments.basis}, {arguments.conformers} conformers a molecule, memory budget "
        f"{arguments.memory_budget}, {arguments.clock} seconds, load average {os.getloadavg()[0]:.1f}"
    )
    if arguments.forces and arguments.alone:
        raise SystemExit("--alone is of energies; --forces --chunk 1 solves one molecule at a time")
    if arguments.forces:
        with_forces(arguments)
        return
    rows = []
    for level in arguments.grids:
        for smiles in arguments.smiles or MOLECULES[: arguments.molecules]:
            for row in compare(smiles, level, arguments):
                rows.append(row)
                print("\n".join(throughput_report.row_lines(row)), flush=True)
    print("\n".join(throughput_report.summary(rows)))
    write(rows, throughput_report.markdown(rows), arguments)


if __name__ == "__main__":
    sys.exit(main())
