"""Small molecules and made-up basis sets that exercise every kind of shell a backend may meet."""

from __future__ import annotations

import numpy as np

from scfx.model.basis import BasisSet, Shell
from scfx.model.batch import Batch
from scfx.model.system import System

#: Water (r = 0.9578 angstrom, 104.5 degrees), turned so that no symmetry makes an integral vanish; bohr.
_WATER = np.array([[0.11, -0.07, 0.23], [1.45, 0.91, -0.42], [-1.02, 0.84, 1.19]])


def sample_batch(
    max_angular_momentum: int = 2, cartesian: bool = True, spherical: bool = True, reverse: bool = False
) -> Batch:
    """Return three entries of one shell structure: two waters and an amino radical, whose exponents differ from the
    waters'.

    Contracted and primitive shells, tight and diffuse; d shells (and f) once Cartesian and once spherical,
    unless one kind is excluded. `reverse` gives hydrogen more shells than oxygen, so that the batch orders
    atoms otherwise.
    """
    kinds = [kind for kind, wanted in ((True, cartesian), (False, spherical)) if wanted]
    heavy = {
        8: _heavy_atom(1.0, max_angular_momentum, kinds),
        7: _heavy_atom(0.8, max_angular_momentum, kinds),
    }
    hydrogen = (Shell.normalised(0, [3.1, 0.7, 0.2], [0.2, 0.5, 0.4]), Shell.normalised(1, [0.9], [1.0]))
    if reverse:
        hydrogen = tuple(
            Shell.normalised(0, [exponent], [1.0]) for exponent in (8.0, 3.0, 1.0, 0.4, 0.2, 0.1, 0.05)
        )
    basis = BasisSet("check_backend", {**heavy, 1: hydrogen})
    numbers = np.array([8, 1, 1], dtype=np.int32)
    stretched = _WATER * np.array([1.05, 0.97, 1.1])
    systems = [
        System(numbers, _WATER),
        # Listed in another order than the batch's, where atoms with more functions come first.
        System(np.array([1, 7, 1], dtype=np.int32), stretched[[1, 0, 2]], multiplicity=2),
        System(numbers, stretched + 0.5),
    ]
    return Batch.from_systems(systems, basis)


def _heavy_atom(scale: float, max_angular_momentum: int, kinds: list[bool]) -> tuple[Shell, ...]:
    shells = [
        Shell.normalised(0, np.array([60.0, 11.0, 2.4]) * scale, [0.15, 0.5, 0.5]),
        Shell.normalised(0, np.array([0.3]) * scale, [1.0]),
        Shell.normalised(1, np.array([7.0, 1.6]) * scale, [0.3, 0.8]),
    ]
    for momentum, exponents in ((2, (1.3, 0.5)), (3, (1.1, 0.9))):
        if momentum <= max_angular_momentum:
            shells += [
                Shell.normalised(momentum, [exponent * scale], [1.0], cartesian=kind)
                for kind, exponent in zip(kinds, exponents, strict=False)
            ]
    return tuple(shells)


def small_batch(max_angular_momentum: int = 2, cartesian: bool = True, spherical: bool = True) -> Batch:
    """Return two entries of fewer shells, for what takes many references: a water, and an amino radical listed in an
    order that is not the batch's. Both kinds of d shells, or d Cartesian and f spherical, unless one kind is excluded.
    """
    kinds = [kind for kind, wanted in ((True, cartesian), (False, spherical)) if wanted]

    def heavy_atom(scale: float) -> tuple[Shell, ...]:
        shells = [
            Shell.normalised(0, np.array([40.0, 7.0, 0.9]) * scale, [0.2, 0.5, 0.5]),
            Shell.normalised(1, np.array([5.0, 0.8]) * scale, [0.4, 0.7]),
        ]
        if max_angular_momentum == 2:
            shells += [Shell.normalised(2, [1.1 * scale], [1.0], cartesian=kind) for kind in kinds]
        if max_angular_momentum > 2:
            shells.append(Shell.normalised(2, [1.1 * scale], [1.0], cartesian=kinds[0]))
            shells.append(Shell.normalised(3, [0.9 * scale], [1.0], cartesian=kinds[-1]))
        return tuple(shells)

    hydrogen = (Shell.normalised(0, [2.1, 0.4], [0.3, 0.7]),)
    basis = BasisSet("check_backend, small", {8: heavy_atom(1.0), 7: heavy_atom(0.8), 1: hydrogen})
    stretched = _WATER * np.array([1.05, 0.97, 1.1])
    systems = [
        System(np.array([8, 1, 1], dtype=np.int32), _WATER),
        System(np.array([1, 7, 1], dtype=np.int32), stretched[[1, 0, 2]], multiplicity=2),
    ]
    return Batch.from_systems(systems, basis)
