"""One batch from the initial density to converged entries: the host loop around the jitted step."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int32

from scfx.abstract import (
    AbstractLaneTwoElectron,
    AbstractTwoElectron,
)
from scfx.compile_time import compile_seconds
from scfx.grid import batch_grids
from scfx.lanes import lane_capacity, pad_lanes
from scfx.precision import PrecisionPolicy
from scfx.scf.backend_quadrature import BackendQuadrature
from scfx.scf.difference import DifferenceBuild
from scfx.scf.diis import empty_diis
from scfx.scf.integrate import Quadrature
from scfx.scf.phases import Phase, Phases, coulomb_exchange_of
from scfx.scf.prepare import Prepared, core_density, pad_matrices, prepare, spin_densities
from scfx.scf.step import Control, Orbitals, Parts, State, advance, build, canonical_orbitals

if TYPE_CHECKING:
    from scfx.batch import Batch
    from scfx.scf.coarse_grid import CoarseGrid
    from scfx.scf.guess import AtomicGuess
    from scfx.spec import ResolvedSpec


class Profile:
    """Seconds by stage; compilation is counted under "compile" and taken out of the stage it happened in."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block of work."""
        start, compiled = time.perf_counter(), compile_seconds()
        try:
            yield
        finally:
            compiling = compile_seconds() - compiled
            self.seconds["compile"] += compiling
            self.seconds[name] += time.perf_counter() - start - compiling


#: Diagonalising F' in float32 leaves a residual of some 2 to 3 units of rounding, 2^-24 max |F'|: 7e-5 hartree with
#: bromine, whose 1s lies at -480. Below this many units of residual over max |F'|, float32 has no more to give.
FLOAT32_EIGENVECTORS = 4 * 2.0**-24


