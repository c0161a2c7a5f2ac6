"""The exchange-correlation term: the functional on a grid, by whichever quadrature the backend allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.config.precision import FLOAT64
from scfx.contracts.derivatives import AbstractGridGradientOperator
from scfx.contracts.grid import AbstractGridBackend
from scfx.energy.exchange_correlation.backend import BackendQuadrature
from scfx.energy.exchange_correlation.gradient import exchange_correlation_gradient
from scfx.energy.exchange_correlation.portable import PortableQuadrature, Totals
from scfx.energy.term import Contribution, Term
from scfx.grid.owners import owned_grids

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.backend import AbstractIntegralBackend
    from scfx.contracts.functional import AbstractFunctional
    from scfx.energy.memory import MemoryBudget
    from scfx.grid import GridSpec
    from scfx.grid.molecular import PointsAndWeights
    from scfx.model.batch import Batch


def quadrature_of(
    batch: Batch,
    backend: AbstractIntegralBackend,
    functional: AbstractFunctional,
    grids: list[PointsAndWeights],
    policy: PrecisionPolicy,
    capacity: int,
    memory_budget: int,
) -> PortableQuadrature | BackendQuadrature:
    """Return the functional on the given points and weights of each entry; whoever asks closes it."""
    if not isinstance(backend, AbstractGridBackend):
        return PortableQuadrature(batch, grids, functional, policy, capacity, memory_budget)
    operator = backend.grid_operator(
        batch,
        [points for points, _ in grids],
        [weights for _, weights in grids],
        functional.family,
        policy,
        memory_budget,
    )
    return BackendQuadrature(operator, batch, functional, policy)


def contribution_of(totals: Totals, lanes: Int32[np.ndarray, "active"]) -> Contribution:
    """Return what the sums over a grid add to energy and Fock matrices."""
    energy = np.asarray(totals.energy)[lanes]
    return Contribution(
        potential=totals.potential,
        energy=totals.energy,
        parts={"exchange_correlation": energy},
        electrons=np.asarray(totals.electrons)[lanes],
    )


class ExchangeCorrelation(Term):
    """A functional on the grid of the labels, in one precision policy."""

    name = "exchange_correlation"

    def __init__(
        self,
        batch: Batch,
        backend: AbstractIntegralBackend,
        functional: AbstractFunctional,
        grids: list[PointsAndWeights],
        spec: GridSpec,
        policy: PrecisionPolicy,
        capacity: int,
        memory: MemoryBudget,
        grid_response: bool = True,
    ):
        """`grids`: points and weights of each entry, which are those of `spec`. `grid_response`: of gradients."""
        self._batch = batch
        self._backend = backend
        self._functional = functional
        self._grids = grids
        self._spec = spec
        self._grid_response = grid_response
        self.policy = policy
        self._capacity = capacity
        self._memory = memory
        self._quadrature: PortableQuadrature | BackendQuadrature | None = None
        self._differentiated: PortableQuadrature | None = None

    def initialize(self) -> None:
        """Make the quadrature, which keeps AO values as far as the budget goes."""
        if self._quadrature is None:
            self._quadrature = self.on_grids(self._grids, self.policy)

    def on_grids(
        self, grids: list[PointsAndWeights], policy: PrecisionPolicy
    ) -> PortableQuadrature | BackendQuadrature:
        """Return a quadrature of this functional on other points, or in another precision; whoever asks closes it."""
        return quadrature_of(
            self._batch, self._backend, self._functional, grids, policy, self._capacity, self._memory.left()
        )

    def totals(self, density: Float64[Array, "lane spin n n"], lanes: Int32[np.ndarray, "active"]) -> Totals:
        """Return sums over the grid of the labels for some entries."""
        self.initialize()
        assert self._quadrature is not None
        return self._quadrature.evaluate(density, lanes)

    def evaluate(
        self, density: Float64[Array, "lane spin n n"], lanes: Int32[np.ndarray, "active"]
    ) -> Contribution:
        """Return exchange-correlation energies and potential matrices at the given densities."""
        return contribution_of(self.totals(density, lanes), lanes)

    def gradient(
        self,
        density: Float64[np.ndarray, "active spin nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return dE_xc/dR; with the response of points and weights unless the specification leaves it out."""
        self.initialize()
        operator = None
        if isinstance(self._quadrature, BackendQuadrature) and isinstance(
            self._quadrature.operator, AbstractGridGradientOperator
        ):
            operator = self._quadrature.operator
        return exchange_correlation_gradient(
            self._batch,
            owned_grids(self._batch.atomic_numbers, self._grids, self._spec),
            self._functional,
            self.policy,
            density,
            lanes,
            response=self._grid_response,
            operator=operator,
        ).gradient

    def response(
        self,
        density: Float64[Array, "lane spin n n"],
        change: Float64[np.ndarray, "batch spin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        opposite: bool = False,
    ) -> Float64[np.ndarray, "active spin nao nao"]:
        """Return the change of the potential with the density: JAX differentiates the portable quadrature in
        float64.
        """
        if self._differentiated is None:
            self._differentiated = PortableQuadrature(
                self._batch, self._grids, self._functional, FLOAT64, self._capacity, self._memory.left()
            )
        quadrature, n, nspin = self._differentiated, self._batch.nao, change.shape[1]
        # Both spins, whatever the solution: a restricted one may be asked to split them.
        if nspin == 1:
            density = 0.5 * jnp.concatenate([density, density], axis=1)
            change = np.concatenate([change, -change if opposite else change], axis=1)
        direction = np.zeros(density.shape)
        direction[: len(change), :, :n, :n] = change
        _, response = jax.jvp(
            lambda d: quadrature.evaluate(d, lanes).potential, (density,), (jnp.asarray(direction),)
        )
        return np.asarray(response)[lanes, :nspin, :n, :n]

    def held_bytes(self) -> int:
        """Return the bytes of AO values held at present."""
        made = [q for q in (self._quadrature, self._differentiated) if q is not None]
        return sum(quadrature.held_bytes() for quadrature in made)

    def rest(self) -> None:
        """Drop the AO values; they are made again when they are needed."""
        for quadrature in (self._quadrature, self._differentiated):
            if quadrature is not None:
                quadrature.close()
        self._quadrature = self._differentiated = None

    def close(self) -> None:
        """Free the AO values of all grids."""
        self.rest()
