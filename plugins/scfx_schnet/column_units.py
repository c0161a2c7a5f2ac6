"""The unit of a table's column: what its name says, or else what was stated; refused where the two differ."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scfx.errors import ConfigError
from scfx.model.system import HARTREE_IN_EV
from scfx_schnet.batch import LENGTH_UNITS

_IN_EV = {"ev": 1.0, "hartree": HARTREE_IN_EV}
#: How names of columns end that are in a unit of energy, whatever their case: `gap_ev`, `Gap (eV)`, `energy_hartree`.
_ENERGIES = {
    "ev": "ev", "hartree": "hartree", "ha": "hartree", "eh": "hartree", "au": "hartree", "mev": "meV",
    "kcal_per_mol": "kcal/mol", "kcal_mol": "kcal/mol", "kcal/mol": "kcal/mol", "kcalmol": "kcal/mol",
    "kcal": "kcal/mol", "kj": "kJ/mol", "ry": "rydberg", "rydberg": "rydberg", "cm-1": "1/cm",
    "kj_per_mol": "kJ/mol", "kj_mol": "kJ/mol", "kj/mol": "kJ/mol", "kjmol": "kJ/mol",
}  # fmt: skip
_LENGTHS = {
    "angstrom": "angstrom", "ang": "angstrom", "bohr": "bohr", "a0": "bohr", "au": "bohr", "nm": "nm", "pm": "pm",
}  # fmt: skip
_PLAIN_WORDS = ("ev", "mev", "hartree", "kcal", "kj", "rydberg", "angstrom", "bohr")
_FORCE = re.compile(r"(?:^|[^a-z0-9])([a-z]+)(?:[_\s]per[_\s]|\s*/\s*)([a-z]+)[^a-z0-9]*$")


def energy_factor(column: str, stated: str, key: str) -> float:
    """Return what turns a column into eV. `stated`: "ev", "hartree", or "auto", which is hartree as in QM9 where the
    name does not say (`homolumogap` is PCQM4Mv2's, and eV).

    Raises `ConfigError` for a name that says another unit than the stated one, or one that is not read.
    """
    unit = _in_name(column, _ENERGIES)
    if unit is not None and unit not in _IN_EV:
        raise _unread(column, unit, "eV or hartree", key)
    _refuse_other(column, unit, stated, key)
    if unit is None and stated == "auto":
        unit = "ev" if column.lower().endswith("homolumogap") else "hartree"
    return _IN_EV[unit or stated]


def length_factor(column: str, stated: str, key: str) -> float:
    """Return what turns positions into angstrom. `ConfigError` for a name that says another unit than the stated."""
    unit = _in_name(column, _LENGTHS)
    if unit is not None and unit not in LENGTH_UNITS:
        raise _unread(column, unit, "angstrom or bohr", key)
    if unit is not None and unit != stated:
        raise ConfigError(
            f"{key}.length_unit",
            f"is {stated!r}, but the column {column!r} is in {unit} by its name. Say {unit!r}, or rename the column",
        )
    return LENGTH_UNITS[stated]


def force_factor(column: str, energy_unit: str, length_unit: str, key: str) -> float:
    """Return what turns a column of forces into eV/angstrom: the unit in its name, or else both stated ones.

    A length in its name counts, whatever `length_unit` says of the positions. Raises `ConfigError` for an energy in its
    name that is not the stated one, or for no unit at all.
    """
    found = _FORCE.search(column.lower())
    if found is None or found[1] not in (*_ENERGIES, "mol"):
        _refuse_other(column, _in_name(column, _ENERGIES), energy_unit, key)
        if energy_unit == "auto":
            raise ConfigError(
                f"{key}.energy_unit",
                f"the unit of the column of forces {column!r} is not in its name (_ev_per_angstrom, "
                "_hartree_per_bohr): rename it, or state energy_unit and length_unit",
            )
        length_factor(column, length_unit, key)
        return _IN_EV[energy_unit] / LENGTH_UNITS[length_unit]
    energy, length = _ENERGIES.get(found[1], ""), {"a": "angstrom", **_LENGTHS}.get(found[2], "")
    if energy not in _IN_EV or length not in LENGTH_UNITS:
        raise _unread(column, "another unit", "eV/angstrom", key)
    _refuse_other(column, energy, energy_unit, key)
    return _IN_EV[energy] / LENGTH_UNITS[length]


def _in_name(column: str, units: Mapping[str, str]) -> str | None:
    """The unit with which a name ends, behind something that is no letter."""
    for ending in sorted(units, key=len, reverse=True):
        if re.search(rf"(?:^|[^a-z0-9]){re.escape(ending)}[^a-z0-9]*$", column.lower()):
            return units[ending]
    # Elsewhere in the name, only words that are nothing else.
    words = {word for word in re.split(r"[^a-z0-9]+", column.lower()) if word in _PLAIN_WORDS}
    found = {units[word] for word in words if word in units}
    return found.pop() if len(found) == 1 else None


def _unread(column: str, unit: str, expected: str, key: str) -> ConfigError:
    return ConfigError(
        f"{key}.path", f"the column {column!r} is in {unit} by its name. Convert it to {expected}"
    )


def _refuse_other(column: str, unit: str | None, stated: str, key: str) -> None:
    if stated != "auto" and unit is not None and unit != stated:
        raise ConfigError(
            f"{key}.energy_unit",
            f"is {stated!r}, but the column {column!r} is in {unit} by its name. Leave energy_unit out (columns are "
            "in the unit in their names, those without one in hartree), or rename the column",
        )
