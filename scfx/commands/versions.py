"""Versions of what a result may depend on, read from package metadata without importing anything."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import scfx

_PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "pyscf", "basis-set-exchange", "rdkit", "pyarrow")


def versions() -> dict[str, str]:
    """scfx, Python, and those of the packages above that are installed."""
    found = {"scfx": scfx.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
