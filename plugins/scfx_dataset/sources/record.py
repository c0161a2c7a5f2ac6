"""One record of a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from scfx.errors import InputError
from scfx.model.elements import atomic_number, whole_number
from scfx_dataset.sources.lines import KEPT, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The same conversion as `scfx.System`'s, so that a geometry keeps its bits.
from scfx.model.system import BOHR_IN_ANGSTROM

#: What reading one record may raise: it becomes the reason of that record's row.
UNUSABLE = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True, eq=False)
class Geometry:
    """Nuclei as a source gives them: `numbers` by atom, `positions` [natm, 3] in angstrom."""

    numbers: tuple[int, ...]
    positions: Float64[np.ndarray, "natm 3"]


class Record(NamedTuple):
    """One molecule or geometry as it stands in the source.

    `line` is the 1-based number of the line (text files) or of the record; `smiles` is "" where there is none;
    `charge` and `multiplicity` are None where the source does not state them. `problem` says why it cannot be used.
    `assumed` has "unit" where positions are taken in a unit that nobody stated.
    """

    line: int
    smiles: str
    name: str = ""
    geometry: Geometry | None = None
    charge: int | None = None
    multiplicity: int | None = None
    problem: str = ""
    assumed: tuple[str, ...] = ()


def geometry_of(
    elements: Sequence[Any], positions: Any, unit: str = "angstrom", most_atoms: int | None = None
) -> Geometry:
    """Return a geometry from symbols or atomic numbers and positions; `ValueError` saying what does not fit."""
    if most_atoms is not None and len(elements) > most_atoms:
        raise ValueError(f"{len(elements)} atoms, more than limits.atoms = {most_atoms}")
    numbers = tuple(
        atomic_number(e if isinstance(e, str) else whole(e, "an atomic number")) for e in elements
    )
    given = np.asarray(positions)
    if given.dtype.kind not in "iuf" or _holds_truth(positions):
        raise ValueError(f"positions are not numbers: {str(positions)[:KEPT]}")
    array = given.astype(np.float64)
    if array.ndim == 1 and array.size % 3 == 0:  # flattened x y z x y z ...
        array = array.reshape(-1, 3)
    if not numbers or array.shape != (len(numbers), 3):
        raise ValueError(f"{len(numbers)} atoms but positions of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("positions are not finite")
    return Geometry(numbers, array * BOHR_IN_ANGSTROM if unit == "bohr" else array)


def _holds_truth(positions: Any) -> bool:
    """Whether `true` or `false` stands among numbers, where numpy takes it for 1 or 0."""
    if isinstance(positions, bool):
        return True
    return isinstance(positions, list) and any(map(_holds_truth, positions))


def whole(value: Any, what: str) -> int:
    """Return a whole number, also one stored as a float or as text; `ValueError` for anything else, also for `true`."""
    if isinstance(value, bool | np.bool_):
        raise ValueError(f"{what} is {value}, expected a whole number")
    if isinstance(value, str):
        try:
            return whole_number(value, what)  # also "1.0", as pandas writes a column with gaps
        except InputError:
            pass
    elif isinstance(value, int | np.integer) or (
        isinstance(value, float | np.floating) and float(value).is_integer()
    ):
        return int(value)
    raise ValueError(f"{what} is {str(value)[:KEPT]!r}, expected a whole number")


def stated_cell(value: Any) -> Any:
    """Return a cell of charges or multiplicities, None where it is empty. NaN and "none" are no statement, but not
    empty.
    """
    return (value.strip() or None) if isinstance(value, str) else value


def cell_of_smiles(value: Any, column: str, needed: bool) -> tuple[str, str]:
    """Return (SMILES, problem) of a table's cell. An empty cell is a problem only where the SMILES is `needed`."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if value is not None and not isinstance(value, str):
        kind = type(value).__name__
        return readable(str(value)[:KEPT]), f"the cell of column {column!r} holds a {kind}, expected a SMILES"
    text = readable((value or "").strip())
    if not text:
        return "", f"the cell of column {column!r} is empty" if needed else ""
    if len(text.split(maxsplit=1)) > 1:
        # RDKit would read the first word and take the rest for a name.
        return text, f"the cell of column {column!r} holds white space, expected one SMILES"
    return text, ""
