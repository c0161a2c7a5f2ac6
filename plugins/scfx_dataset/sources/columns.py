"""Which columns of a table hold a geometry, and in which unit. A unit is never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ELEMENTS = ("atomic_numbers", "z", "Z", "numbers", "symbols")
_ELECTRONS = {
    "charge": ("charge", "total_charge", "molecular_charge", "net_charge", "formal_charge"),
    "multiplicity": ("multiplicity", "spin_multiplicity", "molecular_multiplicity", "mult"),
}
_SPINS = ("spin", "uhf", "n_unpaired", "unpaired", "unpaired_electrons")
_UNITS = ("angstrom", "bohr")
#: Columns of QM1B's released files, whose `pos` is in bohr (github.com/graphcore-research/qm1b-dataset, README).
_QM1B = {"smile", "atoms", "z", "energy", "homo", "lumo", "N", "std", "y", "pos"}


def position_column(names: Sequence[str], asked: str, unit: str, where: str) -> tuple[str, str] | None:
    """Return (column of positions, its unit), or None if the table has none.

    The unit is the stated one, else the ending of the name, else known from QM1B's layout; `InputError` otherwise.
    """
    if asked and asked not in names:
        raise InputError(
            f"task.positions_column: {where!r} has no column {asked!r}; it has {', '.join(names)}"
        )
    qm1b = set(names) >= _QM1B
    candidates = ("positions_angstrom", "positions_bohr", "positions", "pos")
    name = asked or next((n for n in candidates if n in names), "")
    if not name:
        return None
    known = unit or next((u for u in _UNITS if name.endswith(f"_{u}")), "") or ("bohr" if qm1b else "")
    if not known:
        raise InputError(
            f"task.positions_unit: {where!r} has positions in the column {name!r} without a unit; set it to "
            "'angstrom' or 'bohr'"
        )
    return name, known


def electron_columns(names: Sequence[str], where: str) -> dict[str, str]:
    """Return {"charge": column, "multiplicity": column} of those that a table has, whatever their case.

    Raises `InputError` for two columns of one of them, and for a column of spins, which might be 2S + 1, 2S or S.
    """
    out = {}
    for what, spellings in _ELECTRONS.items():
        found = [name for name in names if name.strip().lower() in spellings]
        if len(found) > 1:
            raise InputError(
                f"task.molecules: {where!r} has several columns of {what}: {', '.join(found)}; keep one"
            )
        if found:
            out[what] = found[0]
    spins = [name for name in names if name.strip().lower() in _SPINS]
    if spins and "multiplicity" not in out:
        raise InputError(
            f"task.molecules: {where!r} has a column {spins[0]!r}, which may be 2S + 1, 2S or S; call it multiplicity "
            "(2S + 1), or remove it"
        )
    return out


def elements_column(names: Sequence[str], where: str) -> str:
    """Return the column of atomic numbers or element symbols; `InputError` naming what it may be called."""
    for name in _ELEMENTS:
        if name in names:
            return name
    raise InputError(
        f"task.molecules: {where!r} has positions but no column of elements (one of {', '.join(_ELEMENTS)}); it has "
        f"{', '.join(names)}"
    )
