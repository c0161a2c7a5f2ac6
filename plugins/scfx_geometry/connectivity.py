"""Which atoms are bonded, by covalent radii: to see whether a relaxation broke or rearranged a molecule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.model.system import BOHR_IN_ANGSTROM

if TYPE_CHECKING:
    from scfx.model.system import System

#: Two atoms are bonded within so many times the sum of their covalent radii (Cordero et al., Dalton Trans. 2008, 2832).
FACTOR = 1.3


def bonds(system: System) -> set[tuple[int, int]]:
    """Pairs of bonded atoms, the lower index first; ghost atoms have no bonds."""
    from ase.data import covalent_radii

    radii = covalent_radii[system.atomic_numbers] / BOHR_IN_ANGSTROM
    distances = np.linalg.norm(system.positions[:, None] - system.positions[None], axis=-1)
    near = distances < FACTOR * (radii[:, None] + radii[None])
    near &= ~(system.ghost[:, None] | system.ghost[None])
    return {(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(near, 1)), strict=True)}


def rearrangement(before: System, after: System) -> str:
    """What changed: "broke 0-3; formed 1-2" (indices of atoms from 0); empty if nothing did."""
    first, last = bonds(before), bonds(after)
    parts = [
        f"{verb} {', '.join(f'{i}-{j}' for i, j in sorted(pairs))}"
        for verb, pairs in (("broke", first - last), ("formed", last - first))
        if pairs
    ]
    return "; ".join(parts)
