"""Energies with forces, a second, on one core: scfx against PySCF, alternating in one process; and their errors.

    taskset -c 0 python benchmarks/throughput.py --forces            # the molecules, grids and policies of that script
    taskset -c 0 python benchmarks/throughput.py --forces --molecules 1 --grids 0 --conformers 16

    taskset -c 0 python benchmarks/throughput.py --forces --basis 6-31g* --grids 1 3 --conformers 16 --peer-conformers 2

Geometries, basis numbers, functional, grid level and convergence rule are the same for both programs. For each chunk of
conformers each scfx policy solves once for energies and once for energies with forces, then PySCF solves, and computes
its gradient without and with the response of its grid. With `--peer-conformers N` PySCF solves the first N of each
chunk only (its gradient with response takes a minute a label at 6-31G*, level 3); rates are per label either way.
Errors are of each force component against PySCF's gradient with response, converged tightly on the same grid, outside
the timing.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import throughput
from pyscf import dft

import scfx
from scfx.model.basis import BasisSet
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

#: meV/angstrom in a hartree/bohr.
FORCE = 1e3 * HARTREE_IN_EV / BOHR_IN_ANGSTROM


@dataclass
class Peer:
    """PySCF's seconds and gradients on one molecule's conformers."""

    energy_seconds: list[float] = field(default_factory=list)
    plain_seconds: list[float] = field(default_factory=list)
    response_seconds: list[float] = field(default_factory=list)
    tight: list[np.ndarray] = field(default_factory=list)
    plain: list[np.ndarray] = field(default_factory=list)


@dataclass
class Mine:
    """One policy's seconds, compilation left out, and gradients."""

    energy_seconds: float = 0.0
    force_seconds: float = 0.0
    gradients: list[np.ndarray] = field(default_factory=list)
    compared: list[np.ndarray] = field(default_factory=list)
    converged: int = 0


def run_pyscf(
    systems: list[scfx.System], basis: BasisSet, level: int, xc: str, rule: dict, into: Peer
) -> None:
    """Energy, then its gradient without and with grid response; then, untimed, the tight one."""
    for system in systems:
        start = time.perf_counter()
        field_ = dft.RKS(throughput.mole(system, basis), xc=xc)
        field_.grids.level, field_.max_memory, field_.max_cycle = level, 16000, 100
        field_.check_convergence = lambda state: (
            abs(state["e_tot"] - state["last_hf_e"]) < rule["energy"]
            and throughput.gradient(state["s1e"], state["fock"], state["dm"]) < rule["gradient"]
        )
        field_.kernel()
        into.energy_seconds.append(time.perf_counter() - start)
        for response, seconds in ((False, into.plain_seconds), (True, into.response_seconds)):
            start = time.perf_counter()
            nuclear = field_.nuc_grad_method()
            nuclear.grid_response = response
            found = nuclear.kernel()
            seconds.append(time.perf_counter() - start)
            if not response:
                into.plain.append(found)
        field_.check_convergence, field_.conv_tol, field_.conv_tol_grad = None, 1e-11, 1e-8
        field_.kernel(dm0=field_.make_rdm1())
        nuclear = field_.nuc_grad_method()
        nuclear.grid_response = True
        into.tight.append(nuclear.kernel())


def timed(solver: scfx.Solver, systems: list[scfx.System]) -> tuple[float, scfx.SCFResult]:
    """Seconds, less compilation, and the result."""
    before, start = solver.profile.get("compile", 0.0), time.perf_counter()
    result = solver.solve(systems)
    return time.perf_counter() - start - (solver.profile.get("compile", 0.0) - before), result


