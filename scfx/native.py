"""Finding and loading compiled kernels: the best x86 variant that this processor can execute."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path

from scfx.errors import PluginUnavailableError

#: Best last. A wheel carries every variant; see cmake/ScfxKernels.cmake.
VARIANTS = ("baseline", "avx2", "avx512")
_NEEDS = {
    "baseline": frozenset(),
    "avx2": frozenset({"avx2", "fma"}),
    "avx512": frozenset({"avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl"}),
}


@lru_cache(maxsize=1)
def cpu_flags() -> frozenset[str]:
    """Feature flags of the processor as Linux names them; empty where they cannot be read."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return frozenset()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def best_variant() -> str:
    """The variant that will be loaded; the environment variable SCFX_CPU_VARIANT can ask for a lesser one."""
    usable = [v for v in VARIANTS if _NEEDS[v] <= cpu_flags()]
    asked = os.environ.get("SCFX_CPU_VARIANT")
    if asked:
        if asked not in usable:
            raise PluginUnavailableError(
                "SCFX_CPU_VARIANT", f"{asked!r} cannot run on this processor; possible: {', '.join(usable)}"
            )
        return asked
    return usable[-1]


@cache
def load(package: str, stem: str) -> ctypes.CDLL:
    """Load `<package>/_lib/lib<stem>_<variant>.so`, best variant first; `PluginUnavailableError` if none is built.

    The package's `__path__` is searched, which in an editable install holds both the sources and the build. The
    environment variable SCFX_NATIVE_DIR names a prefix to search instead (what `cmake --install` was given): another
    build of the kernels, such as the instrumented one of `make sanitize`. What that prefix lacks is an error, so that
    nobody takes the usual build for the other one.
    """
    prefix = os.environ.get("SCFX_NATIVE_DIR")
    roots = [Path(prefix) / package] if prefix else [Path(p) for p in import_module(package).__path__]
    folders = [root / "_lib" for root in roots]
    best = best_variant()
    for variant in reversed(VARIANTS[: VARIANTS.index(best) + 1]):
        for folder in folders:
            path = folder / f"lib{stem}_{variant}.so"
            if path.exists():
                return ctypes.CDLL(str(path))
    raise PluginUnavailableError(
        "",
        f"the compiled kernels of {package} (lib{stem}_*.so) are not built; looked in "
        f"{', '.join(map(str, folders))}"
        + (" because SCFX_NATIVE_DIR is set" if prefix else ". Install scfx with pip, which builds them"),
    )
