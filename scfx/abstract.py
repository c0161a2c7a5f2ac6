"""The contracts that plugins fill. Pluggy selects, these compute: no hook is ever called inside `jit`.

A required method is abstract here. What a plugin *may* do is a marker class that it also inherits from
(`AbstractLaneTwoElectron`, `AbstractAttenuatedBackend`, `AbstractGridBackend`...), so that the driver asks
`isinstance`, never `hasattr`. Names may be added, none removed, while `scfx.HOOK_API` stays the same.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Float64, Int32

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import BaseModel

    from scfx.basis import CorePotential, Shell
    from scfx.batch import Batch
    from scfx.precision import PrecisionPolicy
    from scfx.system import System

Family = Literal["none", "lda", "gga", "mgga"]


# ---- exchange-correlation functionals ----------------------------------------------------------------------------


class Density(NamedTuple):
    """Spin densities and their invariants at grid points; each field an array `[...]`, or None above the family.

    `rho_s` in bohr⁻³, `sigma_st` = ∇rho_s·∇rho_t, `tau_s` = ½ Σ_i |∇ψ_is|² (positive kinetic-energy density, with ½).
    """

    rho_a: Any
    rho_b: Any
    sigma_aa: Any = None
    sigma_ab: Any = None
    sigma_bb: Any = None
    tau_a: Any = None
    tau_b: Any = None


class ClosedShellDensity(NamedTuple):
    """Total density and its invariants where both spins are equal: rho, sigma = |∇rho|², tau = tau_a + tau_b."""

    rho: Any
    sigma: Any = None
    tau: Any = None

    def spin_resolved(self) -> Density:
        """The same density as a `Density` of two equal spins."""
        half = None if self.tau is None else 0.5 * self.tau
        quarter = None if self.sigma is None else 0.25 * self.sigma
        return Density(0.5 * self.rho, 0.5 * self.rho, quarter, quarter, quarter, half, half)


class AbstractFunctional(abc.ABC):
    """An exchange-correlation functional: one spin-resolved energy density; the potential comes from `jax.grad`.

    The driver floors vanishing densities before calling and masks them after, so an implementation may divide by
    `rho` and take roots of `sigma` freely.
    """

    #: Which fields of `Density` are used: "none" (pure Hartree-Fock), "lda", "gga" or "mgga".
    family: ClassVar[Family] | Family
    #: Fraction of full-range exact exchange in the energy.
    exact_exchange: float = 0.0
    #: Fraction of exact exchange with the attenuated operator erf(omega r)/r, in addition to `exact_exchange`.
    long_range_exchange: float = 0.0
    #: Range-separation parameter in bohr⁻¹; 0 when `long_range_exchange` is 0.
    omega: float = 0.0
    #: (b, C) of VV10 non-local correlation, which is added to the energy density; None: there is none.
    vv10: tuple[float, float] | None = None
    #: The dispersion correction that belongs to the functional, {"method": ..., "functional": ...}: `method` names an
    #: offer of kind "dispersion_corrections", which gets the rest as options. None: there is none.
    dispersion: Mapping[str, Any] | None = None
    #: Whether JAX can differentiate `energy_density` twice (`scf.stability`); False where the host is called back.
    twice_differentiable: bool = True
    #: Where and by what the energy density is evaluated, for people ("jax", "libxc-host (why)"); not in the definition.
    implementation: str = "jax"

    @abc.abstractmethod
    def energy_density(self, density: Density) -> Float[Array, "..."]:
        """Exchange-correlation energy per volume, hartree/bohr³, for each point. Pure JAX, differentiable."""

    def closed_shell_energy_density(self, density: ClosedShellDensity) -> Float[Array, "..."]:
        """The same where both spins are equal. Override with a cheaper form; the conformance suite tests equality."""
        return self.energy_density(density.spin_resolved())

    def definition(self) -> Mapping[str, Any]:
        """Plain data that identifies what is computed, not how it is called: this enters the spec hash."""
        cls = type(self)
        return {
            "class": f"{cls.__module__}:{cls.__qualname__}",
            "family": self.family,
            "exact_exchange": self.exact_exchange,
            "long_range_exchange": self.long_range_exchange,
            "omega": self.omega,
            **({} if self.vv10 is None else {"vv10": list(self.vv10)}),
        }


class AbstractDispersionCorrection(abc.ABC):
    """An energy that depends on the nuclei alone and is added to the electronic one: D3, D4 and the like."""

    #: Name of the method, for results.
    name: str

    @abc.abstractmethod
    def energy(self, system: System) -> float:
        """Dispersion energy of one system in hartree. `InputError` for elements that have no parameters."""

    @abc.abstractmethod
    def definition(self) -> Mapping[str, Any]:
        """Plain data that identifies method and parameters: enters the spec hash."""


# ---- basis sets --------------------------------------------------------------------------------------------------


class AbstractBasisSource(abc.ABC):
    """Where shells come from: one basis set, asked element by element."""

    #: Name as asked for, for messages and results.
    name: str

    @abc.abstractmethod
    def shells(self, atomic_number: int) -> Sequence[Shell]:
        """The element's contracted shells (one contraction each); empty if the basis does not cover it."""

    def core_potential(self, atomic_number: int) -> CorePotential | None:
        """The effective core potential that the element's shells were made for; None: they are all-electron."""
        return None

    @abc.abstractmethod
    def definition(self) -> Mapping[str, Any]:
        """Plain data that identifies the numbers in the basis (for instance a digest of them): enters the spec hash."""


