"""Normal modes of a Hessian: frequencies, reduced displacements, infrared intensities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import constants

from scfx_geometry.rotor import centred, shape

if TYPE_CHECKING:
    from jaxtyping import Float64

_ELECTRON_MASSES_IN_DALTON = constants.atomic_mass / constants.electron_mass
_HARTREE = constants.physical_constants["Hartree energy"][0]
#: cm-1 of an angular frequency of one atomic unit.
_WAVENUMBER = _HARTREE / constants.h / constants.c / 100
#: km/mol of a squared dipole derivative of one e²/dalton: N_A / (12 epsilon_0 c²), Atkins and Friedman's equation of
#: the integrated absorption coefficient.
_KM_PER_MOL = (
    constants.N_A * constants.e**2 / (12 * constants.epsilon_0 * constants.c**2 * constants.atomic_mass) / 1e3
)


@dataclass(frozen=True, eq=False)
class Modes:
    """Vibrations, by ascending frequency: `frequencies` [nvib] in cm-1, imaginary ones negative.

    `displacements` [nvib, natm, 3] are Cartesian and of unit length; `reduced_masses` [nvib] in daltons belong to
    them; `intensities` [nvib] in km/mol. `geometry` is "monatomic", "linear" or "nonlinear".
    """

    geometry: str
    frequencies: Float64[np.ndarray, "nvib"]
    intensities: Float64[np.ndarray, "nvib"]
    reduced_masses: Float64[np.ndarray, "nvib"]
    displacements: Float64[np.ndarray, "nvib natm 3"]


def normal_modes(
    masses: Float64[np.ndarray, "natm"],
    positions: Float64[np.ndarray, "natm 3"],
    hessian: Float64[np.ndarray, "coordinates coordinates"],
    dipole_derivatives: Float64[np.ndarray, "coordinates 3"],
) -> Modes:
    """Return modes with translations and rotations projected out: 3 natm - 6 of them, 3 natm - 5 if linear, 0 of an
    atom.

    Masses in daltons, positions in bohr, Hessian in hartree/bohr², dipole derivatives in elementary charges. Wilson,
    Decius and Cross, Molecular Vibrations (1955), chapter 2; Ochterski, Vibrational Analysis in Gaussian (1999).
    """
    kind, natm = shape(masses, positions), len(masses)
    inner = _vibrations(masses, positions, {"monatomic": 0, "linear": 2, "nonlinear": 3}[kind])
    roots = np.repeat(np.sqrt(masses), 3)
    weighted = hessian / (roots[:, None] * roots[None]) / _ELECTRON_MASSES_IN_DALTON
    squares, vectors = np.linalg.eigh(inner @ weighted @ inner.T)
    # Rows: displacement of every coordinate for a unit of the normal coordinate, sqrt(dalton) times bohr.
    cartesian = (vectors.T @ inner) / roots
    lengths = np.linalg.norm(cartesian, axis=1)
    change = cartesian @ dipole_derivatives
    return Modes(
        geometry=kind,
        frequencies=np.sign(squares) * np.sqrt(np.abs(squares)) * _WAVENUMBER,
        intensities=_KM_PER_MOL * (change**2).sum(axis=1),
        reduced_masses=1 / lengths**2,
        displacements=(cartesian / lengths[:, None]).reshape(-1, natm, 3),
    )


def _vibrations(masses: np.ndarray, positions: np.ndarray, rotations: int) -> np.ndarray:
    """Orthonormal rows that span the mass-weighted displacements without translations and rotations."""
    natm, roots = len(masses), np.sqrt(masses)
    translated = np.einsum("a,bc->bac", roots, np.eye(3)).reshape(3, -1)
    x = centred(masses, positions)
    turned = np.stack([roots[:, None] * np.cross(axis, x) for axis in np.eye(3)]).reshape(3, -1)
    # Of a linear molecule, one combination of the three turns nothing.
    _, _, directions = np.linalg.svd(turned, full_matrices=False)
    outer = np.concatenate([translated, directions[:rotations]])
    _, _, everything = np.linalg.svd(outer, full_matrices=True)
    return everything[3 + rotations : 3 * natm]
