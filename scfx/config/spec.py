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
from scfx.config.old_keys import translated
from scfx.config.toml import validation_error
from scfx.config.values import (
    LINEAR_DEPENDENCE,
    basis_choice,
    choice,
    choices,
    fitting_choice,
    grid_choice,
    number_of_bytes,
)

if TYPE_CHECKING:
    from scfx.config.resolved import ResolvedSpec
    from scfx.registry import Registry

Choice = Annotated[Any, BeforeValidator(choice)]


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
    `diis`: "cdiis", or "adiis" for ADIIS far from convergence and CDIIS near to it.
    `reference`: "auto" is restricted for singlets, unrestricted otherwise; "restricted-open" (ROHF, ROKS) is restricted
    for singlets, and otherwise has the same orbitals for both spins.
    `linear_dependence_threshold`: combinations of AOs with overlap eigenvalues up to this are left out of the orbitals.
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
    `device`: where XLA's part of the work runs: "cpu", also where there is an accelerator; "gpu", or an error; "auto",
    a GPU if there is one. On a GPU integrals come from backend = "jax".
    `lane_mode`: how XLA goes through the entries of a batch: "loop", one after the other; "batched", all at once;
    "auto" loops on a processor and batches on a GPU.
    `lane_padding`: the largest share of an entry's work that may go to shells of zeros, by which molecules of other
    formulas share a batch; 0: a batch has one shell structure. Only where all entries are worked on at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    backend: Choice = "auto"
    functional: Choice = "b3lyp"
    basis: Annotated[Any, BeforeValidator(basis_choice)] = "sto-3g"
    precision: Choice = "float64"
    grid: Annotated[Any, BeforeValidator(grid_choice)] = 3
    nonlocal_grid: Annotated[Any, BeforeValidator(grid_choice)] = 1
    convergence: Annotated[Convergence, BeforeValidator(convergence_fields)] = CONVERGENCE_PRESETS["default"]
    density_fitting: Annotated[Any, BeforeValidator(fitting_choice)] = None
    guess: Literal["atomic", "sap", "core"] = "atomic"
    diis: Literal["cdiis", "adiis"] = "cdiis"
    reference: Literal["auto", "restricted", "unrestricted", "restricted-open"] = "auto"
    linear_dependence_threshold: float = Field(default=LINEAR_DEPENDENCE, gt=0, lt=1)
    recovery: bool = True
    quadrupole: bool = False
    stability: bool = False
    properties: Annotated[tuple[Choice, ...], BeforeValidator(choices)] = ()
    grid_response: bool = True
    memory_budget: Annotated[int, BeforeValidator(number_of_bytes), Field(gt=0)] = 4 * 2**30
    lane_width: int = Field(default=16, ge=1)
    threads: int | None = Field(default=None, ge=1)
    device: Literal["cpu", "gpu", "auto"] = "cpu"
    lane_mode: Literal["auto", "loop", "batched"] = "auto"
    lane_padding: float = Field(default=0.0, ge=0.0, le=0.9)
    #: Left out of dumps, which have the keys that it stands for.
    level: Annotated[str | None, BeforeValidator(level_name)] = Field(default=None, exclude=True)

    @model_validator(mode="wrap")
    @classmethod
    def _with_level(cls, values: Any, handler: Any) -> SCFSpec:
        if not isinstance(values, Mapping):
            return handler(values)
        values = translated(values)
        if values.get("level") is None:
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
            return cls.model_validate(translated({**(values or {}), **more}, key))
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

    @property
    def accelerator(self) -> str:
        """Return the field `diis`, under the name that it had before."""
        return self.diis

    @property
    def linear_dependence(self) -> float:
        """Return the field `linear_dependence_threshold`, under the name that it had before."""
        return self.linear_dependence_threshold

    def resolve(self, registry: Registry, atomic_numbers: Sequence[int] | None = None) -> ResolvedSpec:
        """Look every name up, check the backend's declared capabilities, and hash the definitions.

        With `atomic_numbers` the highest shell of the basis on those elements is part of what the backend must do.
        Raises `ConfigError` (unknown or ambiguous name, missing package, capability) with the key.
        """
        from scfx.config.resolved import resolve

        return resolve(self, registry, atomic_numbers)


def __getattr__(name: str) -> Any:
    if name == "ResolvedSpec":  # where it was before it had a module of its own
        from scfx.config.resolved import ResolvedSpec

        return ResolvedSpec
    raise AttributeError(f"module 'scfx.config.spec' has no attribute {name!r}")
