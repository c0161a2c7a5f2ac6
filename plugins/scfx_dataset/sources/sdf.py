"""SDF files, read by RDKit."""

from __future__ import annotations

import bz2
import gzip
from typing import TYPE_CHECKING

from rdkit import Chem

from scfx_dataset.sources.record import Record, geometry_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_sdf(path: Path) -> Iterator[Record]:
    """Every block of an SDF: its title, its SMILES from the bonds, and its 3-D positions if it has any.

    Hydrogens stay as they are drawn for the geometry; a block without 3-D coordinates has no geometry.
    """
    opener = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix.lower(), open)
    with opener(path, "rb") as handle:
        supplier = Chem.ForwardSDMolSupplier(handle, removeHs=False)
        for number, molecule in enumerate(supplier, start=1):
            if molecule is None:
                yield Record(number, "", f"block {number}", problem="RDKit cannot read this block of the SDF")
                continue
            name = molecule.GetProp("_Name") if molecule.HasProp("_Name") else ""
            # From the 3-D positions, if there are any: a mol block need not carry stereo marks.
            solid = molecule.GetNumConformers() > 0 and molecule.GetConformer().Is3D()
            if solid:
                Chem.AssignStereochemistryFrom3D(molecule)
            smiles = Chem.MolToSmiles(Chem.RemoveHs(molecule))
            geometry = None
            if solid:
                numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
                geometry = geometry_of(numbers, molecule.GetConformer().GetPositions())
            yield Record(number, smiles, name, geometry)