class BatchRun:
    """The state of one batch. `close` (or leaving the `with` block) frees the backend's integrals."""

    def __init__(
        self,
        resolved: ResolvedSpec,
        batch: Batch,
        guess: AtomicGuess,
        profile: Profile,
        nspin: int,
        memory_budget: int,
    ):
        self.spec = resolved
        self.batch = batch
        self.profile = profile
        self.nspin = nspin
        self.shared_orbitals = nspin == 2 and resolved.reference == "restricted-open"
        self.capacity = lane_capacity(len(batch), resolved.lane_width)
        self.functional = resolved.functional
        self._guess = guess
        self._memory_budget = memory_budget
        self.dtypes: dict[str, set[str]] = defaultdict(set)
        self._differences: dict[int, DifferenceBuild] = {}
        self.coarse: CoarseGrid | None = None
        with profile.stage("one_electron"):
            one = resolved.backend.one_electron(batch)
        with profile.stage("prepare"):
            self.prepared: Prepared = prepare(
                batch,
                one,
                self.capacity,
                nspin,
                resolved.precision.dtype("orthogonaliser"),
                resolved.spec.linear_dependence,
            )
        self.dtypes["orthogonaliser"].add(resolved.precision.orthogonaliser)
        self.grids: list[tuple[np.ndarray, np.ndarray]] = []
        if self.functional.family != "none":
            with profile.stage("grid"):
                self.grids = batch_grids(batch.atomic_numbers, batch.positions, resolved.grid)
        self.phases = Phases(resolved, batch, self.capacity, memory_budget, resolved.precision)
        self.size = self.prepared.fixed.core.shape[-1]
        self.state = self._empty_state()
        self.iterations = np.zeros(len(batch), dtype=np.int32)
        self.history: list[list[tuple[float, float]]] = [[] for _ in range(len(batch))]

    # ---- operators -------------------------------------------------------------------------------------------

    def set_policy(self, policy: PrecisionPolicy) -> None:
        """Continue in another precision (recovery): frees the operators of the present one."""
        self.close()
        self.phases = Phases(self.spec, self.batch, self.capacity, self._memory_budget, policy)

    def quadrature(
        self, grids: list[tuple[np.ndarray, np.ndarray]], policy: PrecisionPolicy
    ) -> Quadrature | BackendQuadrature:
        """The functional on the given points and weights of each entry; the caller closes it."""
        with self.profile.stage("quadrature"):
            return self.phases.quadrature(grids, policy, self._memory_left())

    def held_bytes(self) -> int:
        """Bytes of integrals and AO values held at present, of which `memory_budget` is the most."""
        coarse = 0 if self.coarse is None else self.coarse.held_bytes()
        return self.phases.held_bytes() + coarse

    def _memory_left(self) -> int:
        return max(0, self._memory_budget - self.held_bytes())

    def close(self) -> None:
        """Free integrals and AO values."""
        self._differences = {}
        self.phases.close()

    def __enter__(self) -> BatchRun:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- state -----------------------------------------------------------------------------------------------

    def _empty_state(self) -> State:
        shape = (self.capacity, self.nspin, self.size, self.size)
        return State(
            density=jnp.zeros(shape),
            density_orth=jnp.zeros(shape),
            fock_orth=jnp.zeros(shape),
            previous_fock=jnp.zeros(shape),
            energy=jnp.full(self.capacity, jnp.inf),
            energy_change=jnp.full(self.capacity, jnp.inf),
            residual=jnp.full(self.capacity, jnp.inf),
            diis=empty_diis(self.capacity, self.spec.convergence.diis_space, self.nspin, self.size),
        )

    def start(self, lanes: Int32[np.ndarray, "active"], guess: str) -> None:
        """Put the initial density of the given entries in place and empty their DIIS history."""
        with self.profile.stage("guess"):
            if guess == "core":
                density = core_density(self.prepared, len(self.batch))
            else:
                density = spin_densities(self._guess.density(self.batch), self.batch, self.nspin)
        self.set_density(lanes, density[lanes])

    def set_density(
        self, lanes: Int32[np.ndarray, "active"], density: Float64[np.ndarray, "active spin n n"]
    ) -> None:
        """Replace the densities (AO basis, unpadded) of some entries and forget how they got there."""
        back = self.prepared.inverse[lanes][:, None]
        orth = pad_matrices(back @ density @ np.swapaxes(back, -1, -2), len(lanes), self.size)
        s = self.state
        self.state = s._replace(
            density=s.density.at[lanes].set(pad_matrices(density, len(lanes), self.size)),
            density_orth=s.density_orth.at[lanes].set(orth),
            energy=s.energy.at[lanes].set(jnp.inf),
            diis=s.diis._replace(count=s.diis.count.at[lanes].set(0)),
        )

    def forget_history(self, lanes: Int32[np.ndarray, "active"]) -> None:
        """Empty the DIIS history of some entries."""
        diis = self.state.diis
        self.state = self.state._replace(diis=diis._replace(count=diis.count.at[lanes].set(0)))

    # ---- one iteration ---------------------------------------------------------------------------------------

    def build(
        self, lanes: Int32[np.ndarray, "active"], phase: Phase, coarse: CoarseGrid | None = None
    ) -> None:
        """Fock matrix, energy and residual of the present densities of some entries.

        `coarse` says which of them are on which grid; without it all are on the grid of the labels.
        """
        if not phase.ready:
            with self.profile.stage("two_electron"):
                self.phases.prepare(phase, self._memory_left())
            for stage, dtypes in phase.dtypes().items():
                self.dtypes[stage] |= dtypes
        if phase.quadrature is None and self.functional.family != "none":
            phase.quadrature = self.quadrature(self.grids, phase.policy)
        parts = self._parts(lanes, phase, coarse)
        with self.profile.stage("fock"):
            self.state = build(
                self.state,
                self.prepared.fixed,
                parts,
                pad_lanes(lanes, self.capacity),
                len(lanes),
                shared=self.shared_orbitals,
            )
            self.state.energy.block_until_ready()

    def _parts(self, lanes: Int32[np.ndarray, "active"], phase: Phase, coarse: CoarseGrid | None) -> Parts:
        n, entries = self.batch.nao, len(self.batch)
        shape = (self.capacity, self.nspin, self.size, self.size)
        with self.profile.stage("coulomb_exchange"):
            density = np.ascontiguousarray(np.asarray(self.state.density)[:entries, :, :n, :n])
            coulomb, exchange = np.zeros(shape), np.zeros(shape)
            for index, (fraction, operator) in enumerate(phase.operators):
                wants_exchange = fraction != 0.0
                if index and not wants_exchange:
                    continue
                j, k = self._contract(operator, density, lanes, wants_exchange)
                self.dtypes["coulomb_exchange"].add(str(np.asarray(j).dtype))
                if not index:
                    coulomb[lanes, :, :n, :n] = j
                if wants_exchange:
                    exchange[lanes, :, :n, :n] += fraction * np.asarray(k)
        if phase.quadrature is None:
            zero = jnp.zeros(shape)
            return Parts(jnp.asarray(coulomb), jnp.asarray(exchange), zero, jnp.zeros(self.capacity))
        with self.profile.stage("exchange_correlation"):
            if coarse is None:
                totals = phase.quadrature.evaluate(self.state.density, lanes)
            else:
                totals = coarse.evaluate(phase.quadrature, lanes)
            totals.energy.block_until_ready()
        if self.functional.vv10 is not None:
            with self.profile.stage("nonlocal_correlation"):
                energy, potential = self.phases.nonlocal_correlation().evaluate(self.state.density, lanes)
                totals = totals._replace(
                    energy=totals.energy + energy, potential=totals.potential + potential[:, None]
                )
        return Parts(jnp.asarray(coulomb), jnp.asarray(exchange), totals.potential, totals.energy)

    def advance(self, lanes: Int32[np.ndarray, "active"], phase: Phase, control: Control) -> None:
        """New densities of some entries from their Fock matrices."""
        for dtype, members in self._by_eigensolver(lanes, phase.policy):
            self.dtypes["linear_algebra"].add(dtype)
            with self.profile.stage("diagonalise"):
                self.state = advance(
                    self.state,
                    self.prepared.fixed,
                    control,
                    pad_lanes(members, self.capacity),
                    len(members),
                    dtype=dtype,
                    shared=self.shared_orbitals,
                )
                self.state.density.block_until_ready()

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
        """Canonical orbitals of every entry at its last density."""
        lanes = np.arange(len(self.batch), dtype=np.int32)
        with self.profile.stage("diagonalise"):
            return canonical_orbitals(
                self.state,
                self.prepared.fixed,
                pad_lanes(lanes, self.capacity),
                len(lanes),
                self.spec.convergence.rule != "qm1b",  # the paper reports the last Fock matrix itself
                self.shared_orbitals,
            )

    def _contract(
        self, operator: AbstractTwoElectron, density: np.ndarray, lanes: np.ndarray, exchange: bool
    ) -> tuple[Any, Any]:
        if not (isinstance(operator, AbstractLaneTwoElectron) and operator.screens_small_densities):
            return coulomb_exchange_of(operator, density, lanes, exchange)
        if id(operator) not in self._differences:
            self._differences[id(operator)] = DifferenceBuild(operator, len(self.batch))
        return self._differences[id(operator)].coulomb_exchange_lanes(density, lanes, exchange)
