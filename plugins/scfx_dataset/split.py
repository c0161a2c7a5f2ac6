"""Parts of a dataset by molecule: every geometry of a molecule, and its stereoisomers, fall into one part."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from scfx.errors import InputError
from scfx.model.same_molecule import molecule_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

#: Columns that decide where a row belongs.
KEY_COLUMNS = ("inchikey", "smiles", "input_smiles", "atomic_numbers")


@dataclass(frozen=True)
class SplitPart:
    """The molecules whose hash falls into [low, high)."""

    low: float
    high: float
    seed: int

    def mask(self, table: pa.Table) -> Bool[np.ndarray, "row"]:
        """Return which rows of a table (with `KEY_COLUMNS`) belong to this part."""
        columns = [table[name].to_pylist() for name in KEY_COLUMNS]
        places: dict[str, bool] = {}
        found = np.zeros(table.num_rows, dtype=bool)
        for i, (inchikey, smiles, input_smiles, numbers) in enumerate(zip(*columns, strict=True)):
            key = molecule_key(smiles or input_smiles, inchikey, numbers)
            if key not in places:
                places[key] = self.low <= fraction(key, self.seed) < self.high
            found[i] = places[key]
        return found


def fraction(key: str, seed: int) -> float:
    """Return a molecule's place in [0, 1): SHA-256 of seed and key. It does not depend on the other molecules."""
    digest = hashlib.sha256(f"{seed}|{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def parts(fractions: Mapping[str, float] | Sequence[float], seed: int) -> dict[str, SplitPart]:
    """Return one part for each name (of a sequence, for each place), next to each other on [0, 1). `InputError` if they
    do not fit.
    """
    given = fractions
    try:
        named = dict(fractions) if isinstance(fractions, Mapping) else dict(enumerate(fractions))
        total = sum(named.values())
        fits = bool(named) and all(f > 0 for f in named.values()) and total <= 1 + 1e-9
    except TypeError:
        fits = False
    if not fits or isinstance(given, str):
        raise InputError(
            f"fractions: got {given!r}, expected positive numbers whose sum is at most 1, such as "
            "{'train': 0.8, 'validation': 0.1, 'test': 0.1} or [0.8, 0.1, 0.1]"
        )
    found, low = {}, 0.0
    for name, share in named.items():
        high = low + share
        found[name] = SplitPart(low, 1.0 if abs(high - 1) < 1e-9 else high, seed)
        low = high
    return found
