"""From the text that people write to libxc functionals and their weights: a strict reader before PySCF's own parser.

PySCF's parser takes much that nobody meant: `pbe0-2` is PBE0 minus functional number 2, `b3lyp-d3` is B3LYP. Here a
hyphen belongs to a name unless what follows can only be a term (`pbe - 0.25*hf`), a number names a functional only
where nothing is subtracted, and what a name stands for beyond libxc is given with it or refused (`completeness`).
"""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from functools import lru_cache

from scfx.errors import InputError, RefusedNameError
from scfx.registry.spelling import plain_spelling, spelling_key
from scfx_jax_xc.spellings import COMPOSITIONS


@dataclass(frozen=True)
class Sum:
    """A sum of libxc functionals. `parts`: (libxc name in lower case, coefficient); may be empty (pure exchange).

    `exact_exchange`, `long_range_exchange`, `omega` are in the convention of `scfx.AbstractFunctional`.
    `nonlocal_parameters`: (b, C) of each VV10 that libxc states, with its coefficient. `bare`: asked for without what
    its name stands for beyond libxc.
    """

    text: str
    parts: tuple[tuple[str, float], ...]
    exact_exchange: float
    long_range_exchange: float
    omega: float
    nonlocal_parameters: tuple[tuple[tuple[float, float], float], ...] = ()
    bare: bool = False

    @property
    def nonlocal_correlation(self) -> bool:
        """Return whether the sum has VV10."""
        return bool(self.nonlocal_parameters)


_BARE = re.compile(r"^\s*bare\s*\((.*)\)\s*$", re.IGNORECASE | re.DOTALL)


@lru_cache(maxsize=1024)
def parse(text: str) -> Sum | None:
    """Read a name or a sum in PySCF's syntax; None if it is neither.

    "x, c" gives exchange and correlation, a name without a comma both; "0.2*hf" is exact exchange; "bare(name)" is the
    name's libxc part alone. Spellings of a name differ in case and separators only (`scfx.registry.spelling`).
    """
    inner = _BARE.match(text)
    plain = _in_pyscfs_words(inner.group(1) if inner else text)
    if plain is None:
        return None
    from pyscf.dft import libxc

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # where PySCF says which of several names it takes
            _, terms = libxc.parse_xc(plain)
        omega, long_range, difference = (float(v) for v in libxc.rsh_coeff(plain))
        nonlocal_parameters = tuple(
            ((float(b), float(c)), float(weight)) for (b, c), weight in libxc.nlc_coeff(plain)
        )
    except (KeyError, ValueError, NotImplementedError, IndexError, AssertionError):
        # What PySCF raises for text that it cannot compute: several omegas, a functional without parameters.
        return None
    return Sum(
        text,
        tuple((_names()[int(number)], float(weight)) for number, weight in terms),
        # libxc splits 1/r into alpha + beta erfc(omega r): alpha + beta at short range, alpha at long range.
        exact_exchange=long_range + difference,
        long_range_exchange=-difference if omega else 0.0,
        omega=omega if difference else 0.0,
        nonlocal_parameters=nonlocal_parameters,
        bare=inner is not None,
    )


def required(text: str) -> Sum:
    """Return what `resolve` finds, or raise `InputError`."""
    found = parse(text)
    if found is None:
        raise InputError(
            f"xc = {text!r} is not a functional that PySCF's parser and libxc know; examples: 'b97-3', "
            "'gga_x_b88, gga_c_lyp', '0.2*hf + 0.8*slater, lyp'"
        )
    return found


# ---- reading --------------------------------------------------------------------------------------------------

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
#: One term of a sum: a factor on either side, and a name, which may have hyphens in it.
_TERM = re.compile(
    rf"""^\s*(?:(?P<before>{_NUMBER})\s*\*\s*)?
         (?P<name>rsh\([^()]*\)|(?:sr|lr)[-_]hf\s*(?:\([^()]*\))?|[a-z0-9_][-a-z0-9_/()\[\]\ ]*?\*?)
         (?:\s*\*\s*(?P<after>{_NUMBER}))?\s*$""",
    re.VERBOSE,
)
#: A hyphen subtracts at the start of a sum, between blanks, or before a number that is a factor.
_MINUS = re.compile(rf"(?<=\s)-(?=\s)|^\s*-|-(?=\s*{_NUMBER}\s*\*)")
#: Within the exponent of a number, and within brackets, nothing is an operator.
_PROTECTED = re.compile(r"(?<![a-z_0-9.])((?:\d+\.?\d*|\.\d+)e)([-+])(\d+)|\([^()]*\)")


def _in_pyscfs_words(text: str) -> str | None:
    """The text with every name as PySCF's tables have it, so that its parser can read nothing else into it."""
    plain = plain_spelling(text)
    whole = _whole_name(plain)
    if whole is not None:
        return whole
    sides = _outside_brackets(plain, r",")
    if len(sides) > 2:
        return None
    kinds = ("whole",) if len(sides) == 1 else ("exchange", "correlation")
    written = []
    for side, kind in zip(sides, kinds, strict=True):
        read = _terms(side, kind) if side.strip() else ""
        if read is None:
            return None
        written.append(read)
    return ",".join(written) if any(written) else None


