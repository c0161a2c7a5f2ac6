"""What scfx_xc makes of a name that no offer has: other programs' names, `bare(...)`, refusals with the reason."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

from scfx.errors import RefusedNameError, ScfxError
from scfx.registry.spelling import plain_spelling, spelling_key
from scfx_xc.refusals import references, refusal
from scfx_xc.spellings import SPELLINGS

if TYPE_CHECKING:
    from scfx.abstract import AbstractFunctional
    from scfx.registry import Registry

_BARE = re.compile(r"bare\s*\((.*)\)")


def resolve(name: str, offered: set[str], registry: Registry) -> AbstractFunctional | None:
    """Return the functional of a name; None if it is no business of this plugin. `offered`: names and aliases of its
    offers.

    Raises `RefusedNameError` for names of what is not here.
    """
    plain = plain_spelling(name)
    key = spelling_key(plain)
    bare = _BARE.fullmatch(plain)
    if bare is not None:
        return _bare(bare.group(1), offered, registry)
    for spelling, offer in SPELLINGS.items():
        if spelling_key(spelling) == key:
            return registry.functional(offer)
    reason = refusal(key)
    if reason is not None:
        raise RefusedNameError(f"functional {name!r} {reason}")
    for rest, reference in references(key, {spelling_key(n) for n in offered | set(SPELLINGS)}):
        raise RefusedNameError(
            f"functional {name!r}: R, U and RO say how spins share orbitals, which is not the functional's; "
            f"use functional = {rest!r} and scf.reference = {reference!r}"
        )
    _refuse_a_basis(name, plain, registry)
    return None


def _bare(inner: str, offered: set[str], registry: Registry) -> AbstractFunctional | None:
    """One of the offers without the dispersion or VV10 that belongs to its name."""
    if spelling_key(inner) not in {spelling_key(n) for n in offered}:
        return None
    functional = copy.copy(registry.functional(inner))
    functional.dispersion = functional.vv10 = None
    object.__setattr__(functional, "name", f"bare({inner.strip()})")
    return functional


def _refuse_a_basis(name: str, plain: str, registry: Registry) -> None:
    """`b3lyp/6-31g*` is a level of theory."""
    functional, slash, basis = plain.partition("/")
    if not slash:
        return
    try:
        registry.functional(functional)
        registry.basis(basis)
    except ScfxError:
        return
    raise RefusedNameError(
        f"functional {name!r} names a basis set too; use functional = {functional.strip()!r} and scf.basis = "
        f"{basis.strip()!r}"
    )
