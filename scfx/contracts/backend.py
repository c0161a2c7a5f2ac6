"""What an integral backend gives for a batch. What it may give is a marker class that it also inherits from."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float64

from scfx.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.requests import TwoElectronRequest
    from scfx.contracts.two_electron import AbstractTwoElectron
    from scfx.model.batch import Batch


class OneElectron(NamedTuple):
    """One-electron matrices of a batch in the AO basis, float64, hartree and bohr.

    `nuclear` is the attraction to `batch.nuclear_charges` plus, where the basis has them, the effective core
    potentials (a backend says so by `Capabilities(ecp=True)`); `dipole` holds <μ|r|ν> about the coordinate origin.
    """

    overlap: Float64[np.ndarray, "batch nao nao"]
    kinetic: Float64[np.ndarray, "batch nao nao"]
    nuclear: Float64[np.ndarray, "batch nao nao"]
    dipole: Float64[np.ndarray, "batch 3 nao nao"]


class AbstractIntegralBackend(abc.ABC):
    """Integrals over a `Batch`. Constructed once per run from the backend's own options; reused for every batch."""

    #: Name as registered, for results.
    name: str
    #: What an option of the backend says of density fitting, which `scf.density_fitting` replaces; None: nothing.
    density_fitting: Any = None
    #: Highest shell that its integrals go up to (3 = f); None: not said here.
    max_angular_momentum: ClassVar[int | None] = None
    #: Parts that another backend may supply where this one cannot, as its offer says. "one_electron": of entries that
    #: have core potentials. With "two_electron" beside it also all integrals over shells that are too high, so that the
    #: contractions on the grid alone stay here. See `scfx.energy.integral_sources`.
    borrows: ClassVar[tuple[str, ...]] = ()
    #: What `one_electron_matrices` answers to. A backend with more adds their names.
    one_electron_names: ClassVar[tuple[str, ...]] = (
        "overlap",
        "kinetic",
        "nuclear",
        "dipole",
        "second_moment",
    )

    @abc.abstractmethod
    def one_electron(self, batch: Batch) -> OneElectron:
        """Return overlap, kinetic, nuclear attraction and dipole matrices in PySCF's AO order and normalisation."""

    def one_electron_matrices(
        self, batch: Batch, names: Sequence[str], origins: Float64[np.ndarray, "batch 3"] | None = None
    ) -> dict[str, np.ndarray]:
        """Return matrices by name, led by `batch`, float64: "overlap", "kinetic", "nuclear", "dipole" [batch, 3, nao,
        nao] and "second_moment" <i|(r-o)(r-o)|j> [batch, 3, 3, nao, nao], in hartree and bohr.

        Moments are about `origins` (bohr, one of each entry), or about the coordinate origin. This default serves every
        backend by `one_electron` and the core's own second moments. Override for more names, or cheaper ones, and give
        the rest to this. `CapabilityError` for a name that is not among `one_electron_names`.
        """
        from scfx.energy.moments import second_moments

        unknown = [name for name in names if name not in AbstractIntegralBackend.one_electron_names]
        if unknown:
            raise CapabilityError(
                "scf.backend",
                f"{self.name!r} has no one-electron matrices named {', '.join(map(repr, unknown))}; it has "
                f"{', '.join(self.one_electron_names)}",
            )
        out: dict[str, np.ndarray] = {}
        one = self.one_electron(batch) if set(names) - {"second_moment"} else None
        for name in names:
            if name == "second_moment":
                out[name] = second_moments(batch, np.zeros((len(batch), 3)) if origins is None else origins)
                continue
            out[name] = getattr(one, name)
            if name == "dipole" and one is not None and origins is not None:
                out[name] = one.dipole - origins[:, :, None, None] * one.overlap[:, None]
        return out

    @abc.abstractmethod
    def two_electron(self, batch: Batch, policy: PrecisionPolicy, memory_budget: int) -> AbstractTwoElectron:
        """Return an operator D -> (J, K) that uses at most `memory_budget` bytes for integrals.

        Raises `ResourceError` with the numbers if it cannot.
        """

    def two_electron_operators(
        self,
        batch: Batch,
        requests: Sequence[TwoElectronRequest],
        policy: PrecisionPolicy,
        memory_budget: int,
    ) -> list[AbstractTwoElectron]:
        """Return an operator for each request, which together use at most `memory_budget` bytes for integrals.

        Each has an equal share here. Override where requests can share work.
        """
        made: list[AbstractTwoElectron] = []
        try:
            for request in requests:
                share = memory_budget // len(requests)
                made.append(self.two_electron_operator(batch, request, policy, share))
        except BaseException:
            for operator in made:
                operator.close()
            raise
        return made

    def two_electron_operator(
        self, batch: Batch, request: TwoElectronRequest, policy: PrecisionPolicy, memory_budget: int
    ) -> AbstractTwoElectron:
        """Return the operator of one request. `CapabilityError` for one that the backend does not have.

        This default serves backends that fill `two_electron` (and `AbstractAttenuatedBackend`) alone. Override where
        less needs to be prepared if J, or K, will not be asked for.
        """
        if request.operator == "coulomb":
            return self.two_electron(batch, policy, memory_budget)
        if request.operator == "erf" and isinstance(self, AbstractAttenuatedBackend):
            return self.attenuated_two_electron(batch, request.omega, policy, memory_budget)
        raise CapabilityError(
            "scf.backend",
            f"{self.name!r} has no integrals of the operator {request.operator} (omega = {request.omega}), which the "
            "functional needs; use backend = 'libcint'",
        )

    def definition(self) -> Mapping[str, Any] | None:
        """Return plain data that identifies what labels depend on: enters the spec hash. None: the name and all
        options.

        Override where options change only the speed or the place, so that they do not change the hash.
        """
        return None

    def device(self) -> str:
        """Return where the integrals really ran ("cpu", "ipu-host"...): reported in every result."""
        return "cpu"

    def kernels(self) -> str:
        """Return which compiled kernels ran, where there are several for one processor or another; reported in every
        result.

        Labels of two kinds may differ in their last bits.
        """
        return ""

    def best_policy(self) -> PrecisionPolicy:
        """Return the most precise policy that it serves: of the atomic guess and of recovery's last rungs.

        Override where float64 integrals are out of reach.
        """
        from scfx.config.precision import FLOAT64

        return FLOAT64

    def max_batch(self, layout: Any, policy: PrecisionPolicy, memory_budget: int) -> int | None:
        """Return how many entries of a `ShellLayout` fit the budget at once; None: no opinion. 0: not even one."""
        return None


class AbstractAttenuatedBackend(AbstractIntegralBackend):
    """Marker: offers integrals with the operator erf(omega r12)/r12, for range-separated functionals."""

    @abc.abstractmethod
    def attenuated_two_electron(
        self, batch: Batch, omega: float, policy: PrecisionPolicy, memory_budget: int
    ) -> AbstractTwoElectron:
        """Return an operator as `two_electron` does, for erf(omega r12)/r12; `omega` in bohr⁻¹, positive."""


class AbstractCorePotentialBackend(AbstractIntegralBackend):
    """Marker: `one_electron` adds `batch.basis.core_potentials` to `nuclear`; its offer says `ecp=True`."""


class AbstractCrossOverlapBackend(AbstractIntegralBackend):
    """Marker: offers overlaps between two basis sets on the same geometry, for plugins that project densities."""

    @abc.abstractmethod
    def cross_overlap(self, bra: Batch, ket: Batch) -> Float64[np.ndarray, "batch nao_bra nao_ket"]:
        """Return <μ_bra|ν_ket> for batches of the same systems in the same order."""
