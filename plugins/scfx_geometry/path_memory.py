"""The points of a path as they were computed, and who may keep them so that a killed path goes on where it was.

A path is walked again from its kept points without any SCF: whoever walks (an optimiser, a thermostat) is given the
same energies and gradients, and so asks for the same geometries. The next SCF begins from the kept density, as it would
have. So a path that was killed has the bytes of one that was not.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float64

    from scfx_geometry.solving import Entry


@dataclass(frozen=True, eq=False)
class Frame:
    """One point of a path: positions in bohr, energy in hartree, gradient in hartree/bohr, dipole in atomic units.

    `iterations` are those of its SCF.
    """

    positions: Float64[np.ndarray, "natm 3"]
    energy: float
    gradient: Float64[np.ndarray, "natm 3"]
    dipole: Float64[np.ndarray, "3"]
    iterations: int


@dataclass(frozen=True, eq=False)
class Path:
    """The points of a path so far, and the density of the last one, from which the next SCF begins."""

    frames: Sequence[Frame]
    density: np.ndarray


class PathMemory(abc.ABC):
    """Keeps the paths of the molecules of one call, by their place in it."""

    @abc.abstractmethod
    def recall(self, index: int) -> Path | None:
        """Return what is known of a molecule's path; None: nothing."""

    @abc.abstractmethod
    def keep(self, paths: Mapping[int, Path]) -> None:
        """Take the paths of all molecules on their way, after each round; whether they are stored is its own."""


def frame_of(entry: Entry, positions: np.ndarray, where: str) -> Frame | str:
    """Return the point that a molecule's entry is, or the reason why there is none, which says `where` that was."""
    if isinstance(entry, str):
        return f"SCF of {where}: {entry}"
    solved, row = entry
    gradient = None if solved.gradient is None else solved.gradient[row]
    if gradient is None:
        reasons = solved.property_reasons.get("gradient")
        return f"no gradient at {where}: {reasons[row] if reasons else 'none given'}"
    if not np.isfinite(gradient).all():
        return f"the gradient at {where} is not finite"
    return Frame(
        positions,
        float(solved.energy[row]),
        np.array(gradient, dtype=np.float64),
        np.array(solved.dipole[row], dtype=np.float64),
        int(solved.iterations[row]),
    )
