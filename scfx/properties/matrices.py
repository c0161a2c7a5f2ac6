"""Matrices over the atomic orbitals of the system's own atoms. They have no place in a table of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.contracts.property import AbstractProperty

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float64

    from scfx.properties.entry import ConvergedEntry


class DensityMatrix(AbstractProperty):
    """Of each spin; one, of all electrons, where both spins have the same."""

    name = "density_matrix"
    axes = ("spin", "ao", "ao")
    summary = "density matrix of each spin; one, of all electrons, where both have the same"

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "spin nao nao"]:
        """Return the density matrices of one entry, one for each spin."""
        return entry.density


class OverlapMatrix(AbstractProperty):
    """The overlap matrix, <μ|ν>."""

    name = "overlap_matrix"
    axes = ("ao", "ao")
    summary = "overlap matrix"

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "nao nao"]:
        """Return the overlap matrix of one entry."""
        return entry.overlap


class FockMatrix(AbstractProperty):
    """The derivative of the energy by the density matrix of each spin, at the last density, hartree."""

    name = "fock_matrix"
    unit = "hartree"
    axes = ("spin", "ao", "ao")
    summary = "Fock (Kohn-Sham) matrix of each spin at the last density"

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "spin nao nao"]:
        """Return the Fock matrices of one entry, one for each spin, hartree."""
        return entry.fock


class OrbitalCoefficients(AbstractProperty):
    """Columns belong to the orbital energies."""

    name = "orbital_coefficients"
    axes = ("spin", "ao", "orbital")
    summary = "orbitals of each spin, columns in the order of their energies"

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "spin nao n_orbitals"]:
        """Return the orbital coefficients of one entry, by spin."""
        return entry.orbital_coefficients
