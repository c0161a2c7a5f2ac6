"""`SimdGridOperator`: density and potential contractions on the grid, AO values recomputed in cache-sized tiles."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float64, Int32

from scfx.abstract import AbstractGridOperator
from scfx.errors import InputError
from scfx_simd.kernels import address, check, library, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.abstract import Family
    from scfx.batch import Batch
    from scfx.precision import PrecisionPolicy

#: Points of a block: a multiple of every kernel's slab (32 vectors of up to 16 lanes), enough to make the driver's
#: call of the functional cheap. Fixed, so that no number depends on the batch.
POINTS_PER_BLOCK = 2048
N_COMPONENTS = {"none": 1, "lda": 1, "gga": 4, "mgga": 5}


class SimdGridOperator(AbstractGridOperator):
    """Holds points and weights only; AO values are recomputed in each call, in `policy.orbitals`."""

    def __init__(
        self,
        batch: Batch,
        points: Sequence[Float64[np.ndarray, "npoint 3"]],
        weights: Sequence[Float64[np.ndarray, "npoint"]],
        family: Family,
        policy: PrecisionPolicy,
        threads: int,
    ):
        n = len(batch)
        if (
            len(points) != n
            or len(weights) != n
            or any(len(p) != len(w) for p, w in zip(points, weights, strict=True))
        ):
            raise InputError(
                f"expected points and weights of {n} entries, alike in number; got {[len(p) for p in points]} "
                f"points and {[len(w) for w in weights]} weights"
            )
        self._dtype = np.dtype(policy.orbitals)
        self._components = N_COMPONENTS[family]
        self._nao = batch.nao
        self.n_blocks = max(1, -(-max(len(w) for w in weights) // POINTS_PER_BLOCK))
        self._weights = np.zeros((n, self.n_blocks * POINTS_PER_BLOCK))
        self._group = np.empty(n, dtype=np.int32)
        self._slot = np.empty(n, dtype=np.int32)
        self._handles: list[int] = []
        try:
            for index, packed in enumerate(pack(batch)):
                self._group[packed.entries] = index
                self._slot[packed.entries] = np.arange(len(packed.entries))
                counts = np.array([len(points[i]) for i in packed.entries], dtype=np.int32)
                flat = np.concatenate(
                    [np.asarray(points[i], dtype=np.float64).T.ravel() for i in packed.entries]
                )
                order = np.empty(counts.sum(), dtype=np.int32)
                handle = ctypes.c_void_p()
                check(
                    library().scfx_simd_grid,
                    packed.pointer, address(counts), address(flat), self._components,
                    int(self._dtype == np.float32), threads, address(order), ctypes.byref(handle),
                )  # fmt: skip
                assert handle.value is not None
                self._handles.append(handle.value)
                # The kernels keep neighbouring points together; weights follow.
                for i, mine in zip(packed.entries, np.split(order, np.cumsum(counts)[:-1]), strict=True):
                    self._weights[i, : len(mine)] = np.asarray(weights[i])[mine]
        except BaseException:
            self.close()
            raise

    def weights(self, block: int, lanes: Int32[np.ndarray, "active"]) -> Float64[np.ndarray, "active point"]:
        """See `AbstractGridOperator.weights`. Points are in the operator's own order, the same in every method."""
        start = block * POINTS_PER_BLOCK
        return self._weights[lanes, start : start + POINTS_PER_BLOCK]

    def density(
        self, block: int, density: Float[Any, "active nspin n n"], lanes: Int32[np.ndarray, "active"]
    ) -> Float[np.ndarray, "active nspin component point"]:
        """See `AbstractGridOperator.density`; matrices may be padded beyond nao, which is ignored."""
        nao = self._nao
        dm = np.ascontiguousarray(np.asarray(density, dtype=np.float64)[..., :nao, :nao])
        out = np.empty((*dm.shape[:2], self._components, POINTS_PER_BLOCK), dtype=self._dtype)
        return self._call("scfx_simd_grid_density", block, dm, lanes, out)

    def potential(
        self,
        block: int,
        derivative: Float[Any, "active nspin component point"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active nspin nao nao"]:
        """See `AbstractGridOperator.potential`; sums over points run in float64 beyond 32 points."""
        values = np.ascontiguousarray(derivative, dtype=self._dtype)
        expected = (len(lanes), self._components, POINTS_PER_BLOCK)
        if values.ndim != 4 or (values.shape[0], *values.shape[2:]) != expected:
            raise InputError(
                f"derivative has shape {values.shape}, expected (active, nspin, *{expected[1:]})"
            )
        out = np.empty((*values.shape[:2], self._nao, self._nao))
        return self._call("scfx_simd_grid_potential", block, values, lanes, out)

    def _call(
        self, name: str, block: int, values: np.ndarray, lanes: np.ndarray, out: np.ndarray
    ) -> np.ndarray:
        if not self._handles:
            raise InputError("grid operator called after close()")
        lanes = np.asarray(lanes, dtype=np.int32)
        if lanes.size != values.shape[0] or (
            lanes.size and (lanes.min() < 0 or lanes.max() >= len(self._group))
        ):
            raise InputError(f"{values.shape[0]} matrices for lanes {lanes.tolist()} of {len(self._group)}")
        for index, handle in enumerate(self._handles):
            mine = np.flatnonzero(self._group[lanes] == index)
            if not mine.size:
                continue
            whole = mine.size == lanes.size
            source = values if whole else np.ascontiguousarray(values[mine])
            target = out if whole else np.empty((mine.size, *out.shape[1:]), dtype=out.dtype)
            slots = np.ascontiguousarray(self._slot[lanes[mine]])
            check(
                getattr(library(), name),
                handle, block * POINTS_PER_BLOCK, POINTS_PER_BLOCK, address(source), values.shape[1],
                address(slots), slots.size, address(target),
            )  # fmt: skip
            if not whole:
                out[mine] = target
        return out

    def close(self) -> None:
        """Free points and weights."""
        for handle in self._handles:
            library().scfx_simd_grid_free(handle)
        self._handles = []
