"""Filling a molecule up to a shape that it shares with others: atoms without a nucleus whose functions are zero.

Where all lanes of a batch are worked on at once they have one shell structure. A molecule with a few hydrogens less can
go along if the shells that it lacks are there with coefficients of zero. How far one is filled up depends on it alone,
never on who else is there: for the same other atoms, the numbers of atoms of its smallest kind are cut into steps, each
as long as the shortest of its molecules wastes no more than is allowed, and a molecule is filled up to the end of its
step.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scfx.model.basis import BasisSet
    from scfx.model.system import System

#: Distance of the added atoms from the molecule, and from each other, bohr. Their functions are zero; it only must not
#: be so large that differences of positions lose digits.
_AWAY, _APART = 20.0, 4.0


def work(functions: int) -> float:
    """Return what a lane costs, up to a factor: the square of the number of pairs of functions, as integrals, J and K
    do.
    """
    return (functions * (functions + 1) / 2) ** 2


def filled_count(count: int, each: int, others: int, share: float) -> int:
    """Return up to how many atoms of a kind a molecule with `count` of them is filled.

    `each`: functions of one; `others`: functions of all other atoms; `share`: of the lane's work that may be wasted.
    """
    first = 1
    while True:
        last = first
        while _waste(first, last + 1, each, others) <= share:
            last += 1
        if count <= last:
            return last
        first = last + 1


def _waste(count: int, filled: int, each: int, others: int) -> float:
    return 1.0 - work(others + count * each) / work(others + filled * each)


def filled_up(system: System, basis: BasisSet, share: float) -> System:
    """Return a system with what it is filled up with behind its own atoms, as ghost atoms: itself if that is nothing.

    `share`, from 0 to less than 1: of the lane's work that may be spent on them.
    """
    if not share:
        return system
    sets = basis.of_atoms(system)
    kinds = [own.signature(int(z)) for own, z in zip(sets, system.atomic_numbers, strict=True)]
    sizes = {kind: own.nao(int(z)) for kind, own, z in zip(kinds, sets, system.atomic_numbers, strict=True)}
    counts = Counter(kinds)
    kind = min(counts, key=lambda k: (sizes[k], k))
    others = sum(sizes[k] * n for k, n in counts.items() if k != kind)
    added = filled_count(counts[kind], sizes[kind], others, share) - counts[kind]
    if not added:
        return system
    like = kinds.index(kind)
    places = system.positions[like] + np.zeros((added, 3))
    places[:, 0] = system.positions[:, 0].max() + _AWAY + _APART * np.arange(added)
    return replace(
        system,
        atomic_numbers=np.concatenate([system.atomic_numbers, np.repeat(system.atomic_numbers[like], added)]),
        positions=np.concatenate([system.positions, places]),
        ghosts=np.concatenate([system.ghost, np.ones(added, dtype=bool)]),
        labels=None if system.labels is None else (*system.labels, *[system.labels[like]] * added),
    )
