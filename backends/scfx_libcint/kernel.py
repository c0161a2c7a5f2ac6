"""Bindings (ctypes) of src/coulomb_exchange.cpp. ctypes releases the GIL, so entries can run in Python threads."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int32, UInt8, UInt64

from scfx.execution import native

#: Elements that may be read (and are masked) past the end of a row.
SLACK = 8

_INT = ctypes.c_int64
_POINTER = ctypes.c_void_p


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    library = native.load("scfx_libcint", "scfx_libcint")
    signatures = {
        "scfx_jk_begin": [_INT, _INT, _POINTER, _POINTER],
        "scfx_jk_rows": [_INT, _INT, _INT, *[_POINTER] * 4, ctypes.c_int32, ctypes.c_int32, _POINTER],
        "scfx_jk_end": [_INT, _INT, _POINTER, _POINTER, _POINTER],
        "scfx_jk_pack": [_INT, *[_POINTER] * 5],
    }
    for name, arguments in signatures.items():
        getattr(library, name).argtypes = arguments
        getattr(library, name).restype = None
    library.scfx_jk_work_size.argtypes = [_INT, _INT]
    library.scfx_jk_work_size.restype = _INT
    return library


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows (ij|kl), kl <= ij, of the pairs (i, j), j <= i: where each lies, whether as float64, and what owns
    it.
    """

    i: Int32[np.ndarray, "nrow"]
    j: Int32[np.ndarray, "nrow"]
    address: UInt64[np.ndarray, "nrow"]
    is_double: UInt8[np.ndarray, "nrow"]
    memory: tuple[np.ndarray, ...]

    @property
    def nbytes(self) -> int:
        """Return the bytes of the rows."""
        return sum(array.nbytes for array in self.memory)


def pack(rows: Rows, integrals: UInt64[np.ndarray, "nrow"]) -> None:
    """Fill `rows` with the kernel's weights times the float64 integrals at the addresses `integrals`."""
    _library().scfx_jk_pack(
        len(rows.i), rows.i.ctypes.data, rows.j.ctypes.data, integrals.ctypes.data,
        rows.address.ctypes.data, rows.is_double.ctypes.data,
    )  # fmt: skip


class Contraction:
    """J and K of one molecule, as far as they are wanted, built up from all its rows in any number of calls."""

    def __init__(self, density: Float64[np.ndarray, "nspin n n"], coulomb: bool, exchange: bool):
        self._density = np.ascontiguousarray(density, dtype=np.float64)
        self._nspin, self._n = self._density.shape[:2]
        self._wanted = coulomb, exchange
        self._work = np.empty(_library().scfx_jk_work_size(self._n, self._nspin))
        _library().scfx_jk_begin(self._n, self._nspin, self._density.ctypes.data, self._work.ctypes.data)

    def add(self, rows: Rows) -> None:
        """Contract some rows."""
        _library().scfx_jk_rows(
            self._n, self._nspin, len(rows.i), rows.i.ctypes.data, rows.j.ctypes.data,
            rows.address.ctypes.data, rows.is_double.ctypes.data, *map(int, self._wanted), self._work.ctypes.data,
        )  # fmt: skip

    def result(
        self,
    ) -> tuple[Float64[np.ndarray, "nspin n n"] | None, Float64[np.ndarray, "nspin n n"] | None]:
        """Return J and K, exactly symmetric; None in the place of one that is not wanted."""
        out = [np.empty_like(self._density) if wanted else None for wanted in self._wanted]
        pointers = [None if matrix is None else matrix.ctypes.data for matrix in out]
        _library().scfx_jk_end(self._n, self._nspin, self._work.ctypes.data, *pointers)
        return out[0], out[1]
