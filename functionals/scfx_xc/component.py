"""`AbstractComponent`: one term of a functional; `AbstractSumFunctional`: a functional that is a sum of them."""

from __future__ import annotations

import abc
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp

from scfx.abstract import AbstractFunctional, Family
from scfx_xc.points import ClosedShellPoint, SpinChannel, SpinPoint

if TYPE_CHECKING:
    from scfx.abstract import ClosedShellDensity, Density

_LADDER: tuple[Family, ...] = ("none", "lda", "gga", "mgga")


class AbstractComponent(abc.ABC):
    """One exchange or correlation energy density; a frozen dataclass whose fields are the published parameters."""

    #: Name of the functional form; with the parameters it identifies what is computed.
    name: ClassVar[str]
    #: Which fields of the density are used.
    family: ClassVar[Family]

    @abc.abstractmethod
    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point."""

    @abc.abstractmethod
    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume where both spins are equal, with fewer operations."""

    def definition(self) -> dict[str, Any]:
        """Return name and parameters as plain data."""
        return {"name": self.name, "parameters": asdict(self)}  # pyright: ignore[reportArgumentType]


class AbstractSpinExchange(AbstractComponent):
    """Exchange, which does not couple the spins: a form is the energy of one of them."""

    @abc.abstractmethod
    def _channel_energy(self, spin: SpinChannel) -> Any:
        """Energy per volume of one spin."""

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        a, b = point.channels()
        return self._channel_energy(a) + self._channel_energy(b)

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        return 2.0 * self._channel_energy(point.channel())


class AbstractSumFunctional(AbstractFunctional):
    """A linear combination of components. A final class states `terms` and, for hybrids, `exact_exchange`."""

    #: (coefficient, component) pairs.
    terms: ClassVar[tuple[tuple[float, AbstractComponent], ...]]
    family: ClassVar[Family] = "none"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        families: list[Family] = ["none", *(component.family for _, component in cls.terms)]
        cls.family = max(families, key=_LADDER.index)

    def energy_density(self, density: Density) -> Any:
        """Return the exchange-correlation energy per volume, hartree/bohr³."""
        point = SpinPoint.from_density(density)
        total = jnp.zeros_like(density.rho_a)
        for coefficient, component in self.terms:
            total = total + coefficient * component.spin_resolved(point)
        return total

    def closed_shell_energy_density(self, density: ClosedShellDensity) -> Any:
        """Return the energy per volume where both spins are equal, hartree/bohr³."""
        point = ClosedShellPoint.from_density(density)
        total = jnp.zeros_like(density.rho)
        for coefficient, component in self.terms:
            total = total + coefficient * component.closed_shell(point)
        return total

    def definition(self) -> dict[str, Any]:
        """Return components with coefficients and parameters, in one order whatever the class states; no names of
        ours.
        """
        components = [{"coefficient": c, **component.definition()} for c, component in self.terms]
        return {
            "components": sorted(components, key=lambda c: (c["name"], repr(c))),
            "family": self.family,
            "exact_exchange": self.exact_exchange,
            "long_range_exchange": self.long_range_exchange,
            "omega": self.omega,
            **({} if self.vv10 is None else {"vv10": list(self.vv10)}),
        }
