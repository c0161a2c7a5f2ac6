"""Structures as SVG, drawn by RDKit."""

from __future__ import annotations

import re

from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D


def structure_svg(smiles: str, width: int = 220, height: int = 160) -> str:
    """Return the structure of a SMILES as an `<svg>` element that scales; "" if RDKit cannot read it."""
    # The structure alone: what may follow a SMILES (CXSMILES) are labels of somebody's choice, which would be drawn.
    parameters = Chem.SmilesParserParams()
    parameters.allowCXSMILES = False
    parameters.parseName = False
    molecule = Chem.MolFromSmiles(smiles, parameters) if smiles else None
    if molecule is None:
        return ""
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    options = drawer.drawOptions()
    options.clearBackground = False
    options.padding = 0.08
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    return inline(drawer.GetDrawingText())


def inline(svg: str) -> str:
    """Return an SVG document as an element to put into HTML: no XML head, as wide as its place allows."""
    element = svg[svg.index("<svg") :]
    size = r"""['"][\d.]+(?:px|pt)?['"]"""
    return re.sub(rf"(<svg[^>]*?) width={size} height={size}", r"\1", element, count=1)
