"""Direct minimisation of the energy over orbital rotations: the robust optimiser of the recovery ladder.

A quasi-Newton (L-BFGS) walk on the manifold of occupied spaces with an orbital-energy preconditioner and a line
search that never lets the energy rise: Van Voorhis and Head-Gordon, Mol. Phys. 100, 1713 (2002) ("geometric direct
minimisation"). It needs only Fock builds, and goes downhill where DIIS oscillates.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg

if TYPE_CHECKING:
    from scfx.scf.batch_scf import BatchSCF

_HISTORY = 10
_SMALLEST_CURVATURE = 0.1  # hartree: floor of the preconditioner's ε_a - ε_i
_LARGEST_STEP = 0.4  # radians


class _Rotations:
    """Orbitals of one entry in the orthonormal basis, pseudo-canonical, and the rotations that change its energy.

    Sets of orbitals: one for restricted runs, one by spin for unrestricted ones, and one for restricted open shells,
    whose rotations are those between doubly and singly occupied and empty ones.
    """

    def __init__(self, run: BatchSCF, lane: int):
        self.run, self.lane = run, lane
        self.n = int(run.matrices.n_orbitals[lane])
        self.occupied = [int(k) for k in run.matrices.n_occupied[lane]]
        self.per_orbital = 2.0 if run.nspin == 1 else 1.0
        # Of each set: where its spaces of equal occupation lie, and the electrons in each of their orbitals.
        if run.shared_orbitals:
            alpha, beta = self.occupied
            self.spaces = [([slice(beta), slice(beta, alpha), slice(alpha, self.n)], [2.0, 1.0, 0.0])]
        else:
            self.spaces = [([slice(k), slice(k, self.n)], [self.per_orbital, 0.0]) for k in self.occupied]
        self.orbitals = [np.linalg.eigh(f)[1] for f in self.fock()]

    def fock(self) -> np.ndarray:
        """F' of each set of orbitals."""
        return np.asarray(self.run.state.fock_orth)[self.lane, : len(self.spaces), : self.n, : self.n]

    def densities(self, orbitals: list[np.ndarray]) -> np.ndarray:
        by_spin = orbitals * 2 if self.run.shared_orbitals else orbitals
        return np.stack(
            [self.per_orbital * c[:, :k] @ c[:, :k].T for c, k in zip(by_spin, self.occupied, strict=True)]
        )

    def evaluate(self, orbitals: list[np.ndarray]) -> float:
        """Build the Fock matrix at these orbitals; the energy."""
        x = self.run.matrices.orthogonaliser[self.lane][:, : self.n]
        density = x @ self.densities(orbitals) @ x.T
        lanes = np.array([self.lane], dtype=np.int32)
        previous = float(np.asarray(self.run.state.energy)[self.lane])
        self.run.set_density(lanes, density[None])
        self.run.build(lanes, self.run.phases[-1])
        energy, _, residual = self.run.record(lanes)
        change = abs(float(energy[self.lane]) - previous)
        self.run.state = self.run.state._replace(
            energy_change=self.run.state.energy_change.at[self.lane].set(change)
        )
        self.residual = float(residual[self.lane])
        return float(energy[self.lane])

    def pseudo_canonicalise(self) -> tuple[list[list[np.ndarray]], np.ndarray, np.ndarray]:
        """Diagonalise the block of each space; (their rotations, gradient, preconditioner), flattened."""
        turns, gradient, curvature = [], [], []
        for s, (f, c, (spaces, electrons)) in enumerate(
            zip(self.fock(), self.orbitals, self.spaces, strict=True)
        ):
            in_orbitals = c.T @ f @ c
            energies, turn = zip(*(np.linalg.eigh(in_orbitals[k, k]) for k in spaces), strict=True)
            self.orbitals[s] = np.hstack([c[:, k] @ u for k, u in zip(spaces, turn, strict=True)])
            turns.append(list(turn))
            for low, high in combinations(range(len(spaces)), 2):
                # dE/dκ_ai = 2 (f_i - f_a) F_ai for C -> C exp(κ)
                weight = 2.0 * (electrons[low] - electrons[high])
                block = turn[high].T @ in_orbitals[spaces[high], spaces[low]] @ turn[low]
                gradient.append((weight * block).ravel())
                spread = energies[high][:, None] - energies[low][None, :]
                curvature.append((weight * np.maximum(spread, _SMALLEST_CURVATURE)).ravel())
        return turns, np.concatenate(gradient), np.concatenate(curvature)

    def _blocks(self, vector: np.ndarray) -> Iterator[tuple[int, int, int, np.ndarray]]:
        """(set, lower space, upper space, block [upper, lower]) of a flattened vector."""
        start = 0
        for s, (spaces, _) in enumerate(self.spaces):
            sizes = [len(range(self.n)[k]) for k in spaces]
            for low, high in combinations(range(len(spaces)), 2):
                size = sizes[high] * sizes[low]
                yield s, low, high, vector[start : start + size].reshape(sizes[high], sizes[low])
                start += size

    def rotated(self, step: np.ndarray) -> list[np.ndarray]:
        """Orbitals after the rotation exp(κ)."""
        kappa = np.zeros((len(self.spaces), self.n, self.n))
        for s, low, high, block in self._blocks(step):
            lower, upper = self.spaces[s][0][low], self.spaces[s][0][high]
            kappa[s, upper, lower], kappa[s, lower, upper] = block, -block.T
        return [c @ scipy.linalg.expm(k) for c, k in zip(self.orbitals, kappa, strict=True)]

    def carried(self, vector: np.ndarray, turns: list[list[np.ndarray]]) -> np.ndarray:
        """A vector in the coordinates of the newly pseudo-canonical orbitals."""
        return np.concatenate(
            [
                (turns[s][high].T @ block @ turns[s][low]).ravel()
                for s, low, high, block in self._blocks(vector)
            ]
        )


