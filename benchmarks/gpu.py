"""Labels a second by `backend = "jax"` on a GPU, by batch and precision policy; right or not, first of all.

    python benchmarks/gpu.py                     on a machine with a GPU: all four molecules, under six minutes
    python benchmarks/gpu.py --tiny              on a processor: water, to see that the script works
    python benchmarks/gpu.py --write-reference   makes gpu_reference.json anew (needs PySCF, RDKit, Basis Set Exchange)

It needs jax, numpy, scipy, jaxtyping, pluggy and threadpoolctl, this checkout and gpu_reference.json beside it, which
holds geometries, the basis set, atomic densities for the first guess, and energies of backend `simd` in float64.
Conformers are the stored geometry with normally distributed displacements of every coordinate. The first ones have a
reference energy: a row whose errors are above its policy's bound says WRONG. Rates are of conformers that were not
solved before, after a first batch of other conformers that compiles. If gpu4pyscf is installed, it solves some too.
Rows stop at --seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
for _folder in ("", "backends", "functionals", "plugins", "basis"):
    sys.path.insert(0, str(ROOT / _folder))
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.9")

import jax  # noqa: E402
import numpy as np  # noqa: E402

REFERENCE = Path(__file__).with_name("gpu_reference.json")
SMILES = {
    "FC=C1C2CN2N=C1C=O": 7,
    "Fc1nocnc(=O)c1=O": 7,
    "CC(=O)OC1CCNC1": 7,
    "CCCCCCCCC": 7,
    "O": 7,
}
#: Standard deviation of each coordinate of a conformer, bohr.
DISPLACEMENT = 0.05
#: Conformers with a reference energy.
CHECKED = 3
#: Largest error of an energy allowed, hartree, at the thresholds below.
BOUND = {"float64": 2e-8, "mixed": 2e-8, "float32": 2e-4}
#: Energy change and residual at which an entry has converged: the tightest that float32 can meet, as throughput.py.
THRESHOLD = 5e-6
MEV = 27211.386245988


def conformers(base: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return [count, natm, 3] displaced geometries; those of seed 0 have the reference energies first."""
    return base[None] + DISPLACEMENT * np.random.default_rng(seed).normal(size=(count, *base.shape))


def basis_set(reference: dict):
    """Return the basis set of the reference file."""
    from scfx.model.basis import BasisSet, Shell

    return BasisSet(
        "sto-3g",
        {
            int(z): tuple(Shell(l, np.array(a), np.array(c)) for l, a, c in shells)
            for z, shells in reference["basis"].items()
        },
    )


def systems_of(molecule: dict, geometries: np.ndarray) -> list:
    """Return systems of one molecule."""
    from scfx.model.system import System

    numbers = np.array(molecule["atomic_numbers"], dtype=np.int32)
    return [System(numbers, positions) for positions in geometries]


class StoredGuess:
    """Superposed atoms whose densities the reference file has, so that no atom is computed on the GPU."""

    def __init__(self, reference: dict):
        from scfx.scf.guess import AtomicGuess

        made = AtomicGuess(None, 0)  # type: ignore[arg-type]
        densities = {int(z): np.array(d) for z, d in reference["atomic_densities"].items()}
        made.atom = lambda z, basis: densities[z]  # type: ignore[method-assign]
        self.density = made.density


def calculation(policy: str, lanes: int, tile: int, budget: int, threshold: float):
    """Return what `SCFSpec.resolve` would, of B3LYP on a level-0 grid: its packages may be missing here."""
    from scfx_jax.backend import JaxBackend
    from scfx_precision import policies
    from scfx_xc.functionals import B3LYP

    from scfx.energy.integral_sources import IntegralSources
    from scfx.grid import GridSpec

    backend = JaxBackend(tile=tile)
    return SimpleNamespace(
        spec=SimpleNamespace(
            linear_dependence_threshold=1e-8, diis="cdiis", guess="atomic", recovery=False, grid_response=True
        ),
        backend=backend, integrals=IntegralSources(backend), functional=B3LYP(), grid=GridSpec.from_config(0),
        precision=getattr(policies, policy.upper()), lane_width=lanes, reference="auto", recovery=False,
        guess="atomic", dispersion=None, fitting=None, nonlocal_grid=None, guess_potentials=None, budget=budget,
        convergence=SimpleNamespace(
            energy=threshold, gradient=threshold, max_iterations=40, diis_space=8, rule="gradient"
        ),
    )  # fmt: skip


