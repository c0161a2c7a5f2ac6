"""`SCFSpec`, the `[scf]` table: validated, frozen, resolved to what its names stand for, and hashed.

Its fields take the same forms in TOML and as keyword arguments of `scfx.solve`. `SCFSpec.resolve` turns names into what
they stand for, and hashes the definitions, not the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    model_validator,
)

from scfx.config.convergence import CONVERGENCE_PRESETS, Convergence, convergence_fields
from scfx.config.levels import expanded, level_name
from scfx.config.toml import validation_error
from scfx.model.elements import SYMBOLS

if TYPE_CHECKING:
    from scfx.config.resolved import ResolvedSpec
    from scfx.registry import Registry

_GRID_KEYS = ("level", "atom_grid", "prune", "turn")
_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def _choice(value: Any) -> Any:
    """A name, a table with a name, or a ready-made object; plain values of other types are mistakes."""
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("got an empty name")
        return value.strip()
    if isinstance(value, Mapping):
        if not isinstance(value.get("name"), str):
            raise ValueError('a table needs a name, as { name = "..." }')
        return dict(value)
    if value is None or isinstance(value, (bool, int, float, list, tuple, set, type)):
        raise ValueError('expected a name, or a table as { name = "...", option = ... }')
    return value


def _basis(value: Any) -> Any:
    """A choice, or a table by element, whose entries are choices."""
    from scfx.model.mixed_basis import is_by_element

    if not is_by_element(value):
        return _choice(value)
    return {
        key: _choice(entry) if key in SYMBOLS or key == "default" else entry for key, entry in value.items()
    }


def _grid(value: Any) -> Any:
    if isinstance(value, Mapping):
        unknown = [k for k in value if k not in _GRID_KEYS]
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r} (keys: {', '.join(_GRID_KEYS)})")
        return dict(value)
    if isinstance(value, (list, tuple)):
        if len(value) == 2:  # as PySCF's atom_grid
            return {"atom_grid": list(value)}
        raise ValueError(
            "expected a level 0 to 9, two numbers (radial shells, Lebedev points), or a table as "
            "{ atom_grid = [75, 302] }"
        )
    if isinstance(value, (bool, str, float)) or value is None:
        raise ValueError("expected a level 0 to 9, or a table as { level = 3 } or { atom_grid = [75, 302] }")
    if isinstance(value, int) and not 0 <= value <= 9:
        raise ValueError("grid levels are 0 to 9")
    return value


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    number = value.strip().rstrip("BbIiKkMmGg ")
    unit = value.strip()[len(number) :].strip().lower()
    try:
        return int(float(number) * _UNITS[unit])
    except (ValueError, KeyError):
        raise ValueError("expected a number of bytes or text as '4 GiB' or '500 MB'") from None


def _density_fitting(value: Any) -> Any:
    if value is None or value is False:
        return None
    if isinstance(value, Mapping) and "name" not in value:
        unknown = [k for k in value if k not in ("basis", "fitted")]
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r} (keys: basis, fitted)")
        if value.get("fitted", "jk") not in ("jk", "j"):
            raise ValueError(f"fitted is {value['fitted']!r}, expected 'jk' or 'j'")
        return {**value, "basis": _choice(value.get("basis", "auto"))}
    return _choice(value)


def _choices(value: Any) -> Any:
    if isinstance(value, (str, Mapping)):
        return (value,)
    if not isinstance(value, (list, tuple)):
        raise ValueError('expected a list of names, or of tables as { name = "...", option = ... }')
    return tuple(value)


#: Overlap eigenvalues down to here are kept: below, rounding in float64 integrals (1e-12) would show in the energy.
LINEAR_DEPENDENCE = 1e-8

Choice = Annotated[Any, BeforeValidator(_choice)]


class SCFSpec(BaseModel):
    """How to compute: the `[scf]` table, and the keyword arguments of `scfx.solve`.

    `level`: the name of a published dataset's level of theory (`scfx.config.levels`), whose keys stand where none is
    given; `scfx level` prints it. The spec hash is that of the keys.
    `backend`, `functional`, `basis`, `precision`: a name, a table `{name = ..., options}`, or (in Python) an object;
    `basis` may be a table by element or atom label too (`scfx.model.mixed_basis`).
    `grid`: PySCF's level 0 to 9, (radial shells, Lebedev points) for every atom, or a table of `scfx.grid.GridSpec`'s
    fields; `nonlocal_grid`: the same for the VV10 part of a functional that has one (its cost grows with the square of
    the number of points).
    `convergence`: "default", "tight", "forces", "loose", "qm1b" (the paper's), or a table of `Convergence`'s fields
    with an optional `preset`. Left out, it is "forces" where a gradient is asked for (with a ten times larger threshold
    where integrals are stored in float32), else "default".
    `density_fitting`: an auxiliary basis set for J and K ("def2-universal-jkfit", or "auto" for the one published with
    the basis), or a table {basis = ..., fitted = "j"} to fit J alone; left out, J and K are exact.
    `guess`: "atomic" (superposed atomic densities), "sap" (orbitals of superposed atomic potentials) or "core".
    `accelerator`: "cdiis", or "adiis" for ADIIS far from convergence and CDIIS near to it.
    `reference`: "auto" is restricted for singlets, unrestricted otherwise; "restricted-open" (ROHF, ROKS) is restricted
    for singlets, and otherwise has the same orbitals for both spins.
    `linear_dependence`: combinations of AOs with overlap eigenvalues up to this are left out of the orbitals.
    `recovery`: climb the ladder (damping, level shift, second order, float64) when plain DIIS does not converge.
    `quadrupole`: compute the quadrupole moment too (`SCFResult.quadrupole`).
    `properties`: what else to compute of converged entries, by name ("gradient") or as tables with options;
    `SCFResult.properties`.
    `grid_response`: gradients follow the grid's points and weights as the atoms move, so that they are the derivative
    of the energy on that grid. False leaves it out, as many programs do, to compare with them.
    `stability`: ask whether each converged solution is a minimum (`SCFResult.stability`).
    `memory_budget`: for integrals and AO values kept on the grid, bytes or text as "4 GiB".
    `lane_width`: conformers computed side by side.
    `threads`: None is all that the process may use.
    `device`: where XLA's part of the work runs: "cpu", also where there is an accelerator.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    backend: Choice = "auto"
    functional: Choice = "b3lyp"
    basis: Annotated[Any, BeforeValidator(_basis)] = "sto-3g"
    precision: Choice = "float64"
    grid: Annotated[Any, BeforeValidator(_grid)] = 3
    nonlocal_grid: Annotated[Any, BeforeValidator(_grid)] = 1
    convergence: Annotated[Convergence, BeforeValidator(convergence_fields)] = CONVERGENCE_PRESETS["default"]
    density_fitting: Annotated[Any, BeforeValidator(_density_fitting)] = None
    guess: Literal["atomic", "sap", "core"] = "atomic"
    accelerator: Literal["cdiis", "adiis"] = "cdiis"
    reference: Literal["auto", "restricted", "unrestricted", "restricted-open"] = "auto"
    linear_dependence: float = Field(default=LINEAR_DEPENDENCE, gt=0, lt=1)
    recovery: bool = True
    quadrupole: bool = False
    stability: bool = False
    properties: Annotated[tuple[Choice, ...], BeforeValidator(_choices)] = ()
    grid_response: bool = True
    memory_budget: Annotated[int, BeforeValidator(_bytes), Field(gt=0)] = 4 * 2**30
    lane_width: int = Field(default=16, ge=1)
    threads: int | None = Field(default=None, ge=1)
    device: Literal["cpu"] = "cpu"
    #: Left out of dumps, which have the keys that it stands for.
    level: Annotated[str | None, BeforeValidator(level_name)] = Field(default=None, exclude=True)

    @model_validator(mode="wrap")
    @classmethod
    def _with_level(cls, values: Any, handler: Any) -> SCFSpec:
        if not isinstance(values, Mapping) or values.get("level") is None:
            return handler(values)
        made = handler(expanded(values))
        # What the level says is not said by the user: another level, put in its place, is not overruled by it.
        made.__pydantic_fields_set__.intersection_update(values)
        return made

    @classmethod
    def create(cls, values: Mapping[str, Any] | None = None, /, *, key: str = "scf", **more: Any) -> SCFSpec:
        """Validate plain values; `ConfigError` with the dotted key (under `key`), near matches and what is expected.

        `SCFSpec(...)` itself raises pydantic's `ValidationError`.
        """
        try:
            return cls.model_validate({**(values or {}), **more})
        except ValidationError as error:
            raise validation_error(error, cls, key) from None

    @field_serializer(
        "backend",
        "functional",
        "basis",
        "precision",
        "grid",
        "nonlocal_grid",
        "density_fitting",
        "properties",
        when_used="json",
    )
    def _plain(self, value: Any) -> Any:
        if value is None or isinstance(value, (str, int, dict)):
            return value
        if isinstance(value, tuple):
            return [self._plain(item) for item in value]
        if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        # Other ready-made objects have no TOML form; the name is what can be shown.
        return getattr(value, "name", None) or repr(value)

    def resolve(self, registry: Registry, atomic_numbers: Sequence[int] | None = None) -> ResolvedSpec:
        """Look every name up, check the backend's declared capabilities, and hash the definitions.

        With `atomic_numbers` the highest shell of the basis on those elements is part of what the backend must do.
        Raises `ConfigError` (unknown or ambiguous name, missing package, capability) with the key.
        """
        from scfx.config.resolved import resolve

        return resolve(self, registry, atomic_numbers)


def name_of(choice: Any) -> str:
    """The name in a choice, case-free and without a "dist:" prefix; an object's own; empty where there is none."""
    text = choice.get("name") if isinstance(choice, dict) else choice
    text = text if isinstance(text, str) else getattr(choice, "name", None)
    return text.rpartition(":")[2].strip().casefold() if isinstance(text, str) else ""


def __getattr__(name: str) -> Any:
    if name == "ResolvedSpec":  # where it was before it had a module of its own
        from scfx.config.resolved import ResolvedSpec

        return ResolvedSpec
    raise AttributeError(f"module 'scfx.config.spec' has no attribute {name!r}")
