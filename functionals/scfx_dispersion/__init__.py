"""Dispersion corrections: D3 and D4 through simple-dftd3 and dftd4, and the empirical one of wB97X-D.

Functionals that carry a correction (`wb97m-d3bj`) name the method; any other functional takes one by a suffix, as in
PySCF: `b3lyp-d3bj`, `pbe0-d4`.
"""

from __future__ import annotations

import copy

import scfx

#: Suffix of a functional's name -> method. The parameters are those that the library has for the functional.
SUFFIXES = {"-d3bj": "d3bj", "-d3zero": "d3zero", "-d4": "d4"}


@scfx.hookimpl
def scfx_register_dispersion_corrections() -> list[scfx.Offer]:
    return [
        scfx.Offer(
            "d3bj", "scfx_dispersion.d3:RationalD3", "D3 with Becke-Johnson damping (simple-dftd3)",
            requires=("dftd3",), aliases=("d3(bj)",),
        ),
        scfx.Offer(
            "d3zero", "scfx_dispersion.d3:ZeroD3", "D3 with zero damping (simple-dftd3)",
            requires=("dftd3",), aliases=("d3(0)",),
        ),
        scfx.Offer("d4", "scfx_dispersion.d4:D4", "D4, charge-dependent (dftd4)", requires=("dftd4",)),
        scfx.Offer("chg", "scfx_dispersion.chg:ChaiHeadGordon", "empirical dispersion of wB97X-D"),
    ]  # fmt: skip


@scfx.hookimpl
def scfx_resolve_functional(name: str) -> scfx.AbstractFunctional | None:
    """`<functional>-d3bj`, `-d3zero`, `-d4`: any functional that can be found, with the correction of that name."""
    folded = name.strip().casefold()
    for suffix, method in SUFFIXES.items():
        base = folded.removesuffix(suffix)
        if base == folded or not base:
            continue
        functional = copy.copy(scfx.Registry.discover().functional(base))
        if functional.dispersion is not None or functional.vv10 is not None:
            raise scfx.InputError(
                f"functional {base!r} has a treatment of dispersion of its own "
                f"({'VV10' if functional.dispersion is None else functional.dispersion['method']}): {name!r} would "
                "count it twice"
            )
        functional.dispersion = {"method": method, "functional": base}
        object.__setattr__(functional, "name", folded)
        return functional
    return None
