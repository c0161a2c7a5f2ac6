"""Is a converged solution a minimum? The lowest eigenvalues of the energy's second derivative by orbital rotations.

The matrix is A + B of Bauernschmitt and Ahlrichs, J. Chem. Phys. 104, 9047 (1996), eqs. 4 to 10, over the rotations
of real orbitals, in hartree. A restricted solution is asked twice: within restricted solutions (both spins turn alike:
"internal") and towards unrestricted ones (they turn opposite ways: "external"); an unrestricted one within its own.
The two-electron part of a product is the response of the last phase's Hamiltonian to a change of the density.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.contracts.property import AbstractBatchProperty, Column
from scfx.errors import ConfigError
from scfx.properties.davidson import Search, lowest_eigenvalue
from scfx.results import Stability

if TYPE_CHECKING:
    from scfx.config.spec import ResolvedSpec
    from scfx.scf.run import BatchRun


class StabilityEigenvalues(AbstractBatchProperty):
    """The lowest eigenvalues "internal" and (of restricted solutions) "external"; `SCFResult.stability` judges them."""

    name = "stability"
    unit = "hartree"
    axes = ("component",)
    summary = "lowest eigenvalues of the orbital Hessian, internal and external: negative ones say no minimum"
    column = Column("stability_hartree", "hartree", description=summary)

    def check(self, resolved: ResolvedSpec) -> None:
        """See `AbstractProperty.check`."""
        functional, last = resolved.functional, resolved.precision.refined()
        if resolved.reference == "restricted-open":
            raise ConfigError(
                "scf.stability",
                "rotations of orbitals that both spins share are not asked; use scf.reference = 'unrestricted', or "
                "stability = false",
            )
        if functional.vv10 is not None or not functional.twice_differentiable:
            what = (
                "VV10 has none here"
                if functional.vv10 is not None
                else "libraries called on the host have none"
            )
            raise ConfigError(
                "scf.stability",
                f"needs the second derivative of the functional ({what}); use another functional, or stability = false",
            )
        if {last.coulomb_exchange, last.orbitals, last.linear_algebra} != {"float64"}:
            raise ConfigError(
                "scf.stability",
                "eigenvalues near zero need float64, which the last iterations of precision "
                f"{resolved.precision.name!r} are not; use precision = 'float64' or 'mixed'",
            )

    def compute_batch(self, run: BatchRun, lanes: Int32[np.ndarray, "active"]) -> list[dict[str, float]]:
        """See `AbstractBatchProperty.compute_batch`."""
        found = stability(run, lanes)
        return [
            {"internal": each.internal} | ({} if each.external is None else {"external": each.external})
            for each in found
        ]


def stability(run: BatchRun, lanes: Int32[np.ndarray, "some"]) -> list[Stability]:
    """The lowest eigenvalues at the present densities of some entries."""
    hessian = _Hessian(run)
    internal = _search(hessian, lanes, opposite=False)
    if run.nspin == 2:
        return [Stability(value) for value in internal]
    external = _search(hessian, lanes, opposite=True)
    return [Stability(*pair) for pair in zip(internal, external, strict=True)]


def _search(hessian: _Hessian, lanes: Int32[np.ndarray, "some"], *, opposite: bool) -> list[float]:
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
            products.update(hessian.times(trials, opposite))
    return list(found.values())


class _Hessian:
    """A + B of the entries of a run. Vectors are the blocks (virtual, occupied) of each spin, one after the other."""

    def __init__(self, run: BatchRun):
        self._run = run
        orbitals = run.orbitals()
        n = run.batch.nao
        self._coefficients = np.asarray(orbitals.coefficients)[:, :, :n]
        self._energies = np.asarray(orbitals.energies)

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
        self, vectors: dict[int, Float64[np.ndarray, "rotation"]], opposite: bool
    ) -> dict[int, Float64[np.ndarray, "rotation"]]:
        """(A + B) times one vector of each entry.

        `opposite`: the beta orbitals of a restricted solution turn the other way.
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
        potential = run.phases[-1].hamiltonian.response(run.state.density, change, lanes, opposite)
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
