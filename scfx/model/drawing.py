"""A molecule as a small SVG: its geometry projected on the plane in which it extends most."""

from __future__ import annotations

from html import escape

import numpy as np

from scfx.model.bonds import bonded_pairs
from scfx.model.elements import SYMBOLS

_FILL = {
    1: "#f2f2f2",
    6: "#666666",
    7: "#4a6fe3",
    8: "#e3453b",
    9: "#4cae4c",
    15: "#e69f00",
    16: "#d9c22e",
    17: "#2e8b57",
}
_OTHER = "#a66fb5"


def draw(atomic_numbers: np.ndarray, positions: np.ndarray, size: int = 220) -> str:
    """Return an SVG of atoms (discs, nearer ones in front) and bonds (by distance); `positions` [natm, 3] in
    angstrom.
    """
    numbers = np.asarray(atomic_numbers, dtype=int)
    centred = np.asarray(positions, dtype=float) - np.mean(positions, axis=0)
    axes = np.linalg.svd(centred, full_matrices=True)[2]
    x, y, depth = (centred @ axes.T).T
    scale = 0.5 * (size - 44) / max(float(np.abs([x, y]).max()), 1.0)
    x, y = size / 2 + scale * x, size / 2 - scale * y
    lines = [
        f'<line x1="{x[i]:.1f}" y1="{y[i]:.1f}" x2="{x[j]:.1f}" y2="{y[j]:.1f}" stroke="#999" stroke-width="3"/>'
        for i, j in bonded_pairs(numbers, centred)
    ]
    discs = []
    for i in np.argsort(depth):
        z = int(numbers[i])
        radius = min(13.0, max(5.0, scale * (0.25 if z == 1 else 0.36)))
        discs.append(
            f'<circle cx="{x[i]:.1f}" cy="{y[i]:.1f}" r="{radius:.1f}" fill="{_FILL.get(z, _OTHER)}" stroke="#333"/>'
        )
        if z not in (1, 6):
            discs.append(
                f'<text x="{x[i]:.1f}" y="{y[i] + 4:.1f}" font-size="11" text-anchor="middle" fill="#fff">'
                f"{SYMBOLS[z]}</text>"
            )
    title = escape("".join(SYMBOLS[z] for z in numbers if z > 1) or "H")
    return (
        f'<svg viewBox="0 0 {size} {size}" width="{size}" height="{size}" role="img" aria-label="geometry of {title}">'
        f"{''.join(lines)}{''.join(discs)}</svg>"
    )
