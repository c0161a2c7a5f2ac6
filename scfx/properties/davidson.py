"""The lowest eigenvalue of a symmetric matrix that is known by its products with vectors.

Davidson, J. Comput. Phys. 17, 87 (1975). A generator, so that the products of several matrices can be made together:
it yields a vector, is sent the product, and returns the eigenvalue.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from jaxtyping import Float64

from scfx.energy.two_electron.lane_operator import symmetrised

#: Residuals |Hv - ev| (hartree) of the lowest root and of the ones above it, which are followed so that the lowest
#: is not missed because the vectors at the start had none of its symmetry. The error of the eigenvalue is of second
#: order in its residual.
TOLERANCE, GUARD_TOLERANCE = 1e-5, 3e-3
_ROOTS = 3
_LARGEST_SUBSPACE = 200

Search = Generator[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"], float]


def lowest_eigenvalue(diagonal: Float64[np.ndarray, "n"]) -> Search:
    """Yields vectors [n], wants H times each, returns the lowest eigenvalue.

    `diagonal`: an approximation to that of H, which guides the search. Infinity where n is 0. NaN where products are
    not finite, or the search came to no end and has found nothing negative (a negative value is a bound from above).
    """
    n = len(diagonal)
    vectors, products = np.empty((0, n)), np.empty((0, n))
    found = np.inf
    new = _start(diagonal)
    while len(vectors) < min(n, _LARGEST_SUBSPACE):
        before = len(vectors)
        for vector in new:
            for _ in range(2):  # Gram-Schmidt twice is orthonormal to rounding
                vector = vector - vectors.T @ (vectors @ vector)
            length = np.linalg.norm(vector)
            if length < 1e-6 or len(vectors) == min(n, _LARGEST_SUBSPACE):
                continue
            vectors = np.vstack([vectors, vector / length])
            product = yield vectors[-1]
            if not np.isfinite(product).all():
                return np.nan
            products = np.vstack([products, product])
        if len(vectors) == before:
            break
        values, rotations = np.linalg.eigh(symmetrised(vectors @ products.T))
        found = float(values[0])
        new = []
        for root in range(min(_ROOTS, len(values))):
            residual = rotations[:, root] @ products - values[root] * (rotations[:, root] @ vectors)
            if np.linalg.norm(residual) > (GUARD_TOLERANCE if root else TOLERANCE):
                distance = diagonal - values[root]
                new.append(residual / np.where(np.abs(distance) < 0.05, 0.05, distance))
    return np.nan if new and found > 0.0 and len(vectors) == _LARGEST_SUBSPACE < n else found


def _start(diagonal: Float64[np.ndarray, "n"]) -> list[np.ndarray]:
    """The two lowest of the diagonal, and one vector without any symmetry."""
    order = np.argsort(diagonal, kind="stable")
    mixed = np.cos(1.0 + np.arange(len(diagonal)) ** 1.5) / np.maximum(diagonal, 0.1) ** 2
    return [*np.eye(len(diagonal))[order[:2]], mixed] if len(diagonal) else []
