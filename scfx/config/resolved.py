"""What an `SCFSpec` stands for: its names looked up in a registry, checked against each other, and hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scfx.config.convergence import CONVERGENCE_PRESETS, FORCES_BELOW_FLOAT64, Convergence
from scfx.config.spec_hash import spec_hash
from scfx.config.values import LINEAR_DEPENDENCE, name_of
from scfx.errors import CapabilityError, ConfigError, InputError
from scfx.execution.device import ONE_BY_ONE, Execution, chosen
from scfx.model.elements import nucleus

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.config.spec import SCFSpec
    from scfx.contracts.backend import AbstractIntegralBackend
    from scfx.contracts.basis import AbstractBasisSource
    from scfx.contracts.dispersion import AbstractDispersionCorrection
    from scfx.contracts.functional import AbstractFunctional
    from scfx.energy.integral_sources import IntegralSources
    from scfx.energy.two_electron.density_fitting import DensityFitting
    from scfx.grid import GridSpec
    from scfx.properties.requests import Requested
    from scfx.registry import Registry


def _nothing_requested() -> Requested:
    from scfx.properties.requests import Requested

    return Requested()


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
    convergence: Convergence
    #: Who gives which integrals: `backend`, and whom it borrows from.
    integrals: IntegralSources
    #: The correction that the functional names, and the quadrature of its VV10 part; None where it has none.
    dispersion: AbstractDispersionCorrection | None = None
    #: What J and K are fitted with; None: they are exact.
    fitting: DensityFitting | None = None
    nonlocal_grid: GridSpec | None = None
    #: What is computed of converged entries.
    properties: Requested = field(default_factory=lambda: _nothing_requested())
    #: Atomic potentials of guess = "sap".
    guess_potentials: AbstractBasisSource | None = None
    #: Where XLA works, and how it goes through lanes.
    execution: Execution = ONE_BY_ONE

    @property
    def guess(self) -> str:
        """Return the name of the initial guess."""
        return self.spec.guess

    @property
    def reference(self) -> str:
        """Return how orbitals of the two spins are related: "restricted", "unrestricted", "restricted-open" or
        "auto"."""
        return self.spec.reference

    @property
    def recovery(self) -> bool:
        """Return whether the recovery ladder is climbed."""
        return self.spec.recovery

    @property
    def memory_budget(self) -> int:
        """Return the bytes that integrals and AO values of all threads together may take."""
        return self.spec.memory_budget

    @property
    def lane_width(self) -> int:
        """Return the number of conformers that a batch holds side by side."""
        return self.spec.lane_width

    @property
    def threads(self) -> int | None:
        """Return the number of batches solved side by side; None: as many as there are processors."""
        return self.spec.threads


def resolve(spec: SCFSpec, registry: Registry, atomic_numbers: Sequence[int] | None = None) -> ResolvedSpec:
    """Return what a spec stands for, as `SCFSpec.resolve` says."""
    from scfx.energy.integral_sources import IntegralSources
    from scfx.registry import Need

    execution = chosen(spec.device, spec.lane_mode, spec.memory_budget, spec.lane_padding)
    functional = registry.functional(spec.functional)
    basis = registry.basis(spec.basis)
    policy = registry.precision(spec.precision)
    elements = [(basis, z) for z in sorted({int(z) for z in atomic_numbers or ()})]
    elements += [(own, nucleus(label)[0]) for label, own in basis.labelled().items()]
    shells = [shell for source, z in elements for shell in source.shells(z)]
    cores = [z for source, z in elements if source.core_potential(z) is not None]
    stored = {policy.integrals} | ({"float64"} if policy.schwarz_float64 is not None else set())
    properties = _properties(spec, registry)
    need = Need(
        max_angular_momentum=max((s.angular_momentum for s in shells), default=None),
        dtypes=tuple(sorted(stored)),
        range_separation=functional.long_range_exchange != 0.0,
        ecp=bool(cores),
        derivatives=properties.derivatives,
        fitting=spec.density_fitting is not None,
        family=functional.family,
        platform=None if execution.platform == "cpu" else execution.platform,
    )
    convergence = _convergence(spec, policy, properties)
    backend = registry.backend(spec.backend, need=need)
    grid = _grid_spec(spec.grid)
    options = {k: v for k, v in spec.backend.items() if k != "name"} if isinstance(spec.backend, dict) else {}
    integrals = IntegralSources(
        backend,
        lambda: registry.lender(Need(ecp=True, derivatives=properties.derivatives)),
        lambda highest: registry.lender(
            replace(need, max_angular_momentum=highest, platform=None, family=None)
        ),
    )
    highest = need.max_angular_momentum
    who = backend if highest is None else integrals.for_angular_momentum(highest)
    fitting = _fitting(spec, registry, who, basis, policy)
    own = backend.definition()
    names = {
        "backend": backend.name,
        "functional": _shown(spec.functional, functional),
        "basis": _shown(spec.basis, basis),
        "precision": policy.name,
    }
    definition = {
        "backend": {"name": backend.name, "options": options} if own is None else own,
        "functional": functional.definition(),
        "basis": basis.definition(),
        "precision": policy.definition(),
        "grid": grid.definition(),
        "convergence": convergence.definition(),
        "guess": spec.guess,
        "reference": spec.reference,
    }
    dispersion = nonlocal_grid = None
    if functional.dispersion is not None:
        named = {k: v for k, v in functional.dispersion.items() if k != "method"}
        dispersion = registry.dispersion({"name": functional.dispersion["method"], **named})
        definition["dispersion"] = dispersion.definition()
    if functional.vv10 is not None:
        nonlocal_grid = _grid_spec(spec.nonlocal_grid, "scf.nonlocal_grid")
        definition["nonlocal_grid"] = nonlocal_grid.definition()
    guess_potentials = None
    if spec.guess == "sap":
        from scfx.scf.potential_guess import PUBLISHED

        guess_potentials = registry.basis(PUBLISHED, key="scf.guess")
        definition["guess"] = {"name": spec.guess, "potentials": guess_potentials.definition()}
    if spec.diis != "cdiis":
        _check_diis(spec)
        definition["accelerator"] = spec.diis
    if fitting is not None:
        definition["density_fitting"] = fitting.definition()
    if not spec.grid_response:
        definition["grid_response"] = False
    if spec.linear_dependence_threshold != LINEAR_DEPENDENCE:
        definition["linear_dependence"] = spec.linear_dependence_threshold
    if how := properties.definition(policy.refined()):
        definition["properties"] = how
    resolved = ResolvedSpec(
        spec, backend, functional, basis, policy, grid, names, definition, spec_hash(definition),
        convergence, integrals, dispersion, fitting, nonlocal_grid, properties,
        guess_potentials, execution,
    )  # fmt: skip
    if execution.padding:
        _check_padding(resolved)
    for each in properties.ordered:
        each.check(resolved)
    return resolved


def _check_padding(resolved: ResolvedSpec) -> None:
    """Refuse what does not know of shells that only fill molecules up."""
    if resolved.properties.ordered:
        what = "property " + repr(resolved.properties.ordered[0].name)
    elif resolved.spec.quadrupole:
        what = "scf.quadrupole"
    elif resolved.fitting is not None:
        what = "scf.density_fitting"
    elif resolved.functional.vv10 is not None:
        what = "VV10's correlation"
    else:
        return
    raise ConfigError(
        "scf.lane_padding",
        f"is {resolved.execution.padding:g}, and {what} is not computed of molecules that are filled up; leave one of "
        "the two out",
    )


def _fitting(
    spec: SCFSpec,
    registry: Registry,
    backend: AbstractIntegralBackend,
    basis: AbstractBasisSource,
    policy: PrecisionPolicy,
) -> DensityFitting | None:
    from scfx.contracts.fitting import AbstractFittingRowsBackend
    from scfx.energy.two_electron.density_fitting import DensityFitting
    from scfx.energy.two_electron.term import fitting_backend

    asked, key = spec.density_fitting, "scf.density_fitting"
    if backend.density_fitting is not None:
        if asked is not None:
            raise ConfigError(
                key, "is given twice: here and as an option of the backend; leave the option out"
            )
        asked, key = backend.density_fitting, "scf.backend.density_fitting"
    if asked is None:
        return None
    fitting_backend(backend)
    options: dict[str, Any] = (
        {"basis": asked} if not isinstance(asked, Mapping) or "name" in asked else dict(asked)
    )
    chosen, fitted = options.get("basis", "auto"), options.get("fitted", "jk")
    if chosen == "auto":
        chosen = basis.auxiliary("jkfit" if fitted == "jk" else "jfit") or basis.auxiliary("jkfit")
        if chosen is None:
            raise ConfigError(
                key,
                f"no auxiliary basis set is published for {_shown(spec.basis, basis)!r}; name one, such as "
                "'def2-universal-jkfit'",
            )
    if policy.integrals != "float64" and not isinstance(backend, AbstractFittingRowsBackend):
        raise CapabilityError(
            "scf.precision",
            f"density fitting with backend {backend.name!r} stores float64 integrals only, policy {policy.name!r} "
            f"asks for {policy.integrals}; use backend = 'simd', or precision = 'float64', or leave "
            "scf.density_fitting out",
        )
    return DensityFitting(registry.basis(chosen, key=key), fitted)


def _properties(spec: SCFSpec, registry: Registry) -> Requested:
    """What `properties` names, and `stability`."""
    from scfx.properties.requests import requested

    choices = list(spec.properties)
    if spec.stability and not any(name_of(choice) == "stability" for choice in choices):
        from scfx.properties.stability import StabilityEigenvalues

        choices.append(StabilityEigenvalues())
    return requested(registry, choices)


def _check_diis(spec: SCFSpec) -> None:
    if spec.reference == "restricted-open":
        raise ConfigError(
            "scf.diis",
            f"{spec.diis!r} needs the energy's derivative by each spin's density, which the effective Fock "
            "matrix of reference = 'restricted-open' is not; use diis = 'cdiis'",
        )
    if spec.convergence.rule == "qm1b":
        raise ConfigError(
            "scf.diis",
            f"convergence = 'qm1b' is the paper's CDIIS alone, not {spec.diis!r}",
        )


def _convergence(spec: SCFSpec, policy: PrecisionPolicy, properties: Requested) -> Convergence:
    """The thresholds in force: those asked for, or the ones that what is asked for needs."""
    if not properties.stationary:
        return spec.convergence
    if spec.convergence.rule == "qm1b" and not properties.any_residual:
        raise ConfigError(
            "scf.convergence",
            "a gradient needs a density that is stationary, and the rule 'qm1b' bounds no residual; use "
            "convergence = 'forces', leave 'gradient' out of scf.properties, or ask for it there with "
            "any_residual = true to have it all the same",
        )
    if "convergence" in spec.model_fields_set or spec.level is not None:
        return spec.convergence
    return CONVERGENCE_PRESETS["forces"] if policy.integrals == "float64" else FORCES_BELOW_FLOAT64


def _shown(choice: Any, made: Any) -> str:
    """The name as the user wrote it (without a "dist:" prefix), else the object's own."""
    from scfx.model.mixed_basis import MixedBasis

    if isinstance(made, MixedBasis):  # the table's name is that of the other elements
        return made.name
    text = choice.get("name") if isinstance(choice, dict) else choice
    return text.rpartition(":")[2].strip() if isinstance(text, str) else str(made.name)


def _grid_spec(value: Any, key: str = "scf.grid") -> GridSpec:
    from scfx.grid import GridSpec

    try:
        return GridSpec.from_config(value)
    except InputError as error:
        raise ConfigError(key, str(error)) from error
