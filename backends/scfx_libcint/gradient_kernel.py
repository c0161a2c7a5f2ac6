"""Bindings (ctypes) of src/two_electron_gradient.cpp. ctypes releases the GIL, so entries can run in Python threads."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float64, Int32

from scfx.execution import native
from scfx_libcint.environment import Environment

#: Quartets whose part of the derivative is below this many hartree/bohr are left out.
THRESHOLD = 1e-13

_INT = ctypes.c_int
_POINTER = ctypes.c_void_p
_MOLECULE = [_POINTER, _INT, _POINTER, _INT, _POINTER]


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    library = native.load("scfx_libcint", "scfx_libcint")
    library.scfx_gradient_cache_size.argtypes = [_POINTER, *_MOLECULE]
    library.scfx_gradient_cache_size.restype = ctypes.c_int64
    library.scfx_gradient_bounds.argtypes = [
        *[_POINTER] * 2, *_MOLECULE, _POINTER, ctypes.c_int32, ctypes.c_int32, *[_POINTER] * 3,
    ]  # fmt: skip
    library.scfx_gradient_bounds.restype = None
    library.scfx_gradient_quartets.argtypes = [
        *[_POINTER] * 2, *_MOLECULE, *[_POINTER] * 7,
        ctypes.c_int64, *[ctypes.c_double] * 3, *[_POINTER] * 3,
    ]  # fmt: skip
    library.scfx_gradient_quartets.restype = None
    return library


class Quartets:
    """The derivative quartets of one molecule and operator by libcint, with the Schwarz bounds of its pairs
    of shells.
    """

    def __init__(self, molecule: Environment, offsets: Int32[np.ndarray, "offset"]):
        self._molecule = molecule
        self._offsets = np.ascontiguousarray(offsets, dtype=np.int32)
        n = len(offsets) - 1
        self._ket = self._bounds("int2e", 1, 1, np.empty((n, n)))
        self._bra = self._bounds("int2e_ip1ip2", 9, 4, np.empty((n, n)))

    def derivative(
        self, density: Float64[np.ndarray, "nspin n n"], coulomb: float, exchange: float
    ) -> Float64[np.ndarray, "natm 3"]:
        """Return the derivative of coulomb · ½ Σ D_ij (ij|kl) D_kl - exchange · ½ Σ_s Σ D_s,ik (ij|kl) D_s,jl, in
        hartree/bohr.
        """
        density = np.ascontiguousarray(density)
        total = np.ascontiguousarray(density.sum(axis=0))
        out = np.zeros((len(self._molecule.atm), 3))
        integral, optimizer, buffer, cache = self._function("int2e_ip1", 3)
        largest_total, largest = self._largest(total), self._largest(density)
        _library().scfx_gradient_quartets(
            integral, optimizer, *self._arguments(), self._offsets.ctypes.data,
            self._bra.ctypes.data, self._ket.ctypes.data, total.ctypes.data, density.ctypes.data,
            largest_total.ctypes.data, largest.ctypes.data, len(density), coulomb, exchange, THRESHOLD,
            buffer.ctypes.data, cache.ctypes.data, out.ctypes.data,
        )  # fmt: skip
        return out

    def _bounds(
        self, name: str, components: int, step: int, out: Float64[np.ndarray, "nshell nshell"]
    ) -> Float64[np.ndarray, "nshell nshell"]:
        integral, optimizer, buffer, cache = self._function(name, components)
        _library().scfx_gradient_bounds(
            integral, optimizer, *self._arguments(), self._offsets.ctypes.data, components, step,
            buffer.ctypes.data, cache.ctypes.data, out.ctypes.data,
        )  # fmt: skip
        return out

    def _arguments(self) -> tuple[int, int, int, int, int]:
        m = self._molecule
        return m.atm.ctypes.data, len(m.atm), m.bas.ctypes.data, len(m.bas), m.env.ctypes.data

    def _function(self, name: str, components: int) -> tuple[Any, Any, np.ndarray, np.ndarray]:
        """libcint's function of that name, its precomputed pair data, and room for one quartet and for scratch."""
        from pyscf.gto import moleintor

        m = self._molecule
        name = f"{name}_{m.flavour}"
        integral = ctypes.cast(getattr(moleintor.libcgto, name), _POINTER)
        optimizer = moleintor.make_cintopt(m.atm, m.bas, m.env, name)
        size = int(_library().scfx_gradient_cache_size(integral, *self._arguments()))
        widest = int(np.diff(self._offsets).max())
        return integral, optimizer, np.empty(components * widest**4), np.empty(size)

    def _largest(
        self, density: Float64[np.ndarray, "*spin n n"]
    ) -> Float64[np.ndarray, "*spin nshell nshell"]:
        starts = self._offsets[:-1]
        rows = np.maximum.reduceat(np.abs(density), starts, axis=-2)
        return np.ascontiguousarray(np.maximum.reduceat(rows, starts, axis=-1))
