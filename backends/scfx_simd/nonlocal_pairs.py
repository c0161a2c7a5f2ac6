"""Sums over pairs of points of VV10 non-local correlation; `src/nonlocal_pairs.h` says which."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64

from scfx.errors import InputError
from scfx_simd.grid import grid_kernels
from scfx_simd.kernels import address, check


def pair_sums(points: Float64[np.ndarray, "6 n"], threads: int) -> Float64[np.ndarray, "3 n"]:
    """Return the sums of `AbstractNonlocalBackend.nonlocal_pair_sums`; `threads` change no bit."""
    return _summed(grid_kernels().scfx_nonlocal_pair_sums, points, threads, 3)


def pair_derivatives(points: Float64[np.ndarray, "6 n"], threads: int) -> Float64[np.ndarray, "4 n"]:
    """Return the sums of `AbstractNonlocalBackend.nonlocal_pair_derivatives`; `threads` change no bit."""
    return _summed(grid_kernels().scfx_nonlocal_pair_derivatives, points, threads, 4)


def _summed(kernel: Any, points: np.ndarray, threads: int, rows: int) -> np.ndarray:
    given = np.ascontiguousarray(points, dtype=np.float64)
    if given.ndim != 2 or given.shape[0] != 6:
        raise InputError(f"points have shape {given.shape}, expected (6, n)")
    out = np.empty((rows, given.shape[1]))
    check(kernel, given.shape[1], address(given), threads, address(out))
    return out
