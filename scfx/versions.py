"""Versions of what a result may depend on, read from package metadata without importing anything."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

import scfx

#: Packages that the numbers of a label depend on.
NUMERICAL = (
    "jax", "jaxlib", "numpy", "scipy", "pyscf", "basis-set-exchange", "dftd3", "dftd4", "jax-xc",
)  # fmt: skip


def versions(packages: Iterable[str] = NUMERICAL) -> dict[str, str]:
    """Return scfx's version and those of `packages`; a package that is not installed is left out."""
    found = {"scfx": scfx.__version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
