"""Which backend gives which integrals: the chosen one, but for the parts that it borrows from another.

A backend says what may be borrowed (`AbstractIntegralBackend.borrows`); the registry finds who lends. What a row takes
from whom depends on the row alone: the one-electron part is borrowed for entries with core potentials, and all
integrals for structures with higher shells than the backend has. Contractions on the grid are never borrowed.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.contracts.backend import AbstractCorePotentialBackend, OneElectron
from scfx.contracts.derivatives import gradient_backend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scfx.contracts.backend import AbstractIntegralBackend
    from scfx.model.batch import Batch, ShellLayout


class IntegralSources:
    """A backend and, looked up when first needed, those that lend to it."""

    def __init__(
        self,
        backend: AbstractIntegralBackend,
        core_potentials: Callable[[], AbstractIntegralBackend] | None = None,
        higher_shells: Callable[[int], AbstractIntegralBackend] | None = None,
    ):
        """`core_potentials`, `higher_shells`: find the lender; the latter is given the highest angular momentum."""
        self.backend = backend
        self._find_core, self._find_higher = core_potentials, higher_shells
        self._core: AbstractIntegralBackend | None = None
        self._higher: dict[int, AbstractIntegralBackend] = {}
        self._lock = Lock()

    def two_electron(self, layout: ShellLayout) -> AbstractIntegralBackend:
        """Return who has the two-electron integrals of a structure, exact and fitted."""
        return self.for_angular_momentum(max(layout.angular_momentum, default=0))

    def for_angular_momentum(self, highest: int) -> AbstractIntegralBackend:
        """Return who has the integrals of structures with shells up to `highest`."""
        most = self.backend.max_angular_momentum
        allowed = {"one_electron", "two_electron"} <= set(self.backend.borrows)
        if self._find_higher is None or most is None or highest <= most or not allowed:
            return self.backend
        with self._lock:
            if highest not in self._higher:
                self._higher[highest] = self._find_higher(highest)
        return self._higher[highest]

    def has_core_potentials(self) -> bool:
        """Return whether the backend has, or may borrow, effective core potentials."""
        own = isinstance(self.backend, AbstractCorePotentialBackend)
        return own or (self._find_core is not None and "one_electron" in self.backend.borrows)

    def _lender_of_cores(self) -> AbstractIntegralBackend:
        assert self._find_core is not None
        with self._lock:
            if self._core is None:
                self._core = self._find_core()
        return self._core

    def _lender(self, batch: Batch) -> AbstractIntegralBackend:
        """Who has the one-electron part of the entries of a batch that have core potentials."""
        whole = self.two_electron(batch.layout)
        return whole if isinstance(whole, AbstractCorePotentialBackend) else self._lender_of_cores()

    def one_electron(self, batch: Batch) -> OneElectron:
        """Return one-electron matrices of a batch, each entry's from who has them."""
        usual, cores = self.two_electron(batch.layout), entries_with_core_potentials(batch)
        lender = self._lender(batch) if len(cores) else usual
        if lender is usual:
            return usual.one_electron(batch)
        if len(cores) == len(batch):
            return lender.one_electron(batch)
        out = OneElectron(*(np.array(matrix) for matrix in usual.one_electron(batch)))
        for to, matrix in zip(out, lender.one_electron(batch.take(cores.tolist())), strict=True):
            to[cores] = matrix
        return out

    def one_electron_gradient(
        self,
        batch: Batch,
        lanes: Int32[np.ndarray, "active"],
        density: Float64[np.ndarray, "active nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return the one-electron part of the gradient; each entry's from the backend that has its one-electron
        matrices.
        """
        usual = self.two_electron(batch.layout)
        borrowed = np.isin(lanes, entries_with_core_potentials(batch))
        lender = self._lender(batch) if borrowed.any() else usual
        out = np.empty((len(lanes), batch.natm, 3))
        for backend, rows in ((usual, ~borrowed), (lender, borrowed)):
            if rows.any():
                out[rows] = gradient_backend(backend).one_electron_gradient(
                    batch, lanes[rows], density[rows], energy_weighted_density[rows]
                )
        return out

    def borrowed(self, batches: Iterable[Batch]) -> dict[str, list[str]]:
        """Return the names of the backends that gave some entry of these batches a part that the chosen one lacks, by
        part.
        """
        found: dict[str, set[str]] = {}
        for batch in batches:
            usual = self.two_electron(batch.layout)
            if usual is not self.backend:
                found.setdefault("one_electron", set()).add(usual.name)
                found.setdefault("two_electron", set()).add(usual.name)
            if len(entries_with_core_potentials(batch)) and self._lender(batch) is not self.backend:
                found.setdefault("one_electron", set()).add(self._lender(batch).name)
        return {part: sorted(names) for part, names in sorted(found.items())}

    def kernels(self, batches: Iterable[Batch] = ()) -> str:
        """Return which compiled kernels ran: the backend's, and those of who lent it two-electron integrals."""
        lent = {self.two_electron(b.layout) for b in batches} - {self.backend}
        others = sorted(f"{one.name}: {one.kernels()}" for one in lent)
        return "; ".join([self.backend.kernels(), *others])


def entries_with_core_potentials(batch: Batch) -> Int32[np.ndarray, "some"]:
    """Return the entries of which some atom that is no ghost has an effective core potential in the basis."""
    cores = [
        any(
            int(z) in own.core_potentials
            for own, z, charge in zip(sets, numbers, charges, strict=True)
            if charge
        )
        for sets, numbers, charges in zip(
            batch.atom_basis, batch.atomic_numbers, batch.nuclear_charges, strict=True
        )
    ]
    return np.flatnonzero(cores).astype(np.int32)
