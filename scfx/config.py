"""TOML to a validated, frozen specification, and the hash of what it defines.

`SCFSpec` is the `[scf]` table; its fields take the same forms in TOML and as keyword arguments of `scfx.solve`.
`SCFSpec.resolve` turns names into what they stand for, and hashes the definitions, not the names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_serializer,
)

from scfx.errors import ConfigError, InputError
from scfx.spec_hash import spec_hash
from scfx.system import HARTREE_IN_EV
from scfx.toml import apply_override, read_toml, validation_error

if TYPE_CHECKING:
    from scfx.abstract import (
        AbstractBasisSource,
        AbstractDispersionCorrection,
        AbstractFunctional,
        AbstractIntegralBackend,
        AbstractTask,
    )
    from scfx.grid import GridSpec
    from scfx.precision import PrecisionPolicy
    from scfx.registry import Registry

_GRID_KEYS = ("level", "atom_grid", "prune", "turn")
_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 2**10, "mib": 2**20, "gib": 2**30}


class Convergence(BaseModel):
    """When an SCF calculation has converged.

    `rule` "gradient": the energy changed by less than `energy` (hartree) and the largest element of the orbital
    gradient X^T(FDS - SDF)X is below `gradient` (hartree), within `max_iterations`. `rule` "qm1b" is the paper's
    (Mathiasen et al. 2023): always `max_iterations` iterations, converged if the standard deviation of the last five
    energies is below `energy` (0.01 eV); `gradient` is then not used. `diis_space`: Fock matrices that DIIS combines.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    energy: float = Field(default=1e-9, gt=0)
    gradient: float = Field(default=5e-7, gt=0)
    max_iterations: int = Field(default=60, ge=1)
    diis_space: int = Field(default=8, ge=1)
    rule: Literal["gradient", "qm1b"] = "gradient"

    def definition(self) -> dict[str, Any]:
        """What enters the spec hash."""
        return self.model_dump(exclude={"gradient"} if self.rule == "qm1b" else None)


CONVERGENCE_PRESETS: dict[str, Convergence] = {
    "default": Convergence(),
    "tight": Convergence(energy=1e-10, gradient=1e-8),
    "loose": Convergence(energy=1e-6, gradient=1e-4),
    "qm1b": Convergence(rule="qm1b", energy=0.01 / HARTREE_IN_EV, max_iterations=20, diis_space=9),
}


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


def _grid(value: Any) -> Any:
    if isinstance(value, Mapping):
        unknown = [k for k in value if k not in _GRID_KEYS]
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r} (keys: {', '.join(_GRID_KEYS)})")
        return dict(value)
    if isinstance(value, (bool, str, float, list, tuple)) or value is None:
        raise ValueError("expected a level 0 to 9, or a table as { level = 3 }")
    if isinstance(value, int) and not 0 <= value <= 9:
        raise ValueError("grid levels are 0 to 9")
    return value


def _convergence(value: Any) -> Any:
    if isinstance(value, str):
        value = {"preset": value}
    if not isinstance(value, Mapping):
        return value
    fields = dict(value)
    preset = fields.pop("preset", "default")
    if not isinstance(preset, str) or preset not in CONVERGENCE_PRESETS:
        raise ValueError(f"unknown preset {preset!r} (presets: {', '.join(CONVERGENCE_PRESETS)})")
    base = CONVERGENCE_PRESETS[fields["rule"] if fields.get("rule") == "qm1b" else preset]
    return {**base.model_dump(), **fields}


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    number = value.strip().rstrip("BbIiKkMmGg ")
    unit = value.strip()[len(number) :].strip().lower()
    try:
        return int(float(number) * _UNITS[unit])
    except (ValueError, KeyError):
        raise ValueError("expected a number of bytes or text as '4 GiB' or '500 MB'") from None


#: Overlap eigenvalues down to here are kept: below, rounding in float64 integrals (1e-12) would show in the energy.
LINEAR_DEPENDENCE = 1e-8

Choice = Annotated[Any, BeforeValidator(_choice)]


