"""`LaneTwoElectron`: what every operator that contracts chosen entries does around its own contraction."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int32

from scfx.contracts.two_electron import AbstractLaneTwoElectron
from scfx.errors import InputError


class LaneTwoElectron(AbstractLaneTwoElectron):
    """Checks densities and entries, and answers for whole batches by way of chosen entries; `contract` is to fill."""

    def __init__(self, entries: int, nao: int):
        self._entries = entries
        self._nao = nao

    @abc.abstractmethod
    def contract(
        self,
        density: Float64[np.ndarray, "active nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        exchange: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return (J, K) of the entries `lanes`, whose densities are given; K is None when `exchange` is False."""

    def contract_exchange(
        self, density: Float64[np.ndarray, "active nspin nao nao"], lanes: Int32[np.ndarray, "active"]
    ) -> np.ndarray:
        """Return K of the entries `lanes` alone, with the bits that `contract` gives. Override where J is
        extra work.
        """
        exchange = self.contract(density, lanes, True)[1]
        assert exchange is not None
        return exchange

    def contract_wanted(
        self,
        density: Float64[np.ndarray, "batch nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return J and K of the entries `lanes`, as far as they are wanted."""
        if coulomb:
            return super().contract_wanted(density, lanes, coulomb, exchange)
        return None, self.contract_exchange(*self._checked(density, lanes)) if exchange else None

    def coulomb_exchange(
        self, density: Float[Any, "batch *spin nao nao"]
    ) -> tuple[Float[np.ndarray, "batch *spin nao nao"], Float[np.ndarray, "batch *spin nao nao"]]:
        """Return (J, K) of the given symmetric density matrices, in hartree."""
        dm = np.asarray(density, dtype=np.float64)
        if dm.ndim not in (3, 4) or dm.shape[0] != self._entries:
            raise self._wrong_shape(dm)
        spins = dm[:, None] if dm.ndim == 3 else dm
        coulomb, exchange = self.coulomb_exchange_lanes(spins, np.arange(self._entries, dtype=np.int32), True)
        assert exchange is not None
        return coulomb.reshape(dm.shape), exchange.reshape(dm.shape)

    def coulomb_exchange_lanes(
        self, density: Float[Any, "batch nspin nao nao"], lanes: Int32[np.ndarray, "active"], exchange: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return (J, K) of the active entries. `density` leads with the whole batch, or with the active
        entries only.
        """
        return self.contract(*self._checked(density, lanes), exchange)

    def _checked(self, density: Any, lanes: Any) -> tuple[np.ndarray, np.ndarray]:
        """The densities of the entries `lanes`, and those, as `contract` takes them."""
        dm, lanes = np.asarray(density, dtype=np.float64), np.asarray(lanes, dtype=np.int32)
        if (
            dm.ndim != 4
            or dm.shape[0] not in (self._entries, lanes.size)
            or dm.shape[2:] != (self._nao, self._nao)
        ):
            raise self._wrong_shape(dm)
        if lanes.size and (
            lanes.min() < 0 or lanes.max() >= self._entries or np.unique(lanes).size != lanes.size
        ):
            raise InputError(
                f"lanes {lanes.tolist()} are not all entries of a batch of {self._entries}, each once"
            )
        if dm.shape[0] == self._entries and not np.array_equal(lanes, np.arange(self._entries)):
            dm = dm[lanes]
        return dm, lanes

    def _wrong_shape(self, density: np.ndarray) -> InputError:
        n, nao = self._entries, self._nao
        return InputError(
            f"density has shape {density.shape}, expected ({n}, {nao}, {nao}) or ({n}, nspin, {nao}, {nao})"
        )


class SelectiveTwoElectron(LaneTwoElectron):
    """A `LaneTwoElectron` whose kernel can leave either of J and K out; `contract_selected` is to fill."""

    @abc.abstractmethod
    def contract_selected(
        self,
        density: Float64[np.ndarray, "active nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (J, K) of the entries `lanes`, whose densities are given; None in the place of one that is not
        wanted.
        """

    def contract(
        self,
        density: Float64[np.ndarray, "active nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        exchange: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return (J, K) of the entries `lanes`; K is None when `exchange` is False."""
        j, k = self.contract_selected(density, lanes, True, exchange)
        assert j is not None
        return j, k

    def contract_exchange(
        self, density: Float64[np.ndarray, "active nspin nao nao"], lanes: Int32[np.ndarray, "active"]
    ) -> np.ndarray:
        """Return K of the entries `lanes` alone."""
        _, k = self.contract_selected(density, lanes, False, True)
        assert k is not None
        return k


def symmetrised(matrix: Float64[np.ndarray, "*batch n n"]) -> Float64[np.ndarray, "*batch n n"]:
    """Return half the sum of a matrix and its transpose: takes away what rounding made of a symmetric one."""
    return 0.5 * (matrix + np.swapaxes(matrix, -1, -2))
