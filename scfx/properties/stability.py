"""Is a converged solution a minimum? The lowest eigenvalues of the energy's second derivative by orbital rotations.

The matrix is that of `orbital_hessian`. A restricted solution is asked twice: within restricted solutions (both spins
turn alike: "internal") and towards unrestricted ones (they turn opposite ways: "external"); an unrestricted one within
its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int32

from scfx.contracts.property import AbstractBatchProperty, Column, PropertyError
from scfx.errors import ConfigError
from scfx.properties.davidson import lowest_eigenvalue
from scfx.properties.orbital_hessian import OrbitalHessian
from scfx.results import Stability

if TYPE_CHECKING:
    from scfx.config.resolved import ResolvedSpec
    from scfx.scf.batch_scf import BatchSCF


class StabilityEigenvalues(AbstractBatchProperty):
    """The lowest eigenvalues "internal" and (of restricted solutions) "external"; `SCFResult.stability` judges them."""

    name = "stability"
    unit = "hartree"
    axes = ("component",)
    summary = "lowest eigenvalues of the orbital Hessian, internal and external: negative ones say no minimum"
    column = Column("stability_hartree", "hartree", description=summary)

    def check(self, resolved: ResolvedSpec) -> None:
        """Refuse, before any SCF, what has no stability analysis."""
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

    def compute_batch(self, run: BatchSCF, lanes: Int32[np.ndarray, "active"]) -> list[dict[str, float]]:
        """Return the lowest eigenvalues of the orbital Hessian of some converged entries."""
        found = stability(run, lanes)
        return [
            {"internal": each.internal} | ({} if each.external is None else {"external": each.external})
            for each in found
        ]


def stability(run: BatchSCF, lanes: Int32[np.ndarray, "some"]) -> list[Stability]:
    """Return the lowest eigenvalues at the present densities of some entries."""
    hessian = OrbitalHessian(run)
    internal = _search(hessian, lanes, opposite=False)
    if run.nspin == 2:
        return [Stability(value) for value in internal]
    external = _search(hessian, lanes, opposite=True)
    return [Stability(*pair) for pair in zip(internal, external, strict=True)]


def _search(hessian: OrbitalHessian, lanes: Int32[np.ndarray, "some"], *, opposite: bool) -> list[float]:
    """The lowest eigenvalue of each entry, all searched side by side so that their products are made together."""
    searches = {int(lane): lowest_eigenvalue(hessian.diagonal(int(lane))) for lane in lanes}
    found = hessian.side_by_side(searches, opposite=opposite)
    values = []
    for lane in searches:
        value = found[lane]
        if isinstance(value, PropertyError):
            raise value
        values.append(value)
    return values