class SCFSpec(BaseModel):
    """How to compute: the `[scf]` table, and the keyword arguments of `scfx.solve`.

    `backend`, `functional`, `basis`, `precision`: a name, a table `{name = ..., options}`, or (in Python) an object.
    `grid`: PySCF's level 0 to 9, or a table of `scfx.grid.GridSpec`'s fields; `nonlocal_grid`: the same for the VV10
    part of a functional that has one (its cost grows with the square of the number of points).
    `convergence`: "default", "tight", "loose", "qm1b" (the paper's), or a table of `Convergence`'s fields with an
    optional `preset`. `guess`: "atomic" (superposed atomic densities) or "core".
    `reference`: "auto" is restricted for singlets, unrestricted otherwise.
    `linear_dependence`: combinations of AOs with overlap eigenvalues up to this are left out of the orbitals.
    `recovery`: climb the ladder (damping, level shift, second order, float64) when plain DIIS does not converge.
    `quadrupole`: compute the quadrupole moment too (`SCFResult.quadrupole`).
    `stability`: ask whether each converged solution is a minimum (`SCFResult.stability`).
    `memory_budget`: for integrals and AO values kept on the grid, bytes or text as "4 GiB".
    `lane_width`: conformers computed side by side.
    `threads`: None is all that the process may use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    backend: Choice = "auto"
    functional: Choice = "b3lyp"
    basis: Choice = "sto-3g"
    precision: Choice = "float64"
    grid: Annotated[Any, BeforeValidator(_grid)] = 3
    nonlocal_grid: Annotated[Any, BeforeValidator(_grid)] = 1
    convergence: Annotated[Convergence, BeforeValidator(_convergence)] = CONVERGENCE_PRESETS["default"]
    guess: Literal["atomic", "core"] = "atomic"
    reference: Literal["auto", "restricted", "unrestricted"] = "auto"
    linear_dependence: float = Field(default=LINEAR_DEPENDENCE, gt=0, lt=1)
    recovery: bool = True
    quadrupole: bool = False
    stability: bool = False
    memory_budget: Annotated[int, BeforeValidator(_bytes), Field(gt=0)] = 4 * 2**30
    lane_width: int = Field(default=16, ge=1)
    threads: int | None = Field(default=None, ge=1)

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
        "backend", "functional", "basis", "precision", "grid", "nonlocal_grid", when_used="json"
    )
    def _plain(self, value: Any) -> Any:
        if isinstance(value, (str, int, dict)):
            return value
        if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        # Other ready-made objects have no TOML form; the name is what can be shown.
        return getattr(value, "name", None) or repr(value)

    def resolve(self, registry: Registry, atomic_numbers: Sequence[int] | None = None) -> ResolvedSpec:
        """Look every name up, check the backend's declared capabilities, and hash the definitions.

        With `atomic_numbers` the highest shell of the basis on those elements is part of what the backend must do.
        Raises `ConfigError` (unknown or ambiguous name, missing package, capability) with the key.
        """
        from scfx.registry import Need

        functional = registry.functional(self.functional)
        basis = registry.basis(self.basis)
        policy = registry.precision(self.precision)
        shells = [s for z in sorted({int(z) for z in atomic_numbers or ()}) for s in basis.shells(z)]
        cores = [z for z in {int(z) for z in atomic_numbers or ()} if basis.core_potential(z) is not None]
        stored = {policy.integrals} | ({"float64"} if policy.schwarz_float64 is not None else set())
        need = Need(
            max_angular_momentum=max((s.angular_momentum for s in shells), default=None),
            dtypes=tuple(sorted(stored)),
            range_separation=functional.long_range_exchange != 0.0,
            ecp=bool(cores),
            family=functional.family,
        )
        if self.stability:
            _check_stability(functional, policy)
        backend = registry.backend(self.backend, need=need)
        grid = _grid_spec(self.grid)
        options = (
            {k: v for k, v in self.backend.items() if k != "name"} if isinstance(self.backend, dict) else {}
        )
        own = backend.definition()
        names = {
            "backend": backend.name,
            "functional": _shown(self.functional, functional),
            "basis": _shown(self.basis, basis),
            "precision": policy.name,
        }
        definition = {
            "backend": {"name": backend.name, "options": options} if own is None else own,
            "functional": functional.definition(),
            "basis": basis.definition(),
            "precision": policy.definition(),
            "grid": grid.definition(),
            "convergence": self.convergence.definition(),
            "guess": self.guess,
            "reference": self.reference,
        }
        dispersion = nonlocal_grid = None
        if functional.dispersion is not None:
            named = {k: v for k, v in functional.dispersion.items() if k != "method"}
            dispersion = registry.dispersion({"name": functional.dispersion["method"], **named})
            definition["dispersion"] = dispersion.definition()
        if functional.vv10 is not None:
            nonlocal_grid = _grid_spec(self.nonlocal_grid, "scf.nonlocal_grid")
            definition["nonlocal_grid"] = nonlocal_grid.definition()
        if self.linear_dependence != LINEAR_DEPENDENCE:
            definition["linear_dependence"] = self.linear_dependence
        return ResolvedSpec(
            self, backend, functional, basis, policy, grid, names, definition, spec_hash(definition),
            dispersion, nonlocal_grid,
        )  # fmt: skip


def _check_stability(functional: AbstractFunctional, policy: PrecisionPolicy) -> None:
    if functional.vv10 is not None or not functional.twice_differentiable:
        what = (
            "VV10 has none here" if functional.vv10 is not None else "libraries called on the host have none"
        )
        raise ConfigError(
            "scf.stability",
            f"needs the second derivative of the functional ({what}); use another functional, or stability = false",
        )
    last = policy.refined()
    if {last.coulomb_exchange, last.orbitals, last.linear_algebra} != {"float64"}:
        raise ConfigError(
            "scf.stability",
            f"eigenvalues near zero need float64, which the last iterations of precision {policy.name!r} are not; "
            "use precision = 'float64' or 'mixed'",
        )


def _shown(choice: Any, made: Any) -> str:
    """The name as the user wrote it (without a "dist:" prefix), else the object's own."""
    text = choice.get("name") if isinstance(choice, dict) else choice
    return text.rpartition(":")[2].strip() if isinstance(text, str) else str(made.name)


