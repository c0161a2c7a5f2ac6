"""`Solver` and `solve`: from systems to an `SCFResult`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Unpack

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from scfx.batching import Batching
from scfx.config import levels
from scfx.config.spec import SCFSpec
from scfx.errors import ConfigError, InputError, Interrupted, ResourceError, ScfxError
from scfx.execution.device import executing
from scfx.execution.interrupt import stopping_at_interrupt
from scfx.execution.profile import Profile
from scfx.execution.progress_bar import reporting
from scfx.execution.watch import LaneWatch, Stopped, Watch, side_by_side
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch
from scfx.model.conversion import as_systems
from scfx.model.system import System
from scfx.properties.requests import Requested
from scfx.registry import Registry
from scfx.results import SCFResult
from scfx.scf.batch_scf import BatchSCF
from scfx.scf.guess import AtomicGuess
from scfx.scf.recovery import solve_entries
from scfx.scf.system_entries import Entry, collected, failed_entry, system_entries
from scfx.versions import versions

if TYPE_CHECKING:
    from scfx.config.keywords import (
        BackendChoice,
        BasisChoice,
        FunctionalChoice,
        GridChoice,
        PrecisionChoice,
        SCFKeywords,
        SCFOptions,
    )
    from scfx.config.resolved import ResolvedSpec

    Progress = bool | None | Callable[[int, int, dict[str, int]], Any]
    OnInterrupt = Literal["raise", "return"]
    #: The entries of a batch, and the dtypes that each stage used.
    Solved = tuple[list[Entry], dict[str, set[str]]]


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
        **kwargs: Unpack[SCFKeywords],
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
        self._guess = AtomicGuess(self.resolved.integrals, spec.memory_budget)
        self._lock = Lock()
        self._basis_sets: dict[frozenset[int], BasisSet] = {}
        self._batching = Batching(self.resolved)

    @property
    def spec_hash(self) -> str:
        """Identifies the labels: a digest of the definitions of functional, basis, precision, grid and the rest."""
        return self.resolved.spec_hash

    @property
    def profile(self) -> dict[str, float]:
        """Return the seconds by stage so far, over all threads; compilation under "compile" and in no other stage."""
        with self._lock:
            return dict(self._profile.seconds)

    def solve(
        self,
        systems: Any,
        *,
        return_density: bool = False,
        initial_density: Sequence[np.ndarray | None] | None = None,
        progress: Progress = None,
        on_interrupt: OnInterrupt = "raise",
    ) -> SCFResult:
        """Solve every system: a `System`, or whatever `scfx.model.conversion.as_system` makes one of, or many of these.

        `initial_density`: for each system a density [nspin, nao, nao] to begin with in place of the guess, as another
        geometry's result has it in `density`, or None. The labels then depend on where it came from, within the
        convergence thresholds and if there are several solutions. Recovery begins from the guess again.

        `progress`: True for a bar on the standard error (a line now and then where that is no terminal), or a function
        that is called with (systems done, systems in all, {status: how many}), one call at a time, as each converges.

        Ctrl-C stops at the end of the iterations in progress and raises `scfx.errors.Interrupted`, whose `result` has
        all systems: those that were done, and the others with the status NOT_DONE. With `on_interrupt = "return"` that
        result is returned. A second Ctrl-C does not wait for the iterations: their batches are not done either.

        Raises `InputError` for what cannot be computed as asked, before any is computed. An entry that does not
        converge is returned with `converged` False, one whose calculation cannot be carried out with the status FAILED
        and the reason; `SCFResult.raise_for_status` raises for both.
        """

        systems = as_systems(systems)
        if not systems:
            raise InputError("solve needs at least one System")
        if on_interrupt not in ("raise", "return"):
            raise InputError(f"on_interrupt: got {on_interrupt!r}, expected 'raise' or 'return'")
        self._batching.check(systems)
        if initial_density is not None and len(initial_density) != len(systems):
            raise InputError(f"initial_density has {len(initial_density)} entries for {len(systems)} systems")
        elements = {int(z) for system in systems for z in system.atomic_numbers}
        basis = self._basis_of(frozenset(elements))
        self._batching.check_core_potentials(basis)
        # How many entries fit depends on how many are computed at once.
        with executing(self.resolved.execution):
            batches, threads = self._batching.batches(systems, basis)
        with reporting(progress, len(systems)) as report:
            watch = Watch(len(systems), report)
            results = self._solve_batches(batches, threads, watch, initial_density)
        entries: dict[int, Entry] = {}
        dtypes: dict[str, set[str]] = {}
        for (indices, batch), solved in zip(batches, results, strict=True):
            own, used = solved or (self._undone(batch), {})
            entries.update(zip(indices, own, strict=True))
            for stage, names in used.items():
                dtypes.setdefault(stage, set()).update(names)
        result = collected(
            systems,
            [entries[index] for index in range(len(systems))],
            self.resolved.spec,
            basis,
            self.resolved.properties,
            self.provenance(dtypes, [batch for _, batch in batches]),
            return_density,
        )
        if watch.stopped and on_interrupt == "raise":
            raise Interrupted(result)
        self.registry.hook.scfx_after_scf(result=result)
        return result

    def _basis_of(self, elements: frozenset[int]) -> BasisSet:
        """Return the basis set for some elements, one object for every call, so that their atoms are solved once."""
        if elements not in self._basis_sets:
            self._basis_sets[elements] = BasisSet.from_source(self.resolved.basis, elements)
        return self._basis_sets[elements]

    # ---- parts -----------------------------------------------------------------------------------------------

    def _solve_batches(
        self,
        batches: list[tuple[list[int], Batch]],
        threads: int,
        watch: Watch,
        initial_density: Sequence[np.ndarray | None] | None,
    ) -> list[Solved | None]:
        """What each batch got; None where a second Ctrl-C came in between, and then `watch.stopped`."""
        budget = self.resolved.memory_budget // threads
        out: list[Solved | None] = [None] * len(batches)

        def work(number: int) -> None:
            indices, batch = batches[number]
            initial = None if initial_density is None else [initial_density[i] for i in indices]
            out[number] = self._solve_batch(batch, budget, initial, watch.for_batch(indices))

        # BLAS and OpenMP run one thread each: sums split over threads would make bits depend on the thread count.
        with threadpool_limits(limits=1), stopping_at_interrupt(watch.stop):
            try:
                if threads == 1:
                    for number in range(len(batches)):
                        work(number)
                else:
                    # The longest first, so that threads end together.
                    sizes = [len(batch) * batch.nao**3 for _, batch in batches]
                    order = sorted(range(len(batches)), key=lambda number: (-sizes[number], number))
                    side_by_side(lambda place: work(order[place]), len(batches), threads, watch)
            except KeyboardInterrupt:
                watch.stop()
        return out

    def _undone(self, batch: Batch) -> list[Entry]:
        return [self._undone_entry(batch, index) for index in range(len(batch))]

    def _undone_entry(self, batch: Batch, index: int) -> Entry:
        return failed_entry(batch.take([index]), self._nspin(batch), "interrupted", done=False)

    def _nspin(self, batch: Batch) -> int:
        restricted = self.resolved.reference != "unrestricted" and all(
            s.multiplicity == 1 for s in batch.systems
        )
        return 1 if restricted else 2

    def _displaced(
        self,
        budget: int,
        basis: BasisSet,
        watch: LaneWatch,
        systems: list[System],
        initial: list[np.ndarray | None],
    ) -> list[Entry]:
        """Energies of a molecule in other geometries, for properties that displace atoms: see `BatchSCF.displaced`."""
        bare = replace(self.resolved, properties=Requested())
        out: list[Entry | None] = [None] * len(systems)
        threads = max(1, self.resolved.memory_budget // budget)
        for indices, batch in self._batching.batches_for(threads, systems, basis):
            own = [initial[i] for i in indices]
            entries, _ = self._solve_batch(batch, budget, own, watch.aside(len(batch)), bare)
            for index, entry in zip(indices, entries, strict=True):
                out[index] = entry
        return [entry for entry in out if entry is not None]

    def _solve_batch(
        self,
        batch: Batch,
        budget: int,
        initial: list[np.ndarray | None] | None,
        watch: LaneWatch,
        resolved: ResolvedSpec | None = None,
    ) -> Solved:
        """`resolved`: in place of the solver's own; the hook then hears nothing of it."""
        if watch.stopped and resolved is None:
            return self._undone(batch), {}
        if resolved is None:
            self.registry.hook.scfx_before_scf(batch=batch, spec=self.resolved)
        try:
            return self._converged(batch, budget, initial, watch, resolved)
        except (ConfigError, ResourceError):
            raise
        except (ScfxError, np.linalg.LinAlgError) as error:
            if len(batch) == 1:
                watch.settle(0, "failed")
                return [failed_entry(batch, self._nspin(batch), str(error))], {}
        # Something about one of them: each by itself, which changes no bit of the others.
        entries: list[Entry] = []
        dtypes: dict[str, set[str]] = {}
        for index in range(len(batch)):
            own = None if initial is None else [initial[index]]
            solved, used = self._solve_batch(
                batch.take([index]), budget, own, watch.for_lane(index), resolved
            )
            entries += solved
            for stage, names in used.items():
                dtypes.setdefault(stage, set()).update(names)
        return entries, dtypes

    def _converged(
        self,
        batch: Batch,
        budget: int,
        initial: list[np.ndarray | None] | None,
        watch: LaneWatch,
        resolved: ResolvedSpec | None = None,
    ) -> Solved:
        profile, nspin = Profile(), self._nspin(batch)
        with (
            executing(self.resolved.execution),
            jax.enable_x64(True),
            BatchSCF(resolved or self.resolved, batch, self._guess, profile, nspin, budget, watch) as run,
        ):
            run.displaced = partial(self._displaced, budget, batch.basis, watch)
            cut = False
            try:
                converged, rung = solve_entries(run, initial)
            except Stopped:
                if resolved is not None:
                    raise
                converged, rung, cut = watch.converged, run.rung, True
            entries = [] if cut and not converged.any() else system_entries(run, converged, rung)
        if resolved is not None:  # its time is that of the property that asked
            return entries, run.dtypes
        with self._lock:
            for name, seconds in profile.seconds.items():
                self._profile.seconds[name] += seconds
        if cut:
            entries = [entries[i] if ok else self._undone_entry(batch, i) for i, ok in enumerate(converged)]
        else:
            for lane in np.flatnonzero(~converged):
                watch.settle(int(lane), "not_converged")
        return entries, run.dtypes

    def provenance(
        self, dtypes: dict[str, set[str]] | None = None, batches: Sequence[Batch] = ()
    ) -> dict[str, Any]:
        """Return what ran: names, spec hash, device, versions, thresholds in force, the dtypes each stage really used,
        and the backends that gave integrals which the chosen one borrowed, by part, for these `batches`.
        """
        last, convergence = self.resolved.precision.refined(), self.resolved.convergence
        return {
            **self.resolved.names,
            "device": self.resolved.backend.device(),
            "execution": self.resolved.execution.provenance(),
            "spec_hash": self.resolved.spec_hash,
            "grid": dict(self.resolved.grid.definition()),
            "energy_threshold": max(convergence.energy, last.energy_floor),
            "gradient_threshold": max(convergence.gradient, last.gradient_floor),
            "functional_implementation": self.resolved.functional.implementation,
            "kernels": self.resolved.integrals.kernels(batches),
            "borrowed": self.resolved.integrals.borrowed(batches),
            "dtypes": {stage: sorted(names) for stage, names in (dtypes or {}).items()},
            **({"properties": how} if (how := self.resolved.properties.definition(last)) else {}),
            "versions": versions(),
            **levels.stated(self.resolved.spec),
        }


