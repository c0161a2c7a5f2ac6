"""What a batch needs before its first iteration: orthogonaliser, core Hamiltonian, padding, initial density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32

from scfx.contracts.backend import OneElectron
from scfx.energy.core import CoreHamiltonian
from scfx.errors import InputError
from scfx.execution.device import to_device
from scfx.execution.lanes import ao_bucket
from scfx.model.batch import Batch
from scfx.scf.step import Fixed


@dataclass(frozen=True, eq=False)
class BatchMatrices:
    """Host-side matrices of a batch at its own size, and the padded `Fixed` for the jitted step.

    `orthogonaliser` X and `inverse` X⁻¹ (as Xᵀ S) [entry, nao, nao], with zero columns (rows) for dropped orbitals.
    """

    one: OneElectron
    orthogonaliser: Float64[np.ndarray, "batch nao nao"]
    inverse: Float64[np.ndarray, "batch nao nao"]
    n_orbitals: Int32[np.ndarray, "batch"]
    n_occupied: Int32[np.ndarray, "batch spin"]
    fixed: Fixed


def orthogonaliser(
    overlap: Float64[np.ndarray, "n n"], dtype: np.dtype, linear_dependence: float
) -> tuple[np.ndarray, int]:
    """Return Loewdin's S^(-1/2); where S has eigenvalues up to `linear_dependence`, canonical, U s^(-1/2) without
    those.

    Szabo and Ostlund eqs. 3.167 and 3.169. Returns X (float64 values) and the number of orbitals kept.
    """
    values, vectors = np.linalg.eigh(overlap.astype(dtype))
    values, vectors = values.astype(np.float64), vectors.astype(np.float64)
    keep = values > linear_dependence
    if keep.all():
        return (vectors / np.sqrt(values)) @ vectors.T, len(values)
    kept = vectors[:, keep] / np.sqrt(values[keep])
    out = np.zeros_like(overlap)
    out[:, : kept.shape[1]] = kept
    return out, kept.shape[1]


def pad_matrices(matrices: np.ndarray, capacity: int, size: int) -> np.ndarray:
    """Return matrices [entry, ..., n, n] as [capacity, ..., size, size], zeros outside."""
    out = np.zeros((capacity, *matrices.shape[1:-2], size, size), dtype=matrices.dtype)
    n = matrices.shape[-1]
    out[: len(matrices), ..., :n, :n] = matrices
    return out


def batch_matrices(
    batch: Batch,
    hamiltonian: CoreHamiltonian,
    capacity: int,
    nspin: int,
    dtype: np.dtype,
    linear_dependence: float,
) -> BatchMatrices:
    """Set a batch up. `nspin` 1: restricted; 2: open shells. `dtype`: precision of the orthogonaliser."""
    one = hamiltonian.integrals
    entries, nao = len(batch), batch.nao
    x = np.zeros((entries, nao, nao))
    n_orbitals = np.zeros(entries, dtype=np.int32)
    for b in range(entries):
        # Functions that fill up are in no orbital: rows of zeros. Columns of orbitals come first.
        own = batch.functions_of(b)
        found, n_orbitals[b] = orthogonaliser(one.overlap[b][np.ix_(own, own)], dtype, linear_dependence)
        x[b, own, : len(own)] = found
        _check_orbitals(batch, b, int(n_orbitals[b]), linear_dependence)
    inverse = np.swapaxes(x, 1, 2) @ one.overlap
    n_occupied = np.stack([batch.n_alpha, batch.n_beta], axis=1)[:, :nspin].astype(np.int32)
    size = ao_bucket(nao)

    def lanes(values: np.ndarray) -> np.ndarray:
        out = np.zeros((capacity, *values.shape[1:]), dtype=values.dtype)
        out[:entries] = values
        return out

    fixed = Fixed(
        core=to_device(pad_matrices(hamiltonian.matrix(), capacity, size)),
        orthogonaliser=to_device(pad_matrices(x, capacity, size)),
        nuclear_repulsion=to_device(lanes(batch.nuclear_repulsion)),
        n_occupied=to_device(lanes(n_occupied)),
        n_orbitals=to_device(lanes(n_orbitals)),
    )
    return BatchMatrices(one, x, inverse, n_orbitals, n_occupied, fixed)


def _check_orbitals(batch: Batch, entry: int, kept: int, linear_dependence: float) -> None:
    occupied = int(max(batch.n_alpha[entry], batch.n_beta[entry]))
    if kept < occupied:
        raise InputError(
            f"scf.linear_dependence_threshold: only {kept} of {batch.n_functions[entry]} combinations of the functions "
            f"of {batch.basis.name!r} on {batch.systems[entry]!r} have overlap eigenvalues above "
            f"{linear_dependence:g}, "
            f"fewer than its {occupied} occupied orbitals; use a smaller threshold or a less diffuse basis, and look "
            "for atoms on top of each other"
        )


def spin_densities(total: Float64[np.ndarray, "batch n n"], batch: Batch, nspin: int) -> np.ndarray:
    """Return densities [batch, spin, n, n] of a total density: itself, or shared out by the numbers of electrons."""
    if nspin == 1:
        return total[:, None]
    counts = np.stack([batch.n_alpha, batch.n_beta], axis=1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return share[:, :, None, None] * total[:, None]


def orbital_density(matrices: BatchMatrices, hamiltonian: Float64[np.ndarray, "batch nao nao"]) -> np.ndarray:
    """Return the density [entry, spin, n, n] of the lowest orbitals of a one-electron Hamiltonian in the AO basis."""
    nspin = matrices.n_occupied.shape[1]
    out = np.zeros((len(hamiltonian), nspin, *matrices.one.overlap.shape[1:]))
    for b, matrix in enumerate(hamiltonian):
        n = int(matrices.n_orbitals[b])
        x = (
            matrices.orthogonaliser[b][:, :n]
            if n < matrices.one.overlap.shape[1]
            else matrices.orthogonaliser[b]
        )
        _, vectors = np.linalg.eigh(x.T @ matrix @ x)
        for s, count in enumerate(matrices.n_occupied[b]):
            occupied = x @ vectors[:, : int(count)]
            out[b, s] = (2.0 if nspin == 1 else 1.0) * occupied @ occupied.T
    return out
