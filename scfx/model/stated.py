"""What an input states of a molecule's charge, multiplicity and unit, and what is assumed where it states nothing.

Every door of `System` follows one order: the caller's argument, then what the record states for the molecule, then the
sum of what it states by atom, then an assumption, which the System records. Statements of one rank that contradict
each other are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scfx.errors import InputError
from scfx.model.elements import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What to write for a unit of positions; `length_unit` takes other spellings of the two as well.
LengthUnit = Literal["angstrom", "bohr"]

_CHARGE = ("charge", "total_charge", "molecular_charge", "net_charge")
_MULTIPLICITY = ("multiplicity", "spin_multiplicity", "molecular_multiplicity", "mult")
#: Numbers of unpaired electrons, 2S.
_UNPAIRED = ("unpaired", "n_unpaired", "unpaired_electrons", "uhf")

_BOHR = ("bohr", "bohrs", "au", "a.u.", "a0", "atomic", "atomic_unit", "atomic_units", "atomic units")
_ANGSTROM = ("angstrom", "angstroms", "angström", "ångström", "ångstrom", "ang", "a", "å", "\u212b")


class Assumed(int):
    """A charge or a multiplicity that nobody stated."""


class AssumedUnit(str):
    """A unit of positions that nobody stated."""

    __slots__ = ()


def length_unit(value: Any, where: str) -> str:
    """Return 'angstrom' or 'bohr' from what people write for them; `InputError` for anything else."""
    if isinstance(value, AssumedUnit):
        return value
    text = str(value).strip().lower()
    if text in _BOHR:
        return "bohr"
    if text in _ANGSTROM:
        return "angstrom"
    raise InputError(f"{where}: got {value!r}, expected 'angstrom' or 'bohr'")


def _agreed(info: Mapping[str, Any], keys: Sequence[str], where: str) -> int | None:
    found = {key: whole_number(info[key], f"{where}: {key}") for key in keys if info.get(key) is not None}
    if len(set(found.values())) > 1:
        both = ", ".join(f"{key} = {value}" for key, value in found.items())
        raise InputError(f"{where}: {both} contradict each other; keep the one that is meant")
    return next(iter(found.values()), None)


def stated_charge(info: Mapping[str, Any], where: str) -> int | None:
    """Return the total charge that a record states, under any of its usual keys (lower case); None if it
    states none.
    """
    return _agreed(info, _CHARGE, where)


def stated_multiplicity(info: Mapping[str, Any], n_electrons: int, where: str) -> int | None:
    """Return the multiplicity 2S + 1 that a record states for `n_electrons`; None if it states none.

    `spin` is read as 2S + 1, as fairchem's and ASE's files have it. Where that cannot be, because the number of
    electrons has the other parity, it is refused and not taken for 2S.
    """
    multiplicity = _agreed(info, _MULTIPLICITY, where)
    unpaired = _agreed(info, _UNPAIRED, where)
    if unpaired is not None:
        if multiplicity not in (None, unpaired + 1):
            raise InputError(
                f"{where}: {unpaired} unpaired electrons and multiplicity {multiplicity} contradict each other "
                "(multiplicity = unpaired + 1)"
            )
        multiplicity = unpaired + 1
    if info.get("spin") is None:
        return multiplicity
    spin = info["spin"]
    if multiplicity is not None:
        # 2S + 1, 2S or S: whichever it means, the multiplicity says the same or it does not.
        if spin not in _forms(multiplicity):
            raise InputError(
                f"{where}: spin = {spin} and multiplicity = {multiplicity} contradict each other; keep multiplicity"
            )
        return multiplicity
    spin = whole_number(spin, f"{where}: spin (2S + 1; write multiplicity = 2S + 1 if it is another)")
    if spin == 0 and n_electrons % 2 == 0:
        return 1
    if spin < 1 or (n_electrons - spin + 1) % 2:
        raise InputError(
            f"{where}: spin = {spin} is read as the multiplicity 2S + 1, as ASE's and fairchem's files have it, which "
            f"{n_electrons} electrons cannot have; if it counts unpaired electrons, write multiplicity={spin + 1}"
        )
    return spin


def _forms(multiplicity: int) -> set[Any]:
    numbers = {multiplicity, multiplicity - 1, (multiplicity - 1) / 2}
    return numbers | {str(x) for x in numbers} | {f"{x:g}" for x in numbers}


def total_by_atom(values: Any, what: str, where: str, remedy: str) -> int | None:
    """Return the sum of charges or magnetic moments given by atom, if it is a whole number; None where all are zero."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputError(
            f"{where}: {what} of shape {array.shape} are vectors by atom, which scfx does not compute with; {remedy}"
        )
    if not array.any():
        return None
    total = float(array.sum())
    if not np.isfinite(total) or abs(total - round(total)) > 1e-6:
        raise InputError(f"{where}: {what} add up to {total:.6g}, which is no whole number; {remedy}")
    return round(total)


def joined(stated: int | None, by_atom: int | None, name: str, what: str, where: str) -> int | None:
    """Return what the record states for the molecule, else the sum by atom; refused where the two differ."""
    if stated is not None and by_atom is not None and stated != by_atom:
        raise InputError(
            f"{where}: {name} = {stated}, but {what} add up to {by_atom}; remove one of them, or give {name} as an "
            "argument"
        )
    return by_atom if stated is None else stated


def unpaired_by_atom(moments: Any, where: str) -> int | None:
    """Return the multiplicity that magnetic moments by atom (Bohr magnetons) add up to; None where all are zero."""
    remedy = "set multiplicity (2S + 1) instead"
    total = total_by_atom(moments, "initial magnetic moments", where, remedy)
    if total == 0:
        raise InputError(
            f"{where}: initial magnetic moments of both signs ask for a broken-symmetry start, scfx makes none; "
            "remove them, or give multiplicity=1 as an argument for an ordinary singlet"
        )
    return None if total is None else abs(total) + 1


def lowest_multiplicity(n_electrons: int) -> Assumed:
    """Return 1 for an even number of electrons, 2 for an odd one: what is assumed where nothing is stated."""
    return Assumed(1 + n_electrons % 2)
