"""Density fitting (resolution of the identity) in the Coulomb metric: J, and K if asked, from three-index integrals.

(ij|kl) ≈ Σ_Q B_Q,ij B_Q,kl with B = L⁻¹ (P|ij), (P|Q) = L Lᵀ over an auxiliary basis; Vahtras, Almlöf, Feyereisen,
Chem. Phys. Lett. 213, 514 (1993), eq. 12 (their "V"); K as in Weigend, Phys. Chem. Chem. Phys. 4, 4285 (2002).

Any backend that fills `scfx.contracts.fitting` serves; what is fitted is a choice of the calculation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from jaxtyping import Float64, Int32

from scfx.energy.two_electron.fitted_operator import FittedOperator
from scfx.errors import InputError, ResourceError
from scfx.model.basis import BasisSet

if TYPE_CHECKING:
    from scfx.contracts.derivatives import Operator
    from scfx.contracts.fitting import AbstractFittingBackend
    from scfx.contracts.two_electron import AbstractTwoElectron
    from scfx.model.batch import Batch

#: Auxiliary functions are contracted in blocks of about this many numbers (64 MB).
BLOCK = 8_000_000


class FittedTwoElectron(FittedOperator):
    """J and K from fitted integrals [naux, npair] of each entry; `exact`: an operator that gives K instead."""

    def __init__(
        self,
        backend: AbstractFittingBackend,
        batch: Batch,
        auxiliary: BasisSet,
        operator: Operator,
        omega: float,
        memory_budget: int,
        exact: AbstractTwoElectron | None = None,
    ):
        """Raises `ResourceError`, with the numbers, where the fitted integrals exceed `memory_budget` bytes."""
        super().__init__(len(batch), batch.nao, exact)
        n_auxiliary = sum(auxiliary.nao(int(z)) for z in batch.atomic_numbers[0])
        needed = len(batch) * fitted_bytes(batch.layout.ncart, n_auxiliary)
        if needed > memory_budget:
            raise ResourceError(
                f"scf.memory_budget: fitted integrals of {len(batch)} entries of {batch.nao} functions with "
                f"{n_auxiliary} auxiliary functions take {needed:,} bytes, the budget is {memory_budget:,}; use a "
                "smaller scf.lane_width or raise scf.memory_budget"
            )
        self._fitted: list[np.ndarray] | None = [
            fitted_integrals(backend, batch, entry, auxiliary, operator, omega) for entry in range(len(batch))
        ]

    def contract(
        self,
        density: Float64[np.ndarray, "active nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        exchange: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return J and K of the entries `lanes` from their fitted integrals."""
        coulomb = np.zeros_like(density)
        for row, integrals in enumerate(self._of(lanes)):
            _add_coulomb(integrals, density[row], coulomb[row])
        return coulomb, self.contract_exchange(density, lanes) if exchange else None

    def fitted_exchange(
        self, density: Float64[np.ndarray, "active nspin nao nao"], lanes: Int32[np.ndarray, "active"]
    ) -> np.ndarray:
        """Return K of the entries `lanes` by fitting."""
        exchange = np.zeros_like(density)
        for row, integrals in enumerate(self._of(lanes)):
            _add_exchange(integrals, density[row], exchange[row])
        return exchange

    def _of(self, lanes: Int32[np.ndarray, "active"]) -> list[np.ndarray]:
        if self._fitted is None:
            raise InputError("these integrals have been closed")
        return [self._fitted[int(lane)] for lane in lanes]

    def own_bytes(self) -> int:
        """Return the bytes of fitted integrals that are held."""
        return sum(integrals.nbytes for integrals in self._fitted or ())

    def free(self) -> None:
        """Free the fitted integrals."""
        self._fitted = None


def fitted_bytes(batch_nao: int, n_auxiliary: int) -> int:
    """Return the bytes that the fitted integrals of one entry take, and as much again while they are made."""
    return 2 * 8 * n_auxiliary * batch_nao * (batch_nao + 1) // 2


def fitted_integrals(
    backend: AbstractFittingBackend,
    batch: Batch,
    entry: int,
    auxiliary: BasisSet,
    operator: Operator = "coulomb",
    omega: float = 0.0,
) -> Float64[np.ndarray, "naux npair"]:
    """Return B_Q,ij of one entry for pairs j <= i of AOs."""
    triple = backend.three_index(batch, entry, auxiliary, operator, omega)
    return _whitened(backend.two_index(batch, entry, auxiliary, operator, omega), triple)


def _whitened(metric: np.ndarray, triple: np.ndarray) -> np.ndarray:
    """L⁻¹ (P|ij); where the auxiliary basis is linearly dependent, its canonical orthogonalisation."""
    try:
        lower = scipy.linalg.cholesky(metric, lower=True)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(metric)
        kept = values > 1e-10 * values[-1]
        return (vectors[:, kept] / np.sqrt(values[kept])).T @ triple
    return scipy.linalg.solve_triangular(lower, triple, lower=True)


def unpacked(packed: Float64[np.ndarray, "some npair"]) -> Float64[np.ndarray, "some n n"]:
    """Return the symmetric matrices from their lower triangles, packed row by row."""
    n = int(np.sqrt(2 * packed.shape[1]))
    out = np.empty((len(packed), n, n))
    for k in range(n):
        start = k * (k + 1) // 2
        out[:, k, : k + 1] = packed[:, start : start + k + 1]
        out[:, : k + 1, k] = out[:, k, : k + 1]
    return out


def _add_coulomb(
    fitted: Float64[np.ndarray, "naux npair"],
    density: Float64[np.ndarray, "nspin nao nao"],
    coulomb: Float64[np.ndarray, "nspin nao nao"],
) -> None:
    n = density.shape[-1]
    rows, columns = np.tril_indices(n)
    twice = np.where(rows == columns, 1.0, 2.0)
    for s, matrix in enumerate(density):
        packed = fitted.T @ (fitted @ (matrix[rows, columns] * twice))
        coulomb[s][rows, columns] = packed
        coulomb[s][columns, rows] = packed


def _add_exchange(
    fitted: Float64[np.ndarray, "naux npair"],
    density: Float64[np.ndarray, "nspin nao nao"],
    exchange: Float64[np.ndarray, "nspin nao nao"],
) -> None:
    n = density.shape[-1]
    # K = Σ_Q B_Q D B_Q by D = V λ Vᵀ, a block of auxiliary functions at a time: densities have few eigenvectors.
    factors = [eigenvectors(matrix) for matrix in density]
    step = max(1, BLOCK // (n * n))
    for start in range(0, len(fitted), step):
        block = unpacked(fitted[start : start + step])
        for s, (values, vectors) in enumerate(factors):
            half = (block.reshape(-1, n) @ vectors).reshape(len(block), n, -1).transpose(1, 0, 2)
            exchange[s] += (half * values).reshape(n, -1) @ half.reshape(n, -1).T


def eigenvectors(matrix: Float64[np.ndarray, "n n"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of a symmetric matrix that are more than rounding, and their vectors."""
    values, vectors = np.linalg.eigh(matrix)
    size = np.abs(values)
    kept = size > len(matrix) * np.finfo(np.float64).eps * size.max(initial=0.0)
    return values[kept], vectors[:, kept]
