"""A molecule as a small SVG, and as an xyz file."""

from __future__ import annotations

import numpy as np

from scfx.model.drawing import draw
from scfx.model.elements import SYMBOLS

__all__ = ["as_xyz", "draw"]


def as_xyz(atomic_numbers: np.ndarray, positions: np.ndarray, comment: str) -> str:
    """The geometry as an xyz file."""
    rows = [
        f"{SYMBOLS[int(z)]:2s} {p[0]:14.8f} {p[1]:14.8f} {p[2]:14.8f}"
        for z, p in zip(atomic_numbers, positions, strict=True)
    ]
    return "\n".join([str(len(rows)), comment, *rows])
