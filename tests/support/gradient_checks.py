"""What tests of gradients share: five-point differences of any energy of one system, and energy-weighted densities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from molecules import moved

import scfx
from scfx.config.precision import FLOAT64
from scfx.contracts.derivatives import TwoElectronEnergy
from scfx.energy.repulsion import NuclearRepulsion
from scfx.model.batch import Batch

#: Five-point weights of the derivative (Abramowitz, Stegun, 25.3.6), by displacement in steps.
STENCIL = ((-2, 1.0 / 12.0), (-1, -8.0 / 12.0), (1, 8.0 / 12.0), (2, -1.0 / 12.0))


def directions(system: scfx.System, count: int, seed: int = 1) -> np.ndarray:
    """[count, natm, 3], random unit vectors: a gradient times one of them is one derivative that all of it enters."""
    found = np.random.default_rng(seed).standard_normal((count, system.natm, 3))
    return found / np.linalg.norm(found, axis=(1, 2), keepdims=True)


def difference(
    energy: Callable[[scfx.System], float], system: scfx.System, direction: np.ndarray, step: float = 0.005
) -> float:
    """The derivative of `energy` along a direction [natm, 3] of the system's own atoms; `step` in bohr."""
    found = [weight * energy(moved(system, system.positions + n * step * direction)) for n, weight in STENCIL]
    return sum(found) / step


def in_system_order(batch: Batch, entry: int, gradient: np.ndarray) -> np.ndarray:
    """[natm, 3] by the batch's atoms, as the entry's own system orders them."""
    out = np.empty_like(gradient)
    out[batch.atom_order[entry]] = gradient
    return out


def random_symmetric(seed: int, *shape: int) -> np.ndarray:
    """A symmetric stand-in for density matrices [..., n, n]."""
    matrix = np.random.default_rng(seed).uniform(-1, 1, shape)
    return 0.5 * (matrix + np.swapaxes(matrix, -1, -2))


def two_electron_energy(operators: list[tuple[TwoElectronEnergy, Any]], density: np.ndarray) -> float:
    """The sum that `TwoElectronEnergy` states, from J and K of operators of one entry; density [nspin, nao, nao]."""
    total, spin = 0.0, 0.5 if len(density) == 1 else 1.0
    for part, operator in operators:
        coulomb, exchange = operator.coulomb_exchange(density[None])
        total += part.coulomb * 0.5 * float(np.sum(density.sum(0) * coulomb[0].sum(0)))
        total -= part.exchange * 0.5 * spin * float(np.sum(density * exchange[0]))
    return total


def hartree_fock_gradient(result: scfx.SCFResult, backend: Any, index: int = 0) -> np.ndarray:
    """[natm, 3] of a converged Hartree-Fock result (`return_density=True`), from a backend's derivative integrals.

    W = Σ_s D_s F_s D_s, with F_s assembled from the backend's own matrices at the converged density.
    """
    assert result.density is not None
    assert result.basis_set is not None
    batch = Batch.from_systems([result.systems[index]], result.basis_set)
    order = _ao_order(batch)
    density = result.density[index][:, order][:, :, order]
    energy = TwoElectronEnergy(coulomb=1.0, exchange=1.0)
    core = backend.one_electron(batch)
    with backend.two_electron(batch, FLOAT64, 2**30) as operator:
        coulomb, exchange = operator.coulomb_exchange(density[None])
    closed = len(density) == 1
    fock = core.kinetic[0] + core.nuclear[0] + coulomb[0].sum(0) - (0.5 if closed else 1.0) * exchange[0]
    weighted = (0.5 if closed else 1.0) * np.einsum("sij,sjk,skl->il", density, fock, density)
    weighted = 0.5 * (weighted + weighted.T)
    lanes = np.zeros(1, dtype=np.int32)
    out = backend.one_electron_gradient(batch, lanes, density.sum(0)[None], weighted[None])
    out = out + backend.two_electron_gradient(batch, lanes, density[None], [energy], FLOAT64)
    return in_system_order(batch, 0, out[0] + repulsion_gradient(batch)[0])


def repulsion_gradient(batch: Batch) -> np.ndarray:
    """[batch, natm, 3] of the nuclei's repulsion, atoms in the batch's order."""
    nothing = np.zeros((len(batch), 1, batch.nao, batch.nao))
    lanes = np.arange(len(batch), dtype=np.int32)
    return NuclearRepulsion(batch).gradient(nothing, nothing[:, 0], lanes)


def _ao_order(batch: Batch) -> np.ndarray:
    """For each AO of the batch's first entry its place in the order of the system's own atoms."""
    counts = np.bincount(batch.layout.ao_atom, minlength=batch.natm)
    own = np.empty_like(counts)
    own[batch.atom_order[0]] = counts
    starts = np.concatenate([[0], np.cumsum(own)])[:-1]
    return np.concatenate([starts[batch.atom_order[0, a]] + np.arange(n) for a, n in enumerate(counts)])
