"""`SimdTwoElectron`: J and K of a batch from lane-packed integrals, stored within a budget and recomputed beyond."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.energy.two_electron.lane_operator import SelectiveTwoElectron
from scfx.errors import InputError
from scfx_simd.kernels import CEngineOptions, address, check, library, pack

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.model.batch import Batch

#: A primitive quartet is dropped where its bound is below this fraction of the shell threshold: up to a hundred
#: of them (81 in STO-3G) may then add up to it.
PRIMITIVE_FRACTION = 0.01

#: Arithmetic in float32 leaves errors of up to some 20 units in the last place of a quartet's Schwarz bound (60 seen in
#: shells up to f of 8 primitives): from these bounds on, in hartree, a quartet is computed in float64 and rounded when
#: stored. Without and with shells above p. In a minimal basis only pairs of cores reach it.
ROUNDED_FROM, ROUNDED_FROM_D = 2.0, 0.5
#: From this bound on, in hartree, even rounding loses 4e-6, and integrals are stored in float64 under any policy.
STORED_IN_FLOAT64_FROM = 64.0


def integral_thresholds(policy: PrecisionPolicy, thresholds: tuple[float, float]) -> tuple[float, float]:
    """Return bounds in hartree from which on a quartet is computed at all, and from which on in float64.

    `thresholds`: those below which one is dropped in (float64, float32).
    """
    in_double, in_single = thresholds
    if policy.integrals == "float64":
        return in_double, in_double
    split = policy.schwarz_float64
    return in_single, STORED_IN_FLOAT64_FROM if split is None else max(split, in_single)


class SimdTwoElectron(SelectiveTwoElectron):
    """Owns the integrals of one batch in a C++ arena. `coulomb_exchange` may be called from several threads.

    Where all elements of a density are below 0.1, blocks whose Schwarz bound times the largest element that they
    meet is below a threshold (that of float64 integrals, but under policies that cannot converge that far) are left
    out: decided for each lane and spin, for stored and recomputed blocks alike, so that J and K have the same bits
    whatever the budget.
    """

    screens_small_densities = True
    accumulation = "float64"

    def __init__(
        self,
        batch: Batch,
        policy: PrecisionPolicy,
        memory_budget: int,
        thresholds: tuple[float, float],
        threads: int,
        omega: float = 0.0,
    ):
        """`thresholds`: Schwarz bounds in hartree below which a quartet is dropped in (float64, float32)."""
        super().__init__(len(batch), batch.nao)
        single_from, double_from = integral_thresholds(policy, thresholds)
        # What is left out differs from one iteration to the next, and last iterations without a floor converge as far
        # as they are asked to: with 1e-10 energies under `mixed` moved by 1e-8 hartree for ever.
        negligible_from = single_from if policy.refined().gradient_floor > 0.0 else thresholds[0]
        options = CEngineOptions(
            single_from=single_from,
            double_from=double_from,
            negligible_from=negligible_from,
            primitive_fraction=PRIMITIVE_FRACTION,
            inverse_omega_squared=0.0 if omega == 0.0 else omega**-2,
            rounded_from=ROUNDED_FROM,
            rounded_from_d=ROUNDED_FROM_D,
        )
        self._dtype = np.dtype(policy.coulomb_exchange)
        self._handles: list[int] = []
        self._group = np.empty(self._entries, dtype=np.int32)
        self._slot = np.empty(self._entries, dtype=np.int32)
        try:
            for index, packed in enumerate(pack(batch)):
                self._group[packed.entries] = index
                self._slot[packed.entries] = np.arange(len(packed.entries))
                share = memory_budget * len(packed.entries) // self._entries
                handle = ctypes.c_void_p()
                check(
                    library().scfx_simd_two_electron,
                    packed.pointer, ctypes.byref(options), share, threads, ctypes.byref(handle),
                )  # fmt: skip
                assert handle.value is not None
                self._handles.append(handle.value)
        except BaseException:
            self.close()
            raise

    def contract_selected(
        self,
        density: Float64[np.ndarray, "active nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return (J, K) of the entries `lanes`, as far as they are wanted; sums run in float64 whatever the policy."""
        if not self._handles:
            raise InputError("coulomb_exchange called after close()")
        dm = np.ascontiguousarray(density)
        out = [np.empty(dm.shape) if wanted else None for wanted in (coulomb, exchange)]
        for index, handle in enumerate(self._handles):
            mine = np.flatnonzero(self._group[lanes] == index)
            if not mine.size:
                continue
            whole = mine.size == lanes.size
            part = dm if whole else np.ascontiguousarray(dm[mine])
            parts = [m if whole or m is None else np.empty(part.shape) for m in out]
            slots = np.ascontiguousarray(self._slot[lanes[mine]])
            check(
                library().scfx_simd_coulomb_exchange,
                handle, address(part), dm.shape[1], address(slots), slots.size, *map(address, parts),
            )  # fmt: skip
            if not whole:
                for to, source in zip(out, parts, strict=True):
                    if to is not None:
                        to[mine] = source
        j, k = (None if m is None else m.astype(self._dtype, copy=False) for m in out)
        return j, k

    def dense(self, entry: int) -> Float64[np.ndarray, "nao nao nao nao"]:
        """Return all (ij|kl) of one entry as J and K see them, for tests."""
        out = np.empty((self._nao,) * 4)
        check(
            library().scfx_simd_dense, self._handles[self._group[entry]], int(self._slot[entry]), address(out)
        )
        return out

    def held_bytes(self) -> int:
        """Return the bytes of integrals held."""
        return self.stored_bytes

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of integrals held."""
        return sum(self._statistics(handle)[0] for handle in self._handles)

    @property
    def recomputed_pairs(self) -> int:
        """Return the shell pairs, summed over groups of conformers, whose integrals are recomputed in every call."""
        return sum(self._statistics(handle)[1] for handle in self._handles)

    @property
    def screened_blocks(self) -> tuple[int, int]:
        """Return blocks of integrals that J and K of small densities looked at, and those that no lane
        needed, so far.
        """
        seen, skipped = ctypes.c_int64(), ctypes.c_int64()
        total = [0, 0]
        for handle in self._handles:
            library().scfx_simd_screened(handle, ctypes.byref(seen), ctypes.byref(skipped))
            total = [total[0] + seen.value, total[1] + skipped.value]
        return total[0], total[1]

    @staticmethod
    def _statistics(handle: int) -> tuple[int, int]:
        stored, recomputed = ctypes.c_int64(), ctypes.c_int64()
        library().scfx_simd_statistics(handle, ctypes.byref(stored), ctypes.byref(recomputed))
        return stored.value, recomputed.value

    def close(self) -> None:
        """Free the integrals."""
        for handle in self._handles:
            library().scfx_simd_free(handle)
        self._handles = []
