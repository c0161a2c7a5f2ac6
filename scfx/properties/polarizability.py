"""The static dipole polarizability: how the dipole follows a weak electric field.

Coupled-perturbed equations (A + B) κ_y = -<a|r_y|i> (Gerratt and Mills, J. Chem. Phys. 49, 1719 (1968); the matrix is
that of `orbital_hessian`), solved by preconditioned conjugate gradients, all entries of a batch side by side. Where the
functional has no second derivative, finite fields, for who asks for them by name.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float64, Int32

from scfx.contracts.property import AbstractBatchProperty, Column, PropertyError
from scfx.errors import ConfigError
from scfx.properties.finite_fields import polarizabilities_by_finite_fields
from scfx.properties.orbital_hessian import OrbitalHessian

if TYPE_CHECKING:
    from scfx.config.resolved import ResolvedSpec
    from scfx.scf.batch_scf import BatchSCF

#: Of the norm of the right-hand side. The polarizability's error is of second order in what is left.
TOLERANCE = 1e-4
_MOST_PRODUCTS = 200

Method = Literal["coupled-perturbed", "finite-field"]
Solution = tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]
Search = Generator[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"], Solution]


class Polarizability(AbstractBatchProperty):
    """The polarizability, α_xy = dμ_x/dE_y of the electrons at fixed nuclei, symmetric, in the frame of the positions,
    bohr³.

    `method`: "coupled-perturbed", or "finite-field": differences of the dipoles of twelve calculations in weak fields,
    which is slower and needs no second derivative.
    """

    name = "polarizability"
    unit = "bohr^3"
    axes = ("xyz", "xyz")
    summary = "static dipole polarizability: derivative of the dipole by an electric field"
    column = Column("polarizability_bohr3", "bohr^3", description=summary)

    def __init__(self, method: Method = "coupled-perturbed"):
        if method not in ("coupled-perturbed", "finite-field"):
            raise ConfigError(
                "scf.properties",
                f"'polarizability': method is {method!r}, expected 'coupled-perturbed' or 'finite-field'",
            )
        self.method: Method = method

    def check(self, resolved: ResolvedSpec) -> None:
        """Refuse, before any SCF, what has no coupled-perturbed equations."""
        functional, last = resolved.functional, resolved.precision.refined()
        if self.method == "finite-field":
            if {last.coulomb_exchange, last.orbitals, last.linear_algebra} != {"float64"}:
                raise ConfigError(
                    "scf.properties",
                    "'polarizability' by finite fields is a small difference, which the last iterations of precision "
                    f"{resolved.precision.name!r} do not resolve; use precision = 'float64' or 'mixed', or method = "
                    "'coupled-perturbed'",
                )
            if resolved.convergence.rule == "qm1b":
                raise ConfigError(
                    "scf.properties",
                    "'polarizability' by finite fields needs converged densities, which scf.convergence = 'qm1b' does "
                    "not ask for; use another convergence, or method = 'coupled-perturbed'",
                )
            return
        remedy = "use { name = 'polarizability', method = 'finite-field' }"
        if resolved.reference == "restricted-open":
            raise ConfigError(
                "scf.properties",
                "'polarizability': rotations of orbitals that both spins share have no coupled-perturbed equations "
                f"here; {remedy}, or scf.reference = 'unrestricted'",
            )
        if functional.vv10 is not None or not functional.twice_differentiable:
            what = (
                "VV10 has none here"
                if functional.vv10 is not None
                else "libraries called on the host have none"
            )
            raise ConfigError(
                "scf.properties",
                f"'polarizability': the coupled-perturbed equations need the second derivative of functional "
                f"{resolved.names['functional']!r} ({what}); {remedy}, or another functional",
            )

    def compute_batch(
        self, run: BatchSCF, lanes: Int32[np.ndarray, "active"]
    ) -> list[Float64[np.ndarray, "3 3"] | PropertyError]:
        """Return the polarizabilities [3, 3] of some converged entries, or why there is none."""
        if self.method == "finite-field":
            return polarizabilities_by_finite_fields(run, lanes)
        return polarizabilities(run, lanes)


def polarizabilities(
    run: BatchSCF, lanes: Int32[np.ndarray, "some"]
) -> list[Float64[np.ndarray, "3 3"] | PropertyError]:
    """Return polarizabilities of some entries at their present densities; the reason in place of one whose equations
    have no solution.
    """
    hessian = OrbitalHessian(run)
    fields = {int(lane): _fields(run, hessian, int(lane)) for lane in lanes}
    solutions: dict[int, list[Solution]] = {lane: [] for lane in fields}
    failed: dict[int, PropertyError] = {}
    for axis in range(3):
        searches = {
            lane: conjugate_gradients(hessian.diagonal(lane), -fields[lane][axis])
            for lane in fields
            if lane not in failed
        }
        for lane, found in hessian.side_by_side(searches, opposite=False).items():
            if isinstance(found, PropertyError):
                failed[lane] = found
            else:
                solutions[lane].append(found)
    # Both spins' densities change; of a restricted solution the vectors have the alpha electrons' alone.
    share = 4.0 if run.nspin == 1 else 2.0
    return [failed.get(int(a)) or share * _second_order(fields[int(a)], solutions[int(a)]) for a in lanes]


def _fields(run: BatchSCF, hessian: OrbitalHessian, lane: int) -> Float64[np.ndarray, "3 rotation"]:
    """<a|r|i> of each spin, virtual and occupied, in the order of the Hessian's vectors."""
    dipole = run.matrices.one.dipole[lane]
    parts = []
    for spin in range(run.nspin):
        occupied, virtual, _ = hessian.spaces(lane, spin)
        parts.append(np.stack([(virtual.T @ r @ occupied).ravel() for r in dipole]))
    return np.concatenate(parts, axis=1)


