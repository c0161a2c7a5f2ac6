"""Readers of molecule formats, kept away from `System` so that importing it stays light."""

from __future__ import annotations

import os

import numpy as np

from scfx.errors import InputError, PluginUnavailableError


def read_xyz(path: str | os.PathLike[str]) -> tuple[list[str], np.ndarray, str]:
    """Symbols, positions [natm, 3] in angstrom and the comment line of the first frame of an xyz file."""
    try:
        with open(path, encoding="utf-8") as handle:
            lines = handle.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {os.fspath(path)!r} as an xyz file: {error}") from error
    try:
        natm = int(lines[0].split()[0])
        rows = [line.split() for line in lines[2 : 2 + natm]]
        symbols = [row[0] for row in rows]
        # QM9's own records write exponents as 1.5*^-6
        positions = np.array(
            [[float(x.replace("*^", "e")) for x in row[1:4]] for row in rows], dtype=np.float64
        )
        if len(rows) != natm or positions.shape != (natm, 3):
            raise ValueError(f"{natm} atoms announced, {len(rows)} found")
    except (ValueError, IndexError) as error:
        raise InputError(
            f"{os.fspath(path)!r} is not an xyz file (a count, a comment line, then 'symbol x y z'): {error}"
        ) from error
    return symbols, positions, lines[1].strip()


def embed_smiles(smiles: str, seed: int) -> tuple[list[str], np.ndarray, int, int]:
    """Symbols, positions [natm, 3] in angstrom, formal charge and number of radical electrons of one ETKDGv3 conformer.

    The SMILES is canonicalised first, since the embedding depends on the order of the atoms.
    """
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem import rdDistGeom
    except ImportError as error:
        raise PluginUnavailableError(
            "", "reading SMILES needs RDKit, which is not installed: pip install 'scfx[dataset]'"
        ) from error
    with rdBase.BlockLogs():
        parsed = Chem.MolFromSmiles(smiles)
        if parsed is None:
            raise InputError(f"RDKit cannot parse the SMILES string {smiles!r}")
        molecule = Chem.AddHs(Chem.MolFromSmiles(Chem.MolToSmiles(parsed)))
        if molecule.GetNumAtoms() == 0:
            raise InputError(f"the SMILES string {smiles!r} has no atoms")
        parameters = rdDistGeom.ETKDGv3()
        parameters.randomSeed = seed
        parameters.timeout = 60
        failed = rdDistGeom.EmbedMolecule(molecule, parameters) != 0
    if failed:
        raise InputError(f"RDKit's ETKDGv3 finds no conformer of {smiles!r} (seed {seed})")
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    radicals = sum(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
    return symbols, molecule.GetConformer().GetPositions(), Chem.GetFormalCharge(molecule), radicals
