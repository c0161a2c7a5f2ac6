"""One batch from the initial density to converged entries: the host loop around the jitted step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.config.precision import PrecisionPolicy
from scfx.energy.hamiltonian import EnergyFunctional
from scfx.errors import InputError
from scfx.execution.device import to_device
from scfx.execution.lanes import lane_capacity, pad_lanes
from scfx.execution.watch import LaneWatch, unwatched
from scfx.scf.adiis import DensityHistory, share
from scfx.scf.batch_matrices import (
    BatchMatrices,
    batch_matrices,
    orbital_density,
    pad_matrices,
    spin_densities,
)
from scfx.scf.diis import empty_diis
from scfx.scf.potential_guess import screening_matrix
from scfx.scf.precision_phases import PrecisionPhase, precision_phases
from scfx.scf.purification import purified
from scfx.scf.step import (
    Control,
    Orbitals,
    SCFState,
    advance,
    advance_with,
    build,
    canonical_orbitals,
    shift_history,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from scfx.config.resolved import ResolvedSpec
    from scfx.energy.exchange_correlation.coarse_grid import CoarseGrid
    from scfx.execution.profile import Profile
    from scfx.model.batch import Batch
    from scfx.model.system import System
    from scfx.scf.guess import AtomicGuess
    from scfx.scf.system_entries import Entry


#: Diagonalising F' in float32 leaves a residual of some 2 to 3 units of rounding, 2^-24 max |F'|: 7e-5 hartree with
#: bromine, whose 1s lies at -480. Below this many units of residual over max |F'|, float32 has no more to give.
FLOAT32_EIGENVECTORS = 4 * 2.0**-24


def _with_rows(values: Array, rows: Int32[np.ndarray, "some"], new: Any) -> Array:
    # On the host, so that nothing is compiled for it.
    out = np.array(values)
    out[rows] = new
    return to_device(out)


class BatchSCF:
    """The state of one batch. `close` (or leaving the `with` block) frees the integrals and AO values."""

    def __init__(
        self,
        resolved: ResolvedSpec,
        batch: Batch,
        guess: AtomicGuess,
        profile: Profile,
        nspin: int,
        memory_budget: int,
        watch: LaneWatch | None = None,
    ):
        self.spec = resolved
        self.batch = batch
        self.profile = profile
        self.watch = unwatched(len(batch)) if watch is None else watch
        #: Rung of the recovery ladder that each entry got to.
        self.rung = [""] * len(batch)
        self.nspin = nspin
        self.shared_orbitals = nspin == 2 and resolved.reference == "restricted-open"
        self.capacity = lane_capacity(len(batch), resolved.lane_width)
        self.functional = resolved.functional
        self._guess = guess
        self.energy = EnergyFunctional(resolved, batch, self.capacity, memory_budget, profile)
        with profile.stage("prepare"):
            self.matrices: BatchMatrices = batch_matrices(
                batch,
                self.energy.core,
                self.capacity,
                nspin,
                resolved.precision.dtype("orthogonaliser"),
                resolved.spec.linear_dependence_threshold,
            )
        self.dtypes = self.energy.dtypes
        self.dtypes["orthogonaliser"].add(resolved.precision.orthogonaliser)
        self.phases = precision_phases(self.energy, resolved.precision, resolved.convergence)
        self.size = self.matrices.fixed.core.shape[-1]
        self.state = self._empty_state()
        #: What ADIIS averages; None: CDIIS alone.
        self._densities: DensityHistory | None = None
        if resolved.spec.diis == "adiis":
            self._densities = DensityHistory(len(batch), resolved.convergence.diis_space)
        self.iterations = np.zeros(len(batch), dtype=np.int32)
        self.history: list[list[tuple[float, float]]] = [[] for _ in range(len(batch))]
        #: Energies by name [batch], and the electrons that the grid integrates to, at the present densities.
        self.energies: dict[str, np.ndarray] = {}
        self.electrons = np.full(len(batch), np.nan)
        #: Solves other geometries of these molecules in the same way, from initial densities as `begin_with` takes
        #: them, without the properties that were asked for. The driver, which owns the procedure, puts it here.
        self.displaced: Callable[[list[System], list[np.ndarray | None]], list[Entry]] | None = None

    # ---- precision -------------------------------------------------------------------------------------------

    def set_policy(self, policy: PrecisionPolicy) -> None:
        """Continue in another precision (recovery): frees what the present one holds."""
        self.close()
        self.phases = precision_phases(self.energy, policy, self.spec.convergence)

    def coarse_grid(self) -> CoarseGrid | None:
        """Return a coarse grid for early iterations where policy and grid ask for one; give it to
        `drop_coarse_grid`.
        """
        shape = (self.capacity, self.nspin, self.size, self.size)
        return self.energy.coarse_grid(self.phases[0].policy, shape)

    def drop_coarse_grid(self, coarse: CoarseGrid | None) -> None:
        """Free a coarse grid."""
        if coarse is not None:
            coarse.close()
            self.energy.memory.remove(coarse)

    def held_bytes(self) -> int:
        """Return the bytes of integrals and AO values held at present, of which `memory_budget` is the most."""
        return self.energy.held_bytes()

    def close(self) -> None:
        """Free integrals and AO values."""
        self.energy.close()

    def __enter__(self) -> BatchSCF:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- state -----------------------------------------------------------------------------------------------

    def _empty_state(self) -> SCFState:
        shape = (self.capacity, self.nspin, self.size, self.size)
        # One array each: `build` gives its argument's memory back.
        density, density_orth, fock_orth, previous_fock = (to_device(np.zeros(shape)) for _ in range(4))
        energy, change, residual = (to_device(np.full(self.capacity, np.inf)) for _ in range(3))
        return SCFState(
            density=density,
            density_orth=density_orth,
            fock_orth=fock_orth,
            previous_fock=previous_fock,
            energy=energy,
            energy_change=change,
            residual=residual,
            diis=empty_diis(self.capacity, self.spec.convergence.diis_space, self.nspin, self.size),
        )

    def start(self, lanes: Int32[np.ndarray, "active"], guess: str) -> None:
        """Put the initial density of the given entries in place and empty their DIIS history."""
        with self.profile.stage("guess"):
            core = self.energy.core.matrix()
            if guess == "core":
                density = orbital_density(self.matrices, core)
            elif guess == "sap":
                source = self.spec.guess_potentials
                assert source is not None
                screened = core + screening_matrix(self.batch, self.spec.backend, source)
                density = orbital_density(self.matrices, screened)
            else:
                density = spin_densities(self._guess.density(self.batch), self.batch, self.nspin)
        self.set_density(lanes, density[lanes])
        if guess == "sap":
            # Orbitals' densities are idempotent: their Fock matrix may enter the DIIS history.
            self._set_energy(lanes, 0.0)

    def begin_with(self, initial: list[np.ndarray | None]) -> None:
        """Put given densities in place of the guess, made idempotent for the overlap here, for the entries with one.

        Each is [spin, nao, nao] with AOs in the order of the system's own atoms; of one total density each spin takes
        its share.
        """
        owner = self.batch.layout.ao_atom
        for lane, density in enumerate(initial):
            if density is None:
                continue
            n, natm = int(self.batch.n_functions[lane]), self.batch.systems[lane].natm
            given = np.asarray(density, dtype=np.float64)
            if given.ndim != 3 or given.shape[0] not in (1, 2) or given.shape[1:] != (n, n):
                raise InputError(
                    f"initial_density has shape {given.shape} for {self.batch.systems[lane]!r}, expected (1, {n}, {n}) "
                    f"or (2, {n}, {n})"
                )
            own = np.concatenate(
                [np.flatnonzero(owner == p) for p in np.argsort(self.batch.atom_order[lane])[:natm]]
            )
            ordered = np.zeros((len(given), self.batch.nao, self.batch.nao))
            ordered[:, own[:, None], own[None, :]] = given
            counts = np.array([self.batch.n_alpha[lane], self.batch.n_beta[lane]], dtype=np.float64)
            if self.nspin == 1:
                ordered, counts = ordered.sum(axis=0, keepdims=True), counts.sum(keepdims=True)
            elif len(ordered) == 1:
                ordered = counts[:, None, None] / max(counts.sum(), 1.0) * ordered
            overlap = self.energy.core.integrals.overlap[lane]
            per_orbital = 2.0 if self.nspin == 1 else 1.0
            pure = np.stack([per_orbital * purified(each / per_orbital, overlap) for each in ordered])
            held = np.einsum("sij,ji->s", pure, overlap)
            if np.abs(held - counts).max() > 1e-6:
                continue  # far from any determinant here: the guess is better
            self.set_density(np.array([lane], dtype=np.int32), pure[None])
            # Unlike a guess's, its Fock matrix belongs to a determinant and may enter the DIIS history.
            self._set_energy(np.array([lane], dtype=np.int32), 0.0)

    def set_density(
        self, lanes: Int32[np.ndarray, "active"], density: Float64[np.ndarray, "active spin n n"]
    ) -> None:
        """Replace the densities (AO basis, unpadded) of some entries and forget how they got there."""
        back = self.matrices.inverse[lanes][:, None]
        orth = pad_matrices(back @ density @ np.swapaxes(back, -1, -2), len(lanes), self.size)
        s = self.state
        self.state = s._replace(
            density=_with_rows(s.density, lanes, pad_matrices(density, len(lanes), self.size)),
            density_orth=_with_rows(s.density_orth, lanes, orth),
            diis=s.diis._replace(count=_with_rows(s.diis.count, lanes, 0)),
        )
        self._set_energy(lanes, np.inf)

    def _set_energy(self, lanes: Int32[np.ndarray, "some"], energy: float) -> None:
        """Infinite: the present density is a guess, whose Fock matrix stays out of the DIIS history."""
        self.state = self.state._replace(energy=_with_rows(self.state.energy, lanes, energy))

    # ---- one iteration ---------------------------------------------------------------------------------------

    def build(
        self, lanes: Int32[np.ndarray, "active"], phase: PrecisionPhase, coarse: CoarseGrid | None = None
    ) -> None:
        """Compute Fock matrix, energy and residual of the present densities of some entries.

        `coarse` says which of them are on which grid; without it all are on the grid of the labels.
        """
        found = phase.hamiltonian.evaluate(self.state.density, lanes, coarse)
        with self.profile.stage("fock"):
            for change in found.changes:
                self.state = shift_history(
                    self.state,
                    self.matrices.fixed,
                    change.potential,
                    pad_lanes(change.lanes, self.capacity),
                    len(change.lanes),
                    shared=self.shared_orbitals,
                )
            self.state = build(
                self.state,
                self.matrices.fixed,
                found.parts,
                pad_lanes(lanes, self.capacity),
                len(lanes),
                shared=self.shared_orbitals,
            )
            self.state.energy.block_until_ready()
        if self._densities is not None:
            for change in found.changes:
                self._shift_densities(self._densities, np.asarray(change.potential), change.lanes)
        for name, values in found.energies.items():
            self.energies.setdefault(name, np.full(len(self.batch), np.nan))[lanes] = values
        if found.electrons is not None:
            self.electrons[lanes] = found.electrons

    def advance(self, lanes: Int32[np.ndarray, "active"], phase: PrecisionPhase, control: Control) -> None:
        """Take new densities of some entries from their Fock matrices."""
        for dtype, members in self._by_eigensolver(lanes, phase.policy):
            self.dtypes["linear_algebra"].add(dtype)
            with self.profile.stage("diagonalise"):
                averaged, active = self._averaged(members, control), pad_lanes(members, self.capacity)
                options = {"dtype": dtype, "shared": self.shared_orbitals}
                fixed, count = self.matrices.fixed, len(members)
                if averaged is None:
                    self.state = advance(self.state, fixed, control, active, count, **options)
                else:
                    self.state = advance_with(self.state, fixed, control, *averaged, active, count, **options)
                self.state.density.block_until_ready()

    def _averaged(
        self, members: Int32[np.ndarray, "some"], control: Control
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Fock matrices of ADIIS and their shares beside CDIIS; None where CDIIS has all."""
        if self._densities is None or not np.asarray(control.use_diis)[members].all():
            return None
        density, fock = np.asarray(self.state.density_orth), np.asarray(self.state.fock_orth)
        residual = np.asarray(self.state.residual)
        from_guess = ~np.isfinite(np.asarray(self.state.energy_change))
        shares, given = np.zeros(self.capacity), np.zeros(fock.shape)
        for lane in map(int, members):
            if from_guess[lane]:  # its density is no determinant's
                self._densities.forget(lane)
                continue
            self._densities.add(lane, density[lane], fock[lane])
            shares[lane] = share(float(residual[lane]))
            if shares[lane]:
                given[lane] = self._densities.average(lane)
        return (given, shares) if shares.any() else None

    def _shift_densities(
        self, history: DensityHistory, potential: np.ndarray, lanes: Int32[np.ndarray, "some"]
    ) -> None:
        x = np.asarray(self.matrices.fixed.orthogonaliser)
        for lane in map(int, lanes):
            history.shift(lane, x[lane].T @ potential[lane] @ x[lane])

    def _by_eigensolver(
        self, lanes: Int32[np.ndarray, "active"], policy: PrecisionPolicy
    ) -> list[tuple[str, Int32[np.ndarray, "some"]]]:
        """Entries by the dtype that diagonalises their Fock matrices: each by its own residual and norm."""
        if policy.linear_algebra == "float64":
            return [("float64", lanes)]
        largest = np.abs(np.asarray(self.state.fock_orth)[lanes]).max(axis=(1, 2, 3))
        spent = np.asarray(self.state.residual)[lanes] < FLOAT32_EIGENVECTORS * largest
        return [
            (dtype, lanes[mask]) for dtype, mask in (("float32", ~spent), ("float64", spent)) if mask.any()
        ]

    def spin_fock(self, lanes: Int32[np.ndarray, "some"]) -> Float64[np.ndarray, "some spin nao nao"]:
        """Return F' of each spin at the present densities, in the orthonormal basis, unpadded, hartree.

        Where both spins share their orbitals the state has Roothaan's effective matrix instead, so the terms are
        evaluated once more.
        """
        n = self.batch.nao
        if not self.shared_orbitals:
            return np.asarray(self.state.fock_orth)[lanes, :, :n, :n]
        parts = self.phases[-1].hamiltonian.evaluate(self.state.density, lanes).parts
        coulomb, exchange, potential = (
            np.asarray(matrix)[lanes, :, :n, :n]
            for matrix in (parts.coulomb, parts.exchange, parts.potential)
        )
        core = self.energy.core.matrix()[lanes, None]
        fock = core + coulomb.sum(axis=1, keepdims=True) - exchange + potential
        x = self.matrices.orthogonaliser[lanes][:, None]
        return x.swapaxes(2, 3) @ fock @ x

    def free_atom(self, z: int) -> Float64[np.ndarray, "n n"]:
        """Return the density matrix of a neutral atom of the initial guess, over its own functions."""
        return self._guess.atom(z, self.batch.basis)

    def record(self, lanes: Int32[np.ndarray, "active"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Count an iteration; (energy, energy change, residual) of every lane."""
        energy = np.asarray(self.state.energy)
        change = np.asarray(self.state.energy_change)
        residual = np.asarray(self.state.residual)
        self.iterations[lanes] += 1
        for lane in lanes:
            self.history[lane].append((float(energy[lane]), float(residual[lane])))
        return energy, change, residual

    def orbitals(self) -> Orbitals:
        """Return the canonical orbitals of every entry at its last density."""
        lanes = np.arange(len(self.batch), dtype=np.int32)
        with self.profile.stage("diagonalise"):
            return canonical_orbitals(
                self.state,
                self.matrices.fixed,
                pad_lanes(lanes, self.capacity),
                len(lanes),
                self.spec.convergence.rule != "qm1b",  # the paper reports the last Fock matrix itself
                self.shared_orbitals,
            )


BatchRun = BatchSCF  #: Its name before 0.2: plugins import it for annotations.
