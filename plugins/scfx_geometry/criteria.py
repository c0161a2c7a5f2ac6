"""When a relaxation has converged: the field's criteria, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scfx.contracts.optimizer import Criteria
from scfx.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
#: ASE's default of `Optimizer.run(fmax=)`, in eV/angstrom.
FMAX = 0.05


#: Gaussian's: maximum force, RMS force, maximum displacement, RMS displacement (Gaussian 16 manual, keyword Opt).
CRITERIA = {
    "gau_loose": Criteria("gau_loose", 2.5e-3, 1.7e-3, 1.0e-2, 6.7e-3),
    "gau": Criteria("gau", 4.5e-4, 3.0e-4, 1.8e-3, 1.2e-3),
    "gau_tight": Criteria("gau_tight", 1.5e-5, 1.0e-5, 6.0e-5, 4.0e-5),
    "fmax": Criteria("fmax", fmax=FMAX),
}


def criteria_of(choice: str | Mapping[str, Any] | Criteria, key: str = "criteria") -> Criteria:
    """Return the criteria of a name, or of a table `{ fmax = 0.01 }` (eV/angstrom). `ConfigError` names what
    there is.
    """
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
