"""What keys of `[scf]` take: each function checks a value as it was written and gives its plain form.

Raised is `ValueError` with what is expected, to which pydantic adds the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scfx.model.elements import SYMBOLS

#: Overlap eigenvalues down to here are kept: below, rounding in float64 integrals (1e-12) would show in the energy.
LINEAR_DEPENDENCE = 1e-8
_GRID_KEYS = ("level", "atom_grid", "prune", "turn")
_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def choice(value: Any) -> Any:
    """Return a name, a table with a name, or a ready-made object; plain values of other types are mistakes."""
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("got an empty name")
        return value.strip()
    if isinstance(value, Mapping):
        if not isinstance(value.get("name"), str):
            raise ValueError('a table needs a name, as { name = "..." }')
        return dict(value)
    if value is None or isinstance(value, (bool, int, float, list, tuple, set, type)):
        raise ValueError('expected a name, or a table as { name = "...", option = ... }')
    return value


def basis_choice(value: Any) -> Any:
    """Return a choice, or a table by element, whose entries are choices."""
    from scfx.model.mixed_basis import is_by_element

    if not is_by_element(value):
        return choice(value)
    return {
        key: choice(entry) if key in SYMBOLS or key == "default" else entry for key, entry in value.items()
    }


def grid_choice(value: Any) -> Any:
    """Return a level, (radial shells, Lebedev points), or a table of `scfx.grid.GridSpec`'s fields."""
    if isinstance(value, Mapping):
        unknown = [k for k in value if k not in _GRID_KEYS]
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r} (keys: {', '.join(_GRID_KEYS)})")
        return dict(value)
    if isinstance(value, (list, tuple)):
        if len(value) == 2:  # as PySCF's atom_grid
            return {"atom_grid": list(value)}
        raise ValueError(
            "expected a level 0 to 9, two numbers (radial shells, Lebedev points), or a table as "
            "{ atom_grid = [75, 302] }"
        )
    if isinstance(value, (bool, str, float)) or value is None:
        raise ValueError("expected a level 0 to 9, or a table as { level = 3 } or { atom_grid = [75, 302] }")
    if isinstance(value, int) and not 0 <= value <= 9:
        raise ValueError("grid levels are 0 to 9")
    return value


def number_of_bytes(value: Any) -> Any:
    """Return a number of bytes, or text as "4 GiB"."""
    if not isinstance(value, str):
        return value
    number = value.strip().rstrip("BbIiKkMmGg ")
    unit = value.strip()[len(number) :].strip().lower()
    try:
        return int(float(number) * _UNITS[unit])
    except (ValueError, KeyError):
        raise ValueError("expected a number of bytes or text as '4 GiB' or '500 MB'") from None


def fitting_choice(value: Any) -> Any:
    """Return the choice of what is fitted: None or false, an auxiliary basis set, or a table of it and of what is
    fitted.
    """
    if value is None or value is False:
        return None
    if isinstance(value, Mapping) and "name" not in value:
        unknown = [k for k in value if k not in ("basis", "fitted")]
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r} (keys: basis, fitted)")
        if value.get("fitted", "jk") not in ("jk", "j"):
            raise ValueError(f"fitted is {value['fitted']!r}, expected 'jk' or 'j'")
        return {**value, "basis": choice(value.get("basis", "auto"))}
    return choice(value)


def choices(value: Any) -> Any:
    """Return choices as a tuple; one alone is taken as such."""
    if isinstance(value, (str, Mapping)):
        return (value,)
    if not isinstance(value, (list, tuple)):
        raise ValueError('expected a list of names, or of tables as { name = "...", option = ... }')
    return tuple(value)


def name_of(choice: Any) -> str:
    """Return the name in a choice, case-free and without a "dist:" prefix; an object's own; empty where there
    is none.
    """
    text = choice.get("name") if isinstance(choice, dict) else choice
    text = text if isinstance(text, str) else getattr(choice, "name", None)
    return text.rpartition(":")[2].strip().casefold() if isinstance(text, str) else ""
