"""Between the dataset and the core: what a spec means, and a solver for it in a worker."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import scfx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PACKAGES = ("jax", "jaxlib", "numpy", "pyscf", "rdkit", "scipy")


@runtime_checkable
class LabelSolver(Protocol):
    """What an attempt needs of a solver; `scfx.Solver` is one.

    Promise relied on: the result of a system does not depend on the other systems of the call.
    """

    @property
    def profile(self) -> Mapping[str, float]:
        """Seconds by stage since the solver was made, "compile" among them."""
        ...

    def solve(self, systems: Sequence[scfx.System]) -> scfx.SCFResult: ...


class Description(NamedTuple):
    """A spec in the terms of a plan: its hash, a readable form, and the options outside the hash that still count."""

    spec_hash: str
    spec: dict[str, Any]
    solver: dict[str, Any]


def describe(spec: Any, registry: Any) -> Description:
    """Resolve an `SCFSpec` for the plan. Raises `ConfigError` for unknown names and missing capabilities."""
    resolved = spec.resolve(registry)
    shown = spec.model_dump(mode="json", exclude={"threads", "memory_budget"})
    solver = {"recovery": spec.recovery, "lane_width": spec.lane_width}
    return Description(resolved.spec_hash, {**shown, **resolved.names}, solver)


def make_solver(spec: Any, threads: int | None) -> LabelSolver:
    """A `scfx.Solver` with the plugins installed here, on at most `threads` threads (None: as the spec says)."""
    if threads is not None:
        spec = spec.model_copy(update={"threads": threads})
    return scfx.Solver(spec, scfx.Registry.discover())


def versions() -> dict[str, str]:
    """Versions of scfx and of the packages that labels depend on; those not installed are left out."""
    found = {"scfx": scfx.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
