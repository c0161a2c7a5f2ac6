"""Pruning: smaller Lebedev rules near the nucleus and far out, where the density is nearly round.

The five zones and their bounds are those of SG-1, P. M. W. Gill, B. G. Johnson and J. A. Pople, Chem. Phys.
Lett. 209, 506 (1993); the rules in them follow NWChem, as PySCF's `nwchem_prune` does.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from scfx.grid.angular import LEBEDEV_ORDER_BY_COUNT, check_point_count
from scfx.grid.tables import BRAGG_RADIUS_ANGSTROM, check_element
from scfx.model.system import BOHR_IN_ANGSTROM

#: Zone bounds in units of the element's Bragg-Slater radius: H and He, Li to Ne, heavier.
_ZONE_BOUNDS = ((0.25, 0.5, 1.0, 4.5), (0.1667, 0.5, 0.9, 3.5), (0.1, 0.4, 0.8, 2.5))

#: Rules that pruning chooses among: 38 points and more.
_RULES = tuple(count for count in LEBEDEV_ORDER_BY_COUNT if count >= 38)


def angular_counts(
    atomic_number: int, radii: Float64[np.ndarray, "n_rad"], n_ang: int, prune: bool = True
) -> Int64[np.ndarray, "n_rad"]:
    """Return Lebedev points on each radial shell (radii in bohr).

    From the nucleus outward: 50 points, 86, the rule before `n_ang`, `n_ang` itself, the rule before. Two
    exceptions are kept as PySCF has them: below 50 points nothing is pruned, and n_ang = 50 (level 0 on H and
    He) has *74* points in the middle zones.
    """
    check_element(atomic_number)
    check_point_count(n_ang)
    if not prune or n_ang < 50:
        return np.full(radii.shape, n_ang, dtype=np.int64)
    if n_ang == 50:
        zones = (50, 74, 74, 74, 50)
    else:
        before = _RULES[_RULES.index(n_ang) - 1]
        zones = (50, 86, before, n_ang, before)
    bounds = _ZONE_BOUNDS[0 if atomic_number <= 2 else 1 if atomic_number <= 10 else 2]
    scaled = radii / (BRAGG_RADIUS_ANGSTROM[atomic_number] / BOHR_IN_ANGSTROM)
    return np.array(zones, dtype=np.int64)[(scaled[:, None] > np.array(bounds)).sum(axis=1)]
