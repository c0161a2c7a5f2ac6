"""`Batching`: systems to batches whose integrals fit in memory, and what cannot be computed, refused before that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from scfx.errors import InputError, ResourceError
from scfx.model.batch import Batch, group_by_structure
from scfx.model.elements import SYMBOLS
from scfx.model.system import System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.config.resolved import ResolvedSpec
    from scfx.model.basis import BasisSet

    #: The places of its entries among the systems, and the batch.
    Placed = tuple[list[int], Batch]


class Batching:
    """Checks systems against a resolved specification, and cuts them into batches."""

    def __init__(self, resolved: ResolvedSpec):
        self._resolved = resolved
        self._corrected: set[int] = set()  # elements that the dispersion correction has parameters for

    def check(self, systems: Sequence[System]) -> None:
        """Raise `InputError` for a system without electrons, of another reference, or of an element without
        parameters.
        """
        for index, system in enumerate(systems):
            if system.n_electrons < 1:
                raise InputError(f"systems[{index}] ({system!r}) has no electrons")
            if self._resolved.reference == "restricted" and system.multiplicity != 1:
                raise InputError(
                    f"scf.reference: 'restricted' needs multiplicity 1, systems[{index}] ({system!r}) has "
                    f"{system.multiplicity}; use 'auto' or 'unrestricted'"
                )
        for z in {int(z) for system in systems for z in system.atomic_numbers} - self._corrected:
            if self._resolved.dispersion is not None:  # refuses an element that it has no parameters for
                self._resolved.dispersion.energy(
                    System(np.array([z], dtype=np.int32), np.zeros((1, 3)), 0, 1 + z % 2)
                )
            self._corrected.add(z)

    def check_core_potentials(self, basis: BasisSet) -> None:
        """Raise `InputError` for a basis set with core potentials that no backend here computes."""
        # A Solver made without the elements to come could not be asked for this when its backend was chosen.
        backend = self._resolved.backend
        with_cores = [
            *basis.core_potentials,
            *(z for b in basis.labelled.values() for z in b.core_potentials),
        ]
        if with_cores and not self._resolved.integrals.has_core_potentials():
            elements = ", ".join(SYMBOLS[z] for z in sorted(set(with_cores)))
            raise InputError(
                f"scf.backend: basis {basis.name!r} has effective core potentials for {elements}, which backend "
                f"{backend.name!r} cannot compute; use backend = 'libcint', or an all-electron basis set"
            )

    def batches(self, systems: Sequence[System], basis: BasisSet) -> tuple[list[Placed], int]:
        """Return the batches, and the number of threads that work on them side by side, which share the memory budget.

        The fewest threads to which every batch can go at once: memory that no batch would use is given to none.
        """
        groups = group_by_structure(systems, basis, padding=self._resolved.execution.padding)
        for _, batch in groups:
            _check_room(batch)
        for threads in range(1, self._threads() + 1):
            sizes = [self._batch_size(batch, threads) for _, batch in groups]
            count = sum(-(-len(indices) // size) for (indices, _), size in zip(groups, sizes, strict=True))
            if count <= threads:
                break
        return _cut(groups, sizes), threads

    def batches_for(self, threads: int, systems: Sequence[System], basis: BasisSet) -> list[Placed]:
        """Return the batches that `threads` threads can work on side by side within the memory budget."""
        groups = group_by_structure(systems, basis, padding=self._resolved.execution.padding)
        return _cut(groups, [self._batch_size(batch, threads) for _, batch in groups])

    def _threads(self) -> int:
        asked = self._resolved.threads
        return asked if asked is not None else len(os.sched_getaffinity(0))

    def _batch_size(self, batch: Batch, threads: int) -> int:
        """Return how many entries of a structure go into a batch, where `threads` batches share the memory budget."""
        # Range separation keeps two sets of integrals.
        share = (
            self._resolved.memory_budget
            // threads
            // (2 if self._resolved.functional.long_range_exchange else 1)
        )
        limit = self._most_entries(batch, share)
        if limit == 0:
            raise ResourceError(
                f"scf.memory_budget: the integrals of one {batch.systems[0]!r} ({batch.nao} AOs) exceed "
                f"{share / 2**30:.2f} GiB, the budget of each of {threads} thread(s); raise it, or use fewer "
                "scf.threads"
            )
        return min(self._resolved.lane_width, limit or self._resolved.lane_width)

    def _most_entries(self, batch: Batch, budget: int) -> int | None:
        """How many entries' integrals fit a budget; None: any number."""
        fitting, policy = self._resolved.fitting, self._resolved.precision
        backend = self._resolved.integrals.two_electron(batch.layout)
        if fitting is None:
            return backend.max_batch(batch.layout, policy, budget)
        fits = fitting.most_entries(backend, batch, policy, budget)
        if fitting.fitted == "jk" or (
            self._resolved.functional.family != "none" and not self._has_exchange()
        ):
            return fits
        exact = backend.max_batch(batch.layout, policy, budget // 2)
        return fits if exact is None else min(fits, exact)

    def _has_exchange(self) -> bool:
        functional = self._resolved.functional
        return bool(functional.exact_exchange or functional.long_range_exchange)


def _cut(groups: list[Placed], sizes: list[int]) -> list[Placed]:
    out = []
    for (indices, batch), size in zip(groups, sizes, strict=True):
        if len(indices) <= size:
            out.append((indices, batch))
            continue
        for start in range(0, len(indices), size):
            part = list(range(start, min(start + size, len(indices))))
            out.append(([indices[i] for i in part], batch.take(part)))
    return out


def _check_room(batch: Batch) -> None:
    most, own = np.maximum(batch.n_alpha, batch.n_beta), batch.n_functions
    for entry in np.flatnonzero(most > own):
        raise InputError(
            f"scf.basis: {batch.basis.name!r} has {own[entry]} functions for {batch.systems[entry]!r}, too few for "
            f"{most[entry]} occupied orbitals"
        )
