"""Element symbols and ground-state electron configurations."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import SupportsFloat, SupportsInt

import numpy as np

from scfx.errors import InputError

#: Index = atomic number.
SYMBOLS: tuple[str, ...] = (
    "X", "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl",
    "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se",
    "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb",
    "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er",
    "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At",
    "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No",
    "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og",
)  # fmt: skip
_DECIMAL = re.compile(r"[+-]?\d+(\.0*)?")
_NUMBER = {symbol.lower(): z for z, symbol in enumerate(SYMBOLS) if z}

# Order in which subshells fill (Madelung), as (n + l, n) sorted; the exceptions are ground states from the NIST
# Atomic Spectra Database: {atomic number: electrons by l}.
_MADELUNG = sorted((n + l, n, l) for n in range(1, 8) for l in range(min(n, 4)))
_EXCEPTIONS = {
    24: (7, 12, 5), 29: (7, 12, 10),
    41: (9, 18, 14), 42: (9, 18, 15), 44: (9, 18, 17), 45: (9, 18, 18), 46: (8, 18, 20), 47: (9, 18, 20),
    57: (12, 24, 21), 58: (12, 24, 21, 1), 64: (12, 24, 21, 7), 78: (11, 24, 29, 14), 79: (11, 24, 30, 14),
}  # fmt: skip


_LABEL = re.compile(r"([A-Za-z]{1,2})([0-9]+)")
#: How programs write an atom that has basis functions and neither charge nor electrons: Psi4's @O and Gh(O), PySCF's
#: ghost-O and X-O, Gaussian's O-Bq, NWChem's bqO, ORCA's O: (a colon after the symbol).
_GHOST = re.compile(
    r"@(?P<a>.+)|gh\((?P<b>.+)\)|(?:ghost|x|bq)[-_.](?P<c>.+)|(?P<d>.+)[-_]bq|bq(?P<e>[A-Z].*)|ghost(?P<f>[A-Z].*)"
    r"|(?P<g>[A-Za-z]{1,2}):",
    re.IGNORECASE,
)


def atomic_number(symbol_or_number: str | SupportsInt) -> int:
    """Return the atomic number of an element symbol (case-free) or of a number; `InputError` with near matches
    otherwise.

    Numbers may be written as 8, "8", 8.0 or "8.0"; nothing is rounded to one.
    """
    if not isinstance(symbol_or_number, str):
        return whole_number(symbol_or_number, "an atomic number")
    text = symbol_or_number.strip()
    if text[:1].isdigit():
        try:
            return whole_number(text, "an atomic number")
        except InputError:
            raise InputError(
                f"unknown element {symbol_or_number!r}: expected a symbol or a whole atomic number"
            ) from None
    try:
        return _NUMBER[text.lower()]
    except KeyError:
        raise InputError(f"unknown element {symbol_or_number!r}{_remedy(text)}") from None


def _remedy(text: str) -> str:
    lower = text.lower().strip("0123456789")
    if lower in ("d", "t"):
        name = {"d": "deuterium", "t": "tritium"}[lower]
        return f": {name} has the electrons of hydrogen and gives its labels; write H"
    if lower in ("x", "xx", "q", "du", "*"):
        return ": a dummy atom has no nucleus; leave it out (ghost atoms, which have basis functions, are written @O)"
    if lower in ("bq", "gh", "ghost"):
        return (
            ": a ghost atom needs the element whose basis functions it has; write @O, Gh(O), ghost-O or O-Bq"
        )
    if lower in ("tv", "vec"):
        return ": translation vectors belong to a periodic system, and scfx computes isolated molecules"
    near = [SYMBOLS[_NUMBER[m]] for m in get_close_matches(text.lower(), _NUMBER, n=3, cutoff=0.4)]
    return f"; near: {', '.join(near)}" if near else ""


def nucleus(label: str | SupportsInt) -> tuple[int, bool]:
    """Return the atomic number of an atom's label, and whether the label makes it a ghost atom.

    A label is a symbol, a symbol with the atom's number ("O1"), an atomic number, or one of the marks of ghost atoms
    that programs use ("@O", "Gh(O)", "ghost-O", "O-Bq"). Raises `InputError` with a remedy for anything else.
    """
    if not isinstance(label, str):
        return atomic_number(label), False
    text = label.strip()
    if text.lower() in _NUMBER:
        return _NUMBER[text.lower()], False
    if (numbered := _LABEL.fullmatch(text)) and numbered[1].lower() in _NUMBER:
        return _NUMBER[numbered[1].lower()], False
    if ghost := _GHOST.fullmatch(text):
        inner = next(part for part in ghost.groups() if part is not None)
        return nucleus(inner)[0], True
    return atomic_number(text), False


def atom_label(label: str | SupportsInt) -> str:
    """Return how an atom is called in its molecule: "O1" where its label has a number after the symbol, else its
    symbol.

    Of a ghost atom it is what the mark encloses: "O1" of "@O1". Raises `InputError` as `nucleus` does.
    """
    z, ghost = nucleus(label)
    symbol = SYMBOLS[z] if 0 <= z < len(SYMBOLS) else ""
    if not isinstance(label, str):
        return symbol
    text = label.strip()
    if ghost and not _LABEL.fullmatch(text) and (inner := _GHOST.fullmatch(text)):
        return atom_label(next(part for part in inner.groups() if part is not None))
    numbered = _LABEL.fullmatch(text)
    return f"{symbol}{numbered[2]}" if numbered and numbered[1].lower() in _NUMBER else symbol


def whole_number(value: object, what: str) -> int:
    """Return `value` as an int if it is one: 2, 2.0, numpy's, or such text. `InputError` for 2.5, nan, True and the
    rest.
    """
    if isinstance(value, (bool, np.bool_)):
        raise InputError(f"{what} is a whole number, got {value!r}")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (int, np.integer)):
        return int(value)
    try:
        number = float(value) if isinstance(value, (str, float, np.floating, SupportsFloat)) else None
        if isinstance(value, str) and not _DECIMAL.fullmatch(value.strip()):
            number = None
        if number is not None and number.is_integer() and abs(number) < 2**53:
            return int(number)
    except (TypeError, ValueError):
        pass
    raise InputError(
        f"{what} is a whole number, got {value!r}; it is not rounded: give the number that is meant"
    )


#: Core electrons that effective core potentials replace, by l: noble-gas cores, with the filled d and f shells inside.
_CORES = {
    0: (0, 0, 0, 0), 2: (2, 0, 0, 0), 10: (4, 6, 0, 0), 18: (6, 12, 0, 0), 28: (6, 12, 10, 0), 36: (8, 18, 10, 0),
    46: (8, 18, 20, 0), 54: (10, 24, 20, 0), 60: (8, 18, 20, 14), 68: (10, 24, 20, 14), 78: (10, 24, 30, 14),
}  # fmt: skip


def core_electrons_by_angular_momentum(n_core: int) -> tuple[int, ...]:
    """Return the electrons in s, p, d, f of the core that a potential in place of `n_core` electrons replaces."""
    try:
        return _CORES[n_core]
    except KeyError:
        raise InputError(
            f"the atomic guess knows closed-shell cores of {', '.join(map(str, _CORES))} electrons, not of {n_core}; "
            "use guess = 'core'"
        ) from None


def electrons_by_angular_momentum(z: int) -> tuple[int, ...]:
    """Return the electrons of the neutral ground-state atom in s, p, d, f: carbon gives (4, 2, 0, 0)."""
    if z in _EXCEPTIONS:
        counts = _EXCEPTIONS[z]
        return counts + (0,) * (4 - len(counts))
    counts = [0, 0, 0, 0]
    left = z
    for _, _, l in _MADELUNG:
        put = min(left, 4 * l + 2)
        counts[l] += put
        left -= put
        if not left:
            break
    return tuple(counts)
