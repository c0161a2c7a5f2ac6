"""From names in `scf.properties` to properties in the order in which they are computed, before any SCF."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scfx.contracts.property import AbstractProperty
from scfx.errors import ConfigError

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.registry import Registry

KEY = "scf.properties"


@dataclass(frozen=True)
class Requested:
    """`ordered`: each after those that it needs. `reported`: names asked for, and of what says how good those are."""

    ordered: tuple[AbstractProperty, ...] = ()
    reported: tuple[str, ...] = ()

    @property
    def derivatives(self) -> int:
        """Return the highest order of nuclear derivatives that one of them takes from the backend."""
        return max((each.derivatives for each in self.ordered), default=0)

    @property
    def stationary(self) -> bool:
        """Return whether one of them needs a density that is stationary more closely than an energy does."""
        return any(each.stationary or each.derivatives for each in self.ordered)

    @property
    def any_residual(self) -> bool:
        """Return whether those that need a stationary density were told to take any."""
        asking = [each for each in self.ordered if each.stationary or each.derivatives]
        return all(each.any_residual for each in asking)

    def definition(self, policy: PrecisionPolicy) -> dict[str, Any]:
        """Return what decides values beyond the names of properties, by name; empty where nothing does."""
        found = {each.name: dict(each.definition(policy)) for each in self.ordered}
        return {name: how for name, how in found.items() if how}

    def named(self, name: str) -> AbstractProperty:
        """Return the property of a name."""
        return next(each for each in self.ordered if each.name == name)

    def __contains__(self, name: str) -> bool:
        return name in self.reported


def requested(registry: Registry, choices: Iterable[Any]) -> Requested:
    """Return the properties of names, tables or objects, with all that they need.

    Raises `ConfigError` for unknown names (with near ones), for one asked twice, and for circles.
    """
    found: dict[str, AbstractProperty] = {}
    asked: list[str] = []
    for choice in choices:
        made = registry.entry_property(choice, key=KEY)
        if made.name in asked:
            raise ConfigError(KEY, f"{made.name!r} is asked for twice")
        found[made.name] = made
        asked.append(made.name)
    ordered: dict[str, AbstractProperty] = {}
    reported: dict[str, None] = {}
    beside: list[str] = []
    for name in asked:
        _place(found, ordered, name, registry, ())
        reported[name] = None
        beside += found[name].quality
    for name in beside:
        _place(found, ordered, name, registry, ())
        reported[name] = None
    return Requested(tuple(ordered.values()), tuple(reported))


def _place(
    found: dict[str, AbstractProperty],
    ordered: dict[str, AbstractProperty],
    name: str,
    registry: Registry,
    above: tuple[str, ...],
) -> None:
    """Put a property behind those that it needs."""
    if name in above:
        raise ConfigError(KEY, f"{' needs '.join([*above, name])}: they need each other")
    if name in ordered:
        return
    if name not in found:
        made = registry.entry_property(name, key=KEY)
        if made.name != name:
            raise ConfigError(
                KEY, f"{' needs '.join([*above, name])}: the name of that property is {made.name!r}"
            )
        found[name] = made
    for other in found[name].needs:
        _place(found, ordered, other, registry, (*above, name))
    ordered[name] = found[name]
