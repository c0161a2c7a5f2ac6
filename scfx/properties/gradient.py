"""The nuclear gradient of the energy of converged entries: minus the force on each atom.

dE/dR at fixed density matrix, term by term, less the part that keeps the orbitals orthonormal, tr W ∂S with the
energy-weighted density W (P. Pulay, Mol. Phys. 17, 197 (1969)). It is the derivative of the energy on the grid of the
labels, points and weights included, for a density that is stationary: the orbital gradient bounds what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.contracts.property import AbstractBatchProperty, Column, PropertyError
from scfx.errors import CapabilityError
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

if TYPE_CHECKING:
    from scfx.config.spec import ResolvedSpec
    from scfx.scf.run import BatchRun


class Gradient(AbstractBatchProperty):
    """The derivative of the energy by the positions of the nuclei; tables store minus it, the forces."""

    name = "gradient"
    unit = "hartree/bohr"
    axes = ("atom", "xyz")
    summary = "derivative of the energy by the positions of the nuclei: minus the forces"
    quality = ("net_force", "net_torque", "orbital_gradient", "electrons_on_grid")
    derivatives = 1
    column = Column(
        "forces_ev_per_angstrom",
        "eV/angstrom",
        -HARTREE_IN_EV / BOHR_IN_ANGSTROM,
        "force on each atom, x y z, in the frame of positions",
    )

    def check(self, resolved: ResolvedSpec) -> None:
        """See `AbstractProperty.check`."""
        functional = resolved.names["functional"]
        if resolved.dispersion is not None and not hasattr(resolved.dispersion, "gradient"):
            raise CapabilityError(
                "scf.properties",
                f"'gradient': the dispersion correction {resolved.dispersion.name!r} of functional {functional!r} has "
                "no nuclear gradient; use another functional",
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
        self, run: BatchRun, lanes: Int32[np.ndarray, "active"]
    ) -> list[Float64[np.ndarray, "natm 3"] | PropertyError]:
        """See `AbstractBatchProperty.compute_batch`."""
        return nuclear_gradients(run, lanes)


def energy_weighted_density(
    run: BatchRun, lanes: Int32[np.ndarray, "active"]
) -> Float64[np.ndarray, "active nao nao"]:
    """W = Σ_s D_s F_s D_s (of one total density ½ D F D), hartree: the multipliers of orthonormality, in AOs.

    With canonical orbitals it is Σ_i n_i ε_i C_i C_iᵀ (Szabo and Ostlund eq. C.15); this form needs no orbitals, and
    holds for orbitals that both spins share, where D_β lies within D_α and F_β does not mix their occupied spaces.
    """
    n = run.batch.nao
    x = run.prepared.orthogonaliser[lanes]
    fock = run.spin_fock(lanes)
    orth = np.asarray(run.state.density_orth)[lanes, :, :n, :n]
    weighted = (orth @ fock @ orth).sum(axis=1) * (0.5 if run.nspin == 1 else 1.0)
    out = x @ weighted @ x.swapaxes(1, 2)
    return 0.5 * (out + out.swapaxes(1, 2))


def nuclear_gradients(
    run: BatchRun, lanes: Int32[np.ndarray, "active"]
) -> list[Float64[np.ndarray, "natm 3"] | PropertyError]:
    """Of some converged entries, in hartree/bohr, atoms in the system's own order.

    The reason in place of one whose basis was found linearly dependent: the functions that were left out would have to
    be followed as the atoms move.
    """
    found: dict[int, np.ndarray] = {}
    whole = lanes[run.prepared.n_orbitals[lanes] == run.batch.nao]
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
        dropped = run.batch.nao - int(run.prepared.n_orbitals[lane])
        out.append(
            PropertyError(
                f"{dropped} linearly dependent combinations of functions were left out (scf.linear_dependence), whose "
                "response to the motion of the atoms is not computed; use a smaller threshold or a less diffuse basis"
            )
        )
    return out
