"""The first two lines of an xyz frame: number of atoms and unit, then key=value pairs, "0 3", or words."""

from __future__ import annotations

import re
from typing import Any

from scfx.errors import InputError
from scfx.model.elements import whole_number
from scfx.model.stated import length_unit

#: More atoms than this are refused by their announcement alone: nothing is read or allocated for them.
MOST_ATOMS = 100_000

_COUNT = re.compile(r"\s*(\S+)(?:\s+(\S.*?))?\s*")
_KEY = re.compile(r"([A-Za-z_][\w.-]*)\s*=\s*(?=\S)")
_CLOSING = {'"': '"', "'": "'", "{": "}", "[": "]"}
_TWO_NUMBERS = re.compile(r"([+-]?\d+)[\s,]+(\d+)(?![\d.])\s*(.*)")
#: "charge: -1" and "multiplicity 3", in words.
_WORDS = re.compile(
    r"\b(charge|multiplicity|mult|spin)\b(?:\s+is)?\s*[:\s]\s*([+-]?\d[\w.+-]*)", re.IGNORECASE
)
_NAMED = {"singlet": 1, "doublet": 2, "triplet": 3, "quartet": 4, "quintet": 5, "sextet": 6, "septet": 7}
_UNIT_KEYS = (
    "unit", "units", "length_unit", "length_units", "position_unit", "position_units", "positions_unit",
    "positions_units", "pos_unit", "pos_units", "coordinate_unit", "coordinate_units", "coordinates_unit",
    "coordinates_units", "distance_unit",
)  # fmt: skip
#: The word, where it is no part of another quantity's unit (hartree/bohr, e bohr, bohr^3, 0.7 bohr).
_BOHR = re.compile(r"(?<![/*^·\w.-])(?<!\be )(?<!\d )bohrs?(?![\w/*^·-])", re.IGNORECASE)
_ATOMIC_UNITS = re.compile(
    r"\b(coord\w*|pos\w*|geom\w*|lengths?|distances?|xyz)\b[^=]{0,20}?(\batomic units\b|\ba\.u\.|\bau\b)",
    re.IGNORECASE,
)
_ANGSTROM = re.compile(
    r"(?<![/*^·\w.-])(angstr[oö]ms?|[åÅ\u212b](?:ngstr[oö]ms?)?)(?![\w/*^·-])", re.IGNORECASE
)


def count_line(line: str) -> tuple[int, str | None]:
    """Return the number of atoms and the unit that may follow it ("3 bohr", as Psi4 reads it); `InputError`
    otherwise.
    """
    found = _COUNT.fullmatch(line)
    shown = line.strip()[:40]
    try:
        natm = whole_number(found[1], "the number of atoms") if found else 0
    except InputError:
        raise InputError(
            f"expected the number of atoms, found {shown!r}; an xyz file is a count, a comment, then 'symbol x y z'"
        ) from None
    assert found is not None
    if natm < 1:
        raise InputError(f"the number of atoms is {natm}")
    if natm > MOST_ATOMS:
        raise InputError(f"{natm} atoms are announced; scfx reads molecules of at most {MOST_ATOMS}")
    if found[2] is None:
        return natm, None
    try:
        return natm, length_unit(found[2].strip("()[]"), "unit")
    except InputError:
        raise InputError(
            f"after the number of atoms only a unit may stand ('bohr' or 'angstrom'), found {found[2][:40]!r}"
        ) from None


def pairs(comment: str) -> tuple[dict[str, str], str]:
    """Return the key=value pairs of an extended comment line, keys in lower case, and what is left of the line.

    Values may stand in quotes, braces or brackets; inside, `\\\\` and `\\"` are one character. Raises `InputError` if
    a key is given twice with different values.
    """
    out: dict[str, str] = {}
    rest, at = [], 0
    while found := _KEY.search(comment, at):
        rest.append(comment[at : found.start()])
        value, at = _value(comment, found.end())
        key = found[1].lower()
        if out.setdefault(key, value) != value:
            raise InputError(
                f"{found[1]} is given twice, as {out[key]!r} and {value!r}; keep the one that is meant"
            )
    rest.append(comment[at:])
    return out, " ".join("".join(rest).split())


