"""Optimisers over kept libraries, one file a library, and how one is chosen. docs/geometries.md lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scfx.contracts.optimizer import AbstractOptimizer, Constraint
from scfx.errors import ConfigError
from scfx.offer import Offer

if TYPE_CHECKING:
    from collections.abc import Sequence

# name, class, import names that must be there, what it is
_OFFERS = (
    ("berny", "berny:Berny", ("berny",), "pyberny: internal coordinates with a trust region; no constraints"),
    ("geometric", "geometric:GeomeTRIC", ("geometric",), "geomeTRIC: internal coordinates with a trust radius"),
    ("sella", "own_loop:Sella", ("sella", "ase"), "Sella: restricted steps in internal coordinates; no constraints"),
    ("ase-bfgs", "ase:ASEBFGS", ("ase",), "ASE's BFGS in Cartesian coordinates"),
    ("ase-lbfgs", "ase:ASELBFGS", ("ase",), "ASE's L-BFGS in Cartesian coordinates"),
    ("ase-bfgs-line-search", "own_loop:ASEBFGSLineSearch", ("ase",), "ASE's BFGS with a line search"),
    ("ase-fire", "ase:ASEFIRE", ("ase",), "ASE's FIRE: damped dynamics"),
)  # fmt: skip
OFFERS = [
    Offer(name, f"scfx_geometry.optimizers.{where}", summary, requires=requires)
    for name, where, requires, summary in _OFFERS
]


def optimizer_of(
    choice: Any, registry: Any, constraints: Sequence[Constraint] = (), key: str = "optimizer"
) -> type[AbstractOptimizer]:
    """Return the class of a name (or a class itself).

    `ConfigError` for an unknown name, for a library that is not installed, and for constraints that it cannot keep.
    """
    if isinstance(choice, type) and issubclass(choice, AbstractOptimizer):
        chosen = choice
    else:
        chosen = registry.optimizer(choice, key=key)
    if constraints and not chosen.constrains:
        raise ConfigError(
            key,
            f"{chosen.name!r} cannot keep constraints; use geometric or ase-bfgs, which can, or leave them out",
        )
    return chosen
