"""Density fitting (resolution of the identity) in the Coulomb metric: J, and K if asked, from three-index integrals.

(ij|kl) ≈ Σ_Q B_Q,ij B_Q,kl with B = L⁻¹ (P|ij), (P|Q) = L Lᵀ over an auxiliary basis; Vahtras, Almlöf, Feyereisen,
Chem. Phys. Lett. 213, 514 (1993), eq. 12 (their "V"); K as in Weigend, Phys. Chem. Chem. Phys. 4, 4285 (2002).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from jaxtyping import Float64, Int32

from scfx.errors import InputError
from scfx.two_electron import LaneTwoElectron
from scfx_libcint.environment import environment, joined

if TYPE_CHECKING:
    from scfx.basis import BasisSet
    from scfx.batch import Batch

#: Auxiliary functions are contracted in blocks of about this many numbers (64 MB).
_BLOCK = 8_000_000


class FittedTwoElectron(LaneTwoElectron):
    """J and K from fitted integrals [naux, npair] of each entry; `exact`: an operator that gives K instead."""

    def __init__(self, batch: Batch, auxiliary: BasisSet, omega: float, exact: LaneTwoElectron | None):
        super().__init__(len(batch), batch.nao)
        self._exact = exact
        self._fitted: list[np.ndarray] | None = [
            fitted_integrals(batch, entry, auxiliary, omega) for entry in range(len(batch))
        ]

    def contract(
        self,
        density: Float64[np.ndarray, "active nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        exchange: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See `LaneTwoElectron`."""
        if self._fitted is None:
            raise InputError("these integrals have been closed")
        coulomb = np.zeros_like(density)
        fits = exchange and self._exact is None
        k = np.zeros_like(density) if fits else None
        for row, lane in enumerate(lanes):
            _contract(self._fitted[int(lane)], density[row], coulomb[row], None if k is None else k[row])
        if exchange and self._exact is not None:
            k = self._exact.coulomb_exchange_lanes(density, lanes, True)[1]
        return coulomb, k

    def held_bytes(self) -> int:
        """See `AbstractTwoElectron.held_bytes`."""
        own = sum(integrals.nbytes for integrals in self._fitted or ())
        return own + ((self._exact.held_bytes() or 0) if self._exact is not None else 0)

    def close(self) -> None:
        """Free the integrals."""
        self._fitted = None
        if self._exact is not None:
            self._exact.close()


def fitted_bytes(batch_nao: int, n_auxiliary: int) -> int:
    """Bytes that the fitted integrals of one entry take, and as much again while they are made."""
    return 2 * 8 * n_auxiliary * batch_nao * (batch_nao + 1) // 2


def fitted_integrals(
    batch: Batch, entry: int, auxiliary: BasisSet, omega: float
) -> Float64[np.ndarray, "naux npair"]:
    """B_Q,ij of one entry for pairs j <= i of AOs; `omega` > 0: of the operator erf(omega r)/r."""
    from pyscf.gto import moleintor

    from scfx.batch import Batch as Batches

    fitting = Batches.from_systems([batch.systems[entry]], auxiliary)
    first, second = environment(batch, entry, omega), environment(fitting, 0, omega)
    n, n_aux = len(first.bas), len(second.bas)
    # libcint works in one kind of function at a time; whatever is not all spherical goes through Cartesian ones.
    spherical = batch.layout.all_spherical and fitting.layout.all_spherical
    flavour = "sph" if spherical else "cart"
    atm, bas, env = joined(first, second)
    triple = moleintor.getints(
        f"int3c2e_{flavour}", atm, bas, env, shls_slice=(0, n, 0, n, n, n + n_aux), aosym="s2ij"
    )
    metric = moleintor.getints(f"int2c2e_{flavour}", second.atm, second.bas, second.env, hermi=1)
    triple = np.asarray(triple).reshape(-1, metric.shape[0]).T
    if not spherical:
        to_aux = fitting.layout.cart_to_ao
        metric = to_aux.T @ metric @ to_aux
        triple = _pairs_to_ao(to_aux.T @ triple, batch.layout.cart_to_ao)
    return _whitened(metric, triple)


def _pairs_to_ao(packed: np.ndarray, to_ao: np.ndarray) -> np.ndarray:
    rows, columns = np.tril_indices(to_ao.shape[1])
    out = np.empty((len(packed), len(rows)))
    for q, row in enumerate(packed):
        out[q] = (to_ao.T @ _unpacked(row[None])[0] @ to_ao)[rows, columns]
    return out


def _whitened(metric: np.ndarray, triple: np.ndarray) -> np.ndarray:
    """L⁻¹ (P|ij); where the auxiliary basis is linearly dependent, its canonical orthogonalisation."""
    try:
        lower = scipy.linalg.cholesky(metric, lower=True)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(metric)
        kept = values > 1e-10 * values[-1]
        return (vectors[:, kept] / np.sqrt(values[kept])).T @ triple
    return scipy.linalg.solve_triangular(lower, triple, lower=True)


def _unpacked(packed: Float64[np.ndarray, "some npair"]) -> Float64[np.ndarray, "some n n"]:
    from pyscf import lib

    return lib.unpack_tril(packed)


def _contract(
    fitted: Float64[np.ndarray, "naux npair"],
    density: Float64[np.ndarray, "nspin nao nao"],
    coulomb: Float64[np.ndarray, "nspin nao nao"],
    exchange: Float64[np.ndarray, "nspin nao nao"] | None,
) -> None:
    n = density.shape[-1]
    rows, columns = np.tril_indices(n)
    twice = np.where(rows == columns, 1.0, 2.0)
    for s, matrix in enumerate(density):
        packed = fitted.T @ (fitted @ (matrix[rows, columns] * twice))
        coulomb[s][rows, columns] = packed
        coulomb[s][columns, rows] = packed
    if exchange is None:
        return
    # K = Σ_Q B_Q D B_Q by D = V λ Vᵀ, a block of auxiliary functions at a time: densities have few eigenvectors.
    factors = [_eigenvectors(matrix) for matrix in density]
    step = max(1, _BLOCK // (n * n))
    for start in range(0, len(fitted), step):
        block = _unpacked(fitted[start : start + step])
        for s, (values, vectors) in enumerate(factors):
            half = (block.reshape(-1, n) @ vectors).reshape(len(block), n, -1).transpose(1, 0, 2)
            exchange[s] += (half * values).reshape(n, -1) @ half.reshape(n, -1).T


def _eigenvectors(matrix: Float64[np.ndarray, "n n"]) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvalues of a symmetric matrix that are more than rounding, and their vectors."""
    values, vectors = np.linalg.eigh(matrix)
    size = np.abs(values)
    kept = size > len(matrix) * np.finfo(np.float64).eps * size.max(initial=0.0)
    return values[kept], vectors[:, kept]
