"""Zero-point energy and ideal-gas thermochemistry: rigid rotor, harmonic oscillators, one electronic level.

ASE's `IdealGasThermo` gives energies and entropies; it has no heat capacity, which is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import constants

from scfx.model.system import HARTREE_IN_EV

if TYPE_CHECKING:
    from jaxtyping import Float64

    from scfx.model.system import System
    from scfx_geometry.harmonic import Modes

TEMPERATURE = 298.15
#: Pascal: 1 atm.
PRESSURE = 101325.0
_EV_IN_CAL_PER_MOL = constants.e * constants.N_A / constants.calorie
_GAS_CONSTANT = constants.R / constants.calorie  # cal/mol/K
_KELVIN_PER_WAVENUMBER = constants.h * constants.c * 100 / constants.k


@dataclass(frozen=True)
class Thermochemistry:
    """At `temperature` (K) and `pressure` (Pa). Energies in hartree, as QM9 has them; entropies in cal/mol/K.

    `zpve` is half the sum of the real frequencies. `u0` = E + zpve, `u`, `h` = u + RT and `g` = h - TS include the
    electronic energy; `cv` at constant volume and `entropy` in cal/mol/K. All but `zpve` are None where a vibration
    is imaginary, and `reason` says so.
    """

    temperature: float
    pressure: float
    symmetry_number: int
    zpve: float
    u0: float | None = None
    u: float | None = None
    h: float | None = None
    g: float | None = None
    cv: float | None = None
    entropy: float | None = None
    reason: str = ""


def thermochemistry(
    system: System,
    energy: float,
    masses: Float64[np.ndarray, "natm"],
    modes: Modes,
    symmetry_number: int,
    temperature: float = TEMPERATURE,
    pressure: float = PRESSURE,
) -> Thermochemistry:
    """Return the thermochemistry of unscaled harmonic frequencies; `energy` in hartree, masses in daltons.

    Every multiplicity counts as 2S + 1 levels of one energy. McQuarrie, Statistical Mechanics (1976), chapter 8.
    """
    from ase import Atoms
    from ase.thermochemistry import IdealGasThermo

    to_ev = constants.h * constants.c * 100 / constants.e
    real = modes.frequencies[modes.frequencies > 0] * to_ev
    zpve = float(real.sum() / 2 / HARTREE_IN_EV)
    imaginary = modes.frequencies[modes.frequencies <= 0]
    if imaginary.size:
        listed = ", ".join(f"{-f:.1f}i" for f in imaginary)
        reason = f"imaginary frequencies ({listed} cm-1): not a minimum, so no thermochemistry"
        return Thermochemistry(temperature, pressure, symmetry_number, zpve, reason=reason)
    gas = IdealGasThermo(
        vib_energies=list(real),
        geometry=modes.geometry,  # type: ignore[arg-type]
        atoms=Atoms(numbers=system.atomic_numbers, positions=system.positions_angstrom, masses=masses),
        symmetrynumber=symmetry_number,
        spin=(system.multiplicity - 1) / 2,
        vib_selection="exact",
    )
    u = float(gas.get_internal_energy(temperature, verbose=False)) / HARTREE_IN_EV
    h = float(gas.get_enthalpy(temperature, verbose=False)) / HARTREE_IN_EV
    entropy = float(gas.get_entropy(temperature, pressure, verbose=False))
    return Thermochemistry(
        temperature, pressure, symmetry_number, zpve,
        u0=energy + zpve,
        u=energy + u,
        h=energy + h,
        g=energy + h - temperature * entropy / HARTREE_IN_EV,
        cv=heat_capacity(modes, temperature),
        entropy=entropy * _EV_IN_CAL_PER_MOL,
    )  # fmt: skip


def heat_capacity(modes: Modes, temperature: float) -> float:
    """Return Cv in cal/mol/K: 3/2 R, 3/2 R or R of rotation, and Einstein's function of every frequency."""
    x = modes.frequencies * _KELVIN_PER_WAVENUMBER / temperature
    # Einstein's x² e^x / (e^x - 1)², written so that it does not overflow.
    vibration = float((x**2 * np.exp(-x) / np.expm1(-x) ** 2).sum())
    rotation = {"monatomic": 0.0, "linear": 1.0, "nonlinear": 1.5}[modes.geometry]
    return _GAS_CONSTANT * (1.5 + rotation + vibration)
