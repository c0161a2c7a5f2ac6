"""VV10 non-local correlation on a grid of its own, with the potential that it adds.

A double sum over the points (`vv10`), so the grid is a coarser one than the functional's (`scf.nonlocal_grid`). Always
in float64, whatever the precision policy. A backend may do the contractions with AOs (`AbstractGridBackend`) and the
sums over pairs of points (`AbstractNonlocalBackend`); what it has not is done in JAX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.contracts.grid import AbstractNonlocalBackend
from scfx.energy.nonlocal_gradient import nonlocal_correlation_gradient
from scfx.energy.nonlocal_points import OperatorContractions, PortableContractions
from scfx.energy.term import Contribution, Term
from scfx.energy.vv10 import vv10
from scfx.errors import CapabilityError
from scfx.grid import batch_grids, owned_grids

if TYPE_CHECKING:
    from scfx.contracts.backend import AbstractIntegralBackend
    from scfx.energy.memory import MemoryBudget
    from scfx.grid import GridSpec
    from scfx.grid.molecular import PointsAndWeights
    from scfx.model.batch import Batch


class NonlocalCorrelation(Term):
    """The VV10 term of a batch, entry by entry; AO values are kept as far as what is left of the memory budget goes."""

    name = "nonlocal_correlation"

    def __init__(
        self,
        batch: Batch,
        grid: GridSpec,
        parameters: tuple[float, float],
        memory: MemoryBudget,
        grid_response: bool = True,
        backend: AbstractIntegralBackend | None = None,
    ):
        """`grid_response`: gradients follow the points and weights of this grid, too. `backend`: may take over work."""
        self._batch = batch
        self._grid_response = grid_response
        self._spec = grid
        self._parameters = parameters
        self._memory = memory
        self._backend = backend
        self._pairs = backend if isinstance(backend, AbstractNonlocalBackend) else None
        self._grids: list[PointsAndWeights] = []
        self._contractions: OperatorContractions | PortableContractions | None = None

    def initialize(self) -> None:
        """Make the grid, and decide which AO values are kept."""
        self._made()

    def _made(self) -> OperatorContractions | PortableContractions:
        if self._contractions is None:
            batch, memory = self._batch, self._memory
            self._grids = batch_grids(batch.atomic_numbers, batch.positions, self._spec)
            self._contractions = OperatorContractions.if_offered(
                batch, self._backend, self._grids, memory
            ) or PortableContractions(batch, self._grids, memory)
        return self._contractions

    def evaluate(
        self, density: Float64[Array, "lane spin n n"], lanes: Int32[np.ndarray, "active"]
    ) -> Contribution:
        """Return VV10 energies and potential matrices; the potential is the same for either spin."""
        contractions = self._made()
        matrices = np.asarray(density)
        energy = np.zeros(density.shape[0])
        potential = np.zeros((density.shape[0], *density.shape[2:]))
        for lane in map(int, lanes):
            components = contractions.components(lane, np.sum(matrices[lane], axis=0))
            energy[lane], derivative = vv10(components, *self._grids[lane], self._parameters, self._pairs)
            potential[lane] = contractions.potential(lane, derivative, density.shape[-1])
        return Contribution(potential=potential[:, None], energy=energy, parts={self.name: energy[lanes]})

    def gradient(
        self,
        density: Float64[np.ndarray, "active spin nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return dE_VV10/dR; with the response of points and weights unless the specification leaves it out."""
        contractions = self._made()
        return nonlocal_correlation_gradient(
            self._batch,
            owned_grids(self._batch.atomic_numbers, self._grids, self._spec),
            self._parameters,
            density,
            lanes,
            response=self._grid_response,
            contractions=contractions if isinstance(contractions, OperatorContractions) else None,
            pairs=self._pairs,
        )

    def response(
        self,
        density: Float64[Array, "lane spin n n"],
        change: Float64[np.ndarray, "batch spin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        opposite: bool = False,
    ) -> None:
        """Refuse: the response of VV10 to a change of the density is not built."""
        raise CapabilityError("scf.functional", "VV10 has no second derivative here")

    def held_bytes(self) -> int:
        """Return the bytes of AO values held at present."""
        return 0 if self._contractions is None else self._contractions.held_bytes()

    def close(self) -> None:
        """Free everything that the term holds."""
        if self._contractions is not None:
            self._contractions.close()
        self._grids, self._contractions = [], None
