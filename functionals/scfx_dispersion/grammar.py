"""`<functional><correction>`: which dispersion correction a name ends in, and for which functional.

A correction is written as programs write it: `-D3(BJ)`, `_d3bj`, `-D3BJ`, ` D3(0)`, `-d3zero`, `+D4`. `-D3` alone does
not say which damping is meant, and is refused. Some functionals were made anew for a correction: B97-D3 is not the
hybrid B97 with D3, nor is wB97X-D3 or wB97X-D4 wB97X with D3 or D4.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, NamedTuple

from scfx.errors import InputError, PluginUnavailableError, RefusedNameError, ScfxError, UnknownNameError
from scfx.registry.spelling import plain_spelling, spelling_key
from scfx_dispersion.parameters import MADE_FOR, parameters

if TYPE_CHECKING:
    from scfx.abstract import AbstractFunctional
    from scfx.registry import Registry

_METHODS = {"d3bj": "Becke-Johnson damping", "d3zero": "zero damping", "d4": ""}
#: Damping of D3, as written -> method.
_D3 = {"bj": "d3bj", "zero": "d3zero", "0": "d3zero", "z": "d3zero"}
#: What else is published, and is not offered.
_D3_VARIANTS = {
    "mbj": "modified Becke-Johnson damping", "bjm": "modified Becke-Johnson damping",
    "m": "modified damping", "m0": "modified zero damping", "mzero": "modified zero damping",
    "zerom": "modified zero damping", "op": "optimised-power damping", "cso": "CSO damping",
}  # fmt: skip
#: A correction with a number, at the end of a name's key.
_NUMBERED = re.compile(
    r"^(?P<base>.+?)\+?(?:dft)?d(?P<number>[234])"
    rf"(?P<variant>{'|'.join((*_D3, *_D3_VARIANTS, 's', 'rev'))}|)(?P<bodies>2b|atm|abc|)$"
)
#: libxc's identifiers end as they end (`hyb_gga_xc_wb97x_d3` is one), but for a correction after a hyphen.
_LIBXC = re.compile(r"^(lda|gga|mgga|hyb)_")
_AFTER_LIBXC = re.compile(r"-(d3bj|d3zero|d4)$")
#: Corrections by letters, which only a separator tells from a name.
_LETTERED = re.compile(
    r"^(?P<base>.*[^-_+\s])[-_+\s]+\(?(?P<letters>d|ts|mbd|mbd@rsscs|xdm|ddsc|nl|vv10|rvv10|u)\)?$"
)
_LETTERS = {
    "d": "Grimme's D2", "ts": "Tkatchenko-Scheffler dispersion", "mbd": "many-body dispersion",
    "mbd@rsscs": "many-body dispersion", "xdm": "exchange-hole dipole dispersion", "ddsc": "dDsC dispersion",
    "nl": "VV10 with parameters fitted for the functional", "vv10": "VV10 with parameters fitted for the functional",
    "rvv10": "rVV10", "u": "Hubbard's U",
}  # fmt: skip
#: Keys of names that end in such letters and are functionals of their own.
_WHOLE = {
    *("b97d", "wb97xd", "oblypd", "opbed", "opwlypd", "otpssd", "ssbd", "revssbd"),
    *("lcvv10", "scanvv10", "scanrvv10", "revscanvv10", "scanlvv10", "scanlrvv10", "vcmlrvv10"),
}


class _Asked(NamedTuple):
    """A name, and the functional in it: its key, and how it is written there."""

    name: str
    key: str
    base: str


def read(name: str, registry: Registry) -> AbstractFunctional | None:
    """Return the functional that a name with a correction stands for; None if it ends in none.

    Raises `RefusedNameError` for corrections that are not here, D3 without its damping, and functionals that treat
    dispersion already.
    """
    plain = plain_spelling(name)
    if "+" in plain and spelling_key(plain).replace("+", "") in _WHOLE:
        return registry.functional(plain.replace("+", "-"))  # SCAN+VV10
    if _LIBXC.match(plain) and not _AFTER_LIBXC.search(plain):
        return None
    match = _NUMBERED.match(spelling_key(plain))
    if match is None:
        _refuse_lettered(plain, name, registry)
        return None
    asked = _Asked(name, match["base"], _text_of_key(plain, match["base"]))
    method, why_none = _method(match)
    made_for = [m for key, m in MADE_FOR if key == asked.key]
    if (asked.key, method) not in MADE_FOR and (not made_for or not why_none):
        found = _without(asked, made_for, registry)
        own = _own_treatment(found)
        if own and own == method and not _NUMBERED.match(asked.key):
            return found  # CF22D is made for D3(0) and has it
        if own:
            raise RefusedNameError(
                f"functional {asked.base!r} has a treatment of dispersion of its own ({own}): {name!r} would count it "
                "twice"
            )
    if why_none:
        raise _refusal(asked, why_none, registry)
    functional = _corrected(asked, method, registry)
    if match["bodies"] in ("atm", "abc"):
        functional.dispersion = {**(functional.dispersion or {}), "three_body": True}
    object.__setattr__(functional, "name", name.strip().casefold())
    return functional


def _method(match: re.Match[str]) -> tuple[str, str]:
    """(method, "") that a numbered correction names, or ("", why it names none that is here)."""
    number, variant = match["number"], match["variant"]
    if number == "2":
        return "", "D2 is not here"
    if number == "4":
        return ("", "of D4 there is the published one only") if variant or match["bodies"] else ("d4", "")
    if variant in _D3_VARIANTS:
        return "", f"{_D3_VARIANTS[variant]} is not here"
    return (_D3[variant], "") if variant in _D3 else ("", "it does not say which damping of D3 is meant")


def _own_treatment(functional: AbstractFunctional) -> str:
    if functional.dispersion is not None:
        return functional.dispersion["method"]
    return "" if functional.vv10 is None else "VV10"


def _without(asked: _Asked, made_for: list[str], registry: Registry) -> AbstractFunctional:
    """The functional before the correction."""
    try:
        return registry.functional(asked.base)
    except UnknownNameError as error:
        if made_for:  # wB97M is not published without a treatment of dispersion
            there = " or ".join(repr(f"{asked.base}-{m}") for m in made_for)
            raise RefusedNameError(f"functional {asked.name!r} is not published; choose {there}") from error
        raise InputError(
            f"in {asked.name!r} the functional before the correction, {asked.base!r}, is unknown"
        ) from error


def _corrected(asked: _Asked, method: str, registry: Registry) -> AbstractFunctional:
    """A copy of the functional, with the correction and its parameters' name."""
    text = MADE_FOR.get((asked.key, method), asked.base)
    functional = copy.copy(registry.functional(text))
    functional.dispersion = {"method": method, "functional": parameters(asked.key, asked.base, method)}
    return functional


