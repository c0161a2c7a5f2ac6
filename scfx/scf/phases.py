"""The precision phases of one batch, and the integrals and AO values that each works with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int32

from scfx.abstract import (
    AbstractAttenuatedBackend,
    AbstractGridBackend,
    AbstractLaneTwoElectron,
    AbstractTwoElectron,
)
from scfx.errors import CapabilityError
from scfx.grid import batch_grids
from scfx.precision import PrecisionPolicy
from scfx.scf.backend_quadrature import BackendQuadrature
from scfx.scf.integrate import Quadrature
from scfx.scf.nonlocal_correlation import NonlocalCorrelation

if TYPE_CHECKING:
    from scfx.batch import Batch
    from scfx.spec import ResolvedSpec

#: A cheap phase hands over to the refined one below this orbital gradient (or its own floor, if larger).
HANDOVER_GRADIENT = 3e-5


@dataclass
class Phase:
    """A precision policy with the operators that honour it, built when first used."""

    policy: PrecisionPolicy
    gradient: float
    energy: float
    operators: list[tuple[float, AbstractTwoElectron]] = field(default_factory=list)
    quadrature: Quadrature | BackendQuadrature | None = None
    ready: bool = False

    def dtypes(self) -> dict[str, set[str]]:
        """What the policy asks of the stages whose results do not tell."""
        policy = self.policy
        stages = ("integrals", "orbitals", "functional", "accumulation")
        used = {stage: {getattr(policy, stage)} for stage in stages}
        if policy.schwarz_float64 is not None:
            used["integrals"].add("float64")
        return used

    def finish(self) -> None:
        """Free the AO values of a phase that every entry has left (they are made again if one comes back)."""
        if self.quadrature is not None:
            self.quadrature.close()
            self.quadrature = None


def coulomb_exchange_of(
    operator: AbstractTwoElectron, density: np.ndarray, lanes: Int32[np.ndarray, "some"], exchange: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """J and K of some entries, by whichever of its methods an operator has; K may be None if not `exchange`."""
    if isinstance(operator, AbstractLaneTwoElectron):
        return operator.coulomb_exchange_lanes(density, lanes, exchange)
    j, k = operator.coulomb_exchange(density)
    return np.asarray(j)[lanes], np.asarray(k)[lanes]


class Phases:
    """The phases that `policy` takes, in order. `close` frees what they hold."""

    def __init__(
        self,
        resolved: ResolvedSpec,
        batch: Batch,
        capacity: int,
        memory_budget: int,
        policy: PrecisionPolicy,
    ):
        self._spec = resolved
        self._batch = batch
        self._capacity = capacity
        self._memory_budget = memory_budget
        self._nonlocal: NonlocalCorrelation | None = None
        wanted, last = resolved.convergence, policy.refined()
        self._phases = [
            Phase(last, max(wanted.gradient, last.gradient_floor), max(wanted.energy, last.energy_floor))
        ]
        if policy.final is not None:
            handover = max(HANDOVER_GRADIENT, wanted.gradient, policy.gradient_floor)
            self._phases.insert(0, Phase(policy, handover, np.inf))

    def __len__(self) -> int:
        return len(self._phases)

    def __getitem__(self, index: int) -> Phase:
        return self._phases[index]

    def __iter__(self) -> Iterator[Phase]:
        return iter(self._phases)

    def prepare(self, phase: Phase, memory_budget: int) -> None:
        """Compute the integrals of a phase, or take those of one that differs only in what it does with them."""
        backend, functional = self._spec.backend, self._spec.functional
        # Range separation keeps two sets of integrals.
        budget = memory_budget // (2 if functional.long_range_exchange else 1)
        accumulation = phase.policy.coulomb_exchange
        sharing = [p for p in self if p.ready and p.policy.coulomb_exchange == accumulation]
        if sharing:
            phase.operators = sharing[0].operators
        else:
            operator = backend.two_electron(self._batch, phase.policy, budget)
            phase.operators = [(functional.exact_exchange, operator)]
            if functional.long_range_exchange:
                if not isinstance(backend, AbstractAttenuatedBackend):
                    raise CapabilityError(
                        "scf.backend",
                        f"{backend.name!r} has no erf-attenuated integrals, which this range-separated functional "
                        f"(omega = {functional.omega}) needs; use backend = 'libcint'",
                    )
                attenuated = backend.attenuated_two_electron(
                    self._batch, functional.omega, phase.policy, budget
                )
                phase.operators.append((functional.long_range_exchange, attenuated))
        phase.ready = True

    def quadrature(
        self, grids: list[tuple[np.ndarray, np.ndarray]], policy: PrecisionPolicy, memory_budget: int
    ) -> Quadrature | BackendQuadrature:
        """The functional on the given points and weights of each entry; the caller closes it."""
        backend, functional = self._spec.backend, self._spec.functional
        if not isinstance(backend, AbstractGridBackend):
            return Quadrature(self._batch, grids, functional, policy, self._capacity, memory_budget)
        operator = backend.grid_operator(
            self._batch,
            [points for points, _ in grids],
            [weights for _, weights in grids],
            functional.family,
            policy,
            memory_budget,
        )
        return BackendQuadrature(operator, self._batch, functional, policy)

    def nonlocal_correlation(self) -> NonlocalCorrelation:
        """The VV10 part, which all phases share: it is always float64."""
        if self._nonlocal is None:
            grid, parameters = self._spec.nonlocal_grid, self._spec.functional.vv10
            assert grid is not None
            assert parameters is not None
            grids = batch_grids(self._batch.atomic_numbers, self._batch.positions, grid)
            self._nonlocal = NonlocalCorrelation(self._batch, grids, parameters, self._memory_budget)
        return self._nonlocal

    def _operators(self) -> list[AbstractTwoElectron]:
        """Each once: phases may share them."""
        return list({id(o): o for phase in self for _, o in phase.operators}.values())

    def held_bytes(self) -> int:
        """Bytes of integrals and AO values held at present (those of the VV10 part apart)."""
        pairs = self._batch.nao * (self._batch.nao + 1) // 2
        # An operator that does not say is taken to hold all unique integrals in float64.
        unknown = min(self._memory_budget, len(self._batch) * pairs * (pairs + 1) // 2 * 8)
        stated = [o.held_bytes() for o in self._operators()]
        held = [unknown if bytes_ is None else bytes_ for bytes_ in stated]
        return sum(held) + sum(p.quadrature.held_bytes() for p in self if p.quadrature is not None)

    def close(self) -> None:
        """Free integrals and AO values; a phase that is used again makes its own anew."""
        for operator in self._operators():
            operator.close()
        for phase in self:
            phase.finish()
            phase.operators, phase.ready = [], False
        if self._nonlocal is not None:
            self._nonlocal.close()
            self._nonlocal = None
