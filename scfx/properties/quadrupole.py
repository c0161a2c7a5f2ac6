"""The traceless quadrupole moment from a density matrix, for every backend: its integrals are the core's own.

Asked for by `scf.quadrupole`: it costs more than the dipole, whose integrals a backend has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.contracts.property import AbstractProperty, Column
from scfx.energy.moments import entry_second_moments

if TYPE_CHECKING:
    from scfx.model.batch import Batch
    from scfx.properties.entry import ConvergedEntry


class Quadrupole(AbstractProperty):
    """Buckingham's traceless moment about the centre of nuclear charge, in the frame of the positions."""

    name = "quadrupole"
    unit = "e bohr^2"
    axes = ("xyz", "xyz")
    summary = "traceless quadrupole moment (Buckingham) about the centre of nuclear charge"
    column = Column("quadrupole_e_bohr2", "e bohr^2", description=summary)

    def compute(self, entry: ConvergedEntry) -> Float64[np.ndarray, "3 3"]:
        """Return the traceless quadrupole [3, 3] of one entry, e·bohr²."""
        return quadrupole(entry.lane.batch, entry.lane.index, entry.lane.density)


def quadrupole(
    batch: Batch, entry: int, density: Float64[np.ndarray, "spin nao nao"]
) -> Float64[np.ndarray, "3 3"]:
    """Return Θ = ½ Σ q (3 r r - r² 1) over nuclei and electrons, in e·bohr², about the centre of nuclear charge.

    Buckingham, Q. Rev. Chem. Soc. 13, 183 (1959), eq. 2. It depends on that origin where there is a dipole or a charge.
    The centre is that of the atomic numbers, also where core potentials replace electrons. `density` is in the batch's
    AO order.
    """
    origin = centre_of_nuclear_charge(batch, entry)
    centred = batch.positions[entry] - origin
    nuclear = np.einsum("a,ax,ay->xy", batch.nuclear_charges[entry], centred, centred)
    second = nuclear - electronic_second_moments(batch, entry, density.sum(axis=0), origin)
    return 1.5 * second - 0.5 * np.trace(second) * np.eye(3)


def centre_of_nuclear_charge(batch: Batch, entry: int) -> Float64[np.ndarray, "3"]:
    """Return the centre of the atomic numbers, also where core potentials replace electrons; bohr."""
    # A ghost atom has functions and no nucleus.
    numbers = np.where(batch.nuclear_charges[entry] > 0, batch.atomic_numbers[entry], 0)
    return numbers @ batch.positions[entry] / numbers.sum()


def electronic_second_moments(
    batch: Batch, entry: int, density: Float64[np.ndarray, "nao nao"], origin: Float64[np.ndarray, "3"]
) -> Float64[np.ndarray, "3 3"]:
    """Return Σ_ij D_ij <i| (r - origin)(r - origin) |j> in bohr², with the electrons' density counted positive."""
    return np.einsum("xyij,ij->xy", entry_second_moments(batch, entry, origin), density)