def minimise(run: BatchSCF, lane: int, max_iterations: int) -> bool:
    """Minimise one entry's energy from its present Fock matrix; True if it converged."""
    phase = run.phases[-1]
    lanes = np.array([lane], dtype=np.int32)
    run.build(lanes, phase)
    if not np.isfinite(np.asarray(run.state.fock_orth)[lane]).all():
        return False
    walk = _Rotations(run, lane)
    energy = walk.evaluate(walk.orbitals)
    steps: list[np.ndarray] = []
    changes: list[np.ndarray] = []
    last_gradient = last_step = None
    change = np.inf
    for _ in range(max_iterations):
        run.watch.check()
        if walk.residual < phase.gradient and change < max(phase.energy, 1e-9):
            return True
        turns, gradient, curvature = walk.pseudo_canonicalise()
        if not gradient.size:
            return True  # nothing to rotate: every orbital is occupied
        steps = [walk.carried(s, turns) for s in steps]
        changes = [walk.carried(y, turns) for y in changes]
        if last_gradient is not None and last_step is not None:
            s, y = walk.carried(last_step, turns), gradient - walk.carried(last_gradient, turns)
            if s @ y > 1e-12 * np.linalg.norm(s) * np.linalg.norm(y):
                steps, changes = [*steps, s][-_HISTORY:], [*changes, y][-_HISTORY:]
        direction = -_inverse_hessian_times(gradient, curvature, steps, changes)
        if direction @ gradient >= 0:
            steps, changes, direction = [], [], -gradient / curvature
        direction *= min(1.0, _LARGEST_STEP / max(np.abs(direction).max(), 1e-300))
        scale = 1.0
        for _ in range(12):
            trial = walk.rotated(scale * direction)
            new = walk.evaluate(trial)
            # Near the minimum the energy is flat to rounding: then a smaller gradient is what counts.
            if new <= energy + 1e-4 * scale * (direction @ gradient) or abs(new - energy) < 1e-10 * abs(
                energy
            ):
                break
            scale *= 0.4
        else:
            return False
        change, energy = abs(new - energy), new
        walk.orbitals = trial
        last_gradient, last_step = gradient, scale * direction
    return walk.residual < phase.gradient and change < max(phase.energy, 1e-9)


def _inverse_hessian_times(
    gradient: np.ndarray, curvature: np.ndarray, steps: list[np.ndarray], changes: list[np.ndarray]
) -> np.ndarray:
    """Two-loop L-BFGS recursion from a diagonal Hessian; Nocedal and Wright (2006), algorithm 7.4."""
    q = gradient.copy()
    weights = []
    for s, y in zip(reversed(steps), reversed(changes), strict=True):
        rho = 1.0 / (y @ s)
        a = rho * (s @ q)
        q -= a * y
        weights.append((a, rho))
    q /= curvature
    for (a, rho), s, y in zip(reversed(weights), steps, changes, strict=True):
        q += s * (a - rho * (y @ q))
    return q
