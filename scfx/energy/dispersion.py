"""A dispersion correction: an energy of the nuclei alone, in the functional's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.energy.term import Term

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scfx.contracts.dispersion import AbstractDispersionCorrection
    from scfx.model.batch import Batch
    from scfx.model.system import System


class Dispersion(Term):
    """D3, D4 and the like. Added to the converged energy, since it does not depend on the density."""

    name = "dispersion"

    def __init__(self, batch: Batch, correction: AbstractDispersionCorrection):
        self._batch = batch
        self._correction = correction
        self._energy = np.array([correction.energy(system.without_ghosts()) for system in batch.systems])

    def constant(self) -> Mapping[str, Float64[np.ndarray, "batch"]]:
        """Return the dispersion energies of the batch, by name, in hartree."""
        return {self.name: self._energy}

    def gradient(
        self,
        density: Float64[np.ndarray, "active spin nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return the derivative of the dispersion energies by the positions of the nuclei, hartree/bohr."""
        batch = self._batch
        own = [self._of_atoms(batch.systems[lane]) for lane in lanes]
        return np.stack([g[batch.atom_order[lane]] for g, lane in zip(own, lanes, strict=True)])

    def _of_atoms(self, system: System) -> Float64[np.ndarray, "natm 3"]:
        out = np.zeros((system.natm, 3))
        out[~system.ghost] = np.asarray(self._correction.gradient(system.without_ghosts()))
        return out
