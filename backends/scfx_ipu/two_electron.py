"""J and K of a batch, each entry on a program (a device, or a group of them) of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.energy.two_electron.lane_operator import LaneTwoElectron, symmetrised
from scfx.errors import InputError
from scfx_ipu.molecule import molecule_table

if TYPE_CHECKING:
    from scfx.model.batch import Batch
    from scfx_ipu.library import Program


class IpuTwoElectron(LaneTwoElectron):
    """Float32 integrals on the tiles; sums carry what rounding loses, so J and K come back as float64.

    The codelets work with Cartesian shells: for AO = cart @ C the density goes in as C D C^T and J and K come back as
    C^T J C, which is exact and far cheaper than transforming four indices of every quartet.
    """

    def __init__(self, batch: Batch, programs: list[Program], release: Callable[[list[Program]], None]):
        super().__init__(len(batch), batch.nao)
        self._programs: list[Program] | None = programs
        self._release = release
        self._to_ao = None if batch.layout.all_cartesian else batch.layout.cart_to_ao
        try:
            for entry, program in enumerate(programs):
                program.set_molecule(molecule_table(batch, entry))
        except BaseException:
            self.close()
            raise

    def contract(
        self,
        density: Float64[np.ndarray, "active nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        exchange: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return (J, K) of the entries `lanes`, one entry after the other."""
        programs = self._open()
        coulomb = np.empty(density.shape)
        exchanges = np.empty(density.shape) if exchange else None
        for index, lane in enumerate(lanes):
            for spin in range(density.shape[1]):
                j, k = self._on(programs[int(lane)], density[index, spin], exchange)
                coulomb[index, spin] = j
                if exchanges is not None:
                    exchanges[index, spin] = k
        return coulomb, exchanges

    def _on(
        self, program: Program, density: np.ndarray, exchange: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        c = self._to_ao
        if c is None:
            return program.coulomb_exchange(density, exchange)
        coulomb, exchanges = program.coulomb_exchange(symmetrised(c @ density @ c.T), exchange)
        return symmetrised(c.T @ coulomb @ c), None if exchanges is None else symmetrised(c.T @ exchanges @ c)

    def _open(self) -> list[Program]:
        if self._programs is None:
            raise InputError("this two-electron operator is closed: its integrals are freed")
        return self._programs

    def held_bytes(self) -> int:
        """Return the bytes of integrals on the tiles, which the host's model has in this process; 0 where they are
        recomputed.
        """
        return sum(4 * p.numbers().integrals for p in self._programs or () if not p.recompute)

    def close(self) -> None:
        """Give the programs back; their integrals count as freed."""
        if self._programs is not None:
            self._release(self._programs)
            self._programs = None
