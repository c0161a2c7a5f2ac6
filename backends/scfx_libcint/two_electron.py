"""J and K of a batch from rows that are kept (stored) or computed anew at every call (direct)."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float64, Int32

from scfx.abstract import AbstractLaneTwoElectron
from scfx.errors import InputError
from scfx_libcint.blocks import BlockPlan, computed_rows, row_is_double, stored, weighted_in_place
from scfx_libcint.environment import Environment, environment
from scfx_libcint.kernel import Contraction, Rows

if TYPE_CHECKING:
    from scfx.batch import Batch
    from scfx.precision import PrecisionPolicy


class _LibcintTwoElectron(AbstractLaneTwoElectron):
    """What stored and direct operation share: shapes, the Cartesian transformation, threads over entries."""

    def __init__(self, batch: Batch, omega: float, plan: BlockPlan, threads: int):
        self._molecules: list[Environment] | None = [environment(batch, b, omega) for b in range(len(batch))]
        self._nao = batch.nao
        self._plan = plan
        self._threads = threads

    @abc.abstractmethod
    def _rows(self, entry: int) -> Iterable[Rows]:
        """All weighted rows of an entry."""

    def coulomb_exchange(
        self, density: Float[Any, "batch *spin nao nao"]
    ) -> tuple[Float64[np.ndarray, "batch *spin nao nao"], Float64[np.ndarray, "batch *spin nao nao"]]:
        """See `AbstractTwoElectron.coulomb_exchange`. Accumulates and returns float64 under every policy."""
        dm = np.asarray(density, dtype=np.float64)
        n_entries = len(self._open())
        if dm.ndim not in (3, 4) or dm.shape[0] != n_entries or dm.shape[-2:] != (self._nao, self._nao):
            raise InputError(
                f"density has shape {dm.shape}, expected ({n_entries}, {self._nao}, {self._nao}) or "
                f"({n_entries}, nspin, {self._nao}, {self._nao})"
            )
        spins = dm.reshape(n_entries, -1, self._nao, self._nao)
        lanes = np.arange(n_entries, dtype=np.int32)
        coulomb, exchange = self.coulomb_exchange_lanes(spins, lanes, True)
        assert exchange is not None
        return coulomb.reshape(dm.shape), exchange.reshape(dm.shape)

    def coulomb_exchange_lanes(
        self, density: Float[Any, "batch nspin nao nao"], lanes: Int32[np.ndarray, "active"], exchange: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See `AbstractLaneTwoElectron`. `density` leads with the whole batch, or with the active lanes only."""
        molecules = self._open()
        dm = np.asarray(density, dtype=np.float64)
        lanes = np.asarray(lanes)
        if (
            dm.ndim != 4
            or dm.shape[0] not in (len(molecules), len(lanes))
            or dm.shape[2:] != (self._nao,) * 2
        ):
            raise InputError(
                f"density has shape {dm.shape}, expected ({len(molecules)}, nspin, {self._nao}, {self._nao})"
            )
        if lanes.size and not (lanes.min() >= 0 and lanes.max() < len(molecules)):
            raise InputError(f"lanes {lanes.tolist()} are not all entries of a batch of {len(molecules)}")
        if dm.shape[0] == len(molecules):
            dm = dm[lanes]

        def one(index: int) -> tuple[np.ndarray, np.ndarray | None]:
            return self._entry(int(lanes[index]), dm[index], exchange)

        if self._parallel(len(lanes)):
            with ThreadPoolExecutor(min(self._threads, len(lanes))) as pool:
                results = list(pool.map(one, range(len(lanes))))
        else:
            results = [one(index) for index in range(len(lanes))]
        coulomb = np.empty(dm.shape)
        exchanges = np.empty(dm.shape) if exchange else None
        for index, (j, k) in enumerate(results):
            coulomb[index] = j
            if exchanges is not None:
                exchanges[index] = k
        return coulomb, exchanges

    def _parallel(self, n_lanes: int) -> bool:
        return self._threads > 1 and n_lanes > 1

    def _entry(self, entry: int, density: np.ndarray, exchange: bool) -> tuple[np.ndarray, np.ndarray | None]:
        c = self._open()[entry].to_ao
        # For AO = cart @ C: (D in Cartesians) = C D C^T, and J, K come back as C^T J C. Exact, and far
        # cheaper than transforming four indices of the integrals.
        contraction = Contraction(density if c is None else c @ density @ c.T, exchange)
        for rows in self._rows(entry):
            contraction.add(rows)
        coulomb, exchanges = contraction.result()
        if c is None:
            return coulomb, exchanges
        return _symmetric(c.T @ coulomb @ c), None if exchanges is None else _symmetric(c.T @ exchanges @ c)

    def _open(self) -> list[Environment]:
        if self._molecules is None:
            raise InputError("this two-electron operator is closed: its integrals are freed")
        return self._molecules

    def close(self) -> None:
        """Free the integrals."""
        self._molecules = None


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return 0.5 * (matrix + np.swapaxes(matrix, -1, -2))


class StoredTwoElectron(_LibcintTwoElectron):
    """Integrals computed once and kept, each row in the precision that the policy gives it."""

    def __init__(self, batch: Batch, omega: float, plan: BlockPlan, threads: int, policy: PrecisionPolicy):
        super().__init__(batch, omega, plan, threads)
        self._kept: list[list[Rows]] | None = []
        buffer = np.empty(plan.buffer_size)
        for molecule in self._open():
            is_double = row_is_double(molecule, plan, policy)
            self._kept.append([stored(rows, is_double) for rows in computed_rows(molecule, plan, buffer)])

    def _rows(self, entry: int) -> Iterable[Rows]:
        assert self._kept is not None
        return self._kept[entry]

    @property
    def nbytes(self) -> int:
        """Bytes that the stored integrals take."""
        return sum(rows.nbytes for entry in self._kept or () for rows in entry)

    def close(self) -> None:
        """Free the integrals."""
        super().close()
        self._kept = None


class DirectTwoElectron(_LibcintTwoElectron):
    """Integrals recomputed in float64 at every call, a block at a time; nothing is kept.

    Entries run one after the other: libcint itself uses the threads (OpenMP).
    """

    def _rows(self, entry: int) -> Iterable[Rows]:
        buffer = np.empty(self._plan.buffer_size)
        for rows in computed_rows(self._open()[entry], self._plan, buffer):
            yield weighted_in_place(rows)

    def _parallel(self, n_lanes: int) -> bool:
        return False

    @property
    def nbytes(self) -> int:
        """Bytes kept between calls."""
        return 0
