"""Which atoms are bonded, by covalent radii: to see whether a relaxation broke or rearranged a molecule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.model.bonds import bonded_pairs
from scfx.model.units import BOHR_IN_ANGSTROM

if TYPE_CHECKING:
    from scfx.model.system import System


def bonds(system: System) -> set[tuple[int, int]]:
    """Return pairs of bonded atoms, the lower index first; ghost atoms have no bonds."""
    found = bonded_pairs(system.atomic_numbers, system.positions * BOHR_IN_ANGSTROM)
    return {(i, j) for i, j in found if not (system.ghost[i] or system.ghost[j])}


def rearrangement(before: System, after: System) -> str:
    """Return what changed: "broke 0-3; formed 1-2" (indices of atoms from 0); empty if nothing did."""
    first, last = bonds(before), bonds(after)
    parts = [
        f"{verb} {', '.join(f'{i}-{j}' for i, j in sorted(pairs))}"
        for verb, pairs in (("broke", first - last), ("formed", last - first))
        if pairs
    ]
    return "; ".join(parts)
