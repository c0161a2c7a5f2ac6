"""When a relaxation has converged: the field's criteria, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import ConfigError
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float64

_EV_PER_ANGSTROM = HARTREE_IN_EV / BOHR_IN_ANGSTROM
#: ASE's default of `Optimizer.run(fmax=)`, in eV/angstrom.
FMAX = 0.05


@dataclass(frozen=True)
class Criteria:
    """Thresholds in atomic units: of the gradient's largest element and root mean square, of the next step's.

    With `fmax` (eV/angstrom) only the longest force on one atom counts, and the others are None.
    """

    name: str
    gradient_max: float | None = None
    gradient_rms: float | None = None
    step_max: float | None = None
    step_rms: float | None = None
    fmax: float | None = None

    def met(self, gradient: Float64[np.ndarray, "natm 3"], step: Float64[np.ndarray, "natm 3"]) -> bool:
        """Whether a Cartesian gradient (hartree/bohr) and the step planned from there (bohr) are small enough."""
        if self.fmax is not None:
            return float(np.linalg.norm(gradient, axis=1).max()) * _EV_PER_ANGSTROM < self.fmax
        return all(
            threshold is not None and value < threshold
            for value, threshold in (
                (float(np.abs(gradient).max()), self.gradient_max),
                (float(np.sqrt(np.mean(gradient**2))), self.gradient_rms),
                (float(np.abs(step).max()), self.step_max),
                (float(np.sqrt(np.mean(step**2))), self.step_rms),
            )
        )


#: Gaussian's: maximum force, RMS force, maximum displacement, RMS displacement (Gaussian 16 manual, keyword Opt).
CRITERIA = {
    "gau_loose": Criteria("gau_loose", 2.5e-3, 1.7e-3, 1.0e-2, 6.7e-3),
    "gau": Criteria("gau", 4.5e-4, 3.0e-4, 1.8e-3, 1.2e-3),
    "gau_tight": Criteria("gau_tight", 1.5e-5, 1.0e-5, 6.0e-5, 4.0e-5),
    "fmax": Criteria("fmax", fmax=FMAX),
}


def criteria_of(choice: str | Mapping[str, Any] | Criteria, key: str = "criteria") -> Criteria:
    """The criteria of a name, or of a table `{ fmax = 0.01 }` (eV/angstrom). `ConfigError` names what there is."""
    if isinstance(choice, Criteria):
        return choice
    known = f"one of {', '.join(CRITERIA)}, or a table {{ fmax = ... }} in eV/angstrom"
    if isinstance(choice, str):
        if choice not in CRITERIA:
            raise ConfigError(key, f"got {choice!r}, expected {known}")
        return CRITERIA[choice]
    value = dict(choice).get("fmax")
    if set(choice) != {"fmax"} or isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ConfigError(key, f"got {dict(choice)!r}, expected {known}")
    return Criteria("fmax", fmax=float(value))
