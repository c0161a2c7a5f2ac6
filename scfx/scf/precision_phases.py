"""The precision phases of a calculation: each a Hamiltonian, with the thresholds that an entry leaves it at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scfx.config.convergence import Convergence
    from scfx.config.precision import PrecisionPolicy
    from scfx.energy.hamiltonian import EnergyFunctional, Hamiltonian

#: A cheap phase hands over to the refined one below this orbital gradient (or its own floor, if larger).
HANDOVER_GRADIENT = 3e-5


@dataclass(frozen=True)
class PrecisionPhase:
    """A Hamiltonian, and the orbital gradient and energy change (hartree) below which an entry has done with it."""

    hamiltonian: Hamiltonian
    gradient: float
    energy: float

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
        phases.append(PrecisionPhase(energy.hamiltonian(policy), handover, np.inf))
    gradient, change = max(wanted.gradient, last.gradient_floor), max(wanted.energy, last.energy_floor)
    return [*phases, PrecisionPhase(energy.hamiltonian(last), gradient, change)]
