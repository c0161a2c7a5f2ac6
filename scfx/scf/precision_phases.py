"""The precision phases of a calculation: each a Hamiltonian, with the thresholds that an entry leaves it at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scfx.config.convergence import Convergence
    from scfx.config.precision import PrecisionPolicy
    from scfx.energy.hamiltonian import EnergyFunctional, Hamiltonian

#: A cheap phase hands over to the refined one below this orbital gradient (or its own floor, if larger), so that the
#: first Fock matrix there may be the last ...
HANDOVER_GRADIENT = 1e-5
#: ... or below this many times as much, once an iteration no longer halves it: rounding may leave no less.
HANDOVER_STALLED = 3.0


@dataclass(frozen=True)
class PrecisionPhase:
    """A Hamiltonian, and the orbital gradient and energy change (hartree) below which an entry has done with it."""

    hamiltonian: Hamiltonian
    gradient: float
    energy: float
    #: Also below this many times `gradient` where an iteration did not halve the orbital gradient.
    stalled: float = 1.0

    def settled(self, gradient: float, before: float, change: float) -> bool:
        """Return whether an entry has done with the phase: its orbital gradient now and an iteration before, and its
        energy change.
        """
        limit = self.gradient * (self.stalled if gradient > 0.5 * before else 1.0)
        return gradient < limit and change < self.energy

    @property
    def policy(self) -> PrecisionPolicy:
        """Return the precision policy of the phase."""
        return self.hamiltonian.policy


def precision_phases(
    energy: EnergyFunctional, policy: PrecisionPolicy, wanted: Convergence
) -> list[PrecisionPhase]:
    """Return the phases that `policy` takes, in order; in the last one entries converge to the `wanted` thresholds."""
    last = policy.refined()
    phases = []
    if policy.final is not None:
        handover = max(HANDOVER_GRADIENT, wanted.gradient, policy.gradient_floor)
        phases.append(PrecisionPhase(energy.hamiltonian(policy), handover, np.inf, HANDOVER_STALLED))
    gradient, change = max(wanted.gradient, last.gradient_floor), max(wanted.energy, last.energy_floor)
    return [*phases, PrecisionPhase(energy.hamiltonian(last), gradient, change)]
