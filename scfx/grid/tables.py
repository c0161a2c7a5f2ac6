"""Constants of the quadrature by element and by period. Index 0 of every row stands for no element."""

from __future__ import annotations

from scfx.errors import InputError
from scfx.model.elements import SYMBOLS

#: Heaviest element for which every table has an entry (Lr).
MAX_ATOMIC_NUMBER = 103

#: Bragg-Slater radii in angstrom: J. C. Slater, J. Chem. Phys. 41, 3199 (1964). Two departures: hydrogen has
#: 0.35 and not 0.25, as Becke prescribes, J. Chem. Phys. 88, 2547 (1988); and where Slater gives none (noble
#: gases, At, Fr, past Am) the values are PySCF's (`pyscf.data.radii.BRAGG`).
BRAGG_RADIUS_ANGSTROM: tuple[float, ...] = (
    0.0,
    0.35, 1.40,
    1.45, 1.05, 0.85, 0.70, 0.65, 0.60, 0.50, 1.50,
    1.80, 1.50, 1.25, 1.10, 1.00, 1.00, 1.00, 1.80,
    2.20, 1.80, 1.60, 1.40, 1.35, 1.40, 1.40, 1.40, 1.35, 1.35, 1.35, 1.35,
    1.30, 1.25, 1.15, 1.15, 1.15, 1.90,
    2.35, 2.00, 1.80, 1.55, 1.45, 1.45, 1.35, 1.30, 1.35, 1.40, 1.60, 1.55,
    1.55, 1.45, 1.45, 1.40, 1.40, 2.10,
    2.60, 2.15, 1.95, 1.85, 1.85, 1.85, 1.85, 1.85, 1.85, 1.80, 1.75, 1.75, 1.75, 1.75, 1.75, 1.75, 1.75,
    1.55, 1.45, 1.35, 1.35, 1.30, 1.35, 1.35, 1.35, 1.50, 1.90, 1.80, 1.60, 1.90, 1.45, 2.10,
    1.80, 2.15, 1.95, 1.80, 1.80, 1.75, 1.75, 1.75, 1.75, 1.75, 1.75, 1.75, 1.75, 1.75, 1.75, 1.75, 1.75,
)  # fmt: skip

#: Radial scale ξ in bohr: H to Kr from O. Treutler and R. Ahlrichs, J. Chem. Phys. 102, 346 (1995); beyond
#: Kr, where the paper stops, the values that PySCF and Psi4 use (`pyscf.dft.radi`).
TREUTLER_SCALE: tuple[float, ...] = (
    0.0,
    0.8, 0.9,
    1.8, 1.4, 1.3, 1.1, 0.9, 0.9, 0.9, 0.9,
    1.4, 1.3, 1.3, 1.2, 1.1, 1.0, 1.0, 1.0,
    1.5, 1.4, 1.3, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.1, 1.1, 1.1, 1.1, 1.0, 0.9, 0.9, 0.9, 0.9,
    2.0, 1.7, 1.5, 1.5, 1.35, 1.35, 1.25, 1.2, 1.25, 1.3, 1.5, 1.5, 1.3, 1.2, 1.2, 1.15, 1.15, 1.15,
    2.5, 2.2, 2.5, *(1.5,) * 29,
    2.5, 2.1, 3.685, *(1.5,) * 14,
)  # fmt: skip

#: Last atomic number of periods 1 to 7.
_PERIOD_ENDS = (2, 10, 18, 36, 54, 86, 118)

#: Levels 0 to 9 are PySCF's choice (`pyscf.dft.gen_grid.RAD_GRIDS`, `ANG_ORDER`): for periods 1 to 7, the
#: number of radial shells, and the number of points of the largest Lebedev rule on a shell.
RADIAL_COUNT: tuple[tuple[int, ...], ...] = (
    (10, 15, 20, 30, 35, 40, 50),
    (30, 40, 50, 60, 65, 70, 75),
    (40, 60, 65, 75, 80, 85, 90),
    (50, 75, 80, 90, 95, 100, 105),
    (60, 90, 95, 105, 110, 115, 120),
    (70, 105, 110, 120, 125, 130, 135),
    (80, 120, 125, 135, 140, 145, 150),
    (90, 135, 140, 150, 155, 160, 165),
    (100, 150, 155, 165, 170, 175, 180),
    (200, 200, 200, 200, 200, 200, 200),
)
ANGULAR_COUNT: tuple[tuple[int, ...], ...] = (
    (50, 86, 110, 110, 110, 110, 110),
    (110, 194, 194, 194, 194, 194, 194),
    (194, 302, 302, 302, 302, 302, 302),
    (302, 302, 434, 434, 434, 434, 434),
    (434, 590, 590, 590, 590, 590, 590),
    (590, 770, 770, 770, 770, 770, 770),
    (770, 974, 974, 974, 974, 974, 974),
    (974, 1202, 1202, 1202, 1202, 1202, 1202),
    (1202, 1202, 1202, 1202, 1202, 1202, 1202),
    (1454, 1454, 1454, 1454, 1454, 1454, 1454),
)

LEVELS = range(len(RADIAL_COUNT))


def period(atomic_number: int) -> int:
    """Return the period of an element counted from 0, the column of the level tables."""
    return sum(atomic_number > end for end in _PERIOD_ENDS)


def check_element(atomic_number: int) -> None:
    """Raise `InputError` for an element without radii."""
    if not 1 <= atomic_number <= MAX_ATOMIC_NUMBER:
        symbol = f" ({SYMBOLS[atomic_number]})" if 0 < atomic_number < len(SYMBOLS) else ""
        raise InputError(
            f"no quadrature for atomic number {atomic_number}{symbol}: the radial scales and atomic "
            f"sizes are tabulated for H (1) to {SYMBOLS[MAX_ATOMIC_NUMBER]} ({MAX_ATOMIC_NUMBER})"
        )
