"""`FittedEntry`: J and K of one entry from blocks of its three-index integrals, held within a budget.

Pairs (ij) come by blocks of rows i (`scfx.contracts.fitting.AbstractFittingRows`). A block has the same numbers whether
it is held or made again, and sums run over the blocks in one order: the budget changes no bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from jaxtyping import Float, Float64
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from scfx.energy.two_electron.fitted import eigenvectors
from scfx.errors import InputError, ResourceError

if TYPE_CHECKING:
    from scfx.contracts.fitting import AbstractFittingRows, RowBlock

_SOLVE, _SQUARE = get_blas_funcs(("trsm", "syrk"), dtype=np.float64)
(_SQUARE_SINGLE,) = get_blas_funcs(("syrk",), dtype=np.float32)
(_CHOLESKY_PIVOTED,) = get_lapack_funcs(("pstrf",), dtype=np.float64)

#: K is built from at most so many of a density's orbitals at a time, and from fewer where half-transformed integrals
#: would take more than so many bytes.
MOST_ORBITALS, HALF_BYTES = 64, 2**28
#: What of a density counts as rounding, as a fraction of its largest element: a basis near to linear dependence
#: magnifies it (2e-12 for ethanol in def2-TZVPPD, where it passed for 21 orbitals beside the 13 occupied ones).
NOISE = 1e-10
#: Columns of a block that are half-transformed at a time.
COLUMNS = 64
#: Rows of float32 numbers that are turned to float64 at a time, to be summed.
WIDENED = 512


class FittedEntry:
    """The fitted integrals of one entry: B [column, row, naux] by blocks, or (P|ij) where only J is fitted.

    `smooth`: see `Metric`.
    """

    def __init__(
        self,
        rows: AbstractFittingRows,
        nao: int,
        memory_budget: int,
        dtype: str,
        fits_exchange: bool,
        smooth: bool = False,
    ):
        self._rows = rows
        self._nao = nao
        self._dtype = np.dtype(dtype)
        self._whitens = fits_exchange
        self._held: dict[int, np.ndarray] = {}
        self._metric = Metric(rows.metric(), smooth)
        self._count = self._metric.count if fits_exchange else rows.n_auxiliary
        sizes = [self._bytes(block) for block in rows.blocks]
        least = least_bytes(nao, rows.n_auxiliary, max(sizes), fits_exchange)
        if least > memory_budget:
            raise ResourceError(
                f"scf.memory_budget: density fitting of an entry of {nao} functions with {rows.n_auxiliary} auxiliary "
                f"functions takes {least:,} bytes at least, its share of the budget is {memory_budget:,}; use a "
                "smaller scf.lane_width, fewer scf.threads, or raise scf.memory_budget"
            )
        left = memory_budget - least
        for index, size in enumerate(sizes):
            if size > left:
                break
            left -= size
            self._held[index] = self._computed(index)

    def _bytes(self, block: RowBlock) -> int:
        return self._dtype.itemsize * block.columns.size * (block.stop - block.start) * self._count

    @property
    def held_bytes(self) -> int:
        """Return the bytes of integrals held."""
        return sum(block.nbytes for block in self._held.values())

    @property
    def recomputed_blocks(self) -> int:
        """Return the number of blocks that are not held."""
        return len(self._rows.blocks) - len(self._held)

    def close(self) -> None:
        """Free the integrals."""
        self._held = {}
        self._rows.close()

    def _computed(self, index: int) -> Float[np.ndarray, "column row naux"]:
        found = self._rows.rows(index)
        if self._whitens:
            found = self._metric.whitened(found)
        return found.astype(self._dtype, copy=False)

    def _blocks(self) -> Iterator[tuple[RowBlock, np.ndarray]]:
        for index, block in enumerate(self._rows.blocks):
            held = self._held.get(index)
            yield block, self._computed(index) if held is None else held

    def contract(
        self, density: Float64[np.ndarray, "nspin n n"], coulomb: bool, exchange: bool
    ) -> tuple[Float64[np.ndarray, "nspin n n"] | None, Float64[np.ndarray, "nspin n n"] | None]:
        """Return J and K, None in the place of one that is not wanted."""
        if exchange and not self._whitens:
            raise InputError("these integrals were made for J alone")
        factors = [_Orbitals(matrix) for matrix in density] if exchange else []
        k = np.zeros(density.shape) if exchange else None
        naux = self._count
        charges = np.zeros((len(density), naux))
        most = most_orbitals(self._nao, naux)
        longest = max((len(each.signs) for each in factors), default=0)
        for first in range(0, max(longest, 1), most):
            chosen = [each.part(first, first + most) for each in factors]
            halves = [
                np.zeros((self._nao, vectors.shape[1], naux), dtype=self._dtype) for vectors, _ in chosen
            ]
            for block, integrals in self._blocks():
                if coulomb and first == 0:
                    _add_charges(block, integrals, density, charges)
                for (vectors, _), half in zip(chosen, halves, strict=True):
                    _half_transform(block, integrals, vectors, half)
            if k is not None:
                for matrix, (_, signs), half in zip(k, chosen, halves, strict=True):
                    _add_exchange(half, signs, matrix)
        if not coulomb:
            return None, k
        if not self._whitens:
            charges = self._metric.solved(charges)
        j = np.zeros(density.shape)
        for block, integrals in self._blocks():
            _add_coulomb(block, integrals, charges, j)
        return j, k


class Metric:
    """(P|Q) = L Lᵀ; where the auxiliary basis is linearly dependent, its canonical orthogonalisation.

    Always the latter for a `smooth` operator: erf(omega r)/r does not see tight functions, so that a third of its
    metric's eigenvalues are rounding (ethanol, omega 0.3), whether or not the decomposition notices it.
    """

    def __init__(self, metric: Float64[np.ndarray, "naux naux"], smooth: bool = False):
        self._lower: np.ndarray | None = None
        self._vectors = np.empty((0, 0))
        if not smooth:
            with contextlib.suppress(np.linalg.LinAlgError):
                self._lower = scipy.linalg.cholesky(metric, lower=True)
                self.count = len(metric)
        if self._lower is None:
            values, vectors = np.linalg.eigh(metric)
            kept = values > 1e-10 * values[-1]
            self._vectors = vectors[:, kept] / np.sqrt(values[kept])
            self.count = int(kept.sum())

    def whitened(
        self, integrals: Float64[np.ndarray, "column row naux"]
    ) -> Float64[np.ndarray, "column row n"]:
        """Return L⁻¹ (P|ij), in place where that is possible."""
        flat = integrals.reshape(-1, integrals.shape[-1])
        if self._lower is None:
            return (flat @ self._vectors).reshape(*integrals.shape[:2], self.count)
        solved = _SOLVE(1.0, self._lower, flat.T, lower=1, overwrite_b=1)
        return solved.T.reshape(integrals.shape)

    def solved(self, charges: Float64[np.ndarray, "nspin naux"]) -> Float64[np.ndarray, "nspin naux"]:
        """Return (P|Q)⁻¹ times vectors."""
        if self._lower is None:
            return charges @ self._vectors @ self._vectors.T
        return scipy.linalg.cho_solve((self._lower, True), charges.T).T


class _Orbitals:
    """A symmetric matrix as Σ sign c cᵀ."""

    def __init__(self, matrix: Float64[np.ndarray, "n n"]):
        vectors = _cholesky_vectors(matrix)
        if vectors is not None:
            self.vectors, self.signs = vectors, np.ones(vectors.shape[1])
            return
        values, vectors = eigenvectors(matrix)
        self.vectors, self.signs = vectors * np.sqrt(np.abs(values)), np.sign(values)

    def part(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Some vectors [n, some] and their signs."""
        return np.ascontiguousarray(self.vectors[:, start:stop]), self.signs[start:stop]


