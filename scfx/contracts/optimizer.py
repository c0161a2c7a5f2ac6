"""What relaxes one molecule: an optimiser that is given energies and gradients in lock step with those of others."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64

    from scfx.model.system import System

_EV_PER_ANGSTROM = HARTREE_IN_EV / BOHR_IN_ANGSTROM
_NUMBER_OF_ATOMS = {"distance": 2, "angle": 3, "torsion": 4}


class Constraint(BaseModel):
    """One `{ keep = "torsion", atoms = [0, 1, 2, 3] }`; atoms are counted from 0, in the system's own order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep: Literal["atoms", "distance", "angle", "torsion"]
    atoms: tuple[int, ...]

    @model_validator(mode="after")
    def _right_number_of_atoms(self) -> Constraint:
        expected = _NUMBER_OF_ATOMS.get(self.keep)
        if not self.atoms or (expected is not None and len(self.atoms) != expected):
            raise ValueError(
                f"keep = {self.keep!r} needs {expected or 'at least one'} atoms, got {list(self.atoms)}"
            )
        if len(set(self.atoms)) < len(self.atoms):
            raise ValueError(f"atoms = {list(self.atoms)} names one twice")
        return self


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
        """Return whether a Cartesian gradient (hartree/bohr) and the step planned from there (bohr) are small
        enough.
        """
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


class AbstractOptimizer(abc.ABC):
    """One molecule's relaxation. What it does depends on its start and on what `advance` is given, and nothing else."""

    #: As `optimizer =` names it.
    name: ClassVar[str]
    #: The library and what of it, for people.
    summary: ClassVar[str]
    #: Distributions whose versions decide the steps.
    distributions: ClassVar[tuple[str, ...]]
    #: Whether it can keep atoms and internal coordinates as they are.
    constrains: ClassVar[bool] = False

    @abc.abstractmethod
    def __init__(self, system: System, criteria: Criteria, constraints: Sequence[Constraint]): ...

    @abc.abstractmethod
    def advance(
        self,
        positions: Float64[np.ndarray, "natm 3"],
        energy: float,
        gradient: Float64[np.ndarray, "natm 3"],
    ) -> Float64[np.ndarray, "natm 3"] | None:
        """Return the next positions in bohr after energy (hartree) and gradient (hartree/bohr); None:
        converged here.
        """

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """End of this molecule, converged or not; nothing is asked after it."""
