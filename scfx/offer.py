"""`Offer`: what a plugin says it has, without importing it."""

from __future__ import annotations

from dataclasses import dataclass, field

from scfx.errors import InputError

#: Version of the hook specifications. Hooks only ever gain arguments while it stays the same.
HOOK_API = 1


@dataclass(frozen=True)
class Capabilities:
    """What an offer can do, as data, so that a mismatch is an error before anything is imported.

    None means "does not apply or no limit". `platforms`: JAX platforms ("cpu", "gpu", "ipu"). `dtypes`: of stored
    integrals. `max_angular_momentum`: highest shell (3 = f). `derivatives`: order of nuclear derivatives.
    `range_separation`: erf-attenuated integrals. `fitting`: two- and three-index integrals, for density fitting.
    `families`: of functionals ("none", "lda", "gga", "mgga"); a backend that lacks the kinetic-energy density leaves
    "mgga" out. `preference`: `backend = "auto"` takes the highest that covers what is asked; 0 or less is never taken
    automatically. `borrows`: the parts that another backend may supply where this one cannot ("one_electron",
    "two_electron"); see `scfx.energy.integral_sources`.
    """

    platforms: tuple[str, ...] = ("cpu",)
    dtypes: tuple[str, ...] | None = None
    max_angular_momentum: int | None = None
    derivatives: int = 0
    range_separation: bool = False
    families: tuple[str, ...] | None = None
    ecp: bool = False
    fitting: bool = False
    preference: int = 0
    borrows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Offer:
    """One thing a plugin offers. `target` ("package.module:Attribute") is imported only when it is chosen.

    The attribute is a class (constructed with the options of the configuration as keyword arguments) or, for
    precision policies, a ready instance. `requires` lists import names of optional packages that must be present.
    `aliases` are other names, case-free, that select the same offer.
    """

    name: str
    target: str
    summary: str
    requires: tuple[str, ...] = ()
    capabilities: Capabilities = field(default_factory=Capabilities)
    aliases: tuple[str, ...] = ()
    options: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        module, _, attribute = self.target.partition(":")
        if not module or not attribute:
            raise InputError(f"Offer {self.name!r}: target is {self.target!r}, expected 'module:Attribute'")
        if not self.summary:
            raise InputError(f"Offer {self.name!r}: say in `summary` what it is, in one line")
        object.__setattr__(self, "requires", tuple(self.requires))
        object.__setattr__(self, "aliases", tuple(self.aliases))
        if isinstance(self.capabilities, dict):
            object.__setattr__(self, "capabilities", Capabilities(**self.capabilities))
