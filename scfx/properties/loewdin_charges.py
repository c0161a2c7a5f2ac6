"""Atomic charges in Loewdin's symmetrically orthogonalised basis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column

if TYPE_CHECKING:
    from jaxtyping import Float64

    from scfx.properties.entry import ConvergedEntry


class LoewdinCharges(AbstractProperty):
    """Nuclear charge less the populations (S^½ P S^½)_μμ of the atom; Szabo and Ostlund eq. 3.198.

    They change when a molecule with Cartesian d or f functions is turned: those are not orthonormal on their atom.
    """

    name = "loewdin_charges"
    unit = "e"
    axes = ("atom",)
    summary = "Loewdin charge of each atom"
    column = Column("loewdin_charges", "elementary charge", description=summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "natm"]:
        """Return the Loewdin charges [natm] of one entry, e."""
        lane = entry.lane
        root = root_of_overlap(lane.overlap)
        gross = np.einsum("ij,sjk,ki->i", root, lane.density, root, optimize=True)
        found = lane.charges - np.bincount(lane.owner, weights=gross, minlength=len(lane.charges))
        return found[entry.own_atoms]


def root_of_overlap(overlap: Float64[np.ndarray, "nao nao"]) -> Float64[np.ndarray, "nao nao"]:
    """Return S^½; negative eigenvalues, which are rounding, count as zero."""
    values, vectors = np.linalg.eigh(overlap)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
