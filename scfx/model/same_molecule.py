"""When two rows are of the same molecule: the one definition for splitting, for overlaps and for leak tests.

Two rows are of the same molecule if the first blocks of their standard InChIKeys are equal: the hash of formula, bonds
between atoms, and hydrogens (IUPAC's InChI Technical Manual; Heller et al., J. Cheminform. 7, 23, 2015). So

- conformers, stereoisomers and isotopologues are one molecule: whoever has learnt one has seen the other;
- so are tautomers that differ in a mobile hydrogen, as InChI knows them, resonance forms, and a molecule with its
  protonated and deprotonated forms (acetic acid and acetate): InChI keeps protons in another part of the key;
- a salt, or any other SMILES of several fragments, is all of its fragments: sodium acetate is not acetic acid;
- charge and multiplicity that a record states beside its SMILES do not matter: a cation in the geometry of its neutral
  molecule is that molecule.

A row without a structure (a geometry that came without SMILES) counts by its formula, so that isomers are one molecule
rather than one molecule two. That two different molecules share 65 bits of hash has never been seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def molecule_key(
    smiles: str | None, inchikey: str | None = None, numbers: Sequence[int] | None = None
) -> str:
    """Return a text that is equal for rows of the same molecule, and different for others.

    `smiles` of the row, `inchikey` where it is known already (a standard one), atomic `numbers` where there is neither.
    A SMILES that RDKit cannot read, or of which InChI makes no key, stands for itself, without its stereochemistry if
    it can be read. Raises `InputError` if RDKit is needed and not installed.
    """
    if not inchikey and smiles:
        inchikey, smiles = _structure(smiles)
    if inchikey:
        return inchikey.partition("-")[0]
    if smiles:
        return smiles
    return " ".join(f"{z}:{n}" for z, n in sorted(Counter(numbers or ()).items()))


def inchikey_of(smiles: str) -> str:
    """Return the standard InChIKey of a SMILES; "" where InChI has none or RDKit cannot read it."""
    return _structure(smiles)[0]


def _structure(smiles: str) -> tuple[str, str]:
    """(standard InChIKey or "", canonical SMILES without stereochemistry, or as it stands if it cannot be read)."""
    from scfx.model.structures import _rdkit

    Chem = _rdkit()
    from rdkit import rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            return "", smiles
        key = Chem.MolToInchiKey(Chem.AddHs(molecule))
        return key, "" if key else Chem.MolToSmiles(molecule, isomericSmiles=False)
