"""`hessian`: second derivatives of the energy by the positions, from gradients of displaced geometries.

The 6N displaced geometries are molecules of one structure, so they are batches. Those moved back begin from the density
that those moved forth and the molecule in between give to first order, and so take few iterations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.errors import ConvergenceError, InputError

if TYPE_CHECKING:
    from scfx.driver import Solver
    from scfx.model.system import System
    from scfx.results import SCFResult

#: Displacement in bohr. The error of the difference grows with its square (some 1e-5 hartree/bohr² here), what is left
#: of the gradient's own error (1e-8 hartree/bohr) with its inverse.
STEP = 5e-3


@dataclass(frozen=True, eq=False)
class Hessian:
    """Second derivatives of one molecule's energy.

    `matrix` [3 natm, 3 natm] in hartree/bohr², symmetric, rows and columns by atom, then x, y, z, in the system's own
    order. `asymmetry` is the largest difference between an element and its mirror image before they were averaged, in
    the same unit: how far the differences are to be believed. `step` in bohr. `result` is that of the system itself,
    with energy, gradient and all else that its solver computes; `forth` and `back` have it with each coordinate
    displaced that way.
    """

    matrix: Float64[np.ndarray, "n n"]
    asymmetry: float
    step: float
    result: SCFResult
    forth: SCFResult
    back: SCFResult


def hessian(solver: Solver, system: System, step: float = STEP, *, centre: Solver | None = None) -> Hessian:
    """Return the Hessian of `system` by central differences of gradients, `step` bohr forth and back along each
    coordinate.

    The 3 natm geometries displaced one way are one call of `solver.solve`, which must compute the gradient
    (`properties="gradient"`). The system itself is solved before, from the standard guess, by `centre` if that is given
    (a solver of the same level that computes more properties). From its density D0 those displaced forth start, and
    from 2 D0 - D(forth), which is right to first order in the step, those displaced back. So the matrix depends on the
    geometry alone. Ghost atoms are displaced like the others.

    Raises `InputError` for a solver without gradients or a step that is not positive, and `ConvergenceError` naming
    the displacement where one did not converge or has no gradient.
    """
    if "gradient" not in {each.name for each in solver.resolved.properties.ordered}:
        raise InputError(
            "scf.properties: a Hessian is made of gradients, and this solver computes none; make it with "
            "properties='gradient'"
        )
    if not (math.isfinite(step) and step > 0):
        raise InputError(f"step is {step!r}, expected a positive length in bohr, such as {STEP}")
    result = (centre or solver).solve([system], return_density=True)
    _gradient(result, 0, "the undisplaced geometry")
    assert result.density is not None
    centre_density = np.array(result.density[0])
    systems = _displaced(system, step)
    forth = solver.solve(systems, return_density=True, initial_density=[centre_density] * len(systems))
    assert forth.density is not None
    beyond = [2.0 * centre_density - np.asarray(density) for density in forth.density]
    back = solver.solve(_displaced(system, -step), initial_density=beyond)
    rows = [
        _gradient(forth, i, _moved(i, step)) - _gradient(back, i, _moved(i, -step))
        for i in range(len(systems))
    ]
    matrix = np.stack(rows) / (2 * step)
    asymmetry = float(np.abs(matrix - matrix.T).max())
    return Hessian(0.5 * (matrix + matrix.T), asymmetry, step, result, forth, back)


def _displaced(system: System, step: float) -> list[System]:
    """The system with each coordinate moved by `step` bohr."""
    out = []
    for coordinate in range(3 * system.natm):
        positions = np.array(system.positions)
        positions.flat[coordinate] += step
        out.append(replace(system, positions=positions))
    return out


def _moved(coordinate: int, step: float) -> str:
    atom, axis = divmod(coordinate, 3)
    return f"atom {atom} moved by {step} bohr along {'xyz'[axis]}"


def _gradient(result: SCFResult, index: int, where: str) -> Float64[np.ndarray, "n"]:
    if not result.converged[index]:
        reason = result.reason[index] or result.status[index].explain()
        raise ConvergenceError(f"Hessian: {where}: {reason}")
    gradient = result.gradient[index] if result.gradient is not None else None
    if gradient is None:
        reason = result.property_reasons["gradient"][index]
        raise ConvergenceError(f"Hessian: {where}: no gradient: {reason}")
    return gradient.ravel()