def _value(text: str, start: int) -> tuple[str, int]:
    closing = _CLOSING.get(text[start])
    if closing is None:
        end = re.compile(r"\s|$").search(text, start)
        assert end is not None
        return text[start : end.start()], end.start()
    out, at = [], start + 1
    while at < len(text) and text[at] != closing:
        # A lone backslash stays: SMILES have them, and not every writer doubles them.
        if text[at] == "\\" and text[at + 1 : at + 2] in ("\\", closing):
            at += 1
        out.append(text[at])
        at += 1
    return "".join(out), at + 1


def stated_in_words(info: dict[str, str], rest: str) -> dict[str, Any]:
    """Return `info` with what the words beside the pairs say of charge and multiplicity.

    "0 3" alone is charge and multiplicity, as in many programs' input. Followed by other text it could be anything,
    so it is kept under "ambiguous" for the reader to compare with what it assumes.
    """
    out: dict[str, Any] = dict(info)
    if (two := _TWO_NUMBERS.fullmatch(rest)) and not re.match(r"[+-]?[\d.]", two[3]):
        if two[3]:
            out["ambiguous"] = (int(two[1]), int(two[2]))
        else:
            _add(out, "charge", two[1])
            _add(out, "multiplicity", two[2])
    for word, value in _WORDS.findall(rest):
        name = word.lower()
        _add(out, "multiplicity" if name == "mult" else name, value.rstrip(".,;"))
    return out


def doubt_of(
    info: dict[str, Any], rest: str, nuclear_charge: int, charge: int | None, multiplicity: int | None
) -> str:
    """Return the words that may state a charge or multiplicity and differ from the one that would be assumed; "" for
    none.
    """
    lowest = 1 + (nuclear_charge - (charge or 0)) % 2
    both = info.get("ambiguous")
    if both and both != (charge or 0, multiplicity or lowest):
        return (
            f"the comment line begins with '{both[0]} {both[1]}', which may be charge and multiplicity; write "
            f"charge={both[0]} multiplicity={both[1]} if it is, else other words before it"
        )
    named = [m for name, m in _NAMED.items() if re.search(rf"\b{name}\b", rest, re.IGNORECASE)]
    if multiplicity is None and named and named != [lowest]:
        return f"the comment line {rest[:60]!r} names a spin state; write multiplicity={named[0]} or which is meant"
    return ""


def _add(info: dict[str, Any], key: str, value: str) -> None:
    if str(info.setdefault(key, value)).lstrip("+") != value.lstrip("+"):
        raise InputError(f"{key} is given twice, as {info[key]} and {value}; keep the one that is meant")


def unit_of(info: dict[str, Any], rest: str, counted: str | None) -> str | None:
    """Return the unit that a frame states for its positions, None if it states none; `InputError` for two of them."""
    said = [] if counted is None else [counted]
    for key in _UNIT_KEYS:
        if key in info:
            said.append(length_unit(info[key], f"{key} in the comment line"))
    if _BOHR.search(rest) or _ATOMIC_UNITS.search(rest):
        said.append("bohr")
    if _ANGSTROM.search(rest):
        said.append("angstrom")
    if len(set(said)) > 1:
        raise InputError(
            "bohr and angstrom are both named, at the count or in the comment; write units=bohr or units=angstrom only"
        )
    return said[0] if said else None


def refuse_periodic(info: dict[str, Any]) -> None:
    """Raise `InputError` for a frame with a lattice, or with periodic boundary conditions in any direction."""
    lattice = str(info.get("lattice") or "").replace(",", " ").split()
    pbc = str(info["pbc"]).replace(",", " ").split() if "pbc" in info else None
    periodic = (
        any(x.lower() in ("t", "true", "1") for x in pbc) if pbc is not None else any(map(_nonzero, lattice))
    )
    if pbc is not None and any(x.lower() not in ("t", "true", "1", "f", "false", "0") for x in pbc):
        raise InputError(f"pbc={info['pbc']!r} is not three of T and F")
    if periodic:
        raise InputError(
            "the frame is periodic (Lattice, pbc), and scfx computes isolated molecules; if it is one molecule in a "
            'box, write pbc="F F F"'
        )


def _nonzero(text: str) -> bool:
    try:
        return float(text) != 0.0
    except ValueError:
        return True
