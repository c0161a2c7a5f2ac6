"""`DenseTwoElectron`: J and K from a full integral tensor, for small backends, tests and teaching."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from scfx.contracts.two_electron import AbstractTwoElectron
from scfx.errors import InputError


class DenseTwoElectron(AbstractTwoElectron):
    """Holds (ij|kl) as [batch, nao, nao, nao, nao]: memory grows as nao⁴, so this is for small molecules.

    With it a backend that can only compute the whole tensor is twenty lines (docs/write-a-backend.md).
    """

    def __init__(self, eri: Float64[Any, "batch nao nao nao nao"]):
        self._eri: np.ndarray | None = np.asarray(eri)
        if self._eri.ndim != 5 or len(set(self._eri.shape[1:])) != 1:
            raise InputError(f"eri must be [batch, nao, nao, nao, nao], got {self._eri.shape}")

    def coulomb_exchange(
        self, density: Float[Any, "batch *spin nao nao"]
    ) -> tuple[Float64[np.ndarray, "batch *spin nao nao"], Float64[np.ndarray, "batch *spin nao nao"]]:
        """See `AbstractTwoElectron.coulomb_exchange`."""
        if self._eri is None:
            raise InputError("coulomb_exchange called after close()")
        dm = np.asarray(density)
        n = self._eri.shape[-1]
        batch = self._eri.shape[0]
        flat = dm.reshape(batch, -1, n * n)
        rows = self._eri.reshape(batch, n * n, n * n)
        coulomb = flat @ rows.transpose(0, 2, 1)
        # K_ik = Σ_jl (ij|kl) D_jl
        exchange_rows = self._eri.transpose(0, 1, 3, 2, 4).reshape(batch, n * n, n * n)
        exchange = flat @ exchange_rows.transpose(0, 2, 1)
        return coulomb.reshape(dm.shape), exchange.reshape(dm.shape)

    def close(self) -> None:
        """Drop the tensor."""
        self._eri = None
