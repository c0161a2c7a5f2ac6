"""When an SCF calculation has converged, and the named sets of thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from scfx.model.system import HARTREE_IN_EV


class Convergence(BaseModel):
    """When an SCF calculation has converged.

    `rule` "gradient": the energy changed by less than `energy` (hartree) and the largest element of the orbital
    gradient X^T(FDS - SDF)X is below `gradient` (hartree), within `max_iterations`. `rule` "qm1b" is the paper's
    (Mathiasen et al. 2023): always `max_iterations` iterations, converged if the standard deviation of the last five
    energies is below `energy` (0.01 eV); `gradient` is then not used. `diis_space`: Fock matrices that DIIS combines.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    energy: float = Field(default=1e-9, gt=0)
    gradient: float = Field(default=5e-7, gt=0)
    max_iterations: int = Field(default=60, ge=1)
    diis_space: int = Field(default=8, ge=1)
    rule: Literal["gradient", "qm1b"] = "gradient"

    def definition(self) -> dict[str, Any]:
        """Return what enters the spec hash."""
        return self.model_dump(exclude={"gradient"} if self.rule == "qm1b" else None)


CONVERGENCE_PRESETS: dict[str, Convergence] = {
    "default": Convergence(),
    "tight": Convergence(energy=1e-10, gradient=1e-8),
    # The error of a gradient is of first order in the density's, and so in the residual: below 1e-8 hartree/bohr here.
    "forces": Convergence(energy=1e-9, gradient=1e-8),
    "loose": Convergence(energy=1e-6, gradient=1e-4),
    "qm1b": Convergence(rule="qm1b", energy=0.01 / HARTREE_IN_EV, max_iterations=20, diis_space=9),
}

#: "forces" where integrals are stored in float32: its share of the error stays below 3e-8 hartree/bohr, which is less
#: than a tenth of what the integrals cost.
FORCES_BELOW_FLOAT64 = Convergence(energy=1e-9, gradient=1e-7)


def convergence_fields(value: Any) -> Any:
    """Return the name of a preset, or a table with an optional `preset`, as the fields of a `Convergence`."""
    if isinstance(value, str):
        value = {"preset": value}
    if not isinstance(value, Mapping):
        return value
    fields = dict(value)
    preset = fields.pop("preset", "default")
    if not isinstance(preset, str) or preset not in CONVERGENCE_PRESETS:
        raise ValueError(f"unknown preset {preset!r} (presets: {', '.join(CONVERGENCE_PRESETS)})")
    base = CONVERGENCE_PRESETS[fields["rule"] if fields.get("rule") == "qm1b" else preset]
    return {**base.model_dump(), **fields}
