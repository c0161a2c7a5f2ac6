"""How people spell the names of functionals: what two spellings must share to be one name.

Programs and papers write wB97X-D3(BJ), ωB97X-D3BJ, wb97x_d3bj and B3LYP/G, B3LYPG for one thing each. Case, hyphens,
underscores, slashes, brackets and blanks tell no two functionals apart; letters, digits, `*`, `+` and commas do.
"""

from __future__ import annotations

import re
import unicodedata

_SEPARATORS = re.compile(r"[-_/()\[\]{}\s]")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
#: Greek letters that the field writes in Latin ones too.
_GREEK = {"ω": "w", "omega": "w", "τ": "tau"}


def plain_spelling(text: str) -> str:
    """Return lower case, one kind of hyphen, Latin letters (`ω` and `omega` are `w`, `r²scan` is `r2scan`)."""
    plain = unicodedata.normalize("NFKC", text).translate(_DASHES).casefold().strip()
    for greek, latin in _GREEK.items():
        plain = plain.replace(greek, latin)
    return plain


def spelling_key(text: str) -> str:
    """Return what is left of a name without its separators: `wB97X-D3(BJ)` and `ωb97x_d3bj` give `wb97xd3bj`.

    One at either end separates nothing, and stays: `b3lyp-` is not B3LYP.
    """
    plain = plain_spelling(text)
    ends = re.fullmatch(r"([-_/]*)(.*?)([-_/]*)", plain, re.DOTALL)
    assert ends is not None
    return ends.group(1) + _SEPARATORS.sub("", ends.group(2)) + ends.group(3)
