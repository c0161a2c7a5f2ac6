"""`Solver` and `solve`: from systems to an `SCFResult`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from scfx.abstract import AbstractCorePotentialBackend
from scfx.basis import BasisSet
from scfx.batch import Batch, group_by_structure
from scfx.config import SCFSpec
from scfx.elements import SYMBOLS
from scfx.errors import InputError, ResourceError
from scfx.registry import Registry
from scfx.results import SCFResult, Stability, Status
from scfx.scf.guess import AtomicGuess
from scfx.scf.population import bond_orders, loewdin_charges, mulliken_charges
from scfx.scf.quadrupole import quadrupole
from scfx.scf.recovery import solve_entries
from scfx.scf.run import BatchRun, Profile
from scfx.scf.stability import stability
from scfx.system import System
from scfx.versions import versions


@dataclass(eq=False)
class _Entry:
    """What one system got; arrays at its own size."""

    energy: float
    homo: float
    lumo: float
    orbital_energies: np.ndarray  # [spin, nao]
    dipole: np.ndarray
    converged: bool
    iterations: int
    residual: float
    energy_change: float
    rung: str
    nao: int
    n_orbitals: int
    n_grid: int
    s_squared: float
    density: np.ndarray  # [spin, nao, nao], AO order of the system's own atoms
    overlap: np.ndarray
    orbital_coefficients: np.ndarray  # [spin, nao, n_orbitals]
    mulliken_charges: np.ndarray
    loewdin_charges: np.ndarray
    bond_orders: np.ndarray
    history: np.ndarray
    quadrupole: np.ndarray | None = None
    stability: Stability | None = None


class Solver:
    """A resolved specification, ready for any number of batches; compiled functions and atomic guesses are kept.

    `profile` holds seconds by stage so far ("compile" apart). Calls from several threads are allowed.
    """

    def __init__(
        self,
        spec: SCFSpec | None = None,
        registry: Registry | None = None,
        *,
        atomic_numbers: Iterable[int] | None = None,
        **kwargs: Any,
    ):
        """`spec`, or its fields as keyword arguments; `registry` defaults to the installed plugins.

        `atomic_numbers`: the elements to come, if known, so that `backend = "auto"` takes one that has the shells
        which the basis puts on them, and a named backend that lacks them is refused now.
        """
        if spec is None:
            spec = SCFSpec.create(kwargs)
        elif kwargs:
            raise InputError(f"give either a spec or its fields, not both (got {', '.join(kwargs)})")
        self.registry = Registry.discover() if registry is None else registry
        elements = None if atomic_numbers is None else sorted({int(z) for z in atomic_numbers})
        self.resolved = spec.resolve(self.registry, elements)
        self._profile = Profile()
        self._guess = AtomicGuess(self.resolved.backend, spec.memory_budget)
        self._lock = Lock()

    @property
    def spec_hash(self) -> str:
        """Identifies the labels: a digest of the definitions of functional, basis, precision, grid and the rest."""
        return self.resolved.spec_hash

    @property
    def profile(self) -> dict[str, float]:
        """Seconds by stage so far, over all threads; compilation under "compile" and in no other stage."""
        with self._lock:
            return dict(self._profile.seconds)

    def solve(self, systems: System | Iterable[System], *, return_density: bool = False) -> SCFResult:
        """Solve every system. Raises `InputError` for what cannot be computed as asked, before any is computed.

        An entry that does not converge is returned with `converged` False; `SCFResult.raise_for_status` raises.
        """
        systems = [systems] if isinstance(systems, System) else list(systems)
        if not systems:
            raise InputError("solve needs at least one System")
        self._check(systems)
        elements = {int(z) for system in systems for z in system.atomic_numbers}
        basis = BasisSet.from_source(self.resolved.basis, elements)
        self._check_core_potentials(basis)
        batches = self._batches(systems, basis)
        entries: list[_Entry | None] = [None] * len(systems)
        dtypes: dict[str, set[str]] = {}
        threads = min(self._threads(), len(batches))
        correction = self.resolved.dispersion
        dispersion = np.array([0.0 if correction is None else correction.energy(s) for s in systems])
        # BLAS and OpenMP run one thread each: sums split over threads would make bits depend on the thread count.
        with threadpool_limits(limits=1):
            if threads == 1:
                results = [self._solve_batch(batch) for _, batch in batches]
            else:
                with ThreadPoolExecutor(threads) as pool:
                    results = list(pool.map(self._solve_batch, [batch for _, batch in batches]))
        for (indices, _), (solved, used) in zip(batches, results, strict=True):
            for index, entry in zip(indices, solved, strict=True):
                entries[index] = entry
            for stage, names in used.items():
                dtypes.setdefault(stage, set()).update(names)
        result = self._collect(systems, [e for e in entries if e is not None], dtypes, basis, return_density)
        result = replace(result, energy=result.energy + dispersion, dispersion_energy=dispersion)
        self.registry.hook.scfx_after_scf(result=result)
        return result

    # ---- parts -----------------------------------------------------------------------------------------------

    def _threads(self) -> int:
        asked = self.resolved.threads
        return asked if asked is not None else len(os.sched_getaffinity(0))

    def _budget(self) -> int:
        """Bytes of integrals that one batch may hold: threads work on batches side by side."""
        return self.resolved.memory_budget // self._threads()

    def _check(self, systems: list[System]) -> None:
        for index, system in enumerate(systems):
            if not isinstance(system, System):
                raise InputError(f"systems[{index}] is a {type(system).__name__}, expected a scfx.System")
            if system.n_electrons < 1:
                raise InputError(f"systems[{index}] ({system!r}) has no electrons")
            if self.resolved.reference == "restricted" and system.multiplicity != 1:
                raise InputError(
                    f"scf.reference: 'restricted' needs multiplicity 1, systems[{index}] ({system!r}) has "
                    f"{system.multiplicity}; use 'auto' or 'unrestricted'"
                )

    def _batches(self, systems: list[System], basis: BasisSet) -> list[tuple[list[int], Batch]]:
        groups = group_by_structure(systems, basis)
        out = []
        for indices, batch in groups:
            self._check_room(batch)
            # Range separation keeps two sets of integrals.
            budget = self._budget() // (2 if self.resolved.functional.long_range_exchange else 1)
            limit = self.resolved.backend.max_batch(batch.layout, self.resolved.precision, budget)
            if limit == 0:
                raise ResourceError(
                    f"scf.memory_budget: the integrals of one {batch.systems[0]!r} ({batch.nao} AOs) exceed "
                    f"{budget / 2**30:.2f} GiB, the budget of each of {self._threads()} thread(s)"
                )
            size = min(self.resolved.lane_width, limit or self.resolved.lane_width)
            for start in range(0, len(indices), size):
                part = list(range(start, min(start + size, len(indices))))
                out.append(([indices[i] for i in part], batch.take(part)))
        return out

    def _check_core_potentials(self, basis: BasisSet) -> None:
        # A Solver made without the elements to come could not be asked for this when its backend was chosen.
        backend = self.resolved.backend
        if basis.core_potentials and not isinstance(backend, AbstractCorePotentialBackend):
            elements = ", ".join(SYMBOLS[z] for z in basis.core_potentials)
            raise InputError(
                f"scf.backend: basis {basis.name!r} has effective core potentials for {elements}, which backend "
                f"{backend.name!r} cannot compute; use backend = 'libcint', or an all-electron basis set"
            )

    def _check_room(self, batch: Batch) -> None:
        most = int(max(batch.n_alpha.max(), batch.n_beta.max()))
        if most > batch.nao:
            raise InputError(
                f"scf.basis: {batch.basis.name!r} has {batch.nao} functions for {batch.systems[0]!r}, "
                f"too few for {most} occupied orbitals"
            )

    def _nspin(self, batch: Batch) -> int:
        restricted = self.resolved.reference != "unrestricted" and all(
            s.multiplicity == 1 for s in batch.systems
        )
        return 1 if restricted else 2

    def _run(self, batch: Batch, profile: Profile) -> BatchRun:
        return BatchRun(self.resolved, batch, self._guess, profile, self._nspin(batch), self._budget())

    def _solve_batch(self, batch: Batch) -> tuple[list[_Entry], dict[str, set[str]]]:
        profile = Profile()
        self.registry.hook.scfx_before_scf(batch=batch, spec=self.resolved)
        with jax.enable_x64(True):
            with self._run(batch, profile) as run:
                converged, rung = solve_entries(run)
                with profile.stage("properties"):
                    entries = _entries(run, converged, rung)
                if self.resolved.spec.stability:
                    with profile.stage("stability"):
                        usable = np.flatnonzero([e.converged for e in entries]).astype(np.int32)
                        found = stability(run, usable, max(0, self._budget() - run.held_bytes()))
                    for lane, verdict in zip(usable, found, strict=True):
                        entries[lane].stability = verdict
            with self._lock:
                for name, seconds in profile.seconds.items():
                    self._profile.seconds[name] += seconds
        return entries, run.dtypes

    def _collect(
        self,
        systems: list[System],
        entries: list[_Entry],
        dtypes: dict[str, set[str]],
        basis: BasisSet,
        return_density: bool,
    ) -> SCFResult:
        def column(name: str, dtype: Any = np.float64) -> np.ndarray:
            return np.array([getattr(e, name) for e in entries], dtype=dtype)

        nspin = max(len(e.orbital_energies) for e in entries)
        widest = max(e.nao for e in entries)
        energies = np.full((len(entries), nspin, widest), np.nan)
        for row, e in zip(energies, entries, strict=True):
            row[:, : e.nao] = e.orbital_energies
        status = [Status.CONVERGED if e.converged else Status.NOT_CONVERGED for e in entries]
        return SCFResult(
            systems=systems,
            energy=column("energy"),
            homo=column("homo"),
            lumo=column("lumo"),
            orbital_energies=energies[:, 0] if nspin == 1 else energies,
            dipole=np.stack([e.dipole for e in entries]),
            converged=column("converged", bool),
            iterations=column("iterations", np.int32),
            residual=column("residual"),
            energy_change=column("energy_change"),
            status=status,
            rung=[e.rung for e in entries],
            reason=[
                "" if s is Status.CONVERGED else _reason(e) for s, e in zip(status, entries, strict=True)
            ],
            nao=column("nao", np.int32),
            n_orbitals=column("n_orbitals", np.int32),
            n_grid=column("n_grid", np.int32),
            s_squared=column("s_squared"),
            provenance=self.provenance(dtypes),
            density=[e.density for e in entries] if return_density else None,
            history=[e.history for e in entries],
            mulliken_charges=[e.mulliken_charges for e in entries],
            loewdin_charges=[e.loewdin_charges for e in entries],
            bond_orders=[e.bond_orders for e in entries],
            overlap=[e.overlap for e in entries] if return_density else None,
            orbital_coefficients=[e.orbital_coefficients for e in entries] if return_density else None,
            basis_set=basis if return_density else None,
            quadrupole=column("quadrupole") if self.resolved.spec.quadrupole else None,
            stability=[e.stability for e in entries] if self.resolved.spec.stability else None,
        )

    def provenance(self, dtypes: dict[str, set[str]] | None = None) -> dict[str, Any]:
        """What ran: names, spec hash, device, versions, thresholds in force, and the dtypes each stage really used."""
        policy, convergence = self.resolved.precision, self.resolved.convergence
        return {
            **self.resolved.names,
            "device": self.resolved.backend.device(),
            "spec_hash": self.resolved.spec_hash,
            "grid": dict(self.resolved.grid.definition()),
            "energy_threshold": max(convergence.energy, policy.energy_floor if policy.final is None else 0.0),
            "gradient_threshold": max(
                convergence.gradient, policy.gradient_floor if policy.final is None else 0.0
            ),
            "dtypes": {stage: sorted(names) for stage, names in (dtypes or {}).items()},
            "versions": versions(),
        }


def _reason(entry: _Entry) -> str:
    if not np.isfinite(entry.energy):
        return "the energy is not finite"
    return (
        f"after {entry.iterations} iterations: orbital gradient {entry.residual:.1e}, "
        f"energy change {entry.energy_change:.1e} hartree"
    )


def _entries(run: BatchRun, converged: np.ndarray, rung: list[str]) -> list[_Entry]:
    batch, n = run.batch, run.batch.nao
    orbitals = run.orbitals()
    state = run.state
    energy, residual = np.asarray(state.energy), np.asarray(state.residual)
    density = np.asarray(state.density)[:, :, :n, :n]
    orth = np.asarray(state.density_orth)
    coefficients, owner = np.asarray(orbitals.coefficients), batch.layout.ao_atom
    out = []
    for b in range(len(batch)):
        kept = int(run.prepared.n_orbitals[b])
        energies = np.full((run.nspin, n), np.nan)
        energies[:, :kept] = np.asarray(orbitals.energies)[b, :, :kept]
        overlap, charges = run.prepared.one.overlap[b], batch.nuclear_charges[b]
        own_atoms = np.argsort(batch.atom_order[b])
        nuclear = charges @ batch.positions[b]
        electronic = np.einsum("xij,sij->x", run.prepared.one.dipole[b], density[b])
        out.append(
            _Entry(
                energy=float(energy[b]),
                homo=float(np.asarray(orbitals.homo)[b]),
                lumo=float(np.asarray(orbitals.lumo)[b]),
                orbital_energies=energies,
                dipole=nuclear - electronic,
                converged=bool(converged[b]) and bool(np.isfinite(energy[b])),
                iterations=int(run.iterations[b]),
                residual=float(residual[b]),
                energy_change=float(np.asarray(state.energy_change)[b]),
                rung=rung[b],
                nao=n,
                n_orbitals=kept,
                n_grid=len(run.grids[b][1]) if run.grids else 0,
                s_squared=_s_squared(run, b, orth[b]),
                density=_own_order(batch, b, density[b]),
                overlap=_own_order(batch, b, overlap[None])[0],
                orbital_coefficients=coefficients[b, :, :n, :kept][:, _own_functions(batch, b)].copy(),
                mulliken_charges=mulliken_charges(density[b], overlap, owner, charges)[own_atoms],
                loewdin_charges=loewdin_charges(density[b], overlap, owner, charges)[own_atoms],
                bond_orders=bond_orders(density[b], overlap, owner, batch.natm)[np.ix_(own_atoms, own_atoms)],
                history=np.array(run.history[b]).reshape(-1, 2),
                quadrupole=quadrupole(batch, b, density[b]) if run.spec.spec.quadrupole else None,
            )
        )
    return out


def _s_squared(run: BatchRun, entry: int, orth: np.ndarray) -> float:
    """<S²> = S_z (S_z + 1) + N_β - Σ_ij |<i_α|j_β>|²; Szabo and Ostlund eq. 2.271. 0 for restricted."""
    if run.nspin == 1:
        return 0.0
    n_alpha, n_beta = int(run.batch.n_alpha[entry]), int(run.batch.n_beta[entry])
    projection = 0.5 * (n_alpha - n_beta)
    return projection * (projection + 1.0) + n_beta - float(np.sum(orth[0] * orth[1]))


def _own_order(batch: Batch, entry: int, density: np.ndarray) -> np.ndarray:
    """The density with its AOs in the order of the system's own atoms."""
    index = _own_functions(batch, entry)
    return density[:, index][:, :, index].copy()


