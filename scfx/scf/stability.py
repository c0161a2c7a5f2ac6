"""Is a converged solution a minimum? The lowest eigenvalues of the energy's second derivative by orbital rotations.

The matrix is A + B of Bauernschmitt and Ahlrichs, J. Chem. Phys. 104, 9047 (1996), eqs. 4 to 10, over the rotations
of real orbitals, in hartree. A restricted solution is asked twice: within restricted solutions (both spins turn alike:
"internal") and towards unrestricted ones (they turn opposite ways: "external"); an unrestricted one within its own.
J and K come from the operators of the run; the functional's part is the derivative of the potential matrix in the
direction of the change of density, which JAX makes of the portable quadrature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int32

from scfx.precision import FLOAT64
from scfx.results import Stability
from scfx.scf.davidson import Search, lowest_eigenvalue
from scfx.scf.integrate import Quadrature
from scfx.scf.phases import coulomb_exchange_of
from scfx.scf.prepare import pad_matrices

if TYPE_CHECKING:
    from scfx.scf.run import BatchRun


def stability(run: BatchRun, lanes: Int32[np.ndarray, "some"], memory_budget: int) -> list[Stability]:
    """The lowest eigenvalues at the present densities of some entries; `memory_budget` is for AO values."""
    hessian = _Hessian(run, memory_budget)
    try:
        internal = _search(hessian, lanes, 1.0)
        if run.nspin == 2:
            return [Stability(value) for value in internal]
        external = _search(hessian, lanes, -1.0)
        return [Stability(*pair) for pair in zip(internal, external, strict=True)]
    finally:
        hessian.close()


def _search(hessian: _Hessian, lanes: Int32[np.ndarray, "some"], sign: float) -> list[float]:
    """The lowest eigenvalue of each entry, all searched side by side so that their products are made together."""
    found = dict.fromkeys((int(lane) for lane in lanes), np.nan)
    searches: dict[int, Search] = {lane: lowest_eigenvalue(hessian.diagonal(lane)) for lane in found}
    products: dict[int, np.ndarray | None] = dict.fromkeys(found)
    while searches:
        trials = {}
        for lane, search in list(searches.items()):
            try:
                product = products[lane]
                trials[lane] = next(search) if product is None else search.send(product)
            except StopIteration as stop:
                found[lane] = stop.value
                del searches[lane]
        if trials:
            products.update(hessian.times(trials, sign))
    return list(found.values())


class _Hessian:
    """A + B of the entries of a run. Vectors are the blocks (virtual, occupied) of each spin, one after the other."""

    def __init__(self, run: BatchRun, memory_budget: int):
        self._run = run
        orbitals = run.orbitals()
        n = run.batch.nao
        self._coefficients = np.asarray(orbitals.coefficients)[:, :, :n]
        self._energies = np.asarray(orbitals.energies)
        self._operators = run.phases[-1].operators
        self._quadrature = None
        if run.functional.family != "none":
            self._quadrature = Quadrature(
                run.batch, run.grids, run.functional, FLOAT64, run.capacity, memory_budget
            )
        # The functional's part takes both spins, whatever the solution: a restricted one may be asked to split them.
        density = run.state.density
        self._density = density if run.nspin == 2 else 0.5 * jnp.concatenate([density, density], axis=1)

    def _spaces(self, lane: int, spin: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Occupied and virtual orbitals [nao, ...], and ε_a - ε_i [virtual, occupied]."""
        occupied = int(self._run.prepared.n_occupied[lane][spin])
        kept = int(self._run.prepared.n_orbitals[lane])
        c, e = self._coefficients[lane, spin], self._energies[lane, spin]
        return c[:, :occupied], c[:, occupied:kept], e[occupied:kept, None] - e[None, :occupied]

    def diagonal(self, lane: int) -> Float64[np.ndarray, "rotation"]:
        """Differences of orbital energies: most of the matrix's diagonal."""
        return np.concatenate([self._spaces(lane, s)[2].ravel() for s in range(self._run.nspin)])

    def times(
        self, vectors: dict[int, Float64[np.ndarray, "rotation"]], sign: float
    ) -> dict[int, Float64[np.ndarray, "rotation"]]:
        """(A + B) times one vector of each entry. `sign` -1: the beta orbitals of a restricted solution turn the other
        way.
        """
        run, lanes = self._run, np.array(sorted(vectors), dtype=np.int32)
        n, entries = run.batch.nao, len(run.batch)
        change = np.zeros((entries, run.nspin, n, n))
        for lane in lanes:
            start = 0
            for s in range(run.nspin):
                occupied, virtual, gaps = self._spaces(lane, s)
                block = vectors[lane][start : start + gaps.size].reshape(gaps.shape)
                start += gaps.size
                half = virtual @ block @ occupied.T
                change[lane, s] = half + half.T
        potential = self._coulomb_exchange(change, lanes, sign)
        if self._quadrature is not None:
            potential += self._exchange_correlation(change, lanes, sign)
        out = {}
        for row, lane in enumerate(lanes):
            parts, start = [], 0
            for s in range(run.nspin):
                occupied, virtual, gaps = self._spaces(lane, s)
                block = vectors[lane][start : start + gaps.size].reshape(gaps.shape)
                start += gaps.size
                parts.append((gaps * block + virtual.T @ potential[row, s] @ occupied).ravel())
            out[int(lane)] = np.concatenate(parts)
        return out

    def _coulomb_exchange(self, change: np.ndarray, lanes: np.ndarray, sign: float) -> np.ndarray:
        out = np.zeros((len(lanes), *change.shape[1:]))
        for index, (fraction, operator) in enumerate(self._operators):
            if index and not fraction:
                continue
            j, k = coulomb_exchange_of(operator, change, lanes, fraction != 0.0)
            if not index:
                # J of both spins' changes: they cancel where the spins turn opposite ways.
                total = np.asarray(j, dtype=np.float64).sum(axis=1, keepdims=True)
                out += total if self._run.nspin == 2 else (1.0 + sign) * total
            if fraction:
                out -= fraction * np.asarray(k)
        return out

    def _exchange_correlation(self, change: np.ndarray, lanes: np.ndarray, sign: float) -> np.ndarray:
        quadrature, n = self._quadrature, self._run.batch.nao
        assert quadrature is not None
        both = change if self._run.nspin == 2 else np.concatenate([change, sign * change], axis=1)
        direction = jnp.asarray(pad_matrices(both, self._run.capacity, self._density.shape[-1]))
        _, response = jax.jvp(
            lambda d: quadrature.evaluate(d, lanes).potential, (self._density,), (direction,)
        )
        return np.asarray(response)[lanes, : self._run.nspin, :n, :n]

    def close(self) -> None:
        """Drop the AO values."""
        if self._quadrature is not None:
            self._quadrature.close()
