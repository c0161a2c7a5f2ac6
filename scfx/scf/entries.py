"""What each system of a batch got, and one result of all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.properties.population import bond_orders, loewdin_charges, mulliken_charges
from scfx.properties.quadrupole import quadrupole
from scfx.results import SCFResult, Stability, Status

if TYPE_CHECKING:
    from scfx.basis import BasisSet
    from scfx.batch import Batch
    from scfx.scf.run import BatchRun
    from scfx.spec import SCFSpec
    from scfx.system import System


@dataclass(eq=False)
class Entry:
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
    energy_components: dict[str, float]
    electrons: float  # that the grid integrates to
    quadrupole: np.ndarray | None = None
    stability: Stability | None = None
    gradient: np.ndarray | None = None  # [natm, 3]
    gradient_reason: str = ""  # why there is none
    failure: str = ""  # why the calculation could not be carried out


def failed_entry(batch: Batch, nspin: int, reason: str) -> Entry:
    """What the one system of a batch gets whose calculation could not be carried out."""
    n, natm, nan = batch.nao, batch.natm, math.nan
    empty = np.full((nspin, n, n), nan)
    return Entry(
        energy=nan, homo=nan, lumo=nan, orbital_energies=np.full((nspin, n), nan), dipole=np.full(3, nan),
        converged=False, iterations=0, residual=nan, energy_change=nan, rung="", nao=n, n_orbitals=0, n_grid=0,
        s_squared=nan, density=empty, overlap=empty[0], orbital_coefficients=np.full((nspin, n, 0), nan),
        mulliken_charges=np.full(natm, nan), loewdin_charges=np.full(natm, nan),
        bond_orders=np.full((natm, natm), nan), history=np.zeros((0, 2)), energy_components={}, electrons=nan,
        quadrupole=np.full((3, 3), nan), failure=reason,
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


def entries_of(run: BatchRun, converged: np.ndarray, rung: list[str]) -> list[Entry]:
    """What each system of a batch got; `converged` and `rung` by entry."""
    batch, n = run.batch, run.batch.nao
    orbitals = run.orbitals()
    state = run.state
    energy, residual = np.asarray(state.energy), np.asarray(state.residual)
    density = np.asarray(state.density)[:, :, :n, :n]
    orth = np.asarray(state.density_orth)
    coefficients, owner = np.asarray(orbitals.coefficients), batch.layout.ao_atom
    components = run.energy.core.energies(density[: len(batch)].sum(axis=1)) | run.energies
    components |= run.energy.constants()
    # Independent of the density, and so of the iterations.
    dispersion = components.get("dispersion", np.zeros(len(batch)))
    grids = run.energy.grids
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
            Entry(
                energy=float(energy[b]) + float(dispersion[b]),
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
                n_grid=len(grids[b][1]) if grids else 0,
                s_squared=_s_squared(run, b, orth[b]),
                density=_own_order(batch, b, density[b]),
                overlap=_own_order(batch, b, overlap[None])[0],
                orbital_coefficients=coefficients[b, :, :n, :kept][:, _own_functions(batch, b)].copy(),
                mulliken_charges=mulliken_charges(density[b], overlap, owner, charges)[own_atoms],
                loewdin_charges=loewdin_charges(density[b], overlap, owner, charges)[own_atoms],
                bond_orders=bond_orders(density[b], overlap, owner, batch.natm)[np.ix_(own_atoms, own_atoms)],
                history=np.array(run.history[b]).reshape(-1, 2),
                energy_components={name: float(values[b]) for name, values in components.items()},
                electrons=float(run.electrons[b]),
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


def collected(
    systems: list[System],
    entries: list[Entry],
    spec: SCFSpec,
    basis: BasisSet,
    provenance: dict[str, Any],
    return_density: bool,
) -> SCFResult:
    """One result of all systems; matrices and the basis set only with `return_density`."""

    def column(name: str, dtype: Any = np.float64) -> np.ndarray:
        return np.array([getattr(e, name) for e in entries], dtype=dtype)

    nspin = max(len(e.orbital_energies) for e in entries)
    widest = max(e.nao for e in entries)
    energies = np.full((len(entries), nspin, widest), np.nan)
    for row, e in zip(energies, entries, strict=True):
        row[:, : e.nao] = e.orbital_energies
    status = [
        Status.FAILED if e.failure else Status.CONVERGED if e.converged else Status.NOT_CONVERGED
        for e in entries
    ]
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
        reason=["" if s is Status.CONVERGED else _reason(e) for s, e in zip(status, entries, strict=True)],
        nao=column("nao", np.int32),
        n_orbitals=column("n_orbitals", np.int32),
        n_grid=column("n_grid", np.int32),
        s_squared=column("s_squared"),
        provenance=provenance,
        density=[e.density for e in entries] if return_density else None,
        history=[e.history for e in entries],
        mulliken_charges=[e.mulliken_charges for e in entries],
        loewdin_charges=[e.loewdin_charges for e in entries],
        bond_orders=[e.bond_orders for e in entries],
        overlap=[e.overlap for e in entries] if return_density else None,
        orbital_coefficients=[e.orbital_coefficients for e in entries] if return_density else None,
        basis_set=basis if return_density else None,
        quadrupole=column("quadrupole") if spec.quadrupole else None,
        stability=[e.stability for e in entries] if spec.stability else None,
        dispersion_energy=np.array([e.energy_components.get("dispersion", 0.0) for e in entries]),
        energy_components=[e.energy_components for e in entries],
        electrons_on_grid=column("electrons"),
        gradient=[e.gradient for e in entries] if "gradient" in spec.properties else None,
        gradient_reason=[e.gradient_reason for e in entries] if "gradient" in spec.properties else None,
    )
