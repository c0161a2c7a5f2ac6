"""The second derivative of the energy by rotations of the orbitals, as products with vectors.

The matrix is A + B of Bauernschmitt and Ahlrichs, J. Chem. Phys. 104, 9047 (1996), eqs. 4 to 10, over the rotations
of real orbitals, in hartree. The two-electron part of a product is the response of the last phase's Hamiltonian to a
change of the density.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from jaxtyping import Float64

from scfx.contracts.property import PropertyError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from scfx.scf.batch_scf import BatchSCF

T = TypeVar("T")


class OrbitalHessian:
    """A + B of the entries of a run. Vectors are the blocks (virtual, occupied) of each spin, one after the other."""

    def __init__(self, run: BatchSCF):
        self._run = run
        orbitals = run.orbitals()
        n = run.batch.nao
        self._coefficients = np.asarray(orbitals.coefficients)[:, :, :n]
        self._energies = np.asarray(orbitals.energies)

    def spaces(self, lane: int, spin: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return occupied and virtual orbitals [nao, ...], and ε_a - ε_i [virtual, occupied]."""
        occupied = int(self._run.matrices.n_occupied[lane][spin])
        kept = int(self._run.matrices.n_orbitals[lane])
        c, e = self._coefficients[lane, spin], self._energies[lane, spin]
        return c[:, :occupied], c[:, occupied:kept], e[occupied:kept, None] - e[None, :occupied]

    def diagonal(self, lane: int) -> Float64[np.ndarray, "rotation"]:
        """Return differences of orbital energies: most of the matrix's diagonal."""
        return np.concatenate([self.spaces(lane, s)[2].ravel() for s in range(self._run.nspin)])

    def times(
        self, vectors: dict[int, Float64[np.ndarray, "rotation"]], opposite: bool
    ) -> dict[int, Float64[np.ndarray, "rotation"]]:
        """Return (A + B) times one vector of each entry.

        `opposite`: the beta orbitals of a restricted solution turn the other way.
        """
        run, lanes = self._run, np.array(sorted(vectors), dtype=np.int32)
        n, entries = run.batch.nao, len(run.batch)
        change = np.zeros((entries, run.nspin, n, n))
        for lane in lanes:
            start = 0
            for s in range(run.nspin):
                occupied, virtual, gaps = self.spaces(lane, s)
                block = vectors[lane][start : start + gaps.size].reshape(gaps.shape)
                start += gaps.size
                half = virtual @ block @ occupied.T
                change[lane, s] = half + half.T
        potential = run.phases[-1].hamiltonian.response(run.state.density, change, lanes, opposite)
        out = {}
        for row, lane in enumerate(lanes):
            parts, start = [], 0
            for s in range(run.nspin):
                occupied, virtual, gaps = self.spaces(lane, s)
                block = vectors[lane][start : start + gaps.size].reshape(gaps.shape)
                start += gaps.size
                parts.append((gaps * block + virtual.T @ potential[row, s] @ occupied).ravel())
            out[int(lane)] = np.concatenate(parts)
        return out

    def side_by_side(
        self, searches: Mapping[int, Generator[np.ndarray, np.ndarray, T]], *, opposite: bool
    ) -> dict[int, T | PropertyError]:
        """Return what each entry's search returns, or why it gave up; their products are made together.

        A search yields a vector, is sent the matrix times it, and so on. `opposite`: see `times`.
        """
        going, found = dict(searches), {}
        products: dict[int, np.ndarray | None] = dict.fromkeys(going)
        while going:
            trials = {}
            for lane, search in list(going.items()):
                try:
                    product = products[lane]
                    trials[lane] = next(search) if product is None else search.send(product)
                except StopIteration as stop:
                    found[lane] = stop.value
                    del going[lane]
                except PropertyError as error:
                    found[lane] = error
                    del going[lane]
            if trials:
                products.update(self.times(trials, opposite))
        return found
