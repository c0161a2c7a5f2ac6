"""`GridSpec`: which quadrature, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from scfx.errors import InputError
from scfx.grid.angular import check_point_count
from scfx.grid.tables import ANGULAR_COUNT, LEVELS, RADIAL_COUNT, check_element, period


@dataclass(frozen=True)
class GridSpec:
    """A quadrature: `GridSpec(level)` or `GridSpec(atom_grid=(n_rad, n_ang), prune=...)`.

    - `level`: 0 (coarse) to 9, PySCF's tables by period of the element.
    - `atom_grid`: the same numbers of radial shells and of Lebedev points for every atom, in place of the
      level's, for instance (99, 590).
    - `prune`: thin the shells near the nucleus and far out (`pruning.angular_counts`).
    - `turn`: turn the angular points of every atom by the random rotation of this number (`angular.rotation`), as if
      the molecule were turned the other way: what changes is the grid's noise. None: as tabulated.

    Raises `InputError` for a level outside 0..9, no radial shell, or a number that is no Lebedev rule's.
    """

    level: int = 3
    atom_grid: tuple[int, int] | None = None
    prune: bool = True
    turn: int | None = None

    def __post_init__(self) -> None:
        for field, check in _CHECKS.items():
            object.__setattr__(self, field, check(getattr(self, field)))

    @classmethod
    def from_config(cls, value: Any) -> GridSpec:
        """Make a grid of what TOML can say: a level, or a table such as {atom_grid = [99, 590], prune = false}."""
        if isinstance(value, GridSpec):
            return value
        table = value if isinstance(value, Mapping) else {"level": value}
        unknown = sorted(set(table) - set(_CHECKS))
        if unknown:
            raise InputError(f"scf.grid: unknown keys {', '.join(unknown)}; possible: {', '.join(_CHECKS)}")
        return cls(**{field: _CHECKS[field](given) for field, given in table.items()})

    def counts(self, atomic_number: int) -> tuple[int, int]:
        """Return (radial shells, points of the largest Lebedev rule) for an element."""
        check_element(atomic_number)
        if self.atom_grid is not None:
            return self.atom_grid
        column = period(atomic_number)
        return RADIAL_COUNT[self.level][column], ANGULAR_COUNT[self.level][column]

    def definition(self) -> dict[str, Any]:
        """Return plain data that fixes the points and weights, for a spec hash.

        Equal for specs that mean one quadrature. `counts` are (n_rad, n_ang) for periods 1 to 7.
        """
        if self.atom_grid is not None:
            counts = [list(self.atom_grid)] * 7
        else:
            counts = [
                list(pair) for pair in zip(RADIAL_COUNT[self.level], ANGULAR_COUNT[self.level], strict=True)
            ]
        return {
            "radial": "treutler-ahlrichs-m4",
            "angular": "lebedev-laikov",
            "partition": "becke, sqrt(bragg) sizes",
            "pruning": "nwchem" if self.prune else None,
            "counts": counts,
            # Left out where it is None, so that hashes made before it existed stay as they are.
            **({} if self.turn is None else {"turn": self.turn}),
        }


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _checked_level(level: Any) -> int:
    if not _is_integer(level) or int(level) not in LEVELS:
        raise InputError(
            f"grid level: got {level!r}, expected an integer from {LEVELS[0]} to {LEVELS[-1]} "
            "(scf.grid; give scf.grid.atom_grid = [n_rad, n_ang] for another quadrature)"
        )
    return int(level)


def _checked_atom_grid(atom_grid: Any) -> tuple[int, int] | None:
    if atom_grid is None:
        return None
    pair = tuple(atom_grid) if isinstance(atom_grid, (tuple, list)) else ()
    if len(pair) != 2 or not all(_is_integer(n) for n in pair):
        raise InputError(
            f"atom_grid: got {atom_grid!r}, expected (n_rad, n_ang), such as (99, 590) (scf.grid.atom_grid)"
        )
    n_rad, n_ang = int(pair[0]), int(pair[1])
    if n_rad < 1:
        raise InputError(f"atom_grid: got {n_rad} radial shells, expected at least 1 (scf.grid.atom_grid)")
    check_point_count(n_ang)
    return n_rad, n_ang


def _checked_prune(prune: Any) -> bool:
    if not isinstance(prune, bool):
        raise InputError(f"grid prune: got {prune!r}, expected true or false (scf.grid.prune)")
    return prune


def _checked_turn(turn: Any) -> int | None:
    if turn is not None and (not _is_integer(turn) or turn < 0):
        raise InputError(
            f"grid turn: got {turn!r}, expected a number of a rotation, 0 or more (scf.grid.turn)"
        )
    return None if turn is None else int(turn)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "level": _checked_level,
    "atom_grid": _checked_atom_grid,
    "prune": _checked_prune,
    "turn": _checked_turn,
}
