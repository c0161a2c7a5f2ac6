"""J and K added up from differences between densities, for operators that screen by the density.

J and K are linear in D: J(D) = J(D0) + J(D - D0). Late in an SCF calculation D - D0 is small and most integrals, times
its elements, are negligible (J. Almlöf, K. Faegri, K. Korsell, J. Comput. Chem. 3, 385 (1982); M. Häser, R. Ahlrichs,
J. Comput. Chem. 10, 104 (1989)). What is neglected adds up, so every so often a full build takes the sum's place. All
decisions are an entry's own.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int32

from scfx.contracts.two_electron import AbstractLaneTwoElectron

#: A difference with a larger element than this is not worth screening with: the density itself is contracted.
LARGEST_CHANGE = 0.1
#: A full build after this many differences.
LONGEST_SUM = 12


class DifferenceBuild:
    """The last density of each entry with its J and K, for one operator."""

    def __init__(self, operator: AbstractLaneTwoElectron, entries: int):
        self._operator = operator
        #: See `AbstractTwoElectron`.
        self.accumulation = operator.accumulation
        self._added = np.full(entries, LONGEST_SUM)  # differences since a full build
        self._density: np.ndarray | None = None
        self._sums: list[np.ndarray | None] = [None, None]  # J and K of the last densities

    def contract_wanted(
        self,
        density: Float64[np.ndarray, "batch nspin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        coulomb: bool,
        exchange: bool,
    ) -> tuple[
        Float[np.ndarray, "active nspin nao nao"] | None, Float[np.ndarray, "active nspin nao nao"] | None
    ]:
        """Return J and K, added up from differences between iterations; `coulomb` and `exchange` are the same in every
        call.
        """
        if self._density is None:
            self._density = np.zeros_like(density)
            self._sums = [np.zeros_like(density) if wanted else None for wanted in (coulomb, exchange)]
        change = density[lanes] - self._density[lanes]
        small = np.abs(change).max(axis=(1, 2, 3)) < LARGEST_CHANGE
        adding = small & (self._added[lanes] < LONGEST_SUM)
        source = density.copy()
        source[lanes[adding]] = change[adding]
        found = self._operator.contract_wanted(source, lanes, coulomb, exchange)
        for matrices, sums in zip(found, self._sums, strict=True):
            if matrices is not None and sums is not None:
                matrices[adding] += sums[lanes[adding]]
                sums[lanes] = matrices
        self._density[lanes] = density[lanes]
        self._added[lanes] = np.where(adding, self._added[lanes] + 1, 0)
        return found