def solve(
    systems: Any,
    functional: FunctionalChoice | None = None,
    basis: BasisChoice | None = None,
    backend: BackendChoice | None = None,
    precision: PrecisionChoice | None = None,
    grid: GridChoice | None = None,
    *,
    registry: Registry | None = None,
    return_density: bool = False,
    progress: Progress = None,
    on_interrupt: OnInterrupt = "raise",
    **options: Unpack[SCFOptions],
) -> SCFResult:
    """Return Kohn-Sham or Hartree-Fock labels of one or many systems, or of what `scfx.model.conversion.as_system`
    makes one of.

    Every argument takes the forms that the `[scf]` table takes: a name, or a table such as
    `backend={"name": "libcint", ...}`; functionals, basis sets, backends and precision policies may also be objects.
    Left out (or None) they are those of `level` (`level="spice"`), or without one "b3lyp", "sto-3g", "auto", "float64"
    and 3.
    `options` are the other keys of `[scf]`: `convergence`, `guess`, `reference`, `recovery`, `quadrupole`, `stability`,
    `memory_budget`, `lane_width`, `threads`. Energies come back in hartree. For many calls with one specification keep
    a `Solver`, whose `solve` says what `progress` and `on_interrupt` are.

    Raises `InputError` (or one of its kinds) for what cannot be done as asked. Entries that do not converge are
    returned as such; `.raise_for_status()` raises for them.
    """
    named = {
        "functional": functional,
        "basis": basis,
        "backend": backend,
        "precision": precision,
        "grid": grid,
    }
    spec = SCFSpec.create({**{key: value for key, value in named.items() if value is not None}, **options})
    systems = as_systems(systems)
    elements = {int(z) for system in systems for z in system.atomic_numbers}
    return Solver(spec, registry, atomic_numbers=elements).solve(
        systems, return_density=return_density, progress=progress, on_interrupt=on_interrupt
    )