def _grid_spec(value: Any, key: str = "scf.grid") -> GridSpec:
    from scfx.grid import GridSpec

    try:
        return GridSpec.from_config(value)
    except InputError as error:
        raise ConfigError(key, str(error)) from error


@dataclass(frozen=True, eq=False)
class ResolvedSpec:
    """A spec whose names have been looked up. `spec_hash` (hex, SHA-256) identifies the labels that it defines.

    `names` has backend, functional, basis and precision for people; `definition` is what was hashed.
    """

    spec: SCFSpec
    backend: AbstractIntegralBackend
    functional: AbstractFunctional
    basis: AbstractBasisSource
    precision: PrecisionPolicy
    grid: GridSpec
    names: Mapping[str, str]
    definition: Mapping[str, Any]
    spec_hash: str
    #: The correction that the functional names, and the quadrature of its VV10 part; None where it has none.
    dispersion: AbstractDispersionCorrection | None = None
    nonlocal_grid: GridSpec | None = None

    @property
    def convergence(self) -> Convergence:
        return self.spec.convergence

    @property
    def guess(self) -> str:
        return self.spec.guess

    @property
    def reference(self) -> str:
        return self.spec.reference

    @property
    def recovery(self) -> bool:
        return self.spec.recovery

    @property
    def memory_budget(self) -> int:
        return self.spec.memory_budget

    @property
    def lane_width(self) -> int:
        return self.spec.lane_width

    @property
    def threads(self) -> int | None:
        return self.spec.threads


_LIST_REMEDY = (
    "Give one value; only tasks that compare options take lists, and all tasks of a file share its [scf]"
)


def _without_lists(table: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """The table with the first value of each list in `[scf]`, and the lists, every value of them validated."""
    scf = table.get("scf")
    if not isinstance(scf, Mapping):
        return dict(table), {}
    lists = {key: tuple(v) for key, v in scf.items() if isinstance(v, list) and key in SCFSpec.model_fields}
    for key, values in lists.items():
        if not values:
            raise ConfigError(f"scf.{key}", "is an empty list; give one value, or several to compare")
        for value in values:
            SCFSpec.create({key: value})
    first = {key: values[0] for key, values in lists.items()}
    return {**table, "scf": {**scf, **first}}, lists


class Config(BaseModel):
    """A configuration file: an optional `title`, the `[scf]` table, and the `[[task]]` entries in order."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    title: str = ""
    scf: SCFSpec = SCFSpec()
    task: tuple[dict[str, Any], ...] = ()
    _scf_lists: dict[str, tuple[Any, ...]] = PrivateAttr(default_factory=dict)

    @property
    def scf_lists(self) -> Mapping[str, tuple[Any, ...]]:
        """Keys of `[scf]` that are lists of values, for tasks that compare options; `scf` has the first of each."""
        return dict(self._scf_lists)

    @classmethod
    def load(cls, path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
        """Read a TOML file, apply "dotted.key=value" overrides, and validate all but the tasks' own options.

        Raises `ConfigError`: a missing file, a syntax error (with line and column), an unknown key (with near
        matches), a value of the wrong kind.
        """
        return cls.from_table(read_toml(Path(path)), overrides)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
        """The same from a table that is already parsed."""
        for override in overrides:
            table = apply_override(table, override)
        table, lists = _without_lists(table)
        try:
            config = cls.model_validate(table)
        except ValidationError as error:
            raise validation_error(error, cls, "") from None
        if lists and not config.task:
            raise ConfigError(
                f"scf.{next(iter(lists))}", f"is a list, and the file has no task. {_LIST_REMEDY}"
            )
        config._scf_lists = lists
        return config

    def tasks(self, registry: Registry) -> list[AbstractTask]:
        """Every `[[task]]`, looked up and its options validated, before any of them runs."""
        out = []
        for index, entry in enumerate(self.task):
            options = dict(entry)
            name = options.pop("name", None)
            key = f"task[{index}]"
            if not isinstance(name, str):
                raise ConfigError(f"{key}.name", f"got {name!r}, expected the name of a task")
            task = registry.task(name, key=f"{key}.name")
            if self._scf_lists and not task.accepts_scf_lists:
                listed = next(iter(self._scf_lists))
                raise ConfigError(
                    f"scf.{listed}",
                    f"is a list of {len(self._scf_lists[listed])} values, and {key} ({name}) computes with one. "
                    f"{_LIST_REMEDY}",
                )
            try:
                out.append(task(task.Options.model_validate(options)))
            except ValidationError as error:
                raise validation_error(error, task.Options, f"{key} ({name})") from None
        return out