def _own_functions(batch: Batch, entry: int) -> np.ndarray:
    """Where the AOs of the system's own atoms, in their order, stand in the batch."""
    owner = batch.layout.ao_atom
    return np.concatenate([np.flatnonzero(owner == p) for p in np.argsort(batch.atom_order[entry])])


def solve(
    systems: System | Iterable[System],
    functional: Any = "b3lyp",
    basis: Any = "sto-3g",
    backend: Any = "auto",
    precision: Any = "float64",
    grid: Any = 3,
    *,
    registry: Registry | None = None,
    return_density: bool = False,
    **options: Any,
) -> SCFResult:
    """Kohn-Sham or Hartree-Fock labels of one or many systems.

    Every argument takes the forms that the `[scf]` table takes: a name, or a table such as
    `backend={"name": "libcint", ...}`; functionals, basis sets, backends and precision policies may also be objects.
    `options` are the other keys of `[scf]`: `convergence`, `guess`, `reference`, `recovery`, `quadrupole`, `stability`,
    `memory_budget`, `lane_width`, `threads`. Energies come back in hartree. For many calls with one specification keep
    a `Solver`.

    Raises `InputError` (or one of its kinds) for what cannot be done as asked. Entries that do not converge are
    returned as such; `.raise_for_status()` raises for them.
    """
    spec = SCFSpec.create(
        {
            "functional": functional,
            "basis": basis,
            "backend": backend,
            "precision": precision,
            "grid": grid,
            **options,
        }
    )
    systems = [systems] if isinstance(systems, System) else list(systems)
    elements = {int(z) for system in systems if isinstance(system, System) for z in system.atomic_numbers}
    return Solver(spec, registry, atomic_numbers=elements).solve(systems, return_density=return_density)