def _second_order(
    fields: Float64[np.ndarray, "3 rotation"], solutions: list[Solution]
) -> Float64[np.ndarray, "3 3"]:
    """b_x H⁻¹ b_y from κ_y near H⁻¹ b_y and what is left, b_y - H κ_y: its error is of second order in that."""
    kappa = np.stack([solution for solution, _ in solutions])
    left = np.stack([residual for _, residual in solutions])
    out = -fields @ kappa.T + kappa @ left.T
    return 0.5 * (out + out.T)


def conjugate_gradients(diagonal: Float64[np.ndarray, "n"], right: Float64[np.ndarray, "n"]) -> Search:
    """Solves H x = right: yields vectors, wants H times each, returns x and what is left of the right-hand side.

    `diagonal`: an approximation to that of H, as preconditioner. Raises `PropertyError` where H is found to have a
    direction of negative curvature, and where the search comes to no end.
    """
    x, residual = np.zeros_like(right), right.copy()
    goal = TOLERANCE * np.linalg.norm(right)
    # Near a degeneracy the differences of orbital energies are no guide.
    scale = 1.0 / np.maximum(diagonal, 0.05)
    direction = scale * residual
    slope = float(residual @ direction)
    # Small basis sets have directions that no rotation answers.
    if np.linalg.norm(right) < 1e-12:
        return x, residual
    for _ in range(_MOST_PRODUCTS):
        product = yield direction
        curvature = float(direction @ product)
        if not np.isfinite(curvature):
            raise PropertyError("the response of the Fock matrix is not finite")
        if curvature <= 0.0:
            raise PropertyError(
                "the solution is no minimum: the energy falls along a rotation that answers the field (see "
                "property stability); a polarizability belongs to a stable solution"
            )
        step = slope / curvature
        x = x + step * direction
        residual = residual - step * product
        if np.linalg.norm(residual) <= goal:
            return x, residual
        preconditioned = scale * residual
        new = float(residual @ preconditioned)
        direction = preconditioned + (new / slope) * direction
        slope = new
    raise PropertyError(
        f"the coupled-perturbed equations did not converge in {_MOST_PRODUCTS} products (residual "
        f"{np.linalg.norm(residual) / np.linalg.norm(right):.1e})"
    )
