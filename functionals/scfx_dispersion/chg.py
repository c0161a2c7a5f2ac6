"""The empirical dispersion of wB97X-D: Chai, Head-Gordon, Phys. Chem. Chem. Phys. 10, 6615 (2008), eq. 4 to 6."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from scfx.abstract import AbstractDispersionCorrection
from scfx.errors import InputError
from scfx.model.system import BOHR_IN_ANGSTROM, System

#: C6 in J nm⁶ mol⁻¹ and van der Waals radii in angstrom, hydrogen to xenon: Grimme, J. Comput. Chem. 27, 1787 (2006),
#: table 1.
_C6 = np.array([
    0.14, 0.08, 1.61, 1.61, 3.13, 1.75, 1.23, 0.70, 0.75, 0.63, 5.71, 5.71, 10.79, 9.23, 7.84, 5.57, 5.07, 4.61,
    *[10.80] * 12, 16.99, 17.10, 16.37, 12.64, 12.47, 12.01, *[24.67] * 12, 37.32, 38.71, 38.44, 31.74, 31.50, 29.99,
])  # fmt: skip
_RADIUS = np.array([
    1.001, 1.012, 0.825, 1.408, 1.485, 1.452, 1.397, 1.342, 1.287, 1.243, 1.144, 1.364, 1.639, 1.716, 1.705, 1.683,
    1.639, 1.595, 1.485, 1.474, *[1.562] * 10, 1.650, 1.727, 1.760, 1.771, 1.749, 1.727, 1.628, 1.606, *[1.639] * 10,
    1.672, 1.804, 1.881, 1.892, 1.892, 1.881,
])  # fmt: skip
#: Strength a of the damping 1/[1 + a (R/R_r)^(-12)].
_DAMPING = 6.0
_HARTREE_IN_J_PER_MOL = 2625499.639  # CODATA 2018


class _Terms(NamedTuple):
    """Of each pair of atoms: C6 (hartree bohr⁶), R² (bohr²) and the damping's denominator."""

    strength: Float64[np.ndarray, "pair"]
    distance2: Float64[np.ndarray, "pair"]
    damping: Float64[np.ndarray, "pair"]


class ChaiHeadGordon(AbstractDispersionCorrection):
    """E = -Σ_{i<j} C6_ij / R⁶ / [1 + a (R/R_r)^(-12)], C6_ij = (C6_i C6_j)^½, R_r the sum of the radii."""

    name = "chg"

    def __init__(self, functional: str = "wb97x-d"):
        if functional.casefold() not in ("wb97x-d", "wb97x_d"):
            raise InputError(f"chg dispersion belongs to wb97x-d alone, got {functional!r}")

    def energy(self, system: System) -> float:
        """Return the dispersion energy of one system in hartree."""
        _, _, terms = self._pairs(system)
        return float(-np.sum(terms.strength / terms.distance2**3 / terms.damping))

    def gradient(self, system: System) -> Float64[np.ndarray, "natm 3"]:
        """Return the derivative of the dispersion energy, hartree/bohr."""
        first, second, terms = self._pairs(system)
        # With u = R²: E = -C u⁻³ / f(u), f = 1 + a (R_r²/u)⁶, so dE/du = C u⁻⁴ / f (3 - 6 (f - 1) / f).
        slope = terms.strength / terms.distance2**4 / terms.damping
        slope *= 3.0 - 6.0 * (terms.damping - 1.0) / terms.damping
        pull = 2.0 * slope[:, None] * (system.positions[first] - system.positions[second])
        out = np.zeros((system.natm, 3))
        np.add.at(out, first, pull)
        np.subtract.at(out, second, pull)
        return out

    def _pairs(self, system: System) -> tuple[np.ndarray, np.ndarray, _Terms]:
        """The atoms of each pair, and what the energy takes of it."""
        numbers = np.asarray(system.atomic_numbers)
        if numbers.max() > len(_C6):
            raise InputError(
                f"wb97x-d's dispersion has elements up to {len(_C6)}, {system!r} has {numbers.max()}; use wb97x-d3"
            )
        unit = (10.0 / BOHR_IN_ANGSTROM) ** 6 / _HARTREE_IN_J_PER_MOL
        c6, radius = _C6[numbers - 1] * unit, _RADIUS[numbers - 1] / BOHR_IN_ANGSTROM
        i, j = np.triu_indices(len(numbers), 1)
        distance2 = np.sum((system.positions[i] - system.positions[j]) ** 2, axis=1)
        ratio2 = (radius[i] + radius[j]) ** 2 / distance2
        return i, j, _Terms(np.sqrt(c6[i] * c6[j]), distance2, 1.0 + _DAMPING * ratio2**6)

    def definition(self) -> dict[str, Any]:
        """Return name and parameters."""
        return {"method": self.name, "damping": _DAMPING, "c6": _C6, "radius": _RADIUS}
