"""Kinetic energy and attraction to the nuclei: linear in the density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.energy.term import Term

if TYPE_CHECKING:
    from scfx.contracts.backend import OneElectron
    from scfx.energy.integral_sources import IntegralSources
    from scfx.model.batch import Batch


class CoreHamiltonian(Term):
    """T + V of a batch, core potentials included. Its gradient also has the overlap's part, which goes with W."""

    name = "core"

    def __init__(self, batch: Batch, sources: IntegralSources):
        self._batch = batch
        self._sources = sources
        self.integrals: OneElectron = sources.one_electron(batch)

    def matrix(self) -> Float64[np.ndarray, "batch nao nao"]:
        """Return the core Hamiltonian of each entry in hartree."""
        return self.integrals.kinetic + self.integrals.nuclear

    def energies(self, density: Float64[np.ndarray, "batch nao nao"]) -> dict[str, np.ndarray]:
        """Return the kinetic energy and attraction to the nuclei (and their core potentials) at the total densities."""
        return {
            "kinetic": np.einsum("bij,bij->b", density, self.integrals.kinetic),
            "nuclear_attraction": np.einsum("bij,bij->b", density, self.integrals.nuclear),
        }

    def gradient(
        self,
        density: Float64[np.ndarray, "active spin nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return tr D ∂(T + V) - tr W ∂S, hartree/bohr, as `Term.gradient` asks."""
        total = np.ascontiguousarray(density.sum(axis=1))
        return self._sources.one_electron_gradient(self._batch, lanes, total, energy_weighted_density)