def _cholesky_vectors(matrix: Float64[np.ndarray, "n n"]) -> np.ndarray | None:
    """C [n, rank] with C Cᵀ = `matrix` up to `NOISE`, or None: densities of orbitals have a low rank."""
    size = np.abs(matrix).max(initial=0.0)
    if size == 0.0 or matrix.diagonal().min() < -NOISE * size:
        return None
    factor, pivots, rank, _ = _CHOLESKY_PIVOTED(matrix, tol=NOISE * size, lower=1)
    vectors = np.zeros((len(matrix), rank))
    vectors[pivots - 1] = np.tril(factor[:, :rank])
    return vectors if np.abs(vectors @ vectors.T - matrix).max() <= 2 * NOISE * size else None


def most_orbitals(nao: int, n_auxiliary: int) -> int:
    """Return how many orbitals are half-transformed at a time: it depends on the entry alone."""
    return int(np.clip(HALF_BYTES // max(1, 8 * nao * n_auxiliary), 8, MOST_ORBITALS))


def least_bytes(nao: int, n_auxiliary: int, largest_block: int, fits_exchange: bool) -> int:
    """Return the bytes that one entry needs beside the blocks that it holds: metric, one block, half-transformed
    integrals.
    """
    half = 8 * (nao + COLUMNS) * n_auxiliary * most_orbitals(nao, n_auxiliary) if fits_exchange else 0
    return 2 * 8 * n_auxiliary**2 + 2 * largest_block + half


def _pairs(block: RowBlock, density: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "pair"]:
    """The block's elements of a density, as often as they count."""
    part = density[block.columns, block.start : block.stop]
    return np.where(block.columns[:, None] < block.start, 2.0 * part, part).ravel()


def _widened(integrals: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Pairs [some, naux] in float64."""
    flat = integrals.reshape(-1, integrals.shape[-1])
    step = len(flat) if flat.dtype == np.float64 else WIDENED
    for start in range(0, len(flat), step):
        rows = slice(start, min(start + step, len(flat)))
        yield rows, flat[rows].astype(np.float64, copy=False)


def _add_charges(block: RowBlock, integrals: np.ndarray, density: np.ndarray, charges: np.ndarray) -> None:
    weights = [_pairs(block, matrix) for matrix in density]
    for rows, part in _widened(integrals):
        for of_spin, weight in zip(charges, weights, strict=True):
            of_spin += weight[rows] @ part


def _add_coulomb(block: RowBlock, integrals: np.ndarray, charges: np.ndarray, coulomb: np.ndarray) -> None:
    shape = integrals.shape[:2]
    found = np.empty((len(charges), shape[0] * shape[1]))
    for rows, part in _widened(integrals):
        for of_spin, charge in zip(found, charges, strict=True):
            of_spin[rows] = part @ charge
    for matrix, of_spin in zip(coulomb, found, strict=True):
        rectangle = of_spin.reshape(shape)
        matrix[block.columns, block.start : block.stop] = rectangle
        matrix[block.start : block.stop, block.columns] = rectangle.T


def _half_transform(block: RowBlock, integrals: np.ndarray, vectors: np.ndarray, half: np.ndarray) -> None:
    """half[i] += Σ_j B_ij c_j for the block's rows i, and half[j] += Σ_i B_ij c_i for the columns before them."""
    vectors = vectors.astype(integrals.dtype, copy=False)
    of_columns = np.ascontiguousarray(vectors[block.columns].T)
    half[block.start : block.stop] += np.matmul(of_columns, integrals.transpose(1, 0, 2))
    before = int(np.searchsorted(block.columns, block.start))
    of_rows = np.ascontiguousarray(vectors[block.start : block.stop].T)
    for start in range(0, before, COLUMNS):
        chosen = slice(start, min(start + COLUMNS, before))
        half[block.columns[chosen]] += np.matmul(of_rows, integrals[chosen])


def _add_exchange(half: np.ndarray, signs: np.ndarray, exchange: Float64[np.ndarray, "n n"]) -> None:
    n = len(exchange)
    for sign in (1.0, -1.0):
        mine = signs == sign
        if not mine.any():
            continue
        flat = (half if mine.all() else half[:, mine]).reshape(n, -1)
        if flat.dtype == np.float64:
            found = _SQUARE(1.0, flat.T, trans=1, lower=1)
            exchange += sign * (np.tril(found) + np.tril(found, -1).T)
        else:
            # Long sums lose digits in float32: an orbital's at a time.
            for orbital in np.flatnonzero(mine):
                found = _SQUARE_SINGLE(1.0, half[:, orbital].T, trans=1, lower=1).astype(np.float64)
                exchange += sign * (np.tril(found) + np.tril(found, -1).T)
