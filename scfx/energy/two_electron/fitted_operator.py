"""`FittedOperator`: J and K of a batch by density fitting, where an exact operator may give K instead."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.energy.two_electron.lane_operator import LaneTwoElectron

if TYPE_CHECKING:
    from scfx.contracts.two_electron import AbstractTwoElectron


class FittedOperator(LaneTwoElectron):
    """What fitted operators have in common; `exact`: an operator that gives K instead and is closed with them."""

    def __init__(self, entries: int, nao: int, exact: AbstractTwoElectron | None):
        super().__init__(entries, nao)
        self._exact = exact

    @abc.abstractmethod
    def fitted_exchange(
        self, density: Float64[np.ndarray, "active nspin nao nao"], lanes: Int32[np.ndarray, "active"]
    ) -> np.ndarray:
        """Return K of the entries `lanes` by fitting."""

    @abc.abstractmethod
    def own_bytes(self) -> int:
        """Return the bytes of fitted integrals that are held."""

    @abc.abstractmethod
    def free(self) -> None:
        """Free the fitted integrals."""

    def contract_exchange(
        self, density: Float64[np.ndarray, "active nspin nao nao"], lanes: Int32[np.ndarray, "active"]
    ) -> np.ndarray:
        """Return K of the entries `lanes` alone, with the bits that `contract` gives."""
        if self._exact is None:
            return self.fitted_exchange(density, lanes)
        whole = np.zeros((self._entries, *density.shape[1:]))
        whole[lanes] = density
        k = self._exact.contract_wanted(whole, lanes, False, True)[1]
        assert k is not None
        return np.asarray(k)

    def held_bytes(self) -> int:
        """Return the bytes of all integrals held, exact and fitted."""
        return self.own_bytes() + ((self._exact.held_bytes() or 0) if self._exact is not None else 0)

    def close(self) -> None:
        """Free the integrals."""
        self.free()
        if self._exact is not None:
            self._exact.close()
