"""What people give for the atoms of a `System`, as arrays, each checked by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import InputError
from scfx.model.elements import SYMBOLS, atom_label, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence


def whole_numbers(values: Any) -> np.ndarray:
    """Return atomic numbers as int32; `InputError` for one that is not whole."""
    array = np.array(values)
    if array.dtype.kind not in "iu":
        array = np.array([whole_number(v, "an atomic number") for v in array.ravel().tolist()]).reshape(
            array.shape
        )
    return array.astype(np.int32)


def ghost_marks(values: Any, natm: int) -> np.ndarray | None:
    """Return which of `natm` atoms are ghosts, or None where none is."""
    if values is None:
        return None
    ghosts = np.array(values)
    if ghosts.dtype.kind != "b" or ghosts.shape != (natm,):
        raise InputError(f"ghosts: expected {natm} of True and False, got {values!r:.60}")
    ghosts.setflags(write=False)
    return ghosts if ghosts.any() else None


def atom_labels(values: Sequence[str] | None, numbers: np.ndarray) -> tuple[str, ...] | None:
    """Return labels in one spelling ("O1"), or None where each is its atom's symbol."""
    if values is None:
        return None
    symbols = tuple(SYMBOLS[z] for z in numbers)
    if len(values) != len(symbols):
        raise InputError(f"labels: got {len(values)} for {len(symbols)} atoms")
    labels = tuple(atom_label(value) for value in values)
    for i, (value, label, symbol) in enumerate(zip(values, labels, symbols, strict=True)):
        if label.rstrip("0123456789") != symbol:
            raise InputError(f"labels: atom {i} is {symbol}, its label {value!r} names another element")
    return None if labels == symbols else labels


def refuse_coincident(positions: np.ndarray) -> None:
    """Raise `InputError` for atoms that are less than 0.1 bohr apart; `positions` [natm, 3] in bohr."""
    # In blocks: a crystal by mistake has a hundred thousand atoms, and the table of their distances no room.
    for first in range(0, len(positions), 512):
        block = positions[first : first + 512]
        separation = np.linalg.norm(block[:, None] - positions[None], axis=-1)
        separation[np.arange(len(block)), first + np.arange(len(block))] = np.inf
        i, j = np.unravel_index(np.argmin(separation), separation.shape)
        if separation[i, j] < 0.1:
            raise InputError(
                f"atoms {first + i} and {j} are {separation[i, j]:.3g} bohr apart: coincident nuclei. "
                "Are the positions in the unit you gave (unit='angstrom' or 'bohr')?"
            )
