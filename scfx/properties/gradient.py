"""The nuclear gradient of the energy of converged entries: minus the force on each atom.

dE/dR at fixed density matrix, term by term, less the part that keeps the orbitals orthonormal, tr W ∂S with the
energy-weighted density W (P. Pulay, Mol. Phys. 17, 197 (1969)). It is the derivative of the energy on the grid of the
labels, points and weights included, for a density that is stationary: the orbital gradient bounds what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float64, Int32

from scfx.contracts.property import AbstractBatchProperty, Column, PropertyError
from scfx.errors import CapabilityError, ConfigError, InputError
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from scfx.properties.gradient_differences import default_step, gradients_by_differences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scfx.config.precision import PrecisionPolicy
    from scfx.config.resolved import ResolvedSpec
    from scfx.scf.batch_scf import BatchSCF


class Gradient(AbstractBatchProperty):
    """The derivative of the energy by the positions of the nuclei; tables store minus it, the forces.

    `method` "analytic" takes derivative integrals from the backend; "five_point" takes differences of the energy, each
    coordinate displaced by one and two steps either way (12 calculations an atom), for backends that have none.
    `step_bohr` is that of the differences: left out, 0.01, or 0.05 where integrals are stored in float32 alone.
    `any_residual`: also under a convergence rule that bounds no residual ("qm1b"), whose error is then unknown.
    """

    name = "gradient"
    unit = "hartree/bohr"
    axes = ("atom", "xyz")
    summary = "derivative of the energy by the positions of the nuclei: minus the forces"
    quality = ("net_force", "net_torque", "orbital_gradient", "electrons_on_grid")
    stationary = True
    column = Column(
        "forces_ev_per_angstrom",
        "eV/angstrom",
        -HARTREE_IN_EV / BOHR_IN_ANGSTROM,
        "force on each atom, x y z, in the frame of positions",
    )

    def __init__(
        self,
        method: Literal["analytic", "five_point"] = "analytic",
        step_bohr: float | None = None,
        any_residual: bool = False,
    ):
        """See the class."""
        if method not in ("analytic", "five_point"):
            raise InputError(f"method is {method!r}, expected 'analytic' or 'five_point'")
        if step_bohr is not None and method == "analytic":
            raise InputError("step_bohr is that of method = 'five_point'; leave it out")
        if step_bohr is not None and not 1e-4 <= step_bohr <= 0.1:
            raise InputError(f"step_bohr is {step_bohr}, expected 0.0001 to 0.1")
        if not isinstance(any_residual, bool):
            raise InputError(f"any_residual is {any_residual!r}, expected true or false")
        self.method = method
        self.derivatives = 1 if method == "analytic" else 0
        self.any_residual = any_residual
        self._step = step_bohr

    def definition(self, policy: PrecisionPolicy) -> Mapping[str, Any]:
        """Return what of a calculated gradient enters the spec hash; the analytic gradient is fixed by the energy."""
        if self.method == "analytic":
            return {}
        return {"method": self.method, "step_bohr": self._step or default_step(policy)}

    def check(self, resolved: ResolvedSpec) -> None:
        """Refuse, before any SCF, what has no gradient."""
        functional = resolved.names["functional"]
        if self.method == "five_point":
            self._check_differences(resolved)
            return
        if resolved.dispersion is not None and not hasattr(resolved.dispersion, "gradient"):
            raise CapabilityError(
                "scf.properties",
                f"'gradient': the dispersion correction {resolved.dispersion.name!r} of functional {functional!r} has "
                "no nuclear gradient; use another functional, or method = 'five_point'",
            )
        if resolved.functional.vv10 is None:
            return
        from scfx.energy.nonlocal_correlation import NonlocalCorrelation
        from scfx.energy.term import Term

        if NonlocalCorrelation.gradient is Term.gradient:
            raise CapabilityError(
                "scf.properties",
                f"'gradient': the VV10 part of functional {functional!r} has no nuclear gradient here; use a "
                "functional without it",
            )

    def compute_batch(
        self, run: BatchSCF, lanes: Int32[np.ndarray, "active"]
    ) -> list[Float64[np.ndarray, "natm 3"] | PropertyError]:
        """Return the gradients of some converged entries, or why there is none."""
        if self.method == "five_point":
            return gradients_by_differences(
                run, lanes, self._step or default_step(run.spec.precision.refined())
            )
        return nuclear_gradients(run, lanes)

    def _check_differences(self, resolved: ResolvedSpec) -> None:
        if not resolved.spec.grid_response:
            raise ConfigError(
                "scf.grid_response",
                "false leaves out of a gradient what differences of the energy contain; leave it out, or use "
                "method = 'analytic' for 'gradient' in scf.properties",
            )
        if resolved.convergence.rule == "qm1b":
            raise ConfigError(
                "scf.convergence",
                "the rule 'qm1b' lets energies differ by 0.01 eV, which differences of them cannot use; use "
                "convergence = 'forces', or method = 'analytic' for 'gradient' in scf.properties",
            )
        if resolved.precision.refined().energy_floor > 0.0:
            raise ConfigError(
                "scf.precision",
                f"energies of policy {resolved.precision.name!r} round at {resolved.precision.energy_floor:.0e} "
                "hartree, too coarsely for differences; use precision = 'float64', 'mixed', or "
                "{ name = 'float64', integrals = 'float32' }",
            )


def energy_weighted_density(
    run: BatchSCF, lanes: Int32[np.ndarray, "active"]
) -> Float64[np.ndarray, "active nao nao"]:
    """Return W = Σ_s D_s F_s D_s (of one total density ½ D F D), hartree: the multipliers of orthonormality, in AOs.

    With canonical orbitals it is Σ_i n_i ε_i C_i C_iᵀ (Szabo and Ostlund eq. C.15); this form needs no orbitals, and
    holds for orbitals that both spins share, where D_β lies within D_α and F_β does not mix their occupied spaces.
    """
    n = run.batch.nao
    x = run.matrices.orthogonaliser[lanes]
    fock = run.spin_fock(lanes)
    orth = np.asarray(run.state.density_orth)[lanes, :, :n, :n]
    weighted = (orth @ fock @ orth).sum(axis=1) * (0.5 if run.nspin == 1 else 1.0)
    out = x @ weighted @ x.swapaxes(1, 2)
    return 0.5 * (out + out.swapaxes(1, 2))


def nuclear_gradients(
    run: BatchSCF, lanes: Int32[np.ndarray, "active"]
) -> list[Float64[np.ndarray, "natm 3"] | PropertyError]:
    """Return the gradients of some converged entries, in hartree/bohr, atoms in the system's own order.

    The reason in place of one whose basis was found linearly dependent: the functions that were left out would have to
    be followed as the atoms move.
    """
    found: dict[int, np.ndarray] = {}
    whole = lanes[run.matrices.n_orbitals[lanes] == run.batch.nao]
    if len(whole):
        n = run.batch.nao
        density = np.ascontiguousarray(np.asarray(run.state.density)[whole, :, :n, :n])
        weighted = energy_weighted_density(run, whole)
        values = run.energy.gradient(run.phases[-1].hamiltonian, density, weighted, whole)
        found = dict(zip(whole.tolist(), values, strict=True))
    out: list[np.ndarray | PropertyError] = []
    for lane in lanes.tolist():
        if lane in found:
            out.append(found[lane][np.argsort(run.batch.atom_order[lane])])
            continue
        dropped = run.batch.nao - int(run.matrices.n_orbitals[lane])
        out.append(
            PropertyError(
                f"{dropped} linearly dependent combinations of functions were left out "
                "(scf.linear_dependence_threshold), whose response to the motion "
                "of the atoms is not computed; use a smaller threshold or a less diffuse basis"
            )
        )
    return out
