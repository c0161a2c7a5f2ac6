"""Geometries displaced along normal modes, as a harmonic oscillator is found at a temperature."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import constants

from scfx_geometry.differences import differences
from scfx_geometry.harmonic import Modes, normal_modes
from scfx_geometry.isotopes import commonest_isotope_masses
from scfx_geometry.sampling.seeds import generator_of, seed_of

if TYPE_CHECKING:
    from jaxtyping import Float64

    from scfx.model.system import System

Distribution = Literal["classical", "quantum"]
#: hartree of a wavenumber, of a kelvin; electron masses of a dalton.
_WAVENUMBER = constants.h * constants.c * 100 / constants.physical_constants["Hartree energy"][0]
_KELVIN = constants.k / constants.physical_constants["Hartree energy"][0]
_DALTON = constants.atomic_mass / constants.electron_mass
#: cm-1: softer modes (and imaginary ones) are not followed; harmonically they would reach to infinity.
SOFTEST = 50.0


def displaced_along_modes(
    solver: Any,
    system: System,
    samples: int,
    seed: int,
    temperature: float,
    distribution: Distribution,
    step: float,
) -> tuple[list[System], list[int]]:
    """Return geometries and the seed of each, from the Hessian at `system`, whose gradients `solver` computes."""
    masses = commonest_isotope_masses(system.atomic_numbers)
    found = differences(solver, system, step)
    modes = normal_modes(masses, system.positions, found.hessian, found.dipole_derivatives)
    spread = deviations(modes, temperature, distribution)
    geometries, seeds = [], []
    for sample in range(samples):
        own = seed_of(system, seed, sample)
        amplitude = generator_of(own).standard_normal(len(spread)) * spread
        move = np.einsum("v,vax->ax", amplitude, modes.displacements)
        geometries.append(replace(system, positions=system.positions + move))
        seeds.append(own)
    return geometries, seeds


def deviations(modes: Modes, temperature: float, distribution: Distribution) -> Float64[np.ndarray, "nvib"]:
    """Return the standard deviation in bohr along each mode's displacement of unit length; 0 of modes below 50 cm-1.

    "classical": kT / (m w²). "quantum": (ħ / 2 m w) coth(ħ w / 2 kT), the thermal Wigner distribution of positions
    (McQuarrie, Statistical Mechanics (1976), chapter 10), which at 0 K is the zero-point motion.
    """
    followed = modes.frequencies > SOFTEST
    w = np.where(followed, modes.frequencies, SOFTEST) * _WAVENUMBER
    mass, heat = modes.reduced_masses * _DALTON, temperature * _KELVIN
    if distribution == "classical":
        variance = heat / (mass * w**2)
    else:
        thermal = 1.0 / np.tanh(w / (2 * heat)) if heat > 0 else np.ones_like(w)
        variance = thermal / (2 * mass * w)
    return np.where(followed, np.sqrt(variance), 0.0)
