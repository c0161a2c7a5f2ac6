"""The `[scf]` table as keyword arguments, for editors and type checkers. What is said is checked by `SCFSpec`.

A test keeps the names equal to those of `SCFSpec`, and the presets and references to what it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from scfx.config.convergence import Convergence
    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.backend import AbstractIntegralBackend
    from scfx.contracts.basis import AbstractBasisSource
    from scfx.contracts.functional import AbstractFunctional
    from scfx.contracts.property import AbstractProperty
    from scfx.grid import GridSpec

Table = Mapping[str, Any]
Preset = Literal["default", "tight", "forces", "loose", "qm1b"]
LevelName = Literal[
    "qm1b", "qm9", "pcq", "ani", "nabla", "spice", "omol25", "r2scan-3c", "b97-3c", "wb97x-3c"
]


class ConvergenceTable(TypedDict, total=False):
    """The fields of `Convergence`, and the preset that they change."""

    preset: Preset
    energy: float
    gradient: float
    max_iterations: int
    diis_space: int
    rule: Literal["gradient", "qm1b"]


class GridTable(TypedDict, total=False):
    """The fields of `scfx.grid.GridSpec`."""

    level: int
    atom_grid: Sequence[int]
    prune: bool
    turn: int | None


if TYPE_CHECKING:
    FunctionalChoice = str | Table | AbstractFunctional
    BasisChoice = str | Table | AbstractBasisSource
    BackendChoice = str | Table | AbstractIntegralBackend
    PrecisionChoice = str | Table | PrecisionPolicy
    #: A level 0 to 9, (radial shells, Lebedev points) for every atom, or a table.
    GridChoice = int | tuple[int, int] | list[int] | GridTable | GridSpec


class SCFOptions(TypedDict, total=False):
    """What `scfx.solve` takes besides functional, basis, backend, precision and grid. `SCFSpec` explains each."""

    level: LevelName | None
    nonlocal_grid: GridChoice
    convergence: Preset | ConvergenceTable | Convergence
    density_fitting: str | bool | Table | AbstractBasisSource | None
    guess: Literal["atomic", "sap", "core"]
    diis: Literal["cdiis", "adiis"]
    reference: Literal["auto", "restricted", "unrestricted", "restricted-open"]
    linear_dependence_threshold: float
    recovery: bool
    quadrupole: bool
    stability: bool
    properties: str | Table | Sequence[str | Table | AbstractProperty]
    grid_response: bool
    memory_budget: int | str
    lane_width: int
    threads: int | None
    device: Literal["cpu", "gpu", "auto"]
    lane_mode: Literal["auto", "loop", "batched"]
    lane_padding: float


class SCFKeywords(SCFOptions, total=False):
    """All keys of the `[scf]` table, as `scfx.Solver` takes them."""

    functional: FunctionalChoice
    basis: BasisChoice
    backend: BackendChoice
    precision: PrecisionChoice
    grid: GridChoice
