"""J and K of a batch, each entry on a program (a device, or a group of them) of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float64, Int32

from scfx.abstract import AbstractLaneTwoElectron
from scfx.errors import InputError
from scfx_ipu.molecule import molecule_table

if TYPE_CHECKING:
    from scfx.batch import Batch
    from scfx_ipu.library import Program


class IpuTwoElectron(AbstractLaneTwoElectron):
    """Float32 integrals on the tiles; sums carry what rounding loses, so J and K come back as float64.

    The codelets work with Cartesian shells: for AO = cart @ C the density goes in as C D C^T and J and K come back as
    C^T J C, which is exact and far cheaper than transforming four indices of every quartet.
    """

    def __init__(self, batch: Batch, programs: list[Program], release: Callable[[list[Program]], None]):
        self._programs: list[Program] | None = programs
        self._release = release
        self._nao = batch.nao
        self._to_ao = None if batch.layout.all_cartesian else batch.layout.cart_to_ao
        try:
            for entry, program in enumerate(programs):
                program.set_molecule(molecule_table(batch, entry))
        except BaseException:
            self.close()
            raise

    def coulomb_exchange(
        self, density: Float[Any, "batch *spin nao nao"]
    ) -> tuple[Float64[np.ndarray, "batch *spin nao nao"], Float64[np.ndarray, "batch *spin nao nao"]]:
        """See `AbstractTwoElectron.coulomb_exchange`."""
        dm = np.asarray(density, dtype=np.float64)
        n = len(self._open())
        if dm.ndim not in (3, 4) or dm.shape[0] != n or dm.shape[-2:] != (self._nao, self._nao):
            raise InputError(
                f"density has shape {dm.shape}, expected ({n}, {self._nao}, {self._nao}) or "
                f"({n}, nspin, {self._nao}, {self._nao})"
            )
        spins = dm.reshape(n, -1, self._nao, self._nao)
        coulomb, exchange = self.coulomb_exchange_lanes(spins, np.arange(n, dtype=np.int32), True)
        assert exchange is not None
        return coulomb.reshape(dm.shape), exchange.reshape(dm.shape)

    def coulomb_exchange_lanes(
        self, density: Float[Any, "batch nspin nao nao"], lanes: Int32[np.ndarray, "active"], exchange: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See `AbstractLaneTwoElectron`. `density` leads with the whole batch, or with the active lanes only."""
        programs = self._open()
        dm = np.asarray(density, dtype=np.float64)
        lanes = np.asarray(lanes)
        if dm.ndim != 4 or dm.shape[0] not in (len(programs), len(lanes)) or dm.shape[2:] != (self._nao,) * 2:
            raise InputError(
                f"density has shape {dm.shape}, expected ({len(programs)}, nspin, {self._nao}, {self._nao})"
            )
        if lanes.size and not (lanes.min() >= 0 and lanes.max() < len(programs)):
            raise InputError(f"lanes {lanes.tolist()} are not all entries of a batch of {len(programs)}")
        if dm.shape[0] == len(programs):
            dm = dm[lanes]
        coulomb = np.empty(dm.shape)
        exchanges = np.empty(dm.shape) if exchange else None
        for index, lane in enumerate(lanes):
            for spin in range(dm.shape[1]):
                j, k = self._contract(programs[int(lane)], dm[index, spin], exchange)
                coulomb[index, spin] = j
                if exchanges is not None:
                    exchanges[index, spin] = k
        return coulomb, exchanges

    def _contract(
        self, program: Program, density: np.ndarray, exchange: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        c = self._to_ao
        if c is None:
            return program.coulomb_exchange(density, exchange)
        coulomb, exchanges = program.coulomb_exchange(_symmetric(c @ density @ c.T), exchange)
        return _symmetric(c.T @ coulomb @ c), None if exchanges is None else _symmetric(c.T @ exchanges @ c)

    def _open(self) -> list[Program]:
        if self._programs is None:
            raise InputError("this two-electron operator is closed: its integrals are freed")
        return self._programs

    def close(self) -> None:
        """Give the programs back; their integrals count as freed."""
        if self._programs is not None:
            self._release(self._programs)
            self._programs = None


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return 0.5 * (matrix + matrix.T)
