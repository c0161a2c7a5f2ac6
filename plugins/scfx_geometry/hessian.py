"""The Hessian by central differences of gradients, and the dipole's derivatives that come with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import ConvergenceError, InputError

if TYPE_CHECKING:
    from jaxtyping import Float64

    from scfx.model.system import System

#: Bohr. Halving it moves the frequencies of water (HF/STO-3G) by less than 0.04 cm-1.
STEP = 0.005


@dataclass(frozen=True, eq=False)
class Differences:
    """At one geometry: energy (hartree), gradient (hartree/bohr), and what differences of step `step` (bohr) give.

    `hessian` [3 natm, 3 natm] in hartree/bohr², symmetrised; `asymmetry` is the largest difference of two elements
    that should be equal, before that. `acoustic_sum` is the largest of the sums over atoms of a row's elements along
    one axis, which are 0 where the energy does not change with the molecule's place (grids make it do so). Both say
    how good the differences are. `dipole_derivatives` [3 natm, 3] in elementary charges.
    """

    system: System
    energy: float
    gradient: Float64[np.ndarray, "natm 3"]
    hessian: Float64[np.ndarray, "coordinates coordinates"]
    dipole_derivatives: Float64[np.ndarray, "coordinates 3"]
    step: float
    asymmetry: float
    acoustic_sum: float


def differences(solver: Any, system: System, step: float = STEP) -> Differences:
    """6 natm geometries in one call of the solver, each coordinate moved by `step` bohr both ways.

    Each begins from the density of the geometry in the middle. Raises `ConvergenceError` if any does not converge.
    """
    if not step > 0:
        raise InputError(f"step: got {step}, expected a positive length in bohr")
    middle = solver.solve([system], return_density=True)
    _require(middle, "the geometry itself")
    moves = np.concatenate([step * np.eye(3 * system.natm), -step * np.eye(3 * system.natm)])
    moved = [replace(system, positions=system.positions + move.reshape(-1, 3)) for move in moves]
    solved = solver.solve(moved, initial_density=[middle.density[0]] * len(moved))
    _require(solved, "a displaced geometry")
    gradients = np.array([np.asarray(g).ravel() for g in solved.gradient])
    dipoles = np.asarray(solved.dipole)
    n = 3 * system.natm
    raw = (gradients[:n] - gradients[n:]) / (2 * step)
    return Differences(
        system=system,
        energy=float(middle.energy[0]),
        gradient=np.array(middle.gradient[0]),
        hessian=(raw + raw.T) / 2,
        dipole_derivatives=(dipoles[:n] - dipoles[n:]) / (2 * step),
        step=step,
        asymmetry=float(np.abs(raw - raw.T).max()),
        acoustic_sum=float(np.abs(raw.reshape(n, system.natm, 3).sum(axis=1)).max()),
    )


def _require(result: Any, what: str) -> None:
    for row, good in enumerate(result.converged):
        if not good:
            why = result.reason[row] or result.status[row].explain()
            raise ConvergenceError(f"the SCF of {what} did not converge: {why}")
        if result.gradient[row] is None:
            raise ConvergenceError(f"{what} has no gradient: {result.property_reasons['gradient'][row]}")
