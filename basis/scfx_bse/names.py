"""From what people write to a Basis Set Exchange name: `6-31g(d)`, `631g*`, `DEF2SVP`, `ccpvdz`."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache

#: Gaussian's notation for the polarisation that Pople's basis sets write as stars.
_STARS = {"(d)": "*", "(d,p)": "**"}
_PARENTHESISED = re.compile(r"^(6-?31\+{0,2}g|6-?311\+{0,2}g|3-?21\+{0,2}g)(\(d\)|\(d,p\))(.*)$")


def _key(name: str) -> str:
    return re.sub(r"[-_\s]", "", name.lower())


@lru_cache(maxsize=1)
def _names_by_key() -> dict[str, str]:
    import basis_set_exchange

    # No two of its names differ only in case, hyphens, underscores and blanks: a test looks.
    return {_key(name): name for name in basis_set_exchange.get_all_basis_names()}


def exchange_name(name: str) -> str | None:
    """Return the Basis Set Exchange's own spelling of `name`, or None.

    Case, hyphens, underscores and blanks do not matter, as in PySCF; `(d)` and `(d,p)` after a Pople basis
    set mean `*` and `**` (in the Exchange, `6-31G(d,p)` and `6-31G**` hold the same numbers, and `6-31G(d)`
    is missing).
    """
    text = name.strip().lower()
    match = _PARENTHESISED.match(re.sub(r"\s", "", text))
    if match:
        stem, parentheses, rest = match.groups()
        starred = _names_by_key().get(_key(stem + _STARS[parentheses] + rest))
        if starred is not None:
            return starred
    return _names_by_key().get(_key(text))


#: Names that programs do not agree about, and why.
_DISPUTED = (
    (
        re.compile(r"^6-?31\+{0,2}g\((\d?d|\d?df|d')"),
        "programs split the d exponents of 6-31G differently (Gaussian its own, the Exchange and PySCF those of "
        "6-311G), so it is not composed",
    ),
    (
        re.compile(r"^3-?21\+*g(\*\*|\(d)"),
        "3-21G* has d functions on Na to Ar only, and no other is published",
    ),
)


def nearest(name: str) -> str:
    """Return a sentence for a name that is not there: why, and which names of the Exchange come nearest."""
    text = re.sub(r"\s", "", name.strip().lower())
    names = _names_by_key()
    key = _key(text)
    near = [names[k] for k in get_close_matches(key, names, n=6, cutoff=0.6)]
    stem = key.partition("(")[0].rstrip("*")
    near += [
        n
        for k, n in names.items()
        if "(" in key and k.partition("(")[0].rstrip("*") == stem and n not in near
    ]
    why = next((f": {reason}" for pattern, reason in _DISPUTED if pattern.match(text)), "")
    there = f"near it: {', '.join(near)}" if near else "for instance sto-3g, 6-31g*, def2-svp, cc-pvdz"
    return (
        f"the Basis Set Exchange has no basis set {name!r}{why}; {there}; all are at https://www.basissetexchange.org, "
        'and { name = "file", path = ... } reads one of your own'
    )
