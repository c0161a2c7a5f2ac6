"""Element symbols and ground-state electron configurations."""

from __future__ import annotations

from difflib import get_close_matches
from typing import SupportsInt

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
_NUMBER = {symbol.lower(): z for z, symbol in enumerate(SYMBOLS) if z}

# Order in which subshells fill (Madelung), as (n + l, n) sorted; the exceptions are ground states from the NIST
# Atomic Spectra Database: {atomic number: electrons by l}.
_MADELUNG = sorted((n + l, n, l) for n in range(1, 8) for l in range(min(n, 4)))
_EXCEPTIONS = {
    24: (7, 12, 5), 29: (7, 12, 10),
    41: (9, 18, 14), 42: (9, 18, 15), 44: (9, 18, 17), 45: (9, 18, 18), 46: (8, 18, 20), 47: (9, 18, 20),
    57: (12, 24, 21), 58: (12, 24, 21, 1), 64: (12, 24, 21, 7), 78: (11, 24, 29, 14), 79: (11, 24, 30, 14),
}  # fmt: skip


def atomic_number(symbol_or_number: str | SupportsInt) -> int:
    """Atomic number of an element symbol (case-free) or of a number; `InputError` with near matches otherwise."""
    if not isinstance(symbol_or_number, str):
        return int(symbol_or_number)
    text = symbol_or_number.strip()
    if text.isdigit():
        return int(text)
    try:
        return _NUMBER[text.lower()]
    except KeyError:
        near = [SYMBOLS[_NUMBER[m]] for m in get_close_matches(text.lower(), _NUMBER, n=3, cutoff=0.4)]
        raise InputError(
            f"unknown element {symbol_or_number!r}" + (f"; near: {', '.join(near)}" if near else "")
        ) from None


#: Core electrons that effective core potentials replace, by l: noble-gas cores, with the filled d and f shells inside.
_CORES = {
    0: (0, 0, 0, 0), 2: (2, 0, 0, 0), 10: (4, 6, 0, 0), 18: (6, 12, 0, 0), 28: (6, 12, 10, 0), 36: (8, 18, 10, 0),
    46: (8, 18, 20, 0), 54: (10, 24, 20, 0), 60: (8, 18, 20, 14), 68: (10, 24, 20, 14), 78: (10, 24, 30, 14),
}  # fmt: skip


def core_electrons_by_angular_momentum(n_core: int) -> tuple[int, ...]:
    """Electrons in s, p, d, f of the core that a potential in place of `n_core` electrons replaces."""
    try:
        return _CORES[n_core]
    except KeyError:
        raise InputError(
            f"the atomic guess knows closed-shell cores of {', '.join(map(str, _CORES))} electrons, not of {n_core}; "
            "use guess = 'core'"
        ) from None


def electrons_by_angular_momentum(z: int) -> tuple[int, ...]:
    """Electrons of the neutral ground-state atom in s, p, d, f: carbon gives (4, 2, 0, 0)."""
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
