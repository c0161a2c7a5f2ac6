"""J and K added up from differences between densities, for operators that screen by the density.

J and K are linear in D: J(D) = J(D0) + J(D - D0). Late in an SCF calculation D - D0 is small and most integrals, times
its elements, are negligible (J. Almlöf, K. Faegri, K. Korsell, J. Comput. Chem. 3, 385 (1982); M. Häser, R. Ahlrichs,
J. Comput. Chem. 10, 104 (1989)). What is neglected adds up, so every so often a full build takes the sum's place. All
decisions are an entry's own.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int32

from scfx.abstract import AbstractLaneTwoElectron

#: A difference with a larger element than this is not worth screening with: the density itself is contracted.
LARGEST_CHANGE = 0.1
#: A full build after this many differences.
LONGEST_SUM = 12


class DifferenceBuild:
    """The last density of each entry with its J and K, for one operator."""

    def __init__(self, operator: AbstractLaneTwoElectron, entries: int):
        self._operator = operator
        self._added = np.full(entries, LONGEST_SUM)  # differences since a full build
        self._density: np.ndarray | None = None
        self._coulomb = self._exchange = np.zeros(0)

    def coulomb_exchange_lanes(
        self,
        density: Float64[np.ndarray, "batch nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        exchange: bool,
    ) -> tuple[Float[np.ndarray, "active nspin nao nao"], Float[np.ndarray, "active nspin nao nao"] | None]:
        """See `AbstractLaneTwoElectron.coulomb_exchange_lanes`; `exchange` is the same in every call."""
        if self._density is None:
            self._density, self._coulomb = np.zeros_like(density), np.zeros_like(density)
            self._exchange = np.zeros_like(density) if exchange else np.zeros(0)
        change = density[lanes] - self._density[lanes]
        small = np.abs(change).max(axis=(1, 2, 3)) < LARGEST_CHANGE
        adding = small & (self._added[lanes] < LONGEST_SUM)
        source = density.copy()
        source[lanes[adding]] = change[adding]
        coulomb, exchanged = self._operator.coulomb_exchange_lanes(source, lanes, exchange)
        coulomb[adding] += self._coulomb[lanes[adding]]
        self._coulomb[lanes] = coulomb
        if exchanged is not None:
            exchanged[adding] += self._exchange[lanes[adding]]
            self._exchange[lanes] = exchanged
        self._density[lanes] = density[lanes]
        self._added[lanes] = np.where(adding, self._added[lanes] + 1, 0)
        return coulomb, exchanged
