"""The nuclei's repulsion: its derivative by their positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

if TYPE_CHECKING:
    from scfx.batch import Batch


def repulsion_gradient(
    batch: Batch, lanes: Int32[np.ndarray, "active"]
) -> Float64[np.ndarray, "active natm 3"]:
    """-Σ_b Z_a Z_b (R_a - R_b) / R_ab³ of `Batch.nuclear_repulsion`, hartree/bohr, atoms in the batch's order."""
    out = np.zeros((len(lanes), batch.natm, 3))
    first, second = np.triu_indices(batch.natm, 1)
    for row, lane in enumerate(lanes):
        charges, positions = batch.nuclear_charges[lane], batch.positions[lane]
        between = positions[first] - positions[second]
        cubed = np.linalg.norm(between, axis=1) ** 3
        pull = (charges[first] * charges[second] / cubed)[:, None] * between
        np.subtract.at(out[row], first, pull)
        np.add.at(out[row], second, pull)
    return out