def _terms(side: str, kind: str) -> str | None:
    """One side of the comma, or all of a text without one."""
    out = []
    for index, piece in enumerate(_outside_brackets(_with_marked_signs(side), r"\+")):
        negative = piece.lstrip().startswith("~")
        piece = piece.lstrip().removeprefix("~")
        if not piece.strip() and index == 0:
            continue  # a leading sign
        match = _TERM.match(_unprotected(piece))
        if match is None or (match["before"] and match["after"]):
            return None
        name = _one_name(match["name"].strip(), kind, negative)
        if name is None:
            return None
        factor = match["before"] or match["after"] or "1"
        # "+-" and "E_", because PySCF reads the "E-" of "PBE-0.5*HF" as an exponent.
        sign = "+-" if negative else "+" if out else ""
        out.append(f"{sign}{float(factor)!r}".upper().replace("E-", "E_") + f"*{name}")
    return "".join(out) if out else None


def _with_marked_signs(side: str) -> str:
    """`-` as operator becomes `+~`; signs in exponents become `<` and `>`, those in brackets stay as they are."""
    shielded = _PROTECTED.sub(lambda m: m.group(0) if m.group(1) is None else _shield(m), side)
    return _MINUS.sub("+~", shielded)


def _shield(match: re.Match[str]) -> str:
    return f"{match.group(1)}{'<' if match.group(2) == '-' else '>'}{match.group(3)}"


def _unprotected(piece: str) -> str:
    return piece.replace("<", "-").replace(">", "+")


def _outside_brackets(text: str, separator: str) -> list[str]:
    """Split at a separator that no bracket encloses."""
    out, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0 and re.match(separator, character):
            out.append(text[start:index])
            start = index + 1
    return [*out, text[start:]]


def _one_name(name: str, kind: str, negative: bool) -> str | None:
    """A name in a sum, as PySCF's tables have it; None if they do not."""
    if re.match(r"(rsh\(|(sr|lr)[-_]hf|hf$)", name):
        return re.sub(r"^(sr|lr)-", r"\1_", re.sub(r"\s", "", name)).upper().replace(",", ";")
    if name.endswith("-"):
        return None
    if name.isdigit():
        known = int(name) in _names() and not negative
        return name if known else None
    if kind == "whole" and (found := _whole_name(name)) is not None:
        # A name that PySCF keeps as text of its own is written out by its parts there; a sum may scale it as a unit.
        return found if "," not in found else None
    if len(several := _several(name, kind)) > 1:
        raise RefusedNameError(f"{name!r} is {' or '.join(several)}; write the one that is meant")
    for spelling in (name, name.replace("-", "_"), name.replace("-", "")):
        if re.fullmatch(r"[a-z_][a-z0-9_]*", spelling) and _known_to_pyscf(spelling, kind):
            return spelling.upper()
    return None


def _several(name: str, kind: str) -> list[str]:
    """libxc's functionals that end in a name; PySCF takes any of several, not the same one in every process."""
    if name.upper() in _aliases():
        return []
    letter = {"whole": "_xc_", "exchange": "_x_", "correlation": "_c_"}[kind]
    key = spelling_key(name)
    return sorted(n for n in _names().values() if letter in n and spelling_key(n.partition(letter)[2]) == key)


@lru_cache(maxsize=1)
def _aliases() -> set[str]:
    from pyscf.dft import libxc

    return {alias for alias in libxc.XC_CODES if not re.match(r"(LDA|GGA|MGGA|HYB)_", alias)}


@lru_cache(maxsize=4096)
def _known_to_pyscf(name: str, kind: str) -> bool:
    from pyscf.dft import libxc

    text = {"whole": name, "exchange": name + ",", "correlation": "," + name}[kind]
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            libxc.parse_xc(text)
    except (KeyError, ValueError, NotImplementedError, IndexError):
        return False
    return True


# ---- names ----------------------------------------------------------------------------------------------------


def _whole_name(plain: str) -> str | None:
    """A text that is one name, in PySCF's words; None if it is not one of the names that stand for a functional."""
    if plain.isdigit():
        return plain if int(plain) in _names() else None
    return _by_key().get(spelling_key(plain))


@lru_cache(maxsize=1)
def _by_key() -> dict[str, str]:
    """Every name of a functional (with exchange and correlation) and of a single libxc functional, by its key."""
    from pyscf.dft import libxc

    found = {spelling_key(name): name.upper() for name in _names().values()}
    for alias in libxc.XC_ALIAS:
        found[spelling_key(alias)] = alias
    # Exactly as PySCF writes them these come before libxc's own: its TPSS0 is a sum of TPSS, libxc has one of the name.
    for alias in libxc.XC_CODES:
        if _known_to_pyscf(alias.lower(), "whole"):
            found.setdefault(spelling_key(alias), alias)
    for name in sorted(_names().values()):
        _, _, tail = name.partition("_xc_")
        if tail and len(_several(tail, "whole")) == 1:
            found.setdefault(spelling_key(tail), name.upper())
    for spelling, composition in COMPOSITIONS.items():
        found.setdefault(spelling_key(spelling), composition.upper())
    return found


@lru_cache(maxsize=1)
def _names() -> dict[int, str]:
    from pyscf.dft import libxc

    return {int(number): name.lower() for name, number in libxc.available_libxc_functionals().items()}


def number_of(name: str) -> int:
    """Return libxc's number of a functional."""
    from pyscf.dft import libxc

    return int(libxc.available_libxc_functionals()[name.upper()])
