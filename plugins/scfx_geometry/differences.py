"""What differences along every coordinate give: the core's Hessian, the dipole's derivatives, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.hessian import hessian

if TYPE_CHECKING:
    from jaxtyping import Float64

    from scfx.model.system import System
    from scfx.results import SCFResult


@dataclass(frozen=True, eq=False)
class Differences:
    """At one geometry: energy (hartree), gradient (hartree/bohr), and what differences of step `step` (bohr) give.

    `hessian` [3 natm, 3 natm] in hartree/bohr², symmetrised; `asymmetry` is the largest difference of two elements
    that should be equal, before that. `acoustic_sum` is the largest of the sums over atoms of a row's elements along
    one axis, which are 0 where moving the molecule as a whole changes no gradient. `dipole_derivatives` [3 natm, 3] in
    elementary charges. `result` is that of the geometry itself, `iterations` the SCF iterations of all displaced ones
    together.
    """

    system: System
    result: SCFResult
    energy: float
    gradient: Float64[np.ndarray, "natm 3"]
    hessian: Float64[np.ndarray, "coordinates coordinates"]
    dipole_derivatives: Float64[np.ndarray, "coordinates 3"]
    step: float
    asymmetry: float
    acoustic_sum: float
    iterations: int


def differences(solver: Any, system: System, step: float, labels: Any = None) -> Differences:
    """Solve 6 natm geometries in two calls of the solver, each coordinate moved by `step` bohr one way in each.

    `labels`: the solver of the geometry itself, if that is to have more properties.

    Raises `InputError` for a step that is not positive, `ConvergenceError` if a geometry does not converge.
    """
    found = hessian(solver, system, step, centre=labels)
    result = found.result
    assert result.gradient is not None
    sums = found.matrix.reshape(-1, system.natm, 3).sum(axis=1)
    return Differences(
        system=system,
        result=result,
        energy=float(result.energy[0]),
        gradient=np.array(result.gradient[0]),
        hessian=found.matrix,
        dipole_derivatives=(np.asarray(found.forth.dipole) - np.asarray(found.back.dipole)) / (2 * step),
        step=step,
        asymmetry=found.asymmetry,
        acoustic_sum=float(np.abs(sums).max()),
        iterations=int(found.forth.iterations.sum() + found.back.iterations.sum()),
    )
