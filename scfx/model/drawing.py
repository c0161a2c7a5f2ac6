"""A molecule as a small SVG: its structure where there is a SMILES (by RDKit), or else its geometry."""

from __future__ import annotations

import re
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


def molecule_svg(
    smiles: str | None, atomic_numbers: np.ndarray | None, positions: np.ndarray | None, size: int = 220
) -> str:
    """Return an SVG of the structure if RDKit can read the SMILES, else of the geometry (angstrom); "" without both."""
    drawn = structure_svg(smiles, size) if smiles else ""
    if drawn or atomic_numbers is None or positions is None:
        return drawn
    return geometry_svg(atomic_numbers, positions, size)


def structure_svg(smiles: str, size: int = 220) -> str:
    """Return the structural formula of a SMILES as an SVG; "" if RDKit is not installed or cannot read it."""
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem.Draw import rdMolDraw2D
    except ImportError:
        return ""
    # The structure alone: what may follow a SMILES (CXSMILES) are labels of somebody's choice, which would be drawn.
    parameters = Chem.SmilesParserParams()
    parameters.allowCXSMILES = False
    parameters.parseName = False
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles, parameters)
    if molecule is None:
        return ""
    drawer = rdMolDraw2D.MolDraw2DSVG(size, round(0.75 * size))
    options = drawer.drawOptions()
    options.clearBackground = False
    options.padding = 0.08
    # Else a molecule of three atoms would fill the picture with letters.
    options.fixedBondLength = size / 7
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    svg = drawer.GetDrawingText()
    return re.sub(r"\s*<!--.*?-->|<\?xml.*?\?>\s*", "", svg, flags=re.DOTALL)


def geometry_svg(atomic_numbers: np.ndarray, positions: np.ndarray, size: int = 220) -> str:
    """Return an SVG of atoms (discs, nearer ones in front) and bonds (by distance).

    `positions` [natm, 3] are in angstrom, and are projected on the plane in which the molecule extends most.
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
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" width="{size}" height="{size}" '
        f'role="img" aria-label="geometry of {title}">'
        f"{''.join(lines)}{''.join(discs)}</svg>"
    )