def compare(smiles: str, level: int, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One molecule at one grid level: every policy and PySCF, chunk by chunk in turn."""
    options = {
        "functional": arguments.functional, "basis": arguments.basis, "backend": arguments.backend, "grid": level,
        "threads": 1, "convergence": {"energy": arguments.threshold, "gradient": arguments.threshold},
    }  # fmt: skip
    solvers = {
        policy: tuple(
            scfx.Solver(precision=policy, properties=asked, **options) for asked in ((), ("gradient",))
        )
        for policy in arguments.policies
    }
    warm = throughput.conformers(smiles, arguments.chunk, 100_000)
    systems = throughput.conformers(smiles, arguments.conformers, 0)
    source = next(iter(solvers.values()))[0].resolved.basis
    basis = BasisSet.from_source(source, {int(z) for s in systems for z in s.atomic_numbers})
    rule = {"energy": arguments.threshold, "gradient": arguments.threshold}
    for pair in solvers.values():
        for solver in pair:
            solver.solve(warm)
    run_pyscf(warm[:1], basis, level, arguments.functional, rule, Peer())
    profiles = {policy: dict(pair[1].profile) for policy, pair in solvers.items()}
    peer, mine = Peer(), {policy: Mine() for policy in solvers}
    for start in range(0, len(systems), arguments.chunk):
        chunk = systems[start : start + arguments.chunk]
        for policy, (energies, forces) in solvers.items():
            into = mine[policy]
            into.energy_seconds += timed(energies, chunk)[0]
            seconds, result = timed(forces, chunk)
            into.force_seconds += seconds
            assert result.gradient is not None
            into.gradients += [g for g in result.gradient if g is not None]
            into.compared += list(result.gradient[: arguments.peer_conformers])
            into.converged += int(result.converged.sum())
        run_pyscf(chunk[: arguments.peer_conformers], basis, level, arguments.functional, rule, peer)
    n, rows = len(systems), []
    scf, plain, response = (
        float(np.mean(seconds))
        for seconds in (peer.energy_seconds, peer.plain_seconds, peer.response_seconds)
    )
    left_out = np.concatenate([(a - b).ravel() for a, b in zip(peer.plain, peer.tight, strict=True)])
    for policy, into in mine.items():
        error = np.concatenate([(a - b).ravel() for a, b in zip(into.compared, peer.tight, strict=True)])
        energy_alone, with_forces = into.energy_seconds / n, into.force_seconds / n
        stages = {
            k: 1e3 * (v - profiles[policy].get(k, 0.0)) / n
            for k, v in solvers[policy][1].profile.items()
            if k != "compile"
        }
        rows.append(
            {
                "molecule": smiles,
                "grid": level,
                "policy": policy,
                "nao": throughput.basis_size(systems[0], basis),
                "scfx_per_s": 1 / with_forces,
                "pyscf_s": scf + response,
                "pyscf_labels": len(peer.energy_seconds),
                "ratio": (scf + response) / with_forces,
                "ratio_to_default": (scf + plain) / with_forces,
                "ratio_of_energies": scf / energy_alone,
                "forces_over_energy": with_forces / energy_alone - 1,
                "pyscf_forces_over_energy": response / scf,
                "gradient_over_rest": stages["gradient"]
                / sum(v for name, v in stages.items() if not name.startswith("gradient")),
                "mae": float(np.abs(error).mean()),
                "worst": float(np.abs(error).max()),
                "left_out": float(np.abs(left_out).max()),
                "net_force": float(max(np.abs(g.sum(axis=0)).max() for g in into.gradients)),
                "converged": f"{into.converged}/{n}",
                "stage_ms": stages,
            }
        )
    return rows


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    stages = ", ".join(
        f"{k} {v:.1f}" for k, v in sorted(row["stage_ms"].items(), key=lambda i: -i[1]) if v >= 0.5
    )
    return (
        f"grid {row['grid']} {row['molecule']:20s} nao {row['nao']:3d} {row['policy']:8s} energies and forces "
        f"{row['scfx_per_s']:6.2f}/s, ratio to PySCF ({row['pyscf_labels']} labels) {row['ratio']:5.1f} with response, "
        f"{row['ratio_to_default']:5.1f} to its default without (energies alone {row['ratio_of_energies']:.1f}); "
        f"forces cost {row['forces_over_energy']:.2f} of the energy, by the stages of one run "
        f"{row['gradient_over_rest']:.2f} (PySCF {row['pyscf_forces_over_energy']:.2f})\n"
        f"      error {row['mae']:.1e} mean, {row['worst']:.1e} worst hartree/bohr = {FORCE * row['mae']:.5f}, "
        f"{FORCE * row['worst']:.5f} meV/angstrom; without response PySCF is off by {row['left_out']:.1e}; net force "
        f"{row['net_force']:.0e}; converged {row['converged']}\n      ms a label: {stages}"
    )


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""
    head = (
        "| molecule | AOs | grid | policy | energies and forces a second | ratio to PySCF with grid response | to "
        "its default without | forces over energy (PySCF) | force MAE (worst), meV/angstrom |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(
        f"| `{r['molecule']}` | {r['nao']} | {r['grid']} | {r['policy']} | {r['scfx_per_s']:.2f} "
        f"| **{r['ratio']:.1f}** | {r['ratio_to_default']:.1f} "
        f"| {r['gradient_over_rest']:.2f} ({r['pyscf_forces_over_energy']:.2f}) "
        f"| {FORCE * r['mae']:.5f} ({FORCE * r['worst']:.5f}) |\n"
        for r in rows
    )
