"""The expectation value of the total spin squared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.property import AbstractProperty, Column

if TYPE_CHECKING:
    from scfx.properties.entry import ConvergedEntry


class SpinSquared(AbstractProperty):
    """The expectation value <S²> = S_z (S_z + 1) + N_β - Σ_ij |<i_α|j_β>|²; Szabo and Ostlund eq. 2.271. 0 for
    restricted.
    """

    name = "s_squared"
    summary = "<S2> of the determinant"
    column = Column("s_squared", description=summary)

    def compute(self, entry: ConvergedEntry) -> float:
        """Return <S²> of one entry."""
        if len(entry.lane.density) == 1:
            return 0.0
        n_alpha, n_beta = entry.n_electrons
        orth = entry.lane.orthogonal_density
        projection = 0.5 * (n_alpha - n_beta)
        return projection * (projection + 1.0) + n_beta - float(np.sum(orth[0] * orth[1]))
