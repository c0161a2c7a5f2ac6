"""What a backend gives that takes over the grid contractions."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float64, Int32

from scfx.contracts.backend import AbstractIntegralBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.functional import Family
    from scfx.model.batch import Batch


class AbstractGridOperator(abc.ABC):
    """Grid contractions of one batch in blocks of points. The driver evaluates the functional between the two.

    Components at a point: rho; for "gga" also ∂rho/∂x, y, z; for "mgga" also tau. `lanes` are the entries to work
    on, in ascending order; outputs lead with them.
    """

    #: Number of point blocks; all have the same number of points (padded points have zero weight).
    n_blocks: int

    @abc.abstractmethod
    def weights(self, block: int, lanes: Int32[np.ndarray, "active"]) -> Float64[Any, "active point"]:
        """Return the quadrature weights of a block in bohr³."""

    @abc.abstractmethod
    def density(
        self, block: int, density: Float[Any, "active nspin nao nao"], lanes: Int32[np.ndarray, "active"]
    ) -> Float[Any, "active nspin component point"]:
        """Return the density components of each spin on a block."""

    @abc.abstractmethod
    def potential(
        self,
        block: int,
        derivative: Float[Any, "active nspin component point"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[Any, "active nspin nao nao"]:
        """Return the contribution of a block to the potential matrix, V_ij = Σ_g Σ_c derivative_cg ∂(component
        c)/∂D_ij.

        `derivative` already includes the quadrature weight.
        """

    def add_potential(
        self,
        block: int,
        derivative: Float[Any, "active nspin component point"],
        lanes: Int32[np.ndarray, "active"],
        out: Float64[np.ndarray, "active nspin nao nao"],
    ) -> None:
        """Add `potential` to `out` in place. Override where that saves a copy."""
        out += np.asarray(self.potential(block, derivative, lanes))

    def held_bytes(self) -> int:
        """Return the bytes of AO values held: part of the memory budget."""
        return 0

    def close(self) -> None:  # noqa: B027
        """Free what is held."""


class AbstractGridBackend(AbstractIntegralBackend):
    """Marker: takes over the grid contractions from the portable JAX ones."""

    @abc.abstractmethod
    def grid_operator(
        self,
        batch: Batch,
        points: Sequence[Float64[np.ndarray, "npoint 3"]],
        weights: Sequence[Float64[np.ndarray, "npoint"]],
        family: Family,
        policy: PrecisionPolicy,
        memory_budget: int,
    ) -> AbstractGridOperator:
        """Return an operator on `points` (bohr) and `weights` (bohr³) by entry, which may differ in number; blocks are
        the backend's.
        """


class AbstractNonlocalBackend(AbstractIntegralBackend):
    """A marker of backends that sum over pairs of points for VV10, in place of the portable JAX functions.

    `points` are x, y, z (bohr), ω, κ and W, the weight times the density, of one entry, without those of negligible
    density. Below, R_ij is the distance of points i and j, g = ω_i R_ij² + κ_i, g' = ω_j R_ij² + κ_j, and
    N = g g' (g + g'). Results depend on the points alone, whatever the number of threads.
    """

    @abc.abstractmethod
    def nonlocal_pair_sums(self, points: Float64[np.ndarray, "6 n"]) -> Float64[np.ndarray, "3 n"]:
        """Return at each point i Σ_j W_j/N, Σ_j (W_j/N) [1/g + 1/(g + g')], and that times R_ij²; i = j counts."""

    @abc.abstractmethod
    def nonlocal_pair_derivatives(self, points: Float64[np.ndarray, "6 n"]) -> Float64[np.ndarray, "4 n"]:
        """Return at each point i Σ_j W_j/N, and Σ_j (W_j/N) [ω_i/g + ω_j/g' + (ω_i + ω_j)/(g + g')] (r_i - r_j)."""
