"""The derivative of fitted Coulomb and exchange energies by the positions of the nuclei, at fixed density.

Of the fitted energy itself, with the motion of the auxiliary functions: Weigend, Häser, Theor. Chem. Acc. 97, 331
(1997), eq. 9 for J; Weigend, Phys. Chem. Chem. Phys. 4, 4285 (2002) for K. With A_P = (P|ij), M = (P|Q) and

    E = ½ Σ_PQ X_PQ (M⁻¹)_PQ,    X_PQ = c tr(D A_P) tr(D A_Q) - x Σ_s tr(D_s A_P D_s A_Q)

it is Σ Γ_P,ij ∂(P|ij) + Σ Γ_PQ ∂(P|Q), where for C = M⁻¹ A

    Γ_P = c tr(D C_P) D - x Σ_s D_s C_P D_s,    Γ_PQ = -½ (X with C for A).

Like the energy's, this file knows of its integrals by the contract of `scfx.contracts.fitting` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.energy.two_electron.fitted import BLOCK, eigenvectors, unpacked
from scfx.model.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scfx.contracts.derivatives import Operator
    from scfx.contracts.fitting import AbstractFittingBackend
    from scfx.model.basis import BasisSet
    from scfx.model.batch import ShellLayout

#: Eigenvalues of the metric below this fraction of the largest one are taken for rounding.
RANK = 1e-12


def fitted_gradient(
    backend: AbstractFittingBackend,
    batch: Batch,
    entry: int,
    auxiliary: BasisSet,
    density: Float64[np.ndarray, "nspin nao nao"],
    coulomb: float,
    exchange: float,
    operator: Operator = "coulomb",
    omega: float = 0.0,
) -> Float64[np.ndarray, "natm 3"]:
    """Return the derivative of coulomb · ½ tr D J - exchange · ½ k Σ_s tr D_s K_s with fitted J and K, hartree/bohr.

    Symmetric densities, one (total, k = ½) or two (k = 1). Three-index numbers are held by blocks of auxiliary
    functions; of the size of the auxiliary basis stay its metric and, for exchange, naux n² numbers, n being the
    density's eigenvectors.
    """
    exchange *= 0.5 if len(density) == 1 else 1.0
    total = density.sum(axis=0)
    rows, columns = np.tril_indices(batch.nao)
    packed = total[rows, columns]
    twice = np.where(rows == columns, 1.0, 2.0)
    factors = [eigenvectors(matrix) for matrix in density] if exchange else []
    layout = Batch.from_systems([batch.systems[entry]], auxiliary).layout
    sizes = [len(values) for values, _ in factors]

    # tr(D A_P), and A_P between the eigenvectors of each spin.
    charges = np.empty((layout.nao, 1))
    inner = [np.empty((layout.nao, n, n)) for n in sizes]
    for shells, functions in _blocks(layout, batch.nao):
        triple = backend.three_index(batch, entry, auxiliary, operator, omega, shells)
        charges[functions, 0] = triple @ (packed * twice)
        if factors:
            full = unpacked(triple)
            for part, (_, vectors) in zip(inner, factors, strict=True):
                part[functions] = vectors.T @ (full @ vectors)

    solve = _solver(backend.two_index(batch, entry, auxiliary, operator, omega))
    charges = solve(charges)
    inner = [solve(part.reshape(len(part), -1)).reshape(part.shape) for part in inner]
    of_metric = -0.5 * _outer(charges, inner, factors, coulomb, exchange)

    out = backend.two_index_gradient(batch, entry, auxiliary, of_metric, operator, omega)
    for shells, functions in _blocks(layout, batch.nao):
        of_triples = coulomb * charges[functions] * packed
        for part, (values, vectors) in zip(inner, factors, strict=True):
            weighted = vectors * values
            of_triples -= exchange * (weighted @ part[functions] @ weighted.T)[:, rows, columns]
        out += backend.three_index_gradient(batch, entry, auxiliary, of_triples, operator, omega, shells)
    return out


def _solver(metric: Float64[np.ndarray, "naux naux"]) -> Callable[[np.ndarray], np.ndarray]:
    """The metric's inverse on its eigenvalues that are more than rounding.

    erf(omega r)/r does not see tight functions, so that many eigenvalues of its metric are rounding. The energy, which
    takes |L⁻¹ a|², does not feel them; M⁻¹ a does. Measured on water/def2-SVP at omega 0.1 to 0.5: 1e-9 hartree/bohr
    from the energy's derivative with these left out, up to 4e-7 by Cholesky's decomposition.
    """
    values, vectors = np.linalg.eigh(metric)
    kept = values > RANK * values[-1]
    values, vectors = values[kept, None], vectors[:, kept]
    return lambda right: vectors @ ((vectors.T @ right) / values)


def _outer(
    charges: Float64[np.ndarray, "naux 1"],
    inner: list[np.ndarray],
    factors: list[tuple[np.ndarray, np.ndarray]],
    coulomb: float,
    exchange: float,
) -> Float64[np.ndarray, "naux naux"]:
    """X with C for A."""
    out = coulomb * charges @ charges.T
    for part, (values, _) in zip(inner, factors, strict=True):
        flat = part.reshape(len(part), -1)
        out -= exchange * (flat * np.outer(values, values).ravel()) @ flat.T
    return out


def _blocks(layout: ShellLayout, nao: int) -> Iterator[tuple[tuple[int, int], slice]]:
    """Ranges of auxiliary shells, and their functions, whose derivatives make about `BLOCK` numbers."""
    offset = layout.ao_offset
    start = 0
    while start < layout.n_shells:
        stop = start + 1
        while stop < layout.n_shells and 3 * (offset[stop + 1] - offset[start]) * nao**2 <= BLOCK:
            stop += 1
        yield (start, stop), slice(int(offset[start]), int(offset[stop]))
        start = stop
