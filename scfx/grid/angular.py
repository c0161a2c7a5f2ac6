"""Lebedev rules, the directions of grid points: V. I. Lebedev and D. N. Laikov, Doklady Mathematics 59, 477 (1999), as
tabulated by SciPy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from scfx.errors import InputError

#: Number of points of each Lebedev rule -> degree up to which it integrates spherical harmonics exactly.
LEBEDEV_ORDER_BY_COUNT: dict[int, int] = {
    6: 3, 14: 5, 26: 7, 38: 9, 50: 11, 74: 13, 86: 15, 110: 17, 146: 19, 170: 21, 194: 23, 230: 25, 266: 27,
    302: 29, 350: 31, 434: 35, 590: 41, 770: 47, 974: 53, 1202: 59, 1454: 65, 1730: 71, 2030: 77, 2354: 83,
    2702: 89, 3074: 95, 3470: 101, 3890: 107, 4334: 113, 4802: 119, 5294: 125, 5810: 131,
}  # fmt: skip


def check_point_count(n_ang: int) -> None:
    """Raise `InputError` unless a Lebedev rule has `n_ang` points."""
    if n_ang in LEBEDEV_ORDER_BY_COUNT:
        return
    by_order = {order: count for count, order in LEBEDEV_ORDER_BY_COUNT.items()}
    hint = f"; {n_ang} is the degree of the rule with {by_order[n_ang]} points" if n_ang in by_order else ""
    raise InputError(
        f"no Lebedev rule has {n_ang} points{hint}; possible: {', '.join(map(str, LEBEDEV_ORDER_BY_COUNT))} "
        "(scf.grid.atom_grid = [n_rad, n_ang])"
    )


@cache
def rotation(number: int) -> Float64[np.ndarray, "3 3"]:
    """Return the rotation matrix of a number, uniform over SO(3): Shoemake, Graphics Gems III (1992), p. 124.

    Its three uniform variates are digits of the SHA-256 of the number, the same on every machine and version.
    """
    digest = hashlib.sha256(f"scfx turn {number}".encode()).digest()
    u, v, w = (int.from_bytes(digest[8 * i : 8 * i + 8], "big") / 2**64 for i in range(3))
    small, large = np.sqrt(1 - u), np.sqrt(u)
    x, y = small * np.sin(2 * np.pi * v), small * np.cos(2 * np.pi * v)
    z, s = large * np.sin(2 * np.pi * w), large * np.cos(2 * np.pi * w)
    matrix = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * s), 2 * (x * z + y * s)],
            [2 * (x * y + z * s), 1 - 2 * (x * x + z * z), 2 * (y * z - x * s)],
            [2 * (x * z - y * s), 2 * (y * z + x * s), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix.setflags(write=False)
    return matrix


@cache
def _lebedev_rule() -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """`scipy.integrate.lebedev_rule`, without the rest of `scipy.integrate`, which takes a quarter of a second."""
    where = find_spec("scipy")
    for folder in (where.submodule_search_locations or ()) if where else ():
        table = spec_from_file_location("scfx.grid._lebedev", f"{folder}/integrate/_lebedev.py")
        if table is not None and table.loader is not None and Path(str(table.origin)).is_file():
            module = module_from_spec(table)
            table.loader.exec_module(module)
            return module.lebedev_rule
    from scipy.integrate import lebedev_rule  # where SciPy keeps it elsewhere

    return lebedev_rule


@cache
def lebedev(n_ang: int) -> tuple[Float64[np.ndarray, "3 n_ang"], Float64[np.ndarray, "n_ang"]]:
    """Return unit vectors and weights that sum to 1: the mean of f over the sphere is Σ w f. Read-only arrays.

    The rules with 74, 230 and 266 points have negative weights. Raises `InputError` for a number that
    no rule has.
    """
    check_point_count(n_ang)
    directions, weights = _lebedev_rule()(LEBEDEV_ORDER_BY_COUNT[n_ang])
    weights = weights / (4 * np.pi)
    directions.setflags(write=False)
    weights.setflags(write=False)
    return directions, weights
