"""What `check_backend` asks of a backend that adds effective core potentials to the attraction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.derivatives import AbstractGradientBackend
from scfx.grid.angular import lebedev
from scfx.model.basis import BasisSet, CorePotential, angular_factor, cart_to_sph, cartesian_powers
from scfx.model.batch import Batch
from scfx.model.system import System
from scfx.testing import reference_integrals, reference_orbitals
from scfx.testing.backend_batches import small_batch
from scfx.testing.compare import along, assert_close, directions, displaced, symmetric_matrices

if TYPE_CHECKING:
    from scfx.contracts.backend import AbstractCorePotentialBackend

#: Largest error allowed: of matrix elements in hartree, those of the quadrature here being below 1e-9; of the
#: derivative as a fraction of its size.
_ERROR, _GRADIENT_ERROR = 1e-8, 1e-7
#: (l, n, exponent, coefficient) as `CorePotential.terms`: a local part, and s and p parts, every power of r.
_TERMS = ((-1, 1, 9.0, -4.0), (-1, 2, 2.5, -3.0), (0, 0, 6.0, 2.0), (0, 2, 1.8, 5.0), (1, 2, 1.5, 3.0))
#: Distances (bohr) within which the potentials are not negligible, and points of the quadrature about a nucleus.
_REACH, _RADII, _ANGLES = 4.5, 90, 1202


def core_potential_batch(max_angular_momentum: int, cartesian: bool, spherical: bool) -> Batch:
    """Return the molecules of `small_batch` with sulphur and phosphorus in their places, ten electrons of each
    replaced.
    """
    small = small_batch(min(max_angular_momentum, 2), cartesian, spherical)
    shells, potential = small.basis.shells, CorePotential(10, _TERMS)
    basis = BasisSet(
        "check_backend, core potentials",
        {16: shells[8], 15: shells[7], 1: shells[1]},
        core_potentials={16: potential, 15: potential},
    )
    heavier = {8: 16, 7: 15, 1: 1}
    systems = [
        System(
            np.array([heavier[int(z)] for z in system.atomic_numbers], dtype=np.int32),
            system.positions,
            multiplicity=system.multiplicity,
        )
        for system in small.systems
    ]
    return Batch.from_systems(systems, basis)


def check_core_potentials(
    backend: AbstractCorePotentialBackend, label: str, kind: tuple[int, bool, bool], seed: int
) -> None:
    """Check `nuclear` against quadrature about the nuclei, and its derivative against differences of `one_electron`."""
    batch = core_potential_batch(*kind)
    expected = reference_integrals.one_electron(batch).nuclear
    expected = expected + np.stack([_potential(batch, entry) for entry in range(len(batch))])
    assert_close(
        backend.one_electron(batch).nuclear,
        expected,
        _ERROR,
        f"{label}.one_electron: nuclear with effective core potentials",
        "Attraction to batch.nuclear_charges plus batch.basis.core_potentials; scfx.model.basis.CorePotential says "
        "what its terms mean",
    )
    if not isinstance(backend, AbstractGradientBackend):
        return
    density = symmetric_matrices(seed + 4, (len(batch), 2, batch.nao, batch.nao))
    total, weighted = density[:, 0], density[:, 1]
    lanes, way = np.arange(len(batch), dtype=np.int32), directions(batch, 3)

    def energy(step: float) -> np.ndarray:
        one = backend.one_electron(displaced(batch, step * way))
        core = np.einsum("bij,bij->b", total, one.kinetic + one.nuclear)
        return core - np.einsum("bij,bij->b", weighted, one.overlap)

    found = np.asarray(backend.one_electron_gradient(batch, lanes, total, weighted))
    what = f"{label}.one_electron_gradient with effective core potentials"
    allowed = _GRADIENT_ERROR * max(1.0, float(np.abs(found).max()))
    slope = np.einsum("bax,bax->b", found, way)
    assert_close(slope, along(energy), allowed, f"{what}, along a direction,", "The potentials move too")
    net = np.abs(found.sum(axis=1)).max()
    assert net <= allowed, f"{what} adds up to {net:.2g} over the atoms, expected 0 up to rounding"


def _potential(batch: Batch, entry: int) -> np.ndarray:
    """Σ over nuclei of ∫ φ_i U_local φ_j and, for each l, ∫ r² U_l Σ_m <Y_lm|φ_i> <Y_lm|φ_j> dr, by quadrature."""
    nodes, node_weights = np.polynomial.legendre.leggauss(_RADII)
    radii, radial_weights = 0.5 * _REACH * (nodes + 1.0), 0.5 * _REACH * node_weights
    angles, angular_weights = lebedev(_ANGLES)
    angular_weights = 4.0 * np.pi * angular_weights
    out = np.zeros((batch.nao, batch.nao))
    for atom, z in enumerate(batch.atomic_numbers[entry]):
        potential = batch.basis.core_potentials.get(int(z))
        if potential is None:
            continue
        points = batch.positions[entry, atom] + radii[:, None, None] * angles.T
        values = reference_orbitals.orbitals(batch, entry, points.reshape(-1, 3))[0]
        values = values.reshape(batch.nao, _RADII, -1)
        for l, n, exponent, coefficient in potential.terms:
            weight = radial_weights * coefficient * radii**n * np.exp(-exponent * radii**2)
            if l < 0:
                out += np.einsum("irp,jrp,r,p->ij", values, values, weight, angular_weights, optimize=True)
            else:
                harmonics = angular_factor(l) * np.array(
                    [np.prod(angles ** np.array(powers)[:, None], axis=0) for powers in cartesian_powers(l)]
                )
                projected = np.einsum("irp,mp->irm", values, cart_to_sph(l).T @ harmonics * angular_weights)
                out += np.einsum("irm,jrm,r->ij", projected, projected, weight)
    return out
