"""Atomic charges of the minimal basis iterative stockholder (MBIS).

Verstraelen, Vandenbrande, Heidar-Zadeh, Vanduyfhuys, Van Speybroeck, Waroquier and Ayers, J. Chem. Theory Comput. 12,
3894 (2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column, PropertyError
from scfx.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float64, Int32

    from scfx.properties.entry import ConvergedEntry

#: Electrons of the shells of a free atom, from the nucleus outward: one Slater function each.
_SHELLS = (2, 8, 8, 18, 18, 32, 32)


class MBISCharges(AbstractProperty):
    """Z_A - Σ_i N_Ai, where Σ_Ai N_Ai exp(-|r - R_A|/σ_Ai) / (8π σ_Ai³) is the pro-molecule closest to the density.

    One Slater function for each shell of an element's period; populations N and widths σ are iterated to
    self-consistency on `scf.grid`. Not for basis sets with core potentials, whose densities lack what
    the inner functions stand for. The charges add up to the molecule's within the error of the grid.
    """

    name = "mbis_charges"
    unit = "e"
    axes = ("atom",)
    summary = "MBIS charge of each atom"
    column = Column("mbis_charges", "elementary charge", description=summary)

    def __init__(self, max_iterations: int = 2000, threshold: float = 1e-8):
        """`threshold`: of the largest change of a population (electrons) in one iteration."""
        if max_iterations < 1 or threshold <= 0.0:
            raise InputError(
                f"max_iterations must be 1 or more and threshold positive, got {max_iterations} and {threshold}"
            )
        self._max_iterations = int(max_iterations)
        self._threshold = float(threshold)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "natm"]:
        """Return the MBIS charges [natm] of one entry, e."""
        if entry.has_core_potentials:
            raise PropertyError(
                "MBIS needs the density of all electrons, and the basis has core potentials; use an all-electron basis"
            )
        owner, populations, widths = start(entry.system.nuclear_charges)
        points, weights = entry.grid
        distances = np.stack([np.linalg.norm(points - centre, axis=1) for centre in entry.positions])
        weighted = weights * entry.density_on_grid
        change = np.inf
        for _ in range(self._max_iterations):
            functions = np.empty((len(owner), len(weights)))
            for row, atom, population, width in zip(functions, owner, populations, widths, strict=True):
                np.exp(distances[atom] / -width, out=row)
                row *= population / (8.0 * np.pi * width**3)
            promolecule = functions.sum(axis=0)
            # Where the pro-molecule underflows there is no density to share either.
            ratio = np.divide(weighted, promolecule, out=np.zeros_like(weighted), where=promolecule > 1e-200)
            functions *= ratio
            new = functions.sum(axis=1)
            if not (new > 0.0).all():
                raise PropertyError("MBIS: a shell lost its electrons; a finer scf.grid may help")
            widths = np.array([row @ distances[atom] for row, atom in zip(functions, owner, strict=True)]) / (
                3.0 * new
            )
            change = float(np.abs(new - populations).max())
            populations = new
            if change < self._threshold:
                return entry.nuclear_charges - np.bincount(owner, weights=populations, minlength=entry.natm)
        raise PropertyError(
            f"MBIS has not converged after {self._max_iterations} iterations: populations still change by {change:.1e} "
            f"electrons, threshold {self._threshold:g}; raise max_iterations in "
            "scf.properties = [{ name = 'mbis_charges', max_iterations = ... }]"
        )


def start(
    nuclear_charges: Int32[np.ndarray, "natm"],
) -> tuple[Int32[np.ndarray, "shell"], Float64[np.ndarray, "shell"], Float64[np.ndarray, "shell"]]:
    """Return (atom, population, width) of each Slater function of the neutral free atoms; ghost atoms (charge 0) have
    none.

    Widths in bohr go from 1/(2Z) of the innermost shell geometrically to ½ of the valence shell.
    """
    owner, populations, widths = [], [], []
    for atom, z in enumerate(nuclear_charges.tolist()):
        left, shells = z, []
        for most in _SHELLS:
            if left > 0:
                shells.append(min(left, most))
                left -= shells[-1]
        exponents = np.linspace(0.0, 1.0, len(shells)) if len(shells) > 1 else np.zeros(len(shells))
        owner += [atom] * len(shells)
        populations += [float(count) for count in shells]
        widths += [(1.0 / (2.0 * z)) ** (1.0 - t) * 0.5**t for t in exponents]
    return np.array(owner, dtype=np.int32), np.array(populations), np.array(widths)
