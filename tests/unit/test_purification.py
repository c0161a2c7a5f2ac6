"""Densities by purification are those of the lowest orbitals, and orbitals step in where there is no gap."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scfx.execution.device import Execution, executing
from scfx.execution.lanes import pad_lanes
from scfx.scf import step
from scfx.scf.diis import empty_diis
from scfx.scf.purification import lowest_projector

N = 8


def _matrix(levels, seed):
    """A symmetric matrix [N, N] with given eigenvalues, padded with zeros."""
    orbitals = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(levels),) * 2))[0]
    out = np.zeros((N, N))
    out[: len(levels), : len(levels)] = orbitals * levels @ orbitals.T
    return out


#: Eigenvalues, and how many are occupied: core levels, a narrow gap, nothing and everything occupied, no padding.
CASES = [
    ([-20.5, -1.3, -0.6, -0.5, 0.3, 0.8, 1.0], 4),
    ([-20.5, -1.3, -0.6, -0.50001, -0.5, 0.8, 1.0], 4),
    ([-0.5, 0.1, 0.2], 0),
    ([-0.5, 0.1, 0.2], 3),
    ([-11.0, -1.0, -0.9, -0.7, -0.5, -0.1, 0.2, 2.0], 5),
]


def test_purified_densities_are_those_of_the_lowest_orbitals():
    matrices = np.stack([_matrix(levels, k) for k, (levels, _) in enumerate(CASES)])
    with jax.enable_x64(True):
        found, converged = jax.jit(jax.vmap(lowest_projector))(
            matrices[:, None],
            np.array([[n] for _, n in CASES], dtype=np.int32),
            np.array([len(levels) for levels, _ in CASES], dtype=np.int32),
        )
    assert np.asarray(converged).all()
    for matrix, projector, (levels, n) in zip(matrices, np.asarray(found)[:, 0], CASES, strict=True):
        size = len(levels)
        occupied = np.linalg.eigh(matrix[:size, :size])[1][:, :n]
        # The projector turns by the error of the matrix, 1e-15 of its norm, over the gap.
        bound = 1e-13 if min(np.diff(levels)) > 1e-3 else 1e-9
        assert np.abs(projector[:size, :size] - occupied @ occupied.T).max() < bound
        assert not projector[size:].any()


def test_lanes_without_a_gap_are_diagonalised_and_change_no_other():
    levels = np.array(
        [[-20.0, -1.0, -0.5, 0.5, 0.7, 0.9, 1.0, 1.2], [-20.0, -1.0, -0.5, -0.5, 0.7, 0.9, 1.0, 1.2]]
    )
    focks = np.stack([_matrix(row, k) for k, row in enumerate(levels)])[:, None]

    def advanced(lanes):
        with executing(Execution("cpu", True)), jax.enable_x64(True):
            shape = (2, 1, N, N)
            state = step.SCFState(
                *(jnp.asarray(m) for m in (np.zeros(shape), np.zeros(shape), focks, np.zeros(shape))),
                *(jnp.full(2, jnp.inf) for _ in range(3)),
                empty_diis(2, 3, 1, N),
            )
            unit = jnp.broadcast_to(jnp.eye(N), (2, N, N))
            fixed = step.Fixed(unit, unit, jnp.zeros(2), jnp.full((2, 1), 3), jnp.full(2, N))
            control = step.Control(jnp.zeros(2), jnp.zeros(2), jnp.zeros(2, bool))
            active = pad_lanes(np.array(lanes, dtype=np.int32), 2)
            new = step.advance(state, fixed, control, active, len(lanes), dtype="float64", shared=False)
            return np.asarray(new.density)[:, 0]

    both, alone = advanced([0, 1]), advanced([0])
    for fock, density in zip(focks[:, 0], both, strict=True):
        assert np.abs(density @ density - 2.0 * density).max() < 1e-12
        assert np.trace(density) == pytest.approx(6.0, abs=1e-12)
        assert np.abs(fock @ density - density @ fock).max() < 1e-11
    assert (both[0] == alone[0]).all()
    assert not alone[1].any()
