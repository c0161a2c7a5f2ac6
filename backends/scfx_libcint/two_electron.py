"""J and K of a batch from rows that are kept (stored) or computed anew at every call (direct)."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.energy.two_electron.lane_operator import SelectiveTwoElectron, symmetrised
from scfx.errors import InputError
from scfx_libcint.blocks import BlockPlan, computed_rows, row_is_double, stored, weighted_in_place
from scfx_libcint.environment import Environment, environment
from scfx_libcint.kernel import Contraction, Rows

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.model.batch import Batch


class _LibcintTwoElectron(SelectiveTwoElectron):
    """What stored and direct operation share: the Cartesian transformation, threads over entries."""

    def __init__(self, batch: Batch, omega: float, plan: BlockPlan, threads: int):
        super().__init__(len(batch), batch.nao)
        self._molecules: list[Environment] | None = [environment(batch, b, omega) for b in range(len(batch))]
        self._plan = plan
        self._threads = threads

    @property
    @abc.abstractmethod
    def nbytes(self) -> int:
        """Bytes of integrals kept between calls."""

    def held_bytes(self) -> int:
        """See `AbstractTwoElectron.held_bytes`."""
        return self.nbytes

    @abc.abstractmethod
    def _rows(self, entry: int) -> Iterable[Rows]:
        """All weighted rows of an entry."""

    def contract_selected(
        self,
        density: Float64[np.ndarray, "active nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """See `SelectiveTwoElectron`; accumulates and returns float64 under every policy."""

        def one(index: int) -> tuple[np.ndarray | None, np.ndarray | None]:
            return self._entry(int(lanes[index]), density[index], coulomb, exchange)

        if self._parallel(len(lanes)):
            with ThreadPoolExecutor(min(self._threads, len(lanes))) as pool:
                results = list(pool.map(one, range(len(lanes))))
        else:
            results = [one(index) for index in range(len(lanes))]
        out = [np.empty(density.shape) if wanted else None for wanted in (coulomb, exchange)]
        for index, found in enumerate(results):
            for to, matrices in zip(out, found, strict=True):
                if to is not None:
                    to[index] = matrices
        return out[0], out[1]

    def _parallel(self, n_lanes: int) -> bool:
        return self._threads > 1 and n_lanes > 1

    def _entry(
        self, entry: int, density: np.ndarray, coulomb: bool, exchange: bool
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        c = self._open()[entry].to_ao
        # For AO = cart @ C: (D in Cartesians) = C D C^T, and J, K come back as C^T J C. Exact, and far
        # cheaper than transforming four indices of the integrals.
        contraction = Contraction(density if c is None else c @ density @ c.T, coulomb, exchange)
        for rows in self._rows(entry):
            contraction.add(rows)
        j, k = contraction.result()
        if c is None:
            return j, k
        return (
            None if j is None else symmetrised(c.T @ j @ c),
            None if k is None else symmetrised(c.T @ k @ c),
        )

    def _open(self) -> list[Environment]:
        if self._molecules is None:
            raise InputError("this two-electron operator is closed: its integrals are freed")
        return self._molecules

    def close(self) -> None:
        """Free the integrals."""
        self._molecules = None


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
        """Return the bytes that the stored integrals take."""
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
        """Return the bytes kept between calls."""
        return 0
