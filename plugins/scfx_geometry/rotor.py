"""The molecule as a rigid body: principal moments, rotational constants, linear or not, symmetry number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import constants

from scfx.model.system import BOHR_IN_ANGSTROM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float64, Int32

#: Angstrom: how far an atom of a relaxed geometry may be from where a rotation brings its like.
SYMMETRY_TOLERANCE = 0.01
# A molecule whose smallest moment of inertia is below this part of its largest is linear: atoms within some 0.001
# angstrom of the axis.
_LINEAR = 1e-5
# How many tolerances an atom may be off before the rotation is made the best one for all atoms.
_COARSE = 10


def centred(
    masses: Float64[np.ndarray, "natm"], positions: Float64[np.ndarray, "natm 3"]
) -> Float64[np.ndarray, "natm 3"]:
    """Return positions from the centre of mass."""
    return positions - masses @ positions / masses.sum()


def principal_moments(
    masses: Float64[np.ndarray, "natm"], positions: Float64[np.ndarray, "natm 3"]
) -> Float64[np.ndarray, "3"]:
    """Return the moments of inertia in dalton·bohr², ascending."""
    x = centred(masses, positions)
    tensor = np.einsum("a,ab,ac->bc", masses, x, x)
    return np.linalg.eigvalsh(np.trace(tensor) * np.eye(3) - tensor)


def shape(masses: Float64[np.ndarray, "natm"], positions: Float64[np.ndarray, "natm 3"]) -> str:
    """Return "monatomic", "linear" or "nonlinear"."""
    if len(masses) == 1:
        return "monatomic"
    moments = principal_moments(masses, positions)
    return "linear" if moments[0] < _LINEAR * moments[2] else "nonlinear"


def rotational_constants(
    masses: Float64[np.ndarray, "natm"], positions: Float64[np.ndarray, "natm 3"]
) -> tuple[float, ...]:
    """Return a >= B >= C in GHz, h / (8 pi² I); one for a linear molecule, none for an atom."""
    moments = principal_moments(masses, positions)
    kept = {"monatomic": moments[:0], "linear": moments[2:], "nonlinear": moments}[shape(masses, positions)]
    si = kept * constants.atomic_mass * (BOHR_IN_ANGSTROM * constants.angstrom) ** 2
    return tuple(float(b) for b in constants.h / (8 * np.pi**2 * si) / constants.giga)


def symmetry_number(
    atomic_numbers: Int32[np.ndarray, "natm"],
    masses: Float64[np.ndarray, "natm"],
    positions: Float64[np.ndarray, "natm 3"],
    tolerance: float = SYMMETRY_TOLERANCE,
) -> int:
    """Return the number of proper rotations that bring the molecule onto itself: the order of the point group's
    rotations.

    Every atom must come within `tolerance` angstrom of one of its element. Rotations are found from two atoms: where
    they can go, by element and by distances, says the rotation. The tolerance must be small against the
    distances between atoms.
    """
    kind = shape(masses, positions)
    x = centred(masses, positions) * BOHR_IN_ANGSTROM
    if kind == "monatomic":
        return 1
    if kind == "linear":
        return 2 if _permutation(atomic_numbers, x, -x, tolerance) is not None else 1
    found = {
        permutation
        for rotated in _candidates(atomic_numbers, x, tolerance)
        if (permutation := _permutation(atomic_numbers, x, rotated, tolerance)) is not None
    }
    return len(found)


def _candidates(numbers: np.ndarray, x: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    """The positions after each proper rotation that two atoms allow."""
    radii = np.linalg.norm(x, axis=1)
    first, second = _best_pair(numbers, x)
    near = 2 * tolerance
    for i in np.nonzero((numbers == numbers[first]) & (np.abs(radii - radii[first]) < near))[0]:
        for j in np.nonzero((numbers == numbers[second]) & (np.abs(radii - radii[second]) < near))[0]:
            apart = np.linalg.norm(x[i] - x[j]) - np.linalg.norm(x[first] - x[second])
            if i != j and abs(apart) < near:
                yield x @ (_frame(x[first], x[second]).T @ _frame(x[i], x[j]))


def _best_pair(numbers: np.ndarray, x: np.ndarray) -> tuple[int, int]:
    """Two atoms off one line with the centre, of as rare elements as possible: fewest rotations to try."""
    radii = np.linalg.norm(x, axis=1)
    count = {int(z): int((numbers == z).sum()) for z in set(numbers.tolist())}
    best: tuple[float, float] = (np.inf, 0.0)
    chosen = (0, 0)
    for i in range(len(x)):
        for j in range(len(x)):
            area = float(np.linalg.norm(np.cross(x[i], x[j])))
            # Far off the line enough that an atom's uncertainty turns the plane little.
            if i != j and radii[i] > 0.3 and area > 0.2 * radii[i] * max(radii[j], 1.0):
                rank = (count[int(numbers[i])] * count[int(numbers[j])], -area)
                if rank < best:
                    best, chosen = rank, (i, j)
    if np.isinf(best[0]):  # nothing so clear: the widest
        areas = np.linalg.norm(np.cross(x[:, None], x[None]), axis=-1)
        i, j = np.unravel_index(int(areas.argmax()), areas.shape)
        chosen = (int(i), int(j))
    return chosen


def _frame(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Right-handed axes [3, 3], rows: along a, towards b, their normal."""
    e1 = a / np.linalg.norm(a)
    e2 = b - (b @ e1) * e1
    e2 = e2 / np.linalg.norm(e2)
    return np.stack([e1, e2, np.cross(e1, e2)])


def _permutation(
    numbers: np.ndarray, x: np.ndarray, moved: np.ndarray, tolerance: float
) -> tuple[int, ...] | None:
    """Which atom each moved atom lands on; None if one lands on none of its element."""
    # Found with a rotation of two atoms' uncertainty, judged after the best small rotation of all.
    distances = np.linalg.norm(moved[:, None] - x[None], axis=-1)
    distances[numbers[:, None] != numbers[None]] = np.inf
    to = distances.argmin(axis=1)
    if len(set(to.tolist())) < len(x) or distances.min(axis=1).max() > _COARSE * tolerance:
        return None
    u, _, vt = np.linalg.svd(moved.T @ x[to])
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    worst = np.linalg.norm(moved @ (u @ vt) - x[to], axis=1).max()
    return tuple(to.tolist()) if worst < tolerance else None
