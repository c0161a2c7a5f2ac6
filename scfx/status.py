"""How an entry ended: `Status`, and `Stability` of what it converged to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How an entry ended; `explain` says what to change."""

    CONVERGED = "converged"
    NOT_CONVERGED = "not_converged"
    FAILED = "failed"
    NOT_DONE = "not_done"

    def explain(self) -> str:
        """Return what the status means, in words."""
        return {
            Status.CONVERGED: "energy change and orbital gradient are below the thresholds",
            Status.NOT_CONVERGED: "still above the thresholds after every rung of the recovery ladder: "
            "check geometry, charge and multiplicity, raise convergence.max_iterations, or use precision = 'float64'",
            Status.FAILED: "the calculation could not be carried out; see `reason`",
            Status.NOT_DONE: "the calculation was interrupted before this system was done: solve it again",
        }[self]


#: Eigenvalues (hartree) above this count as zero: turning an atom's open shell costs only the grid's noise.
INSTABILITY = -1e-4


@dataclass(frozen=True)
class Stability:
    """Whether a converged solution is a minimum: the lowest eigenvalues of A + B (Bauernschmitt and Ahlrichs 1996).

    In hartree. `internal`: among solutions of its own kind (restricted or unrestricted). `external`: of a restricted
    solution, towards unrestricted ones; None for an unrestricted solution. Infinity where there is nothing to rotate,
    NaN where no eigenvalue was found.
    """

    internal: float
    external: float | None = None

    @property
    def verdict(self) -> str:
        """Return "stable", "internally unstable" (a lower solution of its kind is near), "externally unstable", and
        "unknown" where an eigenvalue was not found."""
        external = math.inf if self.external is None else self.external
        if self.internal < INSTABILITY:
            return "internally unstable"
        if external < INSTABILITY:
            return "externally unstable"
        return "unknown" if math.isnan(self.internal) or math.isnan(external) else "stable"