def _refusal(asked: _Asked, why: str, registry: Registry) -> RefusedNameError:
    there = [
        f"'{asked.base}-{method}'" + (f" ({what})" if what else "")
        for method, what in _METHODS.items()
        if _is_there(asked, method, registry)
    ]
    choose = (
        f"choose {' or '.join(there)}" if there else f"no correction here has parameters for {asked.base!r}"
    )
    return RefusedNameError(f"functional {asked.name!r}: {why}; {choose}")


def _is_there(asked: _Asked, method: str, registry: Registry) -> bool:
    try:
        dispersion = _corrected(asked, method, registry).dispersion or {}
        registry.dispersion({"name": dispersion["method"], "functional": dispersion["functional"]})
    except PluginUnavailableError:
        return True  # the library is not installed, and says so when it is chosen
    except ScfxError:
        return False
    return True


def _refuse_lettered(plain: str, name: str, registry: Registry) -> None:
    match = _LETTERED.match(plain)
    if match is None or spelling_key(plain).replace("+", "") in _WHOLE:
        return
    asked = _Asked(name, spelling_key(match["base"]), match["base"])
    try:
        found = registry.functional(asked.base)
    except ScfxError:  # then it is no functional with a correction either
        return
    why = f"{_LETTERS[match['letters']]} is not here"
    own = _own_treatment(found)
    if own:
        raise RefusedNameError(
            f"functional {name!r}: {why}, and {asked.base!r} has its own dispersion ({own})"
        )
    raise _refusal(asked, why, registry)


def _text_of_key(plain: str, key: str) -> str:
    """The beginning of a text that has this key, as it was written."""
    end = next(n for n in range(1, len(plain) + 1) if spelling_key(plain[:n]) == key)
    return plain[:end].strip("-_ ")
