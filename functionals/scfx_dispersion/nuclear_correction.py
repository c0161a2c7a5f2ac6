"""What the corrections of this package share: a library evaluates energy and gradient together, from nuclei alone."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
from jaxtyping import Float64

from scfx.abstract import AbstractDispersionCorrection
from scfx.errors import InputError
from scfx.model.system import System


class AbstractNuclearCorrection(AbstractDispersionCorrection):
    """A correction that `_evaluated` gives whole."""

    @abc.abstractmethod
    def _evaluated(self, system: System, grad: bool) -> dict[str, Any]:
        """Return "energy" in hartree and, with `grad`, "gradient" [natm, 3] in hartree/bohr.

        Raises `InputError` for an element without parameters.
        """

    def energy(self, system: System) -> float:
        """Return the correction of one system in hartree."""
        return float(self._evaluated(system, grad=False)["energy"])

    def gradient(self, system: System) -> Float64[np.ndarray, "natm 3"]:
        """Return the derivative of the correction by the positions, hartree/bohr."""
        return np.asarray(self._evaluated(system, grad=True)["gradient"], dtype=np.float64)


def refuse_heavy(system: System, what: str, limit: int) -> None:
    """Raise `InputError` for a system with an element heavier than `limit`, the last one that `what` has."""
    heaviest = int(max(system.atomic_numbers))
    if heaviest > limit:
        raise InputError(f"{what} has elements up to {limit}, {system!r} has {heaviest}")
