"""Basis sets that a rule of the field defines by ones that the Basis Set Exchange has.

- `jul-`, `jun-`, `may-`, `apr-cc-pVXZ` and `maug-cc-pVXZ` are aug-cc-pVXZ without some of its diffuse functions
  (Papajak, Zheng, Xu, Leverentz, Truhlar, J. Chem. Theory Comput. 7, 3027 (2011)); `heavy-aug-` is `jul-`.
- `6-311G(2d,p)` and kin: the polarisation functions of 6-311G (Frisch, Pople, Binkley, J. Chem. Phys. 80, 3265 (1984))
  are the same whatever diffuse functions stand beside them, two or three sets split the exponent of one by factors of
  four. Those of 6-31G are not composed: programs split other exponents for it.
- `3-21G*` has d functions on Na to Ar only (Pietro, Francl, Hehre, DeFrees, Pople, Binkley, J. Am. Chem. Soc. 104, 5039
  (1982)), those of 6-31G*.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from scfx.errors import BasisError
from scfx_bse.names import exchange_name
from scfx_bse.source import PublishedBasis, PublishedShell, published, usual_version

_CALENDAR = re.compile(r"^(jul|jun|may|apr|maug|heavy-?aug)-?(cc-?p.*)$")
#: How many of the highest angular momenta each month has lost.
_MONTHS = {"jul": 0, "heavyaug": 0, "jun": 1, "may": 2, "apr": 3}
#: Elements whose diffuse functions are one of each angular momentum: the rule is stated for these.
_MAIN_GROUP = (*range(1, 19), *range(31, 37))

_POPLE = re.compile(r"^6-?311(\+{0,2})g\(([123]?)d(f?)(?:,([123]?)p(d?))?\)$")
_STARRED_321 = re.compile(r"^3-?21g(\*|\(\*\))$")


def composed(name: str) -> PublishedBasis | None:
    """Return the basis set that a rule gives the name to; None if none does.

    Raises `BasisError` for names that look so and are not defined.
    """
    text = re.sub(r"[\s_]", "", name.lower())
    for pattern, compose in _RULES:
        match = pattern.match(text)
        if match:
            return compose(match)
    return None


def _calendar(match: re.Match[str]) -> PublishedBasis | None:
    month, rest = match.group(1).replace("-", ""), match.group(2)
    full, bare = exchange_name(f"aug-{rest}"), exchange_name(rest)
    if full is None or bare is None:
        return None
    augmented, plain = _published(full), _published(bare)
    shells = {}
    for z in _MAIN_GROUP:
        if z not in augmented.shells or z not in plain.shells:
            continue
        diffuse = _less(augmented.shells[z], plain.shells[z])
        momenta = sorted(shell[0] for shell in diffuse)
        if momenta != list(range(len(momenta))) or not momenta:
            continue
        highest = 1 if month == "maug" else momenta[-1] - _MONTHS[month]
        if z > 2 and highest < 1:
            raise BasisError(
                f"{match.string!r} is not defined: {full} has diffuse functions up to {'spdfghi'[momenta[-1]]}, and s "
                f"and p at least must stay; there is jun-{bare} or maug-{bare}"
            )
        lost = [shell for shell in diffuse if z <= 2 or shell[0] > highest]
        shells[z] = _less(augmented.shells[z], lost)
    month = "jul" if month == "heavyaug" else month
    return PublishedBasis(f"{month}-{bare}", augmented.version, shells, {})


def _pople(match: re.Match[str]) -> PublishedBasis:
    plus, n_d, f, n_p, d = match.groups()
    hydrogen = "" if n_p is None else f",{n_p}p{d}"
    name = f"6-311{plus}G({n_d}d{f}{hydrogen})"
    shells = {}
    for z in _published("6-311G").shells:
        wanted = _pople_hydrogen(n_p, d) if z <= 2 else _pople_heavy(n_d, f)
        parts = [_added(z, *part) for part in wanted]
        if plus and (z > 2 or (z == 1 and plus == "++")):
            parts.append(_added(z, f"6-311{plus}G", "6-311G", (0, 1)))
        if None not in parts:
            more = [shell for part in parts for shell in part or ()]
            # 6-311G has spherical functions; the Exchange's 6-311G* takes the d of Na to Ar from 6-31G*, Cartesian.
            shells[z] = (*_published("6-311G").shells[z], *((*shell[:3], False) for shell in more))
    return PublishedBasis(name, "0", shells, {})


#: (basis set with some functions, the same without, the angular momenta of these)
_Part = tuple[str, str, tuple[int, ...]]
_D = {"": ("6-311G*", "6-311G"), "1": ("6-311G*", "6-311G"), "2": ("6-311+G(2d,p)", "6-311+G"),
      "3": ("6-311++G(3df,3pd)", "6-311++G")}  # fmt: skip
_P = {"": ("6-311G**", "6-311G"), "1": ("6-311G**", "6-311G"), "2": ("6-311G(2df,2pd)", "6-311G"),
      "3": ("6-311++G(3df,3pd)", "6-311++G")}  # fmt: skip


def _pople_heavy(n_d: str, f: str) -> list[_Part]:
    return [(*_D[n_d], (2,))] + ([("6-311++G(3df,3pd)", "6-311++G", (3,))] if f else [])


def _pople_hydrogen(n_p: str | None, d: str) -> list[_Part]:
    if n_p is None:
        return []
    return [(*_P[n_p], (1,))] + ([("6-311G(2df,2pd)", "6-311G", (2,))] if d else [])


def _added(z: int, name: str, without: str, momenta: tuple[int, ...]) -> tuple[PublishedShell, ...] | None:
    """What one basis set has more than another; None if the element is not in both."""
    more, less = _published(name).shells.get(z), _published(without).shells.get(z)
    if more is None or less is None:
        return None
    return tuple(shell for shell in _less(more, less) if shell[0] in momenta)


def _starred_321(match: re.Match[str]) -> PublishedBasis:
    core, donor = _published("3-21G"), _published("6-31G*")
    shells = {z: core.shells[z] for z in range(1, 19)}
    for z in range(11, 19):
        shells[z] = (*shells[z], *(shell for shell in donor.shells[z] if shell[0] == 2))
    return PublishedBasis("3-21G*", core.version, shells, {})


def _published(name: str) -> PublishedBasis:
    return published(name, usual_version(name))


def _less(shells: Iterable[PublishedShell], lost: Iterable[PublishedShell]) -> tuple[PublishedShell, ...]:
    """Shells without those of another list, each of which must be among them."""
    left = list(shells)
    for shell in lost:
        if shell not in left:
            raise BasisError(
                f"the Exchange's tables do not nest: {shell[:2]} is missing in the larger basis set"
            )
        left.remove(shell)
    return tuple(left)


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], PublishedBasis | None]], ...] = (
    (_CALENDAR, _calendar),
    (_POPLE, _pople),
    (_STARRED_321, _starred_321),
)
