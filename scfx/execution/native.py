"""Finding and loading compiled kernels: the best x86 variant that this processor can execute."""

from __future__ import annotations

import ctypes
import os
import platform
import stat
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
    """Return the feature flags of the processor as Linux names them; empty where they cannot be read."""
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
    """Return the best variant that this processor can execute, which is loaded if it is built.

    The environment variable SCFX_CPU_VARIANT can ask for a lesser one.
    """
    usable = [v for v in VARIANTS if _NEEDS[v] <= cpu_flags()]
    asked = os.environ.get("SCFX_CPU_VARIANT")
    if asked:
        if asked not in usable:
            raise PluginUnavailableError(
                "SCFX_CPU_VARIANT", f"{asked!r} cannot run on this processor; possible: {', '.join(usable)}"
            )
        return asked
    return usable[-1]


#: Variant of each library that this process has loaded, by (package, stem).
_loaded: dict[tuple[str, str], str] = {}


@cache
def load(package: str, stem: str) -> ctypes.CDLL:
    """Load `<package>/_lib/lib<stem>_<variant>.so`, best variant first; `PluginUnavailableError` if none is built.

    The package's `__path__` is searched, which in an editable install holds both the sources and the build. The
    environment variable SCFX_NATIVE_DIR names a prefix to search instead (what `cmake --install` was given): another
    build of the kernels, such as the instrumented one of `make sanitize`. What that prefix lacks is an error, so that
    nobody takes the usual build for the other one. `loaded_variant` tells which variant it was. Refused with
    `PluginUnavailableError` is a library that others than its owner could have put there.
    """
    folders = _folders(package)
    found = _find(folders, stem)
    if found is None:
        raise PluginUnavailableError(
            "",
            f"the compiled kernels of {package} (lib{stem}_*.so) are not built; looked in "
            f"{', '.join(map(str, folders))}"
            + (
                " because SCFX_NATIVE_DIR is set"
                if os.environ.get("SCFX_NATIVE_DIR")
                else ". Install scfx with pip, which builds them"
            ),
        )
    variant, path = found
    _refuse_what_others_can_write(path)
    library = ctypes.CDLL(str(path))
    _loaded[package, stem] = variant
    return library


def loaded_variant(package: str, stem: str) -> str | None:
    """Return the variant of a library that this process has loaded; None if it has not.

    It is less than `best_variant()` where that one is not built: then the last bits and the speed may differ too.
    """
    return _loaded.get((package, stem))


def built_variants(package: str) -> dict[str, str]:
    """Return the variant that `load` takes of each compiled library of a package, by stem; empty where there
    is none.
    """
    folders = _folders(package)
    paths = [path for folder in folders for path in folder.glob("lib*_*.so")]
    stems = sorted({path.stem.removeprefix("lib").rpartition("_")[0] for path in paths})
    found = {stem: _find(folders, stem) for stem in stems}
    return {stem: variant_and_path[0] for stem, variant_and_path in found.items() if variant_and_path}


def _folders(package: str) -> list[Path]:
    prefix = os.environ.get("SCFX_NATIVE_DIR")
    roots = [Path(prefix) / package] if prefix else [Path(p) for p in import_module(package).__path__]
    return [root / "_lib" for root in roots]


def _find(folders: list[Path], stem: str) -> tuple[str, Path] | None:
    best = best_variant()
    for variant in reversed(VARIANTS[: VARIANTS.index(best) + 1]):
        for folder in folders:
            path = folder / f"lib{stem}_{variant}.so"
            if path.exists():
                return variant, path
    return None


def _refuse_what_others_can_write(library: Path) -> None:
    """Loading a library runs it: refuse one that is not of this user, of root, or of who installed scfx, or that
    anybody can replace. Of a prefix that the environment names, the folders above it are looked at too.
    """
    trusted = {0, os.geteuid(), Path(__file__).stat().st_uid}
    above = library.absolute().parents if os.environ.get("SCFX_NATIVE_DIR") else (library.parent,)
    for place in (library, *above):
        status = place.stat()
        # In a folder like /tmp only the owner can replace what is there; but anybody can add a library.
        sticky = status.st_mode & stat.S_ISVTX and place not in (library, library.parent)
        if status.st_mode & stat.S_IWOTH and not sticky:
            why, remedy = "everybody can write to", f"chmod o-w {place}"
        elif status.st_uid not in trusted:
            why, remedy = f"user {status.st_uid} owns", "use a build of your own"
        else:
            continue
        raise PluginUnavailableError(
            "",
            f"the compiled kernels {str(library)!r} are not loaded: {why} {str(place)!r}. Remedy: {remedy}",
        )
