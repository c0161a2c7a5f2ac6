"""`DenseTwoElectron`: J and K from a full integral tensor, for small backends, tests and teaching."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int32

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
        """Return (J, K) of the given symmetric density matrices, in hartree."""
        if self._eri is None:
            raise InputError("coulomb_exchange called after close()")
        dm = np.asarray(density)
        entries = len(self._eri)
        spins = dm.reshape(entries, -1, *dm.shape[-2:])
        coulomb, exchange = self.contract_wanted(spins, np.arange(entries, dtype=np.int32), True, True)
        assert coulomb is not None
        assert exchange is not None
        return coulomb.reshape(dm.shape), exchange.reshape(dm.shape)

    def contract_wanted(
        self,
        density: Float64[np.ndarray, "batch nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return J and K of the entries `lanes`, as far as they are wanted."""
        if self._eri is None:
            raise InputError("coulomb_exchange called after close()")
        n = self._eri.shape[-1]
        shape = (len(lanes), *density.shape[1:])
        out = [np.empty(shape) if wanted else None for wanted in (coulomb, exchange)]
        for index, lane in enumerate(lanes):
            flat, integrals = density[lane].reshape(-1, n * n), self._eri[lane]
            # J_ij = Σ_kl (ij|kl) D_kl, K_ik = Σ_jl (ij|kl) D_jl
            for matrices, tensor in zip(out, (integrals, integrals.transpose(0, 2, 1, 3)), strict=True):
                if matrices is not None:
                    rows = tensor.reshape(n * n, n * n)
                    matrices[index] = (flat @ rows.T).reshape(shape[1:])
        return out[0], out[1]

    def held_bytes(self) -> int:
        """Return the bytes of the tensors of integrals."""
        return 0 if self._eri is None else self._eri.nbytes

    def close(self) -> None:
        """Drop the tensor."""
        self._eri = None
