"""The C interface of libxc (Lehtola et al., SoftwareX 7, 1 (2018)), from the library that PySCF ships: values and first
derivatives for spin densities at points."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from scfx.errors import PluginUnavailableError
from scfx_jax_xc.names import number_of

_FAMILIES = {1: "lda", 2: "gga", 4: "mgga", 32: "gga", 64: "mgga", 128: "lda"}
_KINETIC = 3
_FLAG_EXC, _FLAG_VXC, _FLAG_LAPLACIAN, _FLAG_1D, _FLAG_2D = 1 << 0, 1 << 1, 1 << 15, 1 << 5, 1 << 6


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    spec = find_spec("pyscf")
    folders = [Path(p) / "lib" for p in (spec.submodule_search_locations or ())] if spec else []
    for folder in folders:
        for path in (*folder.glob("deps/lib/libxc.*"), *folder.glob("libxc.*")):
            return _declare(ctypes.CDLL(str(path)))
    # Built from source, PySCF's wrapper may hold libxc inside.
    for folder in folders:
        for path in folder.glob("libxc_itrf.*"):
            library = ctypes.CDLL(str(path))
            if hasattr(library, "xc_func_alloc"):
                return _declare(library)
    raise PluginUnavailableError("scf.functional", "no libxc library lies beside PySCF; reinstall pyscf")


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, array = ctypes.c_void_p, np.ctypeslib.ndpointer(dtype=np.float64, flags="C_CONTIGUOUS")
    library.xc_func_alloc.restype = pointer
    library.xc_func_init.argtypes = [pointer, ctypes.c_int, ctypes.c_int]
    library.xc_func_get_info.argtypes, library.xc_func_get_info.restype = [pointer], pointer
    for name in ("family", "flags", "kind"):
        getattr(library, f"xc_func_info_get_{name}").argtypes = [pointer]
    library.xc_lda_exc_vxc.argtypes = [pointer, ctypes.c_size_t] + [array] * 3
    library.xc_gga_exc_vxc.argtypes = [pointer, ctypes.c_size_t] + [array] * 5
    library.xc_mgga_exc_vxc.argtypes = [pointer, ctypes.c_size_t] + [array] * 9
    for name in ("lda", "gga", "mgga"):
        getattr(library, f"xc_{name}_exc_vxc").restype = None
    return library


class Libxc:
    """One functional of libxc by its name, spin-polarised or not. Calls may come from several threads."""

    def __init__(self, name: str, polarised: bool):
        library = _library()
        self.name, self._spins = name, 2 if polarised else 1
        self._handle = library.xc_func_alloc()
        if library.xc_func_init(self._handle, number_of(name), self._spins):
            raise PluginUnavailableError("scf.functional", f"libxc cannot set up {name!r}")
        info = library.xc_func_get_info(self._handle)
        flags = library.xc_func_info_get_flags(info)
        self.family = _FAMILIES.get(library.xc_func_info_get_family(info))
        self.unusable = ""
        if library.xc_func_info_get_kind(info) == _KINETIC:
            self.unusable = "it is a kinetic-energy functional"
        elif self.family is None:
            self.unusable = "it is neither LDA, GGA nor meta-GGA"
        elif flags & (_FLAG_1D | _FLAG_2D):
            self.unusable = "it is for one- or two-dimensional systems"
        elif not (flags & _FLAG_EXC and flags & _FLAG_VXC):
            self.unusable = "libxc has no energy and potential for it"
        elif flags & _FLAG_LAPLACIAN:
            self.unusable = "it needs the Laplacian of the density"

    def evaluate(
        self,
        rho: Float64[np.ndarray, "npoint spin"],
        sigma: Float64[np.ndarray, "npoint pair"],
        tau: Float64[np.ndarray, "npoint spin"],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the energy per volume [npoint] and its derivatives by rho, sigma, tau, in the shapes of these, atomic
        units.

        Columns: a, b (rho, tau) and aa, ab, bb (sigma), or one column each of the total where not polarised.
        """
        library, n = _library(), len(rho)
        rho, sigma, tau = (np.ascontiguousarray(x, dtype=np.float64) for x in (rho, sigma, tau))
        per_particle, by_rho, by_sigma, by_tau = (
            np.zeros(n), np.zeros_like(rho), np.zeros_like(sigma), np.zeros_like(tau)
        )  # fmt: skip
        if self.family == "lda":
            library.xc_lda_exc_vxc(self._handle, n, rho, per_particle, by_rho)
        elif self.family == "gga":
            library.xc_gga_exc_vxc(self._handle, n, rho, sigma, per_particle, by_rho, by_sigma)
        else:
            laplacian, by_laplacian = np.zeros_like(rho), np.zeros_like(rho)
            library.xc_mgga_exc_vxc(
                self._handle, n, rho, sigma, laplacian, tau, per_particle, by_rho, by_sigma, by_laplacian, by_tau
            )  # fmt: skip
        return per_particle * rho.sum(axis=1), by_rho, by_sigma, by_tau


@lru_cache(maxsize=1024)
def functional(name: str, polarised: bool) -> Libxc:
    """Return a functional of libxc, kept for the life of the process."""
    return Libxc(name, polarised)