# ---- integral backends -------------------------------------------------------------------------------------------


class OneElectron(NamedTuple):
    """One-electron matrices of a batch in the AO basis, float64, hartree and bohr.

    `nuclear` is the attraction to `batch.nuclear_charges` plus, where the basis has them, the effective core
    potentials (a backend says so by `Capabilities(ecp=True)`); `dipole` holds <μ|r|ν> about the coordinate origin.
    """

    overlap: Float64[np.ndarray, "batch nao nao"]
    kinetic: Float64[np.ndarray, "batch nao nao"]
    nuclear: Float64[np.ndarray, "batch nao nao"]
    dipole: Float64[np.ndarray, "batch 3 nao nao"]


class AbstractTwoElectron(abc.ABC):
    """Electron-repulsion integrals of one batch, held (or recomputed) by the backend until `close`."""

    @abc.abstractmethod
    def coulomb_exchange(
        self, density: Float[Any, "batch *spin nao nao"]
    ) -> tuple[Float[Any, "batch *spin nao nao"], Float[Any, "batch *spin nao nao"]]:
        """(J, K) for symmetric density matrices: J_ij = Σ (ij|kl) D_kl, K_ik = Σ (ij|kl) D_jl, in hartree.

        `density` is [batch, nao, nao] or [batch, nspin, nao, nao]; J and K come back in its shape (J of each spin
        separately), as float64 unless the precision policy says float32.
        """

    def held_bytes(self) -> int | None:
        """Bytes of integrals held, so that AO values may take the rest of the memory budget; None: not known."""
        return None

    def close(self) -> None:  # noqa: B027 - nothing to free is a legitimate implementation
        """Free the integrals. Called exactly once by the driver, also after an error."""

    def __enter__(self) -> AbstractTwoElectron:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AbstractLaneTwoElectron(AbstractTwoElectron):
    """Marker: can contract some entries only, so that converged lanes stop costing."""

    #: Whether J and K of a small density cost less, so that adding up those of differences pays.
    screens_small_densities: ClassVar[bool] = False

    @abc.abstractmethod
    def coulomb_exchange_lanes(
        self, density: Float[Any, "batch nspin nao nao"], lanes: Int32[np.ndarray, "active"], exchange: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(J, K) [active, nspin, nao, nao] of the entries `lanes`; K is None when `exchange` is False."""


class AbstractIntegralBackend(abc.ABC):
    """Integrals over a `Batch`. Constructed once per run from the backend's own options; reused for every batch."""

    #: Name as registered, for results.
    name: str

    @abc.abstractmethod
    def one_electron(self, batch: Batch) -> OneElectron:
        """Overlap, kinetic, nuclear attraction and dipole matrices in PySCF's AO order and normalisation."""

    @abc.abstractmethod
    def two_electron(self, batch: Batch, policy: PrecisionPolicy, memory_budget: int) -> AbstractTwoElectron:
        """An operator D -> (J, K) that uses at most `memory_budget` bytes for integrals.

        Raises `ResourceError` with the numbers if it cannot.
        """

    def definition(self) -> Mapping[str, Any] | None:
        """Plain data that identifies what labels depend on: enters the spec hash. None: the name and all options.

        Override where options change only the speed or the place, so that they do not change the hash.
        """
        return None

    def device(self) -> str:
        """Where the integrals really ran ("cpu", "ipu-host"...): reported in every result."""
        return "cpu"

    def best_policy(self) -> PrecisionPolicy:
        """The most precise policy that it serves: of the atomic guess and of recovery's last rungs.

        Override where float64 integrals are out of reach.
        """
        from scfx.precision import FLOAT64

        return FLOAT64

    def max_batch(self, layout: Any, policy: PrecisionPolicy, memory_budget: int) -> int | None:
        """How many entries of a `ShellLayout` fit the budget at once; None: no opinion. 0: not even one."""
        return None


class AbstractAttenuatedBackend(AbstractIntegralBackend):
    """Marker: offers integrals with the operator erf(omega r12)/r12, for range-separated functionals."""

    @abc.abstractmethod
    def attenuated_two_electron(
        self, batch: Batch, omega: float, policy: PrecisionPolicy, memory_budget: int
    ) -> AbstractTwoElectron:
        """As `two_electron` for erf(omega r12)/r12; `omega` in bohr⁻¹, positive."""


class AbstractCorePotentialBackend(AbstractIntegralBackend):
    """Marker: `one_electron` adds `batch.basis.core_potentials` to `nuclear`; its offer says `ecp=True`."""


class AbstractCrossOverlapBackend(AbstractIntegralBackend):
    """Marker: offers overlaps between two basis sets on the same geometry (projection of a guess)."""

    @abc.abstractmethod
    def cross_overlap(self, bra: Batch, ket: Batch) -> Float64[np.ndarray, "batch nao_bra nao_ket"]:
        """<μ_bra|ν_ket> for batches of the same systems in the same order."""


class AbstractGridOperator(abc.ABC):
    """Grid contractions of one batch in blocks of points. The driver evaluates the functional between the two.

    Components at a point: rho; for "gga" also ∂rho/∂x, y, z; for "mgga" also tau. `lanes` are the entries to work
    on, in ascending order; outputs lead with them.
    """

    #: Number of point blocks; all have the same number of points (padded points have zero weight).
    n_blocks: int

    @abc.abstractmethod
    def weights(self, block: int, lanes: Int32[np.ndarray, "active"]) -> Float64[Any, "active point"]:
        """Quadrature weights of a block in bohr³."""

    @abc.abstractmethod
    def density(
        self, block: int, density: Float[Any, "active nspin nao nao"], lanes: Int32[np.ndarray, "active"]
    ) -> Float[Any, "active nspin component point"]:
        """Density components of each spin on a block."""

    @abc.abstractmethod
    def potential(
        self,
        block: int,
        derivative: Float[Any, "active nspin component point"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[Any, "active nspin nao nao"]:
        """Contribution of a block to the potential matrix, V_ij = Σ_g Σ_c derivative_cg ∂(component c)/∂D_ij.

        `derivative` already includes the quadrature weight.
        """

    def add_potential(
        self,
        block: int,
        derivative: Float[Any, "active nspin component point"],
        lanes: Int32[np.ndarray, "active"],
        out: Float64[np.ndarray, "active nspin nao nao"],
    ) -> None:
        """Add `potential` to `out` in place. Override where that saves a copy."""
        out += np.asarray(self.potential(block, derivative, lanes))

    def held_bytes(self) -> int:
        """Bytes of AO values held: part of the memory budget."""
        return 0

    def close(self) -> None:  # noqa: B027
        """Free what is held."""


class AbstractGridBackend(AbstractIntegralBackend):
    """Marker: takes over the grid contractions from the portable JAX ones."""

    @abc.abstractmethod
    def grid_operator(
        self,
        batch: Batch,
        points: Sequence[Float64[np.ndarray, "npoint 3"]],
        weights: Sequence[Float64[np.ndarray, "npoint"]],
        family: Family,
        policy: PrecisionPolicy,
        memory_budget: int,
    ) -> AbstractGridOperator:
        """`points` (bohr) and `weights` (bohr³) by entry, which may differ in number; blocks are the backend's."""


# ---- tasks and executors -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TaskContext:
    """What a task is given: the validated `[scf]` spec, the registry, the console, and where the config lies.

    `scf_lists`: keys of `[scf]` that the file gives as lists, each with its values; `spec` has the first of each.
    """

    spec: Any
    registry: Any
    console: Any
    config_path: str | None = None
    scf_lists: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


class AbstractTask(abc.ABC):
    """One `[[task]]` of a config. `Options` is a pydantic model (unknown keys forbidden) that validates its table."""

    Options: ClassVar[type[BaseModel]]
    #: Whether keys of `[scf]` may be lists of values (`TaskContext.scf_lists`): for tasks that compare options.
    accepts_scf_lists: ClassVar[bool] = False

    def __init__(self, options: BaseModel):
        self.options = options

    def check(self, context: TaskContext) -> None:  # noqa: B027 - most tasks have nothing more to refuse
        """Refuse what `Options` cannot see to be wrong. Called for every task of a file before the first one runs."""

    @abc.abstractmethod
    def run(self, context: TaskContext) -> int:
        """Do the work; returns the exit code (0 done, 1 ran but something is not usable)."""


class AbstractExecutor(abc.ABC):
    """Runs attempts and reports their outcomes; owns no truth: the store does."""

    @abc.abstractmethod
    def run(self, attempts: Iterable[Any]) -> Iterable[Any]:
        """Yield one outcome per attempt, in any order, as they finish."""
