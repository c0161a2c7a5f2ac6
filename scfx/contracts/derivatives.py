"""What a backend gives for nuclear gradients: derivative integrals, contracted as they are made, never stored.

All gradients are derivatives of the energy in hartree/bohr (forces are minus these), float64, over the atoms of the
batch in the batch's own order: [active, natm, 3]. They hold the density matrix fixed; the response of the orbitals
enters through the energy-weighted density alone (P. Pulay, Mol. Phys. 17, 197 (1969)).
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int, Int32

from scfx.contracts.backend import AbstractIntegralBackend
from scfx.contracts.grid import AbstractGridOperator
from scfx.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.config.precision import PrecisionPolicy
    from scfx.grid import Grid
    from scfx.model.batch import Batch

Operator = Literal["coulomb", "erf", "erfc"]


class TwoElectronEnergy(NamedTuple):
    """One two-electron contribution to the energy: which integrals, and how much of their J and K it takes.

    With D the total density and D_s that of spin s, the energy is

        coulomb · ½ Σ D_ij (ij|kl) D_kl  -  exchange · ½ k Σ_s Σ D_s,ik (ij|kl) D_s,jl

    where k is ½ if there is one (total) density matrix, 1 if there are two. `omega` (bohr⁻¹) belongs to "erf", the
    operator erf(omega r)/r, and "erfc", its complement; it is 0 for "coulomb".
    """

    operator: Operator = "coulomb"
    omega: float = 0.0
    coulomb: float = 1.0
    exchange: float = 0.0


class AbstractGradientBackend(AbstractIntegralBackend):
    """Marker: gives the derivatives of its integrals by the positions of the nuclei; its offer says `derivatives=1`."""

    @abc.abstractmethod
    def one_electron_gradient(
        self,
        batch: Batch,
        lanes: Int32[np.ndarray, "active"],
        density: Float64[np.ndarray, "active nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return Σ_ij D_ij ∂(T + V)_ij/∂R - Σ_ij W_ij ∂S_ij/∂R of the entries `lanes`, for symmetric D (total) and W.

        V is the attraction to `batch.nuclear_charges`, whose own motion counts too, and any core potentials.
        """

    @abc.abstractmethod
    def two_electron_gradient(
        self,
        batch: Batch,
        lanes: Int32[np.ndarray, "active"],
        density: Float64[np.ndarray, "active nspin nao nao"],
        energies: Sequence[TwoElectronEnergy],
        policy: PrecisionPolicy,
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return the derivative of the sum of `energies` at fixed density, for the entries `lanes`.

        The two-particle density is float64 under every policy; integrals are in the policy's precision, within its
        Schwarz bound.
        """


def gradient_backend(backend: AbstractIntegralBackend) -> AbstractGradientBackend:
    """Return the backend, as one that has derivative integrals; `CapabilityError` otherwise."""
    if isinstance(backend, AbstractGradientBackend):
        return backend
    raise CapabilityError(
        "scf.backend",
        f"backend {backend.name!r} has no derivative integrals, which gradients need, but for those of "
        "scf.properties = [{ name = 'gradient', method = 'five_point' }]",
    )


class AbstractGridGradientOperator(AbstractGridOperator):
    """Marker: a grid operator that also differentiates by the positions of its functions' centres."""

    @abc.abstractmethod
    def order(self, block: int, lanes: Int32[np.ndarray, "active"]) -> Int32[np.ndarray, "active point"]:
        """Return where each point of a block stands among the points that the operator was given; -1 where
        filled up.
        """

    @abc.abstractmethod
    def gradient(
        self,
        block: int,
        density: Float[Any, "active nspin nao nao"],
        derivative: Float[Any, "active nspin component point"],
        lanes: Int32[np.ndarray, "active"],
        owners: Int32[np.ndarray, "active point"],
    ) -> tuple[Float64[np.ndarray, "active natm 3"], Float64[np.ndarray, "active natm 3"]]:
        """Return (functions, points) of one block: Σ_g Σ_c derivative_cg ∂(component c at g)/∂R.

        `functions` moves the basis functions of each atom, points fixed. `points` moves each atom's own quadrature
        points with it, functions fixed; `owners` are the atoms that the points, in the operator's order, move with.
        Their sum over all atoms is zero up to rounding. `derivative` includes the quadrature weight.
        """

    def weight_gradient(
        self,
        lane: int,
        atomic_numbers: Int[np.ndarray, "natm"],
        positions: Float64[np.ndarray, "natm 3"],
        grid: Grid,
        energy_density: Float64[np.ndarray, "npoint"],
    ) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ_g f_g ∂w_g/∂R of entry `lane`, for f = `energy_density` at the points in the order of `grid`.

        Override where a kernel is faster than the portable one.
        """
        from scfx.grid.weight_gradient import weight_gradient

        return weight_gradient(atomic_numbers, positions, grid, energy_density)
