"""What a backend gives for density fitting: two- and three-index integrals over an auxiliary basis, and derivatives.

The calculation decides what is fitted and how; a backend with these integrals serves any of it. Auxiliary functions
stand on the atoms of one entry, in the AO order of `Batch.from_systems([batch.systems[entry]], auxiliary)`: its atoms
may come in another order than those of `batch`, as each basis set demands. All in float64, hartree and bohr.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from scfx.contracts.backend import AbstractIntegralBackend

if TYPE_CHECKING:
    from scfx.contracts.derivatives import Operator
    from scfx.model.basis import BasisSet
    from scfx.model.batch import Batch


class AbstractFittingBackend(AbstractIntegralBackend):
    """Marker: gives the integrals of density fitting, and their derivatives contracted as they are made.

    `operator` and `omega` (bohr⁻¹) are those of `TwoElectronEnergy`: "erf" and "erfc" need a positive omega, "coulomb"
    has none. `shells`: a range [start, stop) of the auxiliary basis's shells to work on, so that callers go by blocks;
    None: all.
    """

    @abc.abstractmethod
    def three_index(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        operator: Operator = "coulomb",
        omega: float = 0.0,
        shells: tuple[int, int] | None = None,
    ) -> Float64[np.ndarray, "naux npair"]:
        """Return (P|ij) for all pairs j <= i of AOs, packed as `numpy.tril_indices` counts them."""

    @abc.abstractmethod
    def two_index(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        operator: Operator = "coulomb",
        omega: float = 0.0,
    ) -> Float64[np.ndarray, "naux naux"]:
        """Return (P|Q), the metric."""

    @abc.abstractmethod
    def three_index_gradient(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        density: Float64[np.ndarray, "naux npair"],
        operator: Operator = "coulomb",
        omega: float = 0.0,
        shells: tuple[int, int] | None = None,
    ) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ_P Σ_ij Γ_P,ij ∂(P|ij)/∂R over all i and j, atoms in the batch's order.

        `density` holds Γ_P,ij, symmetric in i and j, for the pairs j <= i.
        """

    @abc.abstractmethod
    def two_index_gradient(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        density: Float64[np.ndarray, "naux naux"],
        operator: Operator = "coulomb",
        omega: float = 0.0,
    ) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ_PQ Γ_PQ ∂(P|Q)/∂R for a symmetric `density` Γ_PQ, atoms in the batch's order."""


class RowBlock(NamedTuple):
    """Some rows i of the AO pairs (ij), [start, stop), and the columns j < stop that count for any of them, ascending.

    The block's own rows are the last columns.
    """

    start: int
    stop: int
    columns: Int64[np.ndarray, "column"]


class AbstractFittingRows(abc.ABC):
    """The integrals of one entry by blocks of rows, of a shape that the entry alone fixes, until `close`.

    Auxiliary functions come in an order of its own, the same in all methods.
    """

    blocks: tuple[RowBlock, ...]
    n_auxiliary: int

    @abc.abstractmethod
    def rows(self, block: int) -> Float64[np.ndarray, "column row naux"]:
        """Return (P|ij) of one block; also for i < j among its own rows. The array is the caller's."""

    @abc.abstractmethod
    def metric(self) -> Float64[np.ndarray, "naux naux"]:
        """Return (P|Q)."""

    def close(self) -> None:  # noqa: B027 - nothing to free is a legitimate implementation
        """Free what was prepared."""


class AbstractFittingRowsBackend(AbstractFittingBackend):
    """Marker: gives three-index integrals by blocks of rows too, which can be held or made again at will."""

    @abc.abstractmethod
    def fitting_rows(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        operator: Operator = "coulomb",
        omega: float = 0.0,
    ) -> AbstractFittingRows:
        """Return the integrals of one entry, none of them computed yet."""
