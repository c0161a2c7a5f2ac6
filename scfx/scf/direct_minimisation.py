"""Direct minimisation of the energy over orbital rotations: the robust optimiser of the recovery ladder.

A quasi-Newton (L-BFGS) walk on the manifold of occupied spaces with an orbital-energy preconditioner and a line
search that never lets the energy rise: Van Voorhis and Head-Gordon, Mol. Phys. 100, 1713 (2002) ("geometric direct
minimisation"). It needs only Fock builds, and goes downhill where DIIS oscillates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg

if TYPE_CHECKING:
    from scfx.scf.run import BatchRun

_HISTORY = 10
_SMALLEST_CURVATURE = 0.1  # hartree: floor of the preconditioner's ε_a - ε_i
_LARGEST_STEP = 0.4  # radians


class _Rotations:
    """Orbitals of one entry in the orthonormal basis, pseudo-canonical, and rotations between occupied and empty."""

    def __init__(self, run: BatchRun, lane: int):
        self.run, self.lane = run, lane
        self.n = int(run.prepared.n_orbitals[lane])
        self.occupied = [int(k) for k in run.prepared.n_occupied[lane]]
        self.per_orbital = 2.0 if run.nspin == 1 else 1.0
        fock = self.fock()
        self.orbitals = [np.linalg.eigh(f)[1] for f in fock]

    def fock(self) -> np.ndarray:
        return np.asarray(self.run.state.fock_orth)[self.lane, :, : self.n, : self.n]

    def densities(self, orbitals: list[np.ndarray]) -> np.ndarray:
        return np.stack(
            [self.per_orbital * c[:, :k] @ c[:, :k].T for c, k in zip(orbitals, self.occupied, strict=True)]
        )

    def evaluate(self, orbitals: list[np.ndarray]) -> float:
        """Build the Fock matrix at these orbitals; the energy."""
        x = self.run.prepared.orthogonaliser[self.lane][:, : self.n]
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

    def pseudo_canonicalise(self) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray, np.ndarray]:
        """Diagonalise the occupied and empty blocks; (their rotations, gradient, preconditioner), flattened."""
        turns, gradient, curvature = [], [], []
        for s, (f, c) in enumerate(zip(self.fock(), self.orbitals, strict=True)):
            k = self.occupied[s]
            in_orbitals = c.T @ f @ c
            lower, u = np.linalg.eigh(in_orbitals[:k, :k])
            upper, v = np.linalg.eigh(in_orbitals[k:, k:])
            self.orbitals[s] = np.hstack([c[:, :k] @ u, c[:, k:] @ v])
            turns.append((v, u))
            # dE/dκ_ai = 2 f F_ai for C -> C exp(κ)
            gradient.append((2.0 * self.per_orbital * (v.T @ in_orbitals[k:, :k] @ u)).ravel())
            spread = np.maximum(upper[:, None] - lower[None, :], _SMALLEST_CURVATURE)
            curvature.append((2.0 * self.per_orbital * spread).ravel())
        return turns, np.concatenate(gradient), np.concatenate(curvature)

    def rotated(self, step: np.ndarray) -> list[np.ndarray]:
        """Orbitals after the rotation exp(κ)."""
        out, start = [], 0
        for c, k in zip(self.orbitals, self.occupied, strict=True):
            size = (self.n - k) * k
            block = step[start : start + size].reshape(self.n - k, k)
            start += size
            kappa = np.zeros((self.n, self.n))
            kappa[k:, :k], kappa[:k, k:] = block, -block.T
            out.append(c @ scipy.linalg.expm(kappa))
        return out

    def carried(self, vector: np.ndarray, turns: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """A vector in the coordinates of the newly pseudo-canonical orbitals."""
        out, start = [], 0
        for (v, u), k in zip(turns, self.occupied, strict=True):
            size = (self.n - k) * k
            out.append((v.T @ vector[start : start + size].reshape(self.n - k, k) @ u).ravel())
            start += size
        return np.concatenate(out)


def minimise(run: BatchRun, lane: int, max_iterations: int) -> bool:
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
