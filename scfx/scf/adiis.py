"""Augmented Roothaan-Hall energy DIIS (ADIIS): X. Hu and W. Yang, J. Chem. Phys. 132, 054109 (2010).

Far from convergence, where the commutators of CDIIS say little, the densities of earlier iterations are averaged with
weights c_i >= 0, Σ c_i = 1, that minimise a quadratic model of the energy about the last one (their eq. 8, with
tr F dD the energy's change):

    E(c) = Σ_i c_i <D_i - D_n, F_n> + ½ Σ_ij c_i c_j <D_i - D_n, F_j - F_n>

and the next Fock matrix is the average of theirs. Nearer to convergence CDIIS takes over gradually, as in A. J. Garza
and G. E. Scuseria, J. Chem. Phys. 137, 054110 (2012). Few numbers are involved, so it is done on the host.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import numpy as np
from jaxtyping import Float64, Int64

#: At most so many densities are averaged: the minimum is looked for on every face of their simplex.
MOST = 8
#: Above the first orbital gradient (hartree) ADIIS alone, below the second CDIIS alone (Garza and Scuseria, eq. 11).
ALONE_ABOVE, NONE_BELOW = 0.1, 1e-4


class DensityHistory:
    """Densities and Fock matrices in the orthonormal basis, [spin, n, n], of the last iterations of each entry."""

    def __init__(self, entries: int, space: int):
        self._space = min(space, MOST)
        self._kept: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(entries)]

    def forget(self, lane: int) -> None:
        """Begin anew."""
        self._kept[lane] = []

    def add(
        self, lane: int, density: Float64[np.ndarray, "spin n n"], fock: Float64[np.ndarray, "spin n n"]
    ) -> None:
        """Remember an iteration in place of the oldest."""
        self._kept[lane] = [*self._kept[lane], (density.copy(), fock.copy())][-self._space :]

    def shift(self, lane: int, change: Float64[np.ndarray, "spin n n"]) -> None:
        """Move the remembered Fock matrices, as if the potential had been another before."""
        self._kept[lane] = [(density, fock + change) for density, fock in self._kept[lane]]

    def average(self, lane: int) -> Float64[np.ndarray, "spin n n"]:
        """Return the average of the Fock matrices with the weights of ADIIS."""
        densities, focks = (np.stack(each) for each in zip(*self._kept[lane], strict=True))
        return np.einsum("i,isab->sab", weights(densities, focks), focks)


def share(residual: float) -> float:
    """Return the weight of the ADIIS Fock matrix beside that of CDIIS at an orbital gradient in hartree."""
    return 0.0 if residual < NONE_BELOW else min(1.0, residual / ALONE_ABOVE)


def weights(
    densities: Float64[np.ndarray, "k spin n n"], focks: Float64[np.ndarray, "k spin n n"]
) -> Float64[np.ndarray, "k"]:
    """Return the weights c_i above; the last density is D_n."""
    k = len(densities)
    moved = (densities - densities[-1]).reshape(k, -1)
    linear = moved @ focks[-1].ravel()
    quadratic = moved @ (focks - focks[-1]).reshape(k, -1).T
    return minimum_on_simplex(linear, 0.5 * (quadratic + quadratic.T))


@lru_cache(maxsize=16)
def _faces(k: int) -> tuple[Int64[np.ndarray, "face size"], ...]:
    return tuple(np.array(list(combinations(range(k), size))) for size in range(1, k + 1))


def minimum_on_simplex(
    linear: Float64[np.ndarray, "k"], quadratic: Float64[np.ndarray, "k k"]
) -> Float64[np.ndarray, "k"]:
    """Return the c >= 0 with Σ c = 1 of the least l c + ½ c Q c, for symmetric Q that need not be definite.

    The minimum is stationary on some face of the simplex (at least a vertex): all are tried.
    """
    best, found = np.inf, np.zeros_like(linear)
    for faces in _faces(len(linear)):
        count, size = faces.shape
        system = np.zeros((count, size + 1, size + 1))
        system[:, :size, :size] = quadratic[faces[:, :, None], faces[:, None, :]]
        system[:, size, :size] = system[:, :size, size] = 1.0
        right = np.concatenate([-linear[faces], np.ones((count, 1))], axis=1)
        points = np.einsum("fij,fj->fi", np.linalg.pinv(system, hermitian=True), right)[:, :size]
        inside = (points >= -1e-12).all(axis=1) & (np.abs(points.sum(axis=1) - 1.0) < 1e-8)
        for face, point in zip(faces[inside], points[inside], strict=True):
            c = np.zeros_like(linear)
            c[face] = np.maximum(point, 0.0)
            c /= c.sum()
            energy = linear @ c + 0.5 * c @ quadratic @ c
            if energy < best:
                best, found = energy, c
    return found
