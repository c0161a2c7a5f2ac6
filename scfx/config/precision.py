"""`PrecisionPolicy`: which dtype each stage of an SCF calculation uses. Data, not code; it travels as an argument."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from scfx.errors import InputError

Dtype = Literal["float32", "float64"]


@dataclass(frozen=True)
class PrecisionPolicy:
    """Dtypes by stage. Totals are always assembled, and returned, in float64.

    Stages, in the order of a Fock build:

    - `integrals`: two-electron integrals as stored. "float32" with a finite `schwarz_float64` keeps in float64 every
      integral whose Schwarz bound sqrt((ij|ij)(kl|kl)) exceeds that many hartree, the rest in float32.
    - `coulomb_exchange`: accumulation of J and K.
    - `orbitals`: AO values on the grid and the two matrix contractions with them (density, potential matrix).
    - `functional`: evaluation and differentiation of the exchange-correlation energy density.
    - `accumulation`: sums over grid points and blocks, and every energy term.
    - `linear_algebra`: Fock diagonalisation in the iterations; the reported orbital energies come from a last one
      in float64, and orbitals are re-orthonormalised in float64. DIIS is always float64. An entry whose residual has
      come down to the rounding of float32 eigenvectors (heavy cores reach it first) goes on in float64.
    - `orthogonaliser`: S^(-1/2).
    - `final`: "float64" makes the last iterations, from which every result is reported, run all stages but the stored
      integrals in float64; None: no refinement.

    - `early_grid`: "coarse" lets iterations far from convergence use a coarse grid with a correction to the grid of the
      labels (`scfx.energy.exchange_correlation.coarse_grid`); every result is of the latter.

    `gradient_floor` and `energy_floor` (hartree): the tightest convergence thresholds that rounding leaves reachable;
    a run uses the larger of these and the asked thresholds, and its provenance says so.
    """

    name: str
    integrals: Dtype = "float64"
    coulomb_exchange: Dtype = "float64"
    orbitals: Dtype = "float64"
    functional: Dtype = "float64"
    accumulation: Dtype = "float64"
    linear_algebra: Dtype = "float64"
    orthogonaliser: Dtype = "float64"
    schwarz_float64: float | None = None
    final: Literal["float64"] | None = None
    early_grid: Literal["coarse"] | None = None
    gradient_floor: float = 0.0
    energy_floor: float = 0.0

    def __post_init__(self) -> None:
        for stage in STAGES:
            if getattr(self, stage) not in ("float32", "float64"):
                raise InputError(
                    f"precision policy {self.name!r}: stage {stage} is {getattr(self, stage)!r}, "
                    "expected 'float32' or 'float64'"
                )
        if self.early_grid not in (None, "coarse"):
            raise InputError(
                f"precision policy {self.name!r}: early_grid is {self.early_grid!r}, expected 'coarse' or None"
            )
        if self.accumulation != "float64":
            raise InputError(
                f"precision policy {self.name!r}: accumulation in float32 loses tens of meV "
                "(docs/precision.md); only 'float64' is supported"
            )

    def dtype(self, stage: str) -> np.dtype:
        """Return the numpy dtype of a stage."""
        return np.dtype(getattr(self, stage))

    def definition(self) -> dict[str, Any]:
        """Return what enters the spec hash: every field but the name, and `early_grid` where it is set."""
        fields = {key: value for key, value in asdict(self).items() if key != "name"}
        if self.early_grid is None:  # a policy without it is what it was before there was the field
            del fields["early_grid"]
        return fields

    def refined(self) -> PrecisionPolicy:
        """Return the policy of the last iterations: if `final` says so, all stages but the stored integrals in
        float64.
        """
        if self.final is None:
            return self
        return PrecisionPolicy(
            f"{self.name}+final", integrals=self.integrals, schwarz_float64=self.schwarz_float64
        )


STAGES = (
    "integrals", "coulomb_exchange", "orbitals", "functional", "accumulation", "linear_algebra", "orthogonaliser",
)  # fmt: skip

#: The policy of recovery, of the atomic guess, and of a core without plugins.
FLOAT64 = PrecisionPolicy("float64")
