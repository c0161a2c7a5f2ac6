"""`frequencies`: the harmonic analysis of one geometry, from displaced gradients to Gibbs energies.

from scfx_geometry.frequencies import frequencies

solver = scfx.Solver(functional="hf", basis="sto-3g", properties=["gradient"], convergence="forces")
found = frequencies(solver, relaxed.system)
found.modes.frequencies  # cm-1
found.thermochemistry.g  # hartree
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import InputError
from scfx.hessian import STEP
from scfx_geometry.differences import Differences, differences
from scfx_geometry.harmonic import Modes, normal_modes
from scfx_geometry.isotopes import commonest_isotope_masses
from scfx_geometry.relax import check_solver
from scfx_geometry.rotor import rotational_constants, symmetry_number
from scfx_geometry.thermochemistry import PRESSURE, TEMPERATURE, Thermochemistry, thermochemistry

if TYPE_CHECKING:
    from scfx.model.system import System
    from scfx.results import SCFResult

#: Hartree/bohr: with a larger element of the gradient, a geometry is not stationary (a little above `gau_loose`'s).
STATIONARY = 3e-3


@dataclass(frozen=True, eq=False)
class Analysis:
    """What `frequencies` found. `rotational_constants` in GHz. `doubt` says what makes it less than it seems.

    `label` is the result of the geometry itself, as its entry 0, with all properties asked for.
    """

    differences: Differences
    label: SCFResult
    modes: Modes
    rotational_constants: tuple[float, ...]
    thermochemistry: Thermochemistry
    doubt: str = ""


def frequencies(
    solver: Any,
    system: System,
    step: float = STEP,
    temperature: float = TEMPERATURE,
    pressure: float = PRESSURE,
    symmetry: int | None = None,
    *,
    labels: Any = None,
) -> Analysis:
    """Return frequencies, intensities and thermochemistry of `system` where it is, with the commonest isotopes' masses.

    `solver`: a `scfx.Solver` with `properties=["gradient"]`. `step` in bohr, `temperature` in kelvin, `pressure` in
    pascal; `symmetry`: the symmetry number, else found from the geometry. `labels`: the solver of the geometry itself,
    where it computes more than `solver` does of the 6 natm displaced ones. Raises `InputError` for what cannot be done
    as asked, `ConvergenceError` if an SCF does not converge.
    """
    check_solver(solver)
    if system.ghost.any():
        raise InputError(f"{system!r} has ghost atoms, which have no mass; leave them out")
    if not (temperature > 0 and pressure > 0):
        raise InputError(f"temperature and pressure must be positive, got {temperature} and {pressure}")
    masses = commonest_isotope_masses(system.atomic_numbers)
    found = differences(solver, system, step, labels)
    modes = normal_modes(masses, system.positions, found.hessian, found.dipole_derivatives)
    number = symmetry or symmetry_number(system.atomic_numbers, masses, system.positions)
    largest = float(np.abs(found.gradient).max())
    doubt = ""
    if largest > STATIONARY:
        doubt = f"not a stationary point: the gradient reaches {largest:.1e} hartree/bohr; relax it first"
    return Analysis(
        differences=found,
        label=found.result,
        modes=modes,
        rotational_constants=rotational_constants(masses, system.positions),
        thermochemistry=thermochemistry(system, found.energy, masses, modes, number, temperature, pressure),
        doubt=doubt,
    )
