"""One record of a source."""

from __future__ import annotations

import bz2
import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from scfx.elements import atomic_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TextIO

#: The same conversion as `scfx.System`'s, so that a geometry keeps its bits.
from scfx.system import BOHR_IN_ANGSTROM


@dataclass(frozen=True, eq=False)
class Geometry:
    """Nuclei as a source gives them: `numbers` by atom, `positions` [natm, 3] in angstrom."""

    numbers: tuple[int, ...]
    positions: Float64[np.ndarray, "natm 3"]


class Record(NamedTuple):
    """One molecule or geometry as it stands in the source.

    `line` is the 1-based number of the line (text files) or of the record; `smiles` is "" where there is none;
    `charge` and `multiplicity` are None where the source does not state them. `problem` says why it cannot be used.
    """

    line: int
    smiles: str
    name: str = ""
    geometry: Geometry | None = None
    charge: int | None = None
    multiplicity: int | None = None
    problem: str = ""


def geometry_of(elements: Sequence[Any], positions: Any, unit: str = "angstrom") -> Geometry:
    """A geometry from symbols or atomic numbers and positions; `ValueError` saying what does not fit."""
    numbers = tuple(atomic_number(e) for e in elements)
    array = np.array(positions, dtype=np.float64)
    if array.ndim == 1:  # flattened x y z x y z ...
        array = array.reshape(-1, 3)
    if not numbers or array.shape != (len(numbers), 3):
        raise ValueError(f"{len(numbers)} atoms but positions of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("positions are not finite")
    return Geometry(numbers, array * BOHR_IN_ANGSTROM if unit == "bohr" else array)


def open_text(path: Path, newline: str | None = None) -> TextIO:
    """A text file, decompressed if its name ends in .gz or .bz2."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline=newline)
    if path.suffix.lower() == ".bz2":
        return bz2.open(path, "rt", encoding="utf-8", newline=newline)
    return path.open("rt", encoding="utf-8", newline=newline)
