"""Fitted J and K of a batch from backends that give blocks of three-index integrals; see `FittedEntry`.

(ij|kl) ≈ Σ_Q B_Q,ij B_Q,kl as in `scfx.energy.two_electron.fitted`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.energy.two_electron.fitted_entry import FittedEntry, least_bytes
from scfx.energy.two_electron.fitted_operator import FittedOperator
from scfx.errors import InputError

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.derivatives import Operator
    from scfx.contracts.fitting import AbstractFittingRows, AbstractFittingRowsBackend
    from scfx.contracts.two_electron import AbstractTwoElectron
    from scfx.model.basis import BasisSet
    from scfx.model.batch import Batch


class RowFittedTwoElectron(FittedOperator):
    """J and K of a batch by way of `FittedEntry`; `exact`: an operator that gives K instead."""

    accumulation = "float64"

    def __init__(
        self,
        backend: AbstractFittingRowsBackend,
        batch: Batch,
        auxiliary: BasisSet,
        operator: Operator,
        omega: float,
        memory_budget: int,
        dtype: str = "float64",
        exact: AbstractTwoElectron | None = None,
        exchange: bool = True,
    ):
        """`exchange`: whether K will be asked for. Raises `ResourceError`, with the numbers, where an entry's
        share of the budget does not hold one block.
        """
        super().__init__(len(batch), batch.nao, exact)
        self._lanes: list[FittedEntry] = []
        try:
            for entry in range(len(batch)):
                rows = backend.fitting_rows(batch, entry, auxiliary, operator, omega)
                # Entries are contracted one after another, so they share what is needed beside the held blocks.
                beside = rows_bytes(rows, batch.nao, dtype)[0]
                share = min(memory_budget, beside + max(0, memory_budget - beside) // len(batch))
                fits_exchange, smooth = exchange and exact is None, operator == "erf"
                self._lanes.append(FittedEntry(rows, batch.nao, share, dtype, fits_exchange, smooth))
        except BaseException:
            self.free()
            raise

    def contract(
        self,
        density: Float64[np.ndarray, "active nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        exchange: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return J and K of the entries `lanes`, block by block of their rows."""
        fitted = exchange and self._exact is None
        found = [
            self._lane(lane).contract(matrices, coulomb=True, exchange=fitted)
            for lane, matrices in zip(lanes, density, strict=True)
        ]
        coulomb = np.array([j for j, _ in found]).reshape(density.shape)
        if fitted:
            return coulomb, np.array([k for _, k in found]).reshape(density.shape)
        return coulomb, self.contract_exchange(density, lanes) if exchange else None

    def fitted_exchange(
        self, density: Float64[np.ndarray, "active nspin nao nao"], lanes: Int32[np.ndarray, "active"]
    ) -> np.ndarray:
        """Return K of the entries `lanes` by fitting, block by block."""
        found = [
            self._lane(lane).contract(matrices, coulomb=False, exchange=True)[1]
            for lane, matrices in zip(lanes, density, strict=True)
        ]
        return np.array(found).reshape(density.shape)

    def _lane(self, lane: int) -> FittedEntry:
        if not self._lanes:
            raise InputError("these integrals have been closed")
        return self._lanes[int(lane)]

    @property
    def recomputed_blocks(self) -> int:
        """Return the number of blocks, over all entries, that are made again whenever they are asked for."""
        return sum(lane.recomputed_blocks for lane in self._lanes)

    def own_bytes(self) -> int:
        """Return the bytes of fitted integrals that are held."""
        return sum(lane.held_bytes for lane in self._lanes)

    def free(self) -> None:
        """Free the fitted integrals."""
        for lane in self._lanes:
            lane.close()
        self._lanes = []


def fitted_dtype(policy: PrecisionPolicy) -> str:
    """Return the dtype in which a policy keeps fitted integrals: float64 where large integrals are to be."""
    narrow = policy.integrals == "float32" and policy.schwarz_float64 is None
    return "float32" if narrow else "float64"


def most_entries(
    backend: AbstractFittingRowsBackend, batch: Batch, auxiliary: BasisSet, dtype: str, memory_budget: int
) -> int:
    """Return how many entries' fitted integrals fit a budget; 1 where blocks of one are made again, 0 where
    none fits.
    """
    rows = backend.fitting_rows(batch, 0, auxiliary)
    try:
        beside, held = rows_bytes(rows, batch.nao, dtype)
    finally:
        rows.close()
    return max((memory_budget - beside) // held, int(beside <= memory_budget))


def rows_bytes(rows: AbstractFittingRows, nao: int, dtype: str) -> tuple[int, int]:
    """Return the bytes that are needed beside the blocks that are held, and that all blocks take."""
    width = np.dtype(dtype).itemsize * rows.n_auxiliary
    sizes = [width * block.columns.size * (block.stop - block.start) for block in rows.blocks]
    return least_bytes(nao, rows.n_auxiliary, max(sizes), True), sum(sizes) + 8 * rows.n_auxiliary**2
