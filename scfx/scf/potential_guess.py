"""Initial densities from superposed atomic potentials (SAP).

The orbitals of T - Σ_A Z_A(|r - R_A|)/|r - R_A|, with the effective charge Z_A(r) that an electron sees in the neutral
atom A: S. Lehtola, J. Chem. Theory Comput. 15, 1593 (2019). The screening of each nucleus is a sum of error functions,
the potentials of Gaussian charges (S. Lehtola, L. Visscher, E. Engel, J. Chem. Phys. 152, 144105 (2020)), published as
a basis set of one s shell an element whose coefficients add up to minus the number of electrons. Its matrix comes from
quadrature, as in the first paper, so that every backend serves; the attraction to the bare nuclei is analytic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.config.precision import FLOAT64
from scfx.contracts.grid import AbstractGridBackend
from scfx.energy.integral_sources import entries_with_core_potentials
from scfx.energy.orbitals import evaluate_orbitals
from scfx.errors import InputError
from scfx.grid import GridSpec, batch_grids
from scfx.model.basis import radial_norm

if TYPE_CHECKING:
    from scfx.contracts.backend import AbstractIntegralBackend
    from scfx.contracts.basis import AbstractBasisSource
    from scfx.model.batch import Batch

#: Where the potentials are published, as a basis set.
PUBLISHED = "sap_grasp_large"
#: The screening is smooth at the nuclei, and the guess need not be better than this.
GRID = GridSpec.from_config(0)
_POINTS = 2048


def screening_charges(
    source: AbstractBasisSource, atomic_number: int
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Return (exponents in bohr⁻², charges) of the Gaussian charges that screen the nucleus of a neutral atom.

    A basis set normalises what is published; the charges are known to add up to the atomic number.
    """
    (shell,) = source.shells(atomic_number)
    published = shell.coefficients / radial_norm(0, shell.exponents)
    return shell.exponents, atomic_number * published / published.sum()


def screening_potential(
    batch: Batch, entry: int, source: AbstractBasisSource, points: Float64[np.ndarray, "npoint 3"]
) -> Float64[np.ndarray, "npoint"]:
    """Return the repulsion that the superposed neutral atoms of an entry exert on an electron at `points`, hartree."""
    from scipy.special import erf  # slow to import, and no other guess needs it

    out = np.zeros(len(points))
    for atom, z in enumerate(batch.atomic_numbers[entry]):
        if batch.nuclear_charges[entry, atom] == 0:  # a ghost atom screens nothing
            continue
        r = np.linalg.norm(points - batch.positions[entry, atom], axis=1)
        for exponent, charge in zip(*screening_charges(source, int(z)), strict=True):
            root = np.sqrt(exponent)
            # The limit at the nucleus, where a grid has no point, is 2 √(a/π).
            near = r < 1e-8
            out += charge * np.where(
                near, 2.0 * root / np.sqrt(np.pi), erf(root * r) / np.where(near, 1.0, r)
            )
    return out


def screening_matrix(
    batch: Batch, backend: AbstractIntegralBackend, source: AbstractBasisSource
) -> Float64[np.ndarray, "batch nao nao"]:
    """Return the matrix of `screening_potential` in the AO basis, hartree, by quadrature.

    `InputError` where a core potential replaces electrons: the published potentials are those of all electrons.
    """
    cores = entries_with_core_potentials(batch)
    if len(cores):
        raise InputError(
            f"scf.guess: 'sap' has potentials of all electrons, and basis {batch.basis.name!r} replaces some of "
            f"{batch.systems[int(cores[0])]!r} by effective core potentials; use guess = 'atomic'"
        )
    grids = batch_grids(batch.atomic_numbers, batch.positions, GRID, batch.present)
    weighted = [
        weights * screening_potential(batch, entry, source, points)
        for entry, (points, weights) in enumerate(grids)
    ]
    if isinstance(backend, AbstractGridBackend):
        return _by_backend(batch, backend, [points for points, _ in grids], weighted)
    out = np.zeros((len(batch), batch.nao, batch.nao))
    for entry, ((points, _), values) in enumerate(zip(grids, weighted, strict=True)):
        own = batch.take([entry])
        for first in range(0, len(points), _POINTS):
            block = np.zeros((_POINTS, 3))  # one shape: points beyond the last have no weight
            some = points[first : first + _POINTS]
            block[: len(some)] = some
            orbitals = evaluate_orbitals(own, block[None])[0, 0, :, : len(some)]
            out[entry] += (orbitals * values[first : first + _POINTS]) @ orbitals.T
    return out


def _by_backend(
    batch: Batch, backend: AbstractGridBackend, points: list[np.ndarray], weighted: list[np.ndarray]
) -> Float64[np.ndarray, "batch nao nao"]:
    # Given as weights, the values at the points come back in the operator's own order.
    out = np.zeros((len(batch), 1, batch.nao, batch.nao))
    lanes = np.arange(len(batch), dtype=np.int32)
    operator = backend.grid_operator(batch, points, weighted, "lda", FLOAT64, 0)
    try:
        for block in range(operator.n_blocks):
            values = np.asarray(operator.weights(block, lanes), dtype=np.float64)
            operator.add_potential(block, values[:, None, None], lanes, out)
    finally:
        operator.close()
    return 0.5 * (out[:, 0] + np.swapaxes(out[:, 0], 1, 2))
