"""What holds the electron-repulsion integrals of a batch, and gives J and K."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float64, Int32


class AbstractTwoElectron(abc.ABC):
    """Electron-repulsion integrals of one batch, held (or recomputed) by the backend until `close`."""

    @abc.abstractmethod
    def coulomb_exchange(
        self, density: Float[Any, "batch *spin nao nao"]
    ) -> tuple[Float[Any, "batch *spin nao nao"], Float[Any, "batch *spin nao nao"]]:
        """Return (J, K) for symmetric density matrices: J_ij = Σ (ij|kl) D_kl, K_ik = Σ (ij|kl) D_jl, in hartree.

        `density` is [batch, nao, nao] or [batch, nspin, nao, nao]; J and K come back in its shape (J of each spin
        separately), as float64 unless the precision policy says float32.
        """

    #: The dtype that J and K are summed in, for results; None: the dtype that they come back in.
    accumulation: str | None = None

    def contract_wanted(
        self,
        density: Float64[np.ndarray, "batch nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (J, K) [active, nspin, nao, nao] of the entries `lanes`, or None in the place of one that is not
        wanted.

        Override where leaving one out, or some entries, saves work.
        """
        j, k = self.coulomb_exchange(density)
        return (np.asarray(j)[lanes] if coulomb else None), (np.asarray(k)[lanes] if exchange else None)

    def held_bytes(self) -> int | None:
        """Return the bytes of integrals held, so that AO values may take the rest of the memory budget; None: not
        known.
        """
        return None

    def close(self) -> None:  # noqa: B027 - nothing to free is a legitimate implementation
        """Free the integrals. Called exactly once by the driver, also after an error."""

    def __enter__(self) -> AbstractTwoElectron:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AbstractLaneTwoElectron(AbstractTwoElectron):
    """Marker: can contract some entries only, so that converged lanes stop costing."""

    #: Whether J and K of a small density cost less, so that adding up those of differences pays.
    screens_small_densities: ClassVar[bool] = False

    @abc.abstractmethod
    def coulomb_exchange_lanes(
        self, density: Float[Any, "batch nspin nao nao"], lanes: Int32[np.ndarray, "active"], exchange: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return (J, K) [active, nspin, nao, nao] of the entries `lanes`; K is None when `exchange` is False."""

    def contract_wanted(
        self,
        density: Float64[np.ndarray, "batch nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return J and K as far as they are wanted. Override where leaving J out saves work."""
        j, k = self.coulomb_exchange_lanes(density, lanes, exchange)
        return (j if coulomb else None), k if exchange else None


class AbstractDeviceTwoElectron(AbstractTwoElectron):
    """Marker: takes densities and gives J and K where XLA computes, so that they stay there between stages."""

    @abc.abstractmethod
    def contract_on_device(
        self,
        density: Float64[Any, "capacity nspin n n"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[Any, Any]:
        """Return (J, K) in the padded shape of `density`, or None in the place of one that is not wanted.

        Only the entries `lanes` need be right. Asked for where all lanes are worked on at once.
        """
