"""What a dispersion correction gives: an energy of the nuclei alone."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from scfx.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scfx.model.system import System


class AbstractDispersionCorrection(abc.ABC):
    """An energy that depends on the nuclei alone and is added to the electronic one: D3, D4 and the like."""

    #: Name of the method, for results.
    name: str

    @abc.abstractmethod
    def energy(self, system: System) -> float:
        """Return the dispersion energy of one system in hartree. `InputError` for elements that have no parameters."""

    def gradient(self, system: System) -> Float64[np.ndarray, "natm 3"]:
        """Return the derivative of `energy` by the positions of the system's atoms, in its own order, hartree/bohr."""
        raise CapabilityError(
            "scf.functional",
            f"dispersion correction {self.name!r} has no nuclear gradient; use a functional with another correction "
            "(d3bj, d3zero, d4), or ask for no gradient",
        )

    @abc.abstractmethod
    def definition(self) -> Mapping[str, Any]:
        """Return plain data that identifies method and parameters: enters the spec hash."""
