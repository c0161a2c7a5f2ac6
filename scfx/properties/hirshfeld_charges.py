"""Hirshfeld's atomic charges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column

if TYPE_CHECKING:
    from jaxtyping import Float64

    from scfx.properties.entry import ConvergedEntry


class HirshfeldCharges(AbstractProperty):
    """Z_A - ∫ ρ ρ_A / Σ_B ρ_B over `scf.grid`; F. L. Hirshfeld, Theor. Chim. Acta 44, 129 (1977).

    The pro-atoms ρ_A are neutral: spin-restricted Hartree-Fock in the molecule's own basis, ground-state electrons
    spread evenly over each subshell, so that they are spherical; valence electrons only where core potentials replace
    the others. Programs differ in their pro-atoms, and charges by some hundredths. The charges add up to the molecule's
    within the error of the grid.
    """

    name = "hirshfeld_charges"
    unit = "e"
    axes = ("atom",)
    summary = "Hirshfeld charge of each atom (pro-atoms: spherical neutral Hartree-Fock in the same basis)"
    column = Column("hirshfeld_charges", "elementary charge", description=summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "natm"]:
        """Return the Hirshfeld charges [natm] of one entry, e."""
        _, weights = entry.grid
        atoms = entry.free_atoms_on_grid
        promolecule = atoms.sum(axis=0)
        # Far out, where all pro-atoms have underflown, there is no density to share either.
        ratio = np.divide(
            entry.density_on_grid, promolecule, out=np.zeros_like(weights), where=promolecule > 1e-200
        )
        return entry.nuclear_charges - atoms @ (weights * ratio)
