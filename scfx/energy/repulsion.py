"""The repulsion of the nuclei."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.energy.term import Term

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scfx.model.batch import Batch


class NuclearRepulsion(Term):
    """The repulsion of the nuclei, Σ_{a<b} Z_a Z_b / R_ab, with the charges that core potentials leave."""

    name = "nuclear_repulsion"

    def __init__(self, batch: Batch):
        self._batch = batch

    def constant(self) -> Mapping[str, Float64[np.ndarray, "batch"]]:
        """Return the repulsion energies by name, in hartree."""
        return {self.name: self._batch.nuclear_repulsion}

    def gradient(
        self,
        density: Float64[np.ndarray, "active spin nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return the derivative of the repulsion by the positions of the nuclei, hartree/bohr."""
        charges, positions = self._batch.nuclear_charges[lanes], self._batch.positions[lanes]
        out = np.zeros_like(positions)
        for a in range(positions.shape[1]):
            for b in range(a):
                away = positions[:, a] - positions[:, b]
                cubed = np.sqrt((away * away).sum(axis=1)) ** 3
                force = (charges[:, a] * charges[:, b] / cubed)[:, None] * away
                out[:, a] -= force
                out[:, b] += force
        return out
