"""Versions of what a result may depend on, read from package metadata without importing anything."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import scfx

#: Packages that the numbers of a label depend on.
NUMERICAL = (
    "jax", "jaxlib", "numpy", "scipy", "pyscf", "basis-set-exchange", "dftd3", "dftd4", "jax-xc",
)  # fmt: skip


def versions(packages: Iterable[str] = NUMERICAL) -> dict[str, str]:
    """Return scfx's version and those of `packages`; a package that is not installed is left out."""
    found = ((package, _version(package)) for package in packages)
    return {"scfx": scfx.__version__, **{package: text for package, text in found if text is not None}}


@cache
def _version(package: str) -> str | None:
    """Return the version of an installed package; None: it is not installed."""
    # Kept: to parse the metadata of nine packages takes 50 ms, as long as a label.
    try:
        return version(package)
    except PackageNotFoundError:
        return None
