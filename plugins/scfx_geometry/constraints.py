"""What a relaxation keeps as it is: atoms in their places, distances, angles, torsions at their values at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from scfx.contracts.optimizer import Constraint
from scfx.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scfx.model.system import System


def constraints_of(
    given: Sequence[Constraint | Mapping[str, Any]] | None, key: str = "constraints"
) -> tuple[Constraint, ...]:
    """Return the checked constraints of tables; `ConfigError` with the place of what is wrong."""
    out = []
    for index, each in enumerate(given or ()):
        try:
            out.append(each if isinstance(each, Constraint) else Constraint.model_validate(dict(each)))
        except ValidationError as error:
            raise ConfigError(f"{key}.{index}", "; ".join(e["msg"] for e in error.errors())) from error
    return tuple(out)


def check_atoms(constraints: Sequence[Constraint], system: System, key: str = "constraints") -> None:
    """Raise `ConfigError` if a constraint names an atom that the system does not have."""
    for index, constraint in enumerate(constraints):
        missing = [a for a in constraint.atoms if not 0 <= a < system.natm]
        if missing:
            raise ConfigError(
                f"{key}.{index}.atoms",
                f"{system!r} has atoms 0 to {system.natm - 1}, got {', '.join(map(str, missing))}",
            )


def of_ase(constraints: Sequence[Constraint], atoms: Any) -> list[Any]:
    """Return the constraints as those of ASE, at the values that `atoms` has now."""
    from ase.constraints import FixAtoms, FixInternals

    fixed = sorted({a for c in constraints if c.keep == "atoms" for a in c.atoms})
    out: list[Any] = [FixAtoms(indices=fixed)] if fixed else []
    kinds: dict[str, list[Any]] = {"distance": [], "angle": [], "torsion": []}
    for constraint in constraints:
        at = list(constraint.atoms)
        if constraint.keep == "distance":
            kinds["distance"].append([atoms.get_distance(*at), at])
        elif constraint.keep == "angle":
            kinds["angle"].append([atoms.get_angle(*at), at])
        elif constraint.keep == "torsion":
            kinds["torsion"].append([atoms.get_dihedral(*at), at])
    if any(kinds.values()):
        out.append(
            FixInternals(
                bonds=kinds["distance"] or None,
                angles_deg=kinds["angle"] or None,
                dihedrals_deg=kinds["torsion"] or None,
            )
        )
    return out
