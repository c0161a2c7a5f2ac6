"""The energy functional of a batch, and its `Hamiltonian` in each precision: terms built, budgeted, summed and freed.

A precision phase of a calculation is a `Hamiltonian`. Terms whose numbers do not differ between two phases are one
object that both share.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.energy.core import CoreHamiltonian
from scfx.energy.dispersion import Dispersion
from scfx.energy.exchange_correlation.coarse_grid import CoarseGrid, coarse_spec
from scfx.energy.exchange_correlation.term import ExchangeCorrelation
from scfx.energy.memory import MemoryBudget
from scfx.energy.nonlocal_correlation import NonlocalCorrelation
from scfx.energy.repulsion import NuclearRepulsion
from scfx.energy.term import Change, Contribution, Term
from scfx.energy.two_electron.term import TwoElectron
from scfx.execution.device import to_device
from scfx.grid import batch_grids

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.config.resolved import ResolvedSpec
    from scfx.execution.profile import Profile
    from scfx.grid.molecular import PointsAndWeights
    from scfx.model.batch import Batch

#: What a term's work counts as in a profile: while it makes what it needs, and while it is evaluated; else its name.
_STAGES = {
    TwoElectron.name: ("two_electron", "coulomb_exchange"),
    ExchangeCorrelation.name: ("quadrature", "exchange_correlation"),
    NonlocalCorrelation.name: ("nonlocal_correlation", "nonlocal_correlation"),
}


class FockParts(NamedTuple):
    """The sums of all terms at a density, padded, in the AO basis, hartree; see `Contribution`."""

    coulomb: Float64[Array, "lane spin n n"]
    exchange: Float64[Array, "lane spin n n"]
    potential: Float64[Array, "lane spin n n"]
    energy: Float64[Array, "lane"]


class Evaluation(NamedTuple):
    """`FockParts` of some entries, with the energies by name and the integrated electrons [active] of each entry."""

    parts: FockParts
    energies: dict[str, np.ndarray]
    electrons: np.ndarray | None
    changes: list[Change]


class Hamiltonian:
    """The terms of a batch that depend on the density, in one precision policy, in the order in which they add up."""

    def __init__(self, energy: EnergyFunctional, policy: PrecisionPolicy, terms: Sequence[Term]):
        self._energy = energy
        self.policy = policy
        self.terms = tuple(terms)

    @property
    def exchange_correlation(self) -> ExchangeCorrelation | None:
        """Return the functional's term; None without a functional."""
        found = [term for term in self.terms if isinstance(term, ExchangeCorrelation)]
        return found[0] if found else None

    def evaluate(
        self,
        density: Float64[Array, "lane spin n n"],
        lanes: Int32[np.ndarray, "active"],
        coarse: CoarseGrid | None = None,
    ) -> Evaluation:
        """Return all terms at the densities of some entries. `coarse` says which of them are on which grid."""
        profile = self._energy.profile
        for term in self.terms:
            with profile.stage(_STAGES.get(term.name, (term.name, ""))[0]):
                term.initialize()
        found = []
        for term in self.terms:
            with profile.stage(_STAGES.get(term.name, ("", term.name))[1]):
                if coarse is not None and isinstance(term, ExchangeCorrelation):
                    found.append(coarse.evaluate(term, density, lanes))
                elif coarse is not None and isinstance(term, NonlocalCorrelation):
                    found.append(coarse.evaluate_nonlocal(term, density, lanes))
                else:
                    found.append(term.evaluate(density, lanes))
        self._energy.note(self)
        return _summed(found, density)

    def response(
        self,
        density: Float64[Array, "lane spin n n"],
        change: Float64[np.ndarray, "batch spin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        opposite: bool = False,
    ) -> Float64[np.ndarray, "active spin nao nao"]:
        """Change of the Fock matrices with the spin densities, to first order; see `Term.response`."""
        out = np.zeros((len(lanes), *change.shape[1:]))
        for term in self.terms:
            part = term.response(density, change, lanes, opposite)
            if part is not None:
                out += part
        return out

    def rest(self) -> None:
        """Free the AO values: every entry has left this precision (they are made again if one comes back)."""
        if self.exchange_correlation is not None:
            self.exchange_correlation.rest()


def _summed(found: list[Contribution], density: Float64[Array, "lane spin n n"]) -> Evaluation:
    def total(field: str, shape: tuple[int, ...]) -> Any:
        out: Any = None
        for contribution in found:
            value = getattr(contribution, field)
            if value is not None:
                out = value if out is None else out + value
        return to_device(np.zeros(shape)) if out is None else jnp.asarray(out)

    matrices, numbers = density.shape, density.shape[:1]
    parts = FockParts(
        total("coulomb", matrices), total("exchange", matrices), total("potential", matrices), total("energy", numbers)
    )  # fmt: skip
    energies = {name: values for contribution in found for name, values in contribution.parts.items()}
    electrons = [c.electrons for c in found if c.electrons is not None]
    changes = [c.change for c in found if c.change is not None]
    return Evaluation(parts, energies, electrons[0] if electrons else None, changes)


class EnergyFunctional:
    """E[D; R] of one batch: its terms in every precision, under one memory budget. `close` frees all."""

    def __init__(
        self, resolved: ResolvedSpec, batch: Batch, capacity: int, memory_budget: int, profile: Profile
    ):
        self._resolved = resolved
        self._batch = batch
        self._capacity = capacity
        self.profile = profile
        self.memory = MemoryBudget(memory_budget)
        #: What each stage really used so far.
        self.dtypes: dict[str, set[str]] = defaultdict(set)
        with profile.stage("one_electron"):
            self.core = CoreHamiltonian(batch, resolved.integrals)
        self.repulsion = NuclearRepulsion(batch)
        self.dispersion = None
        if resolved.dispersion is not None:
            self.dispersion = Dispersion(batch, resolved.dispersion)
        self.grids: list[PointsAndWeights] = []
        if resolved.functional.family != "none":
            with profile.stage("grid"):
                self.grids = batch_grids(batch.atomic_numbers, batch.positions, resolved.grid, batch.present)
        self._shared: dict[Any, Term] = {}

    def hamiltonian(self, policy: PrecisionPolicy) -> Hamiltonian:
        """Return the terms in a precision; those that another precision computes the same way are shared with it."""
        resolved, batch, memory = self._resolved, self._batch, self.memory
        backend, functional = resolved.backend, resolved.functional
        stored = (policy.integrals, policy.schwarz_float64, policy.coulomb_exchange)
        terms: list[Term] = [
            self._once(
                (TwoElectron, stored),
                lambda: TwoElectron(
                    batch,
                    resolved.integrals.two_electron(batch.layout),
                    functional,
                    policy,
                    memory,
                    resolved.fitting,
                ),
            )
        ]
        if functional.family != "none":
            terms.append(
                self._once(
                    (ExchangeCorrelation, policy),
                    lambda: ExchangeCorrelation(
                        batch,
                        backend,
                        functional,
                        self.grids,
                        resolved.grid,
                        policy,
                        self._capacity,
                        memory,
                        resolved.spec.grid_response,
                    ),
                )
            )
        if functional.vv10 is not None:
            grid, parameters = resolved.nonlocal_grid, functional.vv10
            assert grid is not None
            terms.append(
                self._once(
                    NonlocalCorrelation,
                    lambda: NonlocalCorrelation(
                        batch, grid, parameters, memory, resolved.spec.grid_response, backend
                    ),
                )
            )
        return Hamiltonian(self, policy, terms)

    def _once(self, key: Any, make: Any) -> Term:
        if key not in self._shared:
            self._shared[key] = make()
            self.memory.add(self._shared[key])
        return self._shared[key]

    def coarse_grid(self, first: PrecisionPolicy, shape: tuple[int, int, int, int]) -> CoarseGrid | None:
        """Return a coarse grid for early iterations, if the first phase's policy asks for one and the grid is large
        enough.

        `shape`: of the padded densities. Whoever asks closes it, and takes it off `memory`.
        """
        resolved, batch = self._resolved, self._batch
        spec = coarse_spec(resolved.grid) if resolved.functional.family != "none" else None
        if first.early_grid is None or spec is None:
            return None
        with self.profile.stage("grid"):
            grids = batch_grids(batch.atomic_numbers, batch.positions, spec.grid, batch.present)
        made = CoarseGrid(spec, grids, shape)
        self.memory.add(made)
        return made

    def note(self, hamiltonian: Hamiltonian) -> None:
        """Remember what the stages of a Hamiltonian that was evaluated used."""
        policy = hamiltonian.policy
        for stage in ("integrals", "orbitals", "functional", "accumulation"):
            self.dtypes[stage].add(getattr(policy, stage))
        if policy.schwarz_float64 is not None:
            self.dtypes["integrals"].add("float64")
        for term in hamiltonian.terms:
            if isinstance(term, TwoElectron):
                self.dtypes["coulomb_exchange"] |= term.dtypes

    def constants(self) -> dict[str, Float64[np.ndarray, "batch"]]:
        """Return energies by name that do not depend on the density, hartree."""
        out = dict(self.repulsion.constant())
        return out if self.dispersion is None else out | dict(self.dispersion.constant())

    def gradient(
        self,
        hamiltonian: Hamiltonian,
        density: Float64[np.ndarray, "active spin nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return the derivative of the energy by the positions of the nuclei, hartree/bohr, all terms in a fixed
        order.
        """
        terms: list[Term] = [self.core, *hamiltonian.terms, self.repulsion]
        if self.dispersion is not None:
            terms.append(self.dispersion)
        out = np.zeros((len(lanes), self._batch.natm, 3))
        for term in terms:
            with self.profile.stage(f"gradient: {term.name}"):
                out += term.gradient(density, energy_weighted_density, lanes)
        return out

    def held_bytes(self) -> int:
        """Return the bytes of integrals and AO values held at present."""
        return self.memory.held()

    def close(self) -> None:
        """Free integrals and AO values; a term that is used again makes its own anew."""
        for term in self._shared.values():
            term.close()
