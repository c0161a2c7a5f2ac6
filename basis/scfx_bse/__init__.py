"""Basis sets: every name of the Basis Set Exchange, and the 6-31G(2df,p) that QM9 was really computed with.

Only the hooks are here, so that listing plugins opens no basis-set data.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import scfx

if TYPE_CHECKING:
    from scfx.abstract import AbstractBasisSource

_REQUIRES = ("basis_set_exchange",)

#: The ones people ask for by name: (name, other spellings, what it is). Any other Basis Set Exchange name
#: resolves too.
_COMMON = (
    ("sto-3g", ("sto3g",), "minimal basis, three Gaussians per Slater function"),
    ("3-21g", ("321g",), "split valence, small"),
    ("6-31g", ("631g",), "split valence"),
    ("6-31g*", ("6-31g(d)", "631g*", "631g(d)"), "split valence with Cartesian d on heavy atoms"),
    ("6-31g**", ("6-31g(d,p)", "631g**", "631g(d,p)"), "6-31G* with p on hydrogen"),
    ("6-31+g*", ("6-31+g(d)",), "6-31G* with diffuse s and p on heavy atoms"),
    ("6-311g**", ("6-311g(d,p)", "6311g**", "6311g(d,p)"), "triple-split valence, polarised, spherical d"),
    ("def2-svp", ("def2svp",), "split valence, polarised (Weigend and Ahlrichs)"),
    ("def2-tzvp", ("def2tzvp",), "triple zeta valence, polarised (Weigend and Ahlrichs)"),
    ("def2-qzvp", ("def2qzvp",), "quadruple zeta valence, polarised (Weigend and Ahlrichs)"),
    ("cc-pvdz", ("ccpvdz",), "correlation consistent, double zeta (Dunning)"),
    ("cc-pvtz", ("ccpvtz",), "correlation consistent, triple zeta (Dunning)"),
    ("aug-cc-pvdz", ("augccpvdz",), "cc-pVDZ with diffuse functions"),
    ("pcseg-1", ("pcseg1",), "segmented polarisation consistent, double zeta (Jensen)"),
)


@scfx.hookimpl
def scfx_register_basis_sets() -> list[scfx.Offer]:
    """Return the common basis sets, and QM9's."""
    offers = [
        scfx.Offer(
            name,
            "scfx_bse.source:BasisSetExchangeSource",
            summary=summary,
            requires=_REQUIRES,
            aliases=aliases,
            options={"basis": name},
        )
        for name, aliases, summary in _COMMON
    ]
    offers.append(
        scfx.Offer(
            "6-31g(2df,p)-qm9",
            "scfx_bse.qm9:QM9Source",
            summary="Gaussian's 6-31G(2df,p) as QM9 used it: H, C, N, O, F; Cartesian d, spherical f",
            requires=_REQUIRES,
        )
    )
    offers.append(
        scfx.Offer(
            "file",
            "scfx_bse.file:BasisFileSource",
            summary='your own, from a file: { name = "file", path = "my.nw" } (NWChem, Gaussian, BSE JSON)',
            requires=_REQUIRES,
        )
    )
    return offers


@scfx.hookimpl
def scfx_resolve_basis(name: str) -> AbstractBasisSource | None:
    """Find any name of the Basis Set Exchange, case-free; `6-31+g(d,p)` means `6-31+G**`, `jul-cc-pvdz` is composed.

    Raises `BasisError`, which names the nearest, for any other.
    """
    if find_spec("basis_set_exchange") is None:
        return None
    from scfx_bse.names import exchange_name
    from scfx_bse.source import BasisSetExchangeSource

    return BasisSetExchangeSource(exchange_name(name) or name)
