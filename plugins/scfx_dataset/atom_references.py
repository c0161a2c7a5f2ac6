"""The average contribution of each element to the energy, which is subtracted before a network is trained."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from scfx.errors import InputError
from scfx.model.elements import SYMBOLS

if TYPE_CHECKING:
    from scfx_dataset.reader import Dataset


def fit(dataset: Dataset, target: str) -> dict[str, float]:
    """Return the least squares of `target` by the number of atoms of each element, by symbol, in the target's unit.

    One molecule counts as often as it has rows. Where the compositions do not tell elements apart (only alkanes, say,
    of one length) the solution is the smallest. They are no energies of isolated atoms. Memory: one shard, and one
    number for each composition. Raises `InputError` for a column that is no number, or if there is no row.
    """
    if target not in dataset.schema.names or str(dataset.schema.field(target).type) != "double":
        numbers = [field.name for field in dataset.schema if str(field.type) == "double"]
        raise InputError(f"target: got {target!r}, expected one of {', '.join(numbers)}")
    sums: dict[tuple[tuple[int, int], ...], float] = {}
    counts: Counter[tuple[tuple[int, int], ...]] = Counter()
    for table in dataset.shards(["atomic_numbers", target]):
        for atoms, value in zip(table["atomic_numbers"].to_pylist(), table[target].to_pylist(), strict=True):
            if value is not None:
                composition = tuple(sorted(Counter(atoms).items()))
                sums[composition] = sums.get(composition, 0.0) + value
                counts[composition] += 1
    if not counts:
        raise InputError(f"no row has {target!r}: there is nothing to fit atom references to")
    elements = sorted({z for composition in counts for z, _ in composition})
    # Rows of one composition are one equation for their mean, weighted by how many they are.
    weights = np.sqrt([counts[composition] for composition in counts])
    matrix = np.array([[dict(composition).get(z, 0) for z in elements] for composition in counts], float)
    means = np.array([sums[composition] / n for composition, n in counts.items()])
    solution = np.linalg.lstsq(matrix * weights[:, None], means * weights, rcond=None)[0]
    return {SYMBOLS[z]: float(value) for z, value in zip(elements, solution, strict=True)}