def solve(resolved, systems: list, basis, guess) -> tuple[np.ndarray, np.ndarray, dict[str, float], int]:
    """Return energies, which converged, seconds by stage, and the iterations of all, of one batch."""
    from threadpoolctl import threadpool_limits

    from scfx.execution.profile import Profile
    from scfx.model.batch import Batch
    from scfx.scf.batch_scf import BatchSCF
    from scfx.scf.recovery import solve_entries

    batch, profile = Batch.from_systems(systems, basis), Profile()
    with (
        threadpool_limits(limits=1),
        jax.enable_x64(True),
        BatchSCF(resolved, batch, guess, profile, 1, resolved.budget) as run,
    ):
        converged, _ = solve_entries(run)
        energies = np.asarray(run.state.energy)[: len(batch)]
        iterations = int(run.iterations.sum())
    return energies, converged, dict(profile.seconds), iterations


def write_reference() -> None:
    """Write gpu_reference.json with this checkout's simd backend and RDKit's geometries."""
    import scfx
    from scfx.energy.integral_sources import IntegralSources
    from scfx.model.basis import BasisSet
    from scfx.scf.guess import AtomicGuess

    registry = scfx.Registry.discover()
    basis = BasisSet.from_source(registry.basis("sto-3g"), [1, 6, 7, 8, 9])
    guess = AtomicGuess(IntegralSources(registry.backend("libcint")), 2**30)
    solver = scfx.Solver(
        functional="b3lyp", basis="sto-3g", grid=0, backend="simd", registry=registry, threads=1
    )
    molecules = {}
    for smiles, seed in SMILES.items():
        system = scfx.System.from_smiles(smiles, seed=seed)
        base = np.round(system.positions, 6)
        checked = conformers(base, CHECKED, 0)
        found = solver.solve([scfx.System(system.atomic_numbers, r) for r in checked]).raise_for_status()
        molecules[smiles] = {
            "atomic_numbers": system.atomic_numbers.tolist(),
            "positions_bohr": base.tolist(),
            "energies_hartree": found.energy.tolist(),
        }
        print(smiles, found.energy)
    text = json.dumps(
        {
            "what": "B3LYP (VWN-RPA)/STO-3G, grid level 0, backend simd in float64, converged to 1e-9 hartree",
            "displacement_bohr": DISPLACEMENT,
            "basis": {
                z: [(s.angular_momentum, s.exponents.tolist(), s.coefficients.tolist()) for s in shells]
                for z, shells in basis.shells.items()
            },
            "atomic_densities": {z: guess.atom(z, basis).tolist() for z in basis.shells},
            "molecules": molecules,
        }
    )
    REFERENCE.write_text(text + "\n")


