"""The geometric counterpoise correction gCP, for a functional in a small basis set: `b3lyp-d3bj-gcp(6-31g*)`.

Kruse and Grimme, J. Chem. Phys. 136, 154101 (2012): an estimate of the error that atoms make by borrowing each other's
basis functions, from the positions of the nuclei alone. Its parameters belong to a basis set and a kind of functional,
so that the name says the basis set; `scf.basis` is to be the same.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from scfx.abstract import AbstractDispersionCorrection
from scfx.errors import InputError, RefusedNameError
from scfx.model.elements import SYMBOLS
from scfx.model.system import System
from scfx.registry.spelling import plain_spelling, spelling_key

if TYPE_CHECKING:
    from scfx.abstract import AbstractFunctional
    from scfx.registry import Registry

#: Name of a basis set without separators -> simple-dftd3's, which gives zero for others, and says nothing.
_BASES = {
    "631g*": "631gd", "631g(d)": "631gd", "def2sv(p)": "sv(p)", "def2svp": "svp", "def2tzvp": "tz",
    "ccpvdz": "ccdz", "augccpvdz": "accdz",
}  # fmt: skip
_SHOWN = "6-31g*, def2-sv(p), def2-svp, def2-tzvp, cc-pvdz, aug-cc-pvdz"
#: Functionals that some basis sets have parameters of their own for; the others go by kind.
_OWN = ("hf", "tpss", "pw6b95", "blyp")
_HEAVIEST = 36  # krypton: beyond, the library takes the parameters of the lighter homologue
_CORRECTION = re.compile(r"d[34](bj|zero|0|\(bj\)|\(0\))?(atm)?$")
_NAME = re.compile(r"^(?P<base>.*[^-_+\s])[-_+\s]+gcp\s*(?P<basis>\(.*\))?$")


class GeometricCounterpoise(AbstractDispersionCorrection):
    """The geometric counterpoise correction for a basis set and "hf", "hybrid", "gga", "tpss", "pw6b95" or "blyp",
    added to a dispersion correction.

    `dispersion` is the functional's own as it would be without gCP: a table with `method` "d3bj", "d3zero" or "d4".
    """

    name = "gcp"

    def __init__(self, functional: str, basis: str, dispersion: Mapping[str, Any] | None = None):
        if _plain(basis) not in _BASES:
            raise InputError(f"gCP has no parameters for basis set {basis!r}; it has them for {_SHOWN}")
        if functional not in (*_OWN, "hybrid", "gga"):
            raise InputError(
                f"gCP has no parameters for {functional!r}; expected hybrid, gga, {', '.join(_OWN)}"
            )
        # The library calls what it has for hybrids by the name of one.
        self._method = {"hybrid": "b3lyp"}.get(functional, functional)
        self._basis = _BASES[_plain(basis)]
        self._options = {"functional": functional, "basis": self._basis}
        self._dispersion = None if dispersion is None else _made(dispersion)

    def energy(self, system: System) -> float:
        """Return gCP and dispersion of one system in hartree."""
        found = float(self._evaluated(system, grad=False)["energy"])
        return found + (0.0 if self._dispersion is None else self._dispersion.energy(system))

    def gradient(self, system: System) -> Float64[np.ndarray, "natm 3"]:
        """Return the derivative of both, hartree/bohr."""
        found = np.asarray(self._evaluated(system, grad=True)["gradient"], dtype=np.float64)
        return found if self._dispersion is None else found + self._dispersion.gradient(system)

    def _evaluated(self, system: System, grad: bool) -> dict[str, Any]:
        import dftd3.interface

        heaviest = int(max(system.atomic_numbers))
        if heaviest > _HEAVIEST:
            raise InputError(f"gCP has elements up to {_HEAVIEST}, {system!r} has {SYMBOLS[heaviest]}")
        model = dftd3.interface.GeometricCounterpoise(
            np.asarray(system.atomic_numbers),
            np.asarray(system.positions),
            method=self._method,
            basis=self._basis,
        )
        return model.get_counterpoise(grad)

    def definition(self) -> dict[str, Any]:
        """Return the parameters by name, the library's version, and the dispersion correction's definition."""
        inner = None if self._dispersion is None else dict(self._dispersion.definition())
        return {"method": self.name, **self._options, "dftd3": version("dftd3"), "dispersion": inner}


def _plain(basis: str) -> str:
    # Parentheses tell def2-SV(P) from def2-SVP.
    return re.sub(r"[-_\s]", "", basis.casefold())


def _made(dispersion: Mapping[str, Any]) -> AbstractDispersionCorrection:
    from scfx_dispersion import d3

    options = dict(dispersion)
    method = options.pop("method")
    if method == "d4":
        from scfx_dispersion.d4 import D4

        return D4(**options)
    classes = {"d3bj": d3.RationalD3, "d3zero": d3.ZeroD3}
    if method not in classes:
        raise InputError(f"gCP goes with d3bj, d3zero or d4, not with {method!r}")
    return classes[method](**options)


def read(name: str, registry: Registry) -> AbstractFunctional | None:
    """Return the functional of `<functional>-gcp(<basis>)`; None if a name is none such.

    Raises `RefusedNameError` without the basis set, for one that has no parameters, and for a functional whose
    dispersion gCP was not made to go with.
    """
    match = _NAME.match(plain_spelling(name))
    if match is None:
        return None
    base, basis = match["base"], (match["basis"] or "")[1:-1].strip()
    found = registry.functional(base)
    if _plain(basis) not in _BASES:
        got = f"not for {basis!r}" if basis else "which the name is to say"
        raise RefusedNameError(
            f"functional {name!r}: gCP has parameters for a basis set, {got}: {base}-gcp(...) with one of {_SHOWN}"
        )
    before = found.dispersion
    if found.vv10 is not None or (before and before["method"] not in ("d3bj", "d3zero", "d4")):
        own = before["method"] if before else "VV10"
        raise RefusedNameError(
            f"functional {name!r}: gCP goes with d3bj, d3zero or d4, and {base!r} has {own}; choose another functional"
        )
    kind = "hf" if found.family == "none" else _CORRECTION.sub("", spelling_key(base))
    if kind not in _OWN:
        kind = "hybrid" if found.exact_exchange or found.long_range_exchange else "gga"
    functional = copy.copy(found)
    functional.dispersion = {"method": "gcp", "functional": kind, "basis": basis} | (
        {"dispersion": dict(before)} if before else {}
    )
    object.__setattr__(functional, "name", name.strip().casefold())
    return functional
