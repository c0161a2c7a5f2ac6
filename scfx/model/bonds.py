"""Which atoms are bonded, by their distances: for looking at molecules, not for computing them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from scfx.errors import InputError

#: Covalent radii in angstrom, hydrogen to curium: Cordero et al., Dalton Trans. 2008, 2832, table 2; of carbon sp3, of
#: manganese, iron and cobalt low spin.
COVALENT_RADII = np.array([
    0.31, 0.28, 1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41, 1.21, 1.11, 1.07, 1.05,
    1.02, 1.06, 2.03, 1.76, 1.70, 1.60, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22, 1.20,
    1.19, 1.20, 1.20, 1.16, 2.20, 1.95, 1.90, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44,
    1.42, 1.39, 1.39, 1.38, 1.39, 1.40, 2.44, 2.15, 2.07, 2.04, 2.03, 2.01, 1.99, 1.98, 1.98, 1.96,
    1.94, 1.92, 1.92, 1.89, 1.90, 1.87, 1.87, 1.75, 1.70, 1.62, 1.51, 1.44, 1.41, 1.36, 1.36, 1.32,
    1.45, 1.46, 1.48, 1.40, 1.50, 1.50, 2.60, 2.21, 2.15, 2.06, 2.00, 1.96, 1.90, 1.87, 1.80, 1.69,
])  # fmt: skip
#: Two atoms are bonded within so many times the sum of their covalent radii.
BOND_FACTOR = 1.3


def bonded_pairs(
    atomic_numbers: Sequence[int] | np.ndarray, positions: Float[np.ndarray, "natm 3"]
) -> list[tuple[int, int]]:
    """Return pairs of bonded atoms, the lower index first, ascending; `positions` in angstrom.

    Raises `InputError` for an element beyond curium, which has no radius.
    """
    numbers = np.asarray(atomic_numbers, dtype=int)
    if numbers.size and numbers.max() > len(COVALENT_RADII):
        raise InputError(f"element {numbers.max()} has no covalent radius; bonds are found up to curium (96)")
    radii = COVALENT_RADII[numbers - 1]
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    near = distances < BOND_FACTOR * (radii[:, None] + radii[None])
    return [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(near, 1)), strict=True)]