def rows(arguments: argparse.Namespace, reference: dict) -> bool:
    """Print a row for each molecule, policy and batch; return whether all were right."""
    from scfx.execution.device import Execution, executing

    execution = Execution("cpu" if arguments.tiny else "gpu", True)
    deadline = time.monotonic() + arguments.seconds
    basis, guess, right = basis_set(reference), StoredGuess(reference), True
    print(f"jax {jax.__version__}, {execution.provenance()}")
    print(
        "| molecule | policy | batch | labels/s | compile s | iterations | largest error meV | seconds by stage |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with executing(execution):
        for lanes in arguments.batches:
            for policy in arguments.policies:
                for smiles in arguments.molecules:
                    if time.monotonic() > deadline:
                        print(f"stopped after {arguments.seconds} s", flush=True)
                        return right
                    right &= row(
                        arguments, reference["molecules"][smiles], smiles, policy, lanes, basis, guess
                    )
    return right


def row(arguments, molecule: dict, smiles: str, policy: str, lanes: int, basis, guess) -> bool:
    """Solve two batches of conformers, print the row of the second, and return whether the checked ones are right."""
    base = np.array(molecule["positions_bohr"])
    resolved = calculation(policy, lanes, arguments.tile, arguments.budget, THRESHOLD)
    checked = conformers(base, max(lanes, CHECKED), 0)[:lanes]
    tight = calculation(
        policy, lanes, arguments.tile, arguments.budget, 1e-9 if policy != "float32" else THRESHOLD
    )
    try:
        start = time.perf_counter()
        energies, converged, seconds, _ = solve(tight, systems_of(molecule, checked), basis, guess)
        first = time.perf_counter() - start
        start = time.perf_counter()
        fresh = systems_of(molecule, conformers(base, lanes, 1))
        _, done, stages, iterations = solve(resolved, fresh, basis, guess)
        wall = time.perf_counter() - start
    except Exception as error:  # a row that cannot be had must not cost the others
        print(f"| `{smiles}` | {policy} | {lanes} | {type(error).__name__}: {str(error)[:160]} |", flush=True)
        return False
    known = np.array(molecule["energies_hartree"])[:lanes]
    error = float(np.abs(energies[: len(known)] - known).max())
    ok = error < BOUND[policy] and bool(converged.all()) and bool(done.all())
    compiling = seconds.get("compile", 0.0)
    shown = ", ".join(f"{k} {v:.2f}" for k, v in sorted(stages.items(), key=lambda kv: -kv[1]) if v > 0.005)
    print(
        f"| `{smiles}` | {policy} | {lanes} | {lanes / wall:.2f} | {compiling:.1f} of {first:.1f} | "
        f"{iterations / lanes:.1f} | {error * MEV:.4f}{'' if ok else ' WRONG'} | {shown} |",
        flush=True,
    )
    return ok


def peer(reference: dict, smiles: str, count: int = 4) -> None:
    """Print gpu4pyscf's labels a second for some conformers of a molecule, if it is installed."""
    try:
        from gpu4pyscf.dft import rks  # type: ignore[import-not-found]
        from pyscf import gto
    except ImportError as error:
        print(f"gpu4pyscf: not here ({error})")
        return
    molecule = reference["molecules"][smiles]
    times = []
    for positions in conformers(np.array(molecule["positions_bohr"]), count + 1, 1):
        atoms = list(zip(molecule["atomic_numbers"], positions.tolist(), strict=True))
        mean_field = rks.RKS(gto.M(atom=atoms, unit="bohr", basis="sto-3g", verbose=0), xc="b3lyp")
        mean_field.grids.level, mean_field.conv_tol = 0, THRESHOLD
        start = time.perf_counter()
        mean_field.kernel()
        times.append(time.perf_counter() - start)
    print(f"gpu4pyscf, `{smiles}`: {count / sum(times[1:]):.2f} labels/s")


def main() -> int:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="water, two conformers, on the processor")
    parser.add_argument("--write-reference", action="store_true")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--policies", nargs="+", default=["float32", "mixed", "float64"], choices=list(BOUND))
    parser.add_argument("--molecules", nargs="+", default=[s for s in SMILES if s != "O"])
    parser.add_argument("--tile", type=int, default=64)
    parser.add_argument("--budget", type=int, default=100 * 2**30, help="bytes for integrals and AO values")
    parser.add_argument("--seconds", type=float, default=330.0, help="no row is begun after")
    arguments = parser.parse_args()
    if arguments.write_reference:
        write_reference()
        return 0
    if arguments.tiny:
        arguments.molecules, arguments.batches, arguments.tile, arguments.budget = ["O"], [2], 16, 2**30
    if cache := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        print(f"compiled programs are kept in {cache}")
    reference = json.loads(REFERENCE.read_text())
    right = rows(arguments, reference)
    with contextlib.suppress(Exception):
        if not arguments.tiny:
            peer(reference, arguments.molecules[0])
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
