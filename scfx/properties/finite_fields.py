"""Polarizabilities by finite fields: dipoles of the same batch, converged again in weak electric fields."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int32

from scfx.contracts.property import PropertyError
from scfx.scf.batch_matrices import pad_matrices
from scfx.scf.iterate import iterate
from scfx.scf.precision_phases import precision_phases

if TYPE_CHECKING:
    from scfx.scf.batch_scf import BatchSCF

#: Atomic units. Two strengths each way cancel the error of third order, so that what is left is some F⁴ times the
#: fourth derivative of the dipole; a dipole that is converged to 1e-8 is divided by it.
FIELD = 2e-3
#: Hartree: thresholds in the fields, tighter than the labels' may be, since a small difference is taken.
GRADIENT, ENERGY = 1e-8, 1e-10


def polarizabilities_by_finite_fields(
    run: BatchSCF, lanes: Int32[np.ndarray, "some"]
) -> list[Float64[np.ndarray, "3 3"] | PropertyError]:
    """Return dμ_x/dE_y of some entries, by the five-point formula over fields of ± `FIELD` and twice that along each
    axis.

    Every calculation begins from the field-free density. The reason in place of an entry that did not converge in one
    of the fields.
    """
    found = np.zeros((len(lanes), 3, 3))
    failed: dict[int, PropertyError] = {}
    for axis in range(3):
        for multiple, weight in ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12)):
            strength = multiple * FIELD
            dipoles, converged = _in_field(run, lanes, axis, strength)
            found[:, :, axis] += weight / FIELD * dipoles
            for row in np.flatnonzero(~converged):
                failed.setdefault(
                    int(row),
                    PropertyError(f"the SCF did not converge in a field of {strength:g} along {'xyz'[axis]}"),
                )
    return [
        failed.get(row) or 0.5 * (found[row] + found[row].T) for row in range(len(lanes))
    ]  # the two triangles are independent numbers, equal but for rounding


def _in_field(
    run: BatchSCF, lanes: Int32[np.ndarray, "some"], axis: int, strength: float
) -> tuple[Float64[np.ndarray, "some 3"], np.ndarray]:
    """Electronic dipoles of some entries in a field along an axis, and which of them converged.

    The energy of an electron in a field E is + E·r.
    """
    n = run.batch.nao
    dipole = run.matrices.one.dipole
    field = pad_matrices(strength * dipole[:, axis], run.capacity, run.size)
    turned = _copied(run)
    fixed = run.matrices.fixed
    turned.matrices = replace(run.matrices, fixed=fixed._replace(core=fixed.core + jnp.asarray(field)))
    wanted = run.spec.convergence
    thresholds = wanted.model_copy(
        update={"gradient": min(wanted.gradient, GRADIENT), "energy": min(wanted.energy, ENERGY)}
    )
    # The last phase alone: the density is near, and its terms are those of the run.
    turned.phases = precision_phases(run.energy, run.phases[-1].policy, thresholds)
    density = np.asarray(run.state.density)[lanes, :, :n, :n]
    turned.set_density(lanes, density)
    # The density belongs to a determinant, so that its Fock matrix may enter the history.
    turned.state = turned.state._replace(energy=turned.state.energy.at[lanes].set(0.0))
    converged = iterate(turned, lanes, wanted.max_iterations)[lanes]
    density = np.asarray(turned.state.density)[lanes, :, :n, :n]
    return -np.einsum("bxij,bsij->bx", dipole[lanes], density), converged


def _copied(run: BatchSCF) -> BatchSCF:
    """A run over the same terms with a state of its own: the jitted step takes the buffers of the state it is given."""
    turned = copy.copy(run)
    turned.state = jax.tree.map(lambda a: jnp.array(a, copy=True), run.state)
    turned.iterations = run.iterations.copy()
    turned.history = [list(each) for each in run.history]
    turned.energies = {name: values.copy() for name, values in run.energies.items()}
    turned.electrons = run.electrons.copy()
    return turned
