"""What an exchange-correlation functional gives: one spin-resolved energy density, which JAX differentiates."""

from __future__ import annotations

import abc
import json
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from jaxtyping import Array, Float

from scfx.config.spec_hash import plain
from scfx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


Family = Literal["none", "lda", "gga", "mgga"]


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
        """Return the density as a `Density` of two equal spins."""
        half = None if self.tau is None else 0.5 * self.tau
        quarter = None if self.sigma is None else 0.25 * self.sigma
        return Density(0.5 * self.rho, 0.5 * self.rho, quarter, quarter, quarter, half, half)


class AbstractFunctional(abc.ABC):
    """An exchange-correlation functional: one spin-resolved energy density, whose potential JAX derives.

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
        """Return the exchange-correlation energy per volume, hartree/bohr³, for each point. Pure JAX,
        differentiable.
        """

    def closed_shell_energy_density(self, density: ClosedShellDensity) -> Float[Array, "..."]:
        """Return what `energy_density` gives where both spins are equal. Override with a cheaper form; the conformance
        suite tests equality.
        """
        return self.energy_density(density.spin_resolved())

    def definition(self) -> Mapping[str, Any]:
        """Return plain data that identifies what is computed, not how it is called: this enters the spec hash.

        The instance's own attributes are its parameters: two instances that differ in one are two functionals.
        `InputError` for an attribute that is no plain data; override this method then.
        """
        cls = type(self)
        contract = {"name", *AbstractFunctional.__annotations__}
        own = {key: value for key, value in vars(self).items() if key not in contract}
        own = plain(own)
        try:
            json.dumps(own, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"functional {cls.__qualname__} has attributes that are no plain data ({', '.join(own)}: {error}); "
                "override its definition() to say which numbers make it what it is"
            ) from None
        return {
            **({"parameters": own} if own else {}),
            "class": f"{cls.__module__}:{cls.__qualname__}",
            "family": self.family,
            "exact_exchange": self.exact_exchange,
            "long_range_exchange": self.long_range_exchange,
            "omega": self.omega,
            **({} if self.vv10 is None else {"vv10": list(self.vv10)}),
        }
