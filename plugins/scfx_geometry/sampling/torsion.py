"""A torsion turned around in steps, the rest relaxed with the torsion kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scfx.errors import InputError
from scfx.model.system import BOHR_IN_ANGSTROM
from scfx_geometry.connectivity import bonds

if TYPE_CHECKING:
    from scfx.model.system import System


def turned(system: System, atoms: tuple[int, int, int, int], steps: int) -> tuple[list[System], list[float]]:
    """Return `steps` geometries around the bond of the middle two atoms, and the torsion of each in degrees.

    The first is the geometry itself; everything on the side of the last atom turns. `InputError` where the middle two
    are not bonded, or the bond is in a ring.
    """
    from ase import Atoms

    side = _side(system, atoms[1], atoms[2])
    made = Atoms(numbers=system.atomic_numbers, positions=system.positions_angstrom)
    start = float(made.get_dihedral(*atoms))
    geometries, values = [], []
    for step in range(steps):
        value = (start + 360.0 * step / steps) % 360.0
        moved = made.copy()
        moved.set_dihedral(*atoms, value, indices=side)
        geometries.append(replace(system, positions=np.array(moved.positions) / BOHR_IN_ANGSTROM))
        values.append(value)
    return geometries, values


def _side(system: System, first: int, second: int) -> list[int]:
    """Atoms that hang on `second` when its bond to `first` is cut."""
    bonded = bonds(system)
    if (min(first, second), max(first, second)) not in bonded:
        raise InputError(
            f"atoms {first} and {second} of {system!r} are not bonded, so nothing turns about them"
        )
    found, edge = {second}, [second]
    while edge:
        atom = edge.pop()
        for i, j in bonded:
            if {i, j} == {first, second} or atom not in (i, j):
                continue
            other = j if i == atom else i
            if other not in found:
                found.add(other)
                edge.append(other)
    if first in found:
        raise InputError(
            f"the bond of atoms {first} and {second} of {system!r} is in a ring, which it would tear"
        )
    return sorted(found)
