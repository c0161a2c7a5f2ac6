"""What each system of a batch got, and one result of all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.properties.entry import ConvergedEntry, Lane
from scfx.properties.evaluate import ALWAYS, evaluate
from scfx.properties.quadrupole import Quadrupole
from scfx.results import SCFResult, Stability, Status

if TYPE_CHECKING:
    from scfx.config.spec import SCFSpec
    from scfx.contracts.property import Value
    from scfx.model.basis import BasisSet
    from scfx.model.batch import Batch
    from scfx.model.system import System
    from scfx.properties.requests import Requested
    from scfx.scf.batch_scf import BatchSCF


@dataclass(eq=False)
class Entry:
    """What one system got; arrays at its own size."""

    energy: float
    homo: float
    lumo: float
    orbital_energies: np.ndarray  # [spin, nao]
    converged: bool
    iterations: int
    residual: float
    energy_change: float
    rung: str
    nao: int
    n_orbitals: int
    n_grid: int
    density: np.ndarray  # [spin, nao, nao], AO order of the system's own atoms
    overlap: np.ndarray
    orbital_coefficients: np.ndarray  # [spin, nao, n_orbitals]
    history: np.ndarray
    energy_components: dict[str, float]
    electrons: float  # that the grid integrates to
    values: dict[str, Value]  # of properties, by name
    reasons: dict[str, str]  # why there is none, by name
    natm: int
    failure: str = ""  # why the calculation could not be carried out
    done: bool = True  # False: interrupted before it was


def failed_entry(batch: Batch, nspin: int, reason: str, done: bool = True) -> Entry:
    """Return what the one system of a batch gets whose calculation could not be carried out, or (not `done`)
    was not.
    """
    n, nan = int(batch.n_functions[0]), math.nan
    empty = np.full((nspin, n, n), nan)
    return Entry(
        energy=nan, homo=nan, lumo=nan, orbital_energies=np.full((nspin, n), nan), converged=False, iterations=0,
        residual=nan, energy_change=nan, rung="", nao=n, n_orbitals=0, n_grid=0, density=empty, overlap=empty[0],
        orbital_coefficients=np.full((nspin, n, 0), nan), history=np.zeros((0, 2)), energy_components={},
        electrons=nan, values={}, reasons={}, natm=batch.systems[0].natm, failure=reason,
        done=done,
    )  # fmt: skip


def _reason(entry: Entry) -> str:
    if entry.failure:
        return entry.failure
    if not np.isfinite(entry.energy):
        return "the energy is not finite"
    return (
        f"after {entry.iterations} iterations: orbital gradient {entry.residual:.1e}, "
        f"energy change {entry.energy_change:.1e} hartree"
    )


def system_entries(run: BatchSCF, converged: np.ndarray, rung: list[str]) -> list[Entry]:
    """Return what each system of a batch got; `converged` and `rung` by entry."""
    batch, n, requested = run.batch, run.batch.nao, run.spec.properties
    orbitals = run.orbitals()
    state = run.state
    energy, residual = np.asarray(state.energy), np.asarray(state.residual)
    density = np.asarray(state.density)[:, :, :n, :n]
    orth = np.asarray(state.density_orth)
    coefficients = np.asarray(orbitals.coefficients)
    components = run.energy.core.energies(density[: len(batch)].sum(axis=1)) | run.energies
    components |= run.energy.constants()
    # Independent of the density, and so of the iterations.
    dispersion = components.get("dispersion", np.zeros(len(batch)))
    one = run.matrices.one
    seen = []
    for b in range(len(batch)):
        kept = int(run.matrices.n_orbitals[b])
        lane = Lane(
            batch, b, density[b], orth[b], one.overlap[b], one.dipole[b], batch.layout.ao_atom,
            batch.nuclear_charges[b],
        )  # fmt: skip
        entry = ConvergedEntry(
            run,
            lane,
            orbital_energies=np.asarray(orbitals.energies)[b, :, :kept],
            energy=float(energy[b]) + float(dispersion[b]),
            energy_components={name: float(values[b]) for name, values in components.items()},
            residual=float(residual[b]),
        )
        entry.orbital_coefficients = coefficients[b, :, :n, :kept][:, entry.own_functions].copy()
        seen.append(entry)
    usable = np.flatnonzero(np.asarray(converged[: len(batch)]) & np.isfinite(energy[: len(batch)])).tolist()
    evaluate(run, seen, range(len(batch)), ALWAYS)
    if run.spec.spec.quadrupole:
        evaluate(run, seen, range(len(batch)), [Quadrupole()])
    evaluate(run, seen, usable, requested.ordered)
    out = []
    for b, entry in enumerate(seen):
        kept = entry.orbital_energies.shape[1]
        own = len(entry.own_functions)
        energies = np.full((run.nspin, own), np.nan)
        energies[:, :kept] = entry.orbital_energies
        if b not in usable:
            entry.reasons |= {each.name: "the entry did not converge" for each in requested.ordered}
        out.append(
            Entry(
                energy=entry.energy,
                homo=float(np.asarray(orbitals.homo)[b]),
                lumo=float(np.asarray(orbitals.lumo)[b]),
                orbital_energies=energies,
                converged=b in usable,
                iterations=int(run.iterations[b]),
                residual=entry.residual,
                energy_change=float(np.asarray(state.energy_change)[b]),
                rung=rung[b],
                nao=own,
                n_orbitals=kept,
                n_grid=len(run.energy.grids[b][1]) if run.energy.grids else 0,
                density=entry.density.copy(),
                overlap=entry.overlap.copy(),
                orbital_coefficients=entry.orbital_coefficients,
                history=np.array(run.history[b]).reshape(-1, 2),
                energy_components=dict(entry.energy_components),
                electrons=entry.electrons_on_grid,
                values=entry.values,
                reasons=entry.reasons,
                natm=entry.natm,
            )
        )
    return out


def collected(
    systems: list[System],
    entries: list[Entry],
    spec: SCFSpec,
    basis: BasisSet,
    requested: Requested,
    provenance: dict[str, Any],
    return_density: bool,
) -> SCFResult:
    """Return one result of all systems; matrices and the basis set only with `return_density`."""

    def column(name: str, dtype: Any = np.float64) -> np.ndarray:
        return np.array([getattr(e, name) for e in entries], dtype=dtype)

    def each(name: str, shape: Callable[[Entry], tuple[int, ...]]) -> list[Any]:
        return [e.values.get(name, np.full(shape(e), np.nan)) for e in entries]

    def asked(name: str) -> list[Any]:
        # What a calculation always has is kept of entries that did not converge, but is no answer to what was asked.
        return [e.values.get(name) if e.converged else None for e in entries]

    reasons = {
        name: [
            ""
            if e.converged and name in e.values
            else e.reasons.get(name, "the calculation could not be carried out")
            for e in entries
        ]
        for name in requested.reported
    }
    gradient = "gradient" in requested

    nspin = max(len(e.orbital_energies) for e in entries)
    widest = max(e.nao for e in entries)
    energies = np.full((len(entries), nspin, widest), np.nan)
    for row, e in zip(energies, entries, strict=True):
        row[:, : e.nao] = e.orbital_energies
    status = [
        Status.NOT_DONE
        if not e.done
        else Status.FAILED
        if e.failure
        else Status.CONVERGED
        if e.converged
        else Status.NOT_CONVERGED
        for e in entries
    ]
    return SCFResult(
        systems=systems,
        energy=column("energy"),
        homo=column("homo"),
        lumo=column("lumo"),
        orbital_energies=energies[:, 0] if nspin == 1 else energies,
        dipole=np.stack(each("dipole", lambda e: (3,))),
        converged=column("converged", bool),
        iterations=column("iterations", np.int32),
        residual=column("residual"),
        energy_change=column("energy_change"),
        status=status,
        rung=[e.rung for e in entries],
        reason=["" if s is Status.CONVERGED else _reason(e) for s, e in zip(status, entries, strict=True)],
        nao=column("nao", np.int32),
        n_orbitals=column("n_orbitals", np.int32),
        n_grid=column("n_grid", np.int32),
        s_squared=np.array([float(value) for value in each("s_squared", lambda e: ())]),
        provenance=provenance,
        density=[e.density for e in entries] if return_density else None,
        history=[e.history for e in entries],
        mulliken_charges=each("mulliken_charges", lambda e: (e.natm,)),
        loewdin_charges=each("loewdin_charges", lambda e: (e.natm,)),
        bond_orders=each("bond_orders", lambda e: (e.natm, e.natm)),
        overlap=[e.overlap for e in entries] if return_density else None,
        orbital_coefficients=[e.orbital_coefficients for e in entries] if return_density else None,
        basis_set=basis if return_density else None,
        quadrupole=np.stack(each("quadrupole", lambda e: (3, 3))) if spec.quadrupole else None,
        stability=[_stability(e) for e in entries] if "stability" in requested else None,
        dispersion_energy=np.array([e.energy_components.get("dispersion", 0.0) for e in entries]),
        energy_components=[e.energy_components for e in entries],
        electrons_on_grid=column("electrons"),
        gradient=asked("gradient") if gradient else None,
        gradient_reason=reasons["gradient"] if gradient else None,
        properties={name: asked(name) for name in requested.reported},
        property_reasons=reasons,
        descriptors={name: requested.named(name) for name in requested.reported},
    )


def _stability(entry: Entry) -> Stability | None:
    found = entry.values.get("stability")
    return Stability(found["internal"], found.get("external")) if isinstance(found, Mapping) else None
