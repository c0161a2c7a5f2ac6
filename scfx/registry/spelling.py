"""How people spell the names of functionals: what two spellings must share to be one name.

Programs and papers write wB97X-D3(BJ), ωB97X-D3BJ, wb97x_d3bj and B3LYP/G, B3LYPG for one thing each. Case, hyphens,
underscores, slashes, brackets and blanks tell no two functionals apart; letters, digits, `*`, `+` and commas do.
"""

from __future__ import annotations

import re
import unicodedata

_SEPARATORS = re.compile(r"[-_/()\[\]{}\s]")
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
#: Greek letters that the field writes in Latin ones too; the first two are the letter and the ohm sign's lower case.
_GREEK = {"ω": "w", "ϖ": "w", "omega": "w", "τ": "tau"}


def plain_spelling(text: str) -> str:
    """Lower case, one kind of hyphen, Latin letters (`ω` and `omega` are `w`, `r²scan` is `r2scan`)."""
    plain = unicodedata.normalize("NFKC", text).translate(_DASHES).casefold().strip()
    for greek, latin in _GREEK.items():
        plain = plain.replace(greek, latin)
    return plain


def spelling_key(text: str) -> str:
    """What is left of a name without its separators: `wB97X-D3(BJ)` and `ωb97x_d3bj` give `wb97xd3bj`."""
    return _SEPARATORS.sub("", plain_spelling(text))
