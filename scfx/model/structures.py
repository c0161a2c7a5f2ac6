"""SMILES strings and RDKit's molecules: geometry, formal charge, and what the structure says of unpaired electrons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from scfx.errors import InputError, PluginUnavailableError
from scfx.execution.sheltered import Sheltered
from scfx.model.elements import SYMBOLS, electrons_by_angular_momentum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.model.formats import Given

#: Elements with open d or f shells in most of their compounds: groups 3 to 11, lanthanides and actinides.
OPEN_D_OR_F = {*range(21, 30), *range(39, 48), *range(57, 80), *range(89, 112)}
_CHALCOGENS = {8, 16, 34, 52, 84}
_embed = Sheltered("scfx.model.structures:embedded")


def _rdkit() -> Any:
    try:
        from rdkit import Chem
    except ImportError as error:
        raise PluginUnavailableError(
            "", "reading SMILES needs RDKit, which is not installed: pip install 'scfx[dataset]'"
        ) from error
    return Chem


def embed_smiles(smiles: str, seed: int, multiplicity: int | None = None) -> Given:
    """Return one ETKDGv3 conformer of a SMILES string, hydrogens added, and its formal charge.

    The SMILES is canonicalised first, since the embedding depends on the order of the atoms. Fragments are placed
    apart (`placed_apart`). RDKit works in a process of its own, since it would take a Ctrl-C for itself. Raises
    `InputError` if RDKit cannot parse or embed it, or where the structure does not tell the multiplicity and the caller
    has not given it.
    """
    _rdkit()
    return _embed(smiles, seed, multiplicity)


def embedded(smiles: str, seed: int, multiplicity: int | None) -> Given:
    """Return what `embed_smiles` says, in this process."""
    Chem = _rdkit()
    from rdkit import rdBase
    from rdkit.Chem import rdDistGeom

    with rdBase.BlockLogs():
        parsed = Chem.MolFromSmiles(smiles)
        if parsed is None:
            raise InputError(f"RDKit cannot parse the SMILES string {smiles!r}")
        molecule = Chem.AddHs(Chem.MolFromSmiles(Chem.MolToSmiles(parsed)))
        if molecule.GetNumAtoms() == 0:
            raise InputError(f"the SMILES string {smiles!r} has no atoms")
        refuse_dummies(molecule)
        if multiplicity is None:
            refuse_unknown_spin(molecule, "pass multiplicity={}")
        parameters = rdDistGeom.ETKDGv3()
        parameters.randomSeed = seed
        parameters.timeout = 60
        failed = rdDistGeom.EmbedMolecule(molecule, parameters) != 0
    if failed:
        raise InputError(f"RDKit's ETKDGv3 finds no conformer of {smiles!r} (seed {seed})")
    return _given(molecule, placed_apart(molecule), smiles)


def of_rdkit(molecule: Any, conformer: int | None, multiplicity: int | None) -> Given:
    """Return the atoms and one conformer of an RDKit molecule as they are: nothing is added, embedded or moved."""
    Chem = _rdkit()
    where = "from_rdkit"
    if not isinstance(molecule, Chem.Mol):
        raise InputError(f"{where}: got {type(molecule).__name__}, expected an rdkit.Chem.Mol")
    ids = [c.GetId() for c in molecule.GetConformers()]
    if not ids:
        raise InputError(
            f"{where}: the molecule has no conformer; embed one (rdDistGeom.EmbedMolecule), or use System.from_smiles"
        )
    if conformer is None and len(ids) > 1:
        raise InputError(
            f"{where}: the molecule has {len(ids)} conformers; say which: conformer = {ids[0]} ... {ids[-1]}"
        )
    number = ids[0] if conformer is None else conformer
    if number not in ids:
        raise InputError(f"{where}: there is no conformer {number}; there are {ids[:20]}")
    chosen = molecule.GetConformer(int(number))
    if molecule.GetNumAtoms() > 1 and not chosen.Is3D():
        raise InputError(
            f"{where}: conformer {number} is a drawing in two dimensions, not a geometry; embed one"
        )
    # Not those that valence rules would add to an atom that says how many it has.
    missing = sum(atom.GetTotalNumHs(includeNeighbors=False) for atom in molecule.GetAtoms())
    if missing:
        raise InputError(
            f"{where}: {missing} hydrogen atoms have no position; use Chem.AddHs(molecule, addCoords=True), or embed "
            "with hydrogens"
        )
    refuse_dummies(molecule)
    if multiplicity is None:
        refuse_unknown_spin(molecule, "pass multiplicity={}")
    return _given(molecule, np.array(chosen.GetPositions(), dtype=np.float64), "")


def _given(molecule: Any, positions: np.ndarray, name: str) -> Given:
    from scfx.model.formats import Given

    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    charge = _rdkit().GetFormalCharge(molecule)
    return Given(
        numbers, positions, "angstrom", charge, name=name or _title(molecule),
        structural_multiplicity=radical_multiplicity(molecule),
    )  # fmt: skip


def _title(molecule: Any) -> str:
    return molecule.GetProp("_Name") if molecule.HasProp("_Name") else ""


def radical_multiplicity(molecule: Any) -> int:
    """Return 2S + 1 with all radical electrons of the structure parallel: what is assumed for it."""
    return 1 + sum(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())


def refuse_dummies(molecule: Any) -> None:
    """Raise `InputError` for a structure with a dummy atom '*'."""
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        raise InputError("the structure has a dummy atom '*', which has no nucleus")


def refuse_unknown_spin(molecule: Any, remedy: str) -> None:
    """Raise `InputError` where a structure does not tell the multiplicity; `remedy` has {} in the number's place.

    That is so for open d and f shells, for the diatomics of oxygen's group (O=O is a triplet, though its structure
    has no radical) and for atoms whose ground state is not the one with all valences parallel (carbon, boron...).
    """
    atoms = list(molecule.GetAtoms())
    metals = sorted({atom.GetAtomicNum() for atom in atoms} & OPEN_D_OR_F)
    if metals:
        names = ", ".join(SYMBOLS[z] for z in metals)
        raise InputError(
            f"a structure does not tell the spin of {names} (open d or f shells); {remedy.format('2S + 1')}"
        )
    heavy = [atom for atom in atoms if atom.GetAtomicNum() > 1]
    # Also for structures whose hydrogens are counted at their atoms: H2O2 is no O2.
    bare = not any(atom.GetTotalNumHs() for atom in atoms)
    plain = bare and not any(atom.GetNumRadicalElectrons() or atom.GetFormalCharge() for atom in atoms)
    if (
        len(atoms) == 2
        and molecule.GetNumBonds() == 1
        and plain
        and {a.GetAtomicNum() for a in atoms} <= _CHALCOGENS
    ):
        names = "".join(SYMBOLS[atom.GetAtomicNum()] for atom in atoms)
        raise InputError(
            f"{names} is a triplet in its ground state, which this structure does not say; {remedy.format(3)} "
            "(1 for the singlet)"
        )
    # Ions beyond calcium do not have the configuration of the neutral atom with as many electrons.
    if (
        len(atoms) == 1
        and heavy
        and bare
        and (heavy[0].GetAtomicNum() <= 20 or not heavy[0].GetFormalCharge())
    ):
        assumed = radical_multiplicity(molecule)
        atom = heavy[0]
        ground = _ground_multiplicity(atom.GetAtomicNum() - atom.GetFormalCharge())
        if assumed != ground:
            raise InputError(
                f"the structure gives the atom {SYMBOLS[atom.GetAtomicNum()]} {assumed - 1} unpaired electrons, its "
                f"ground state has {ground - 1}; {remedy.format(ground)} for that"
            )


def _ground_multiplicity(n_electrons: int) -> int:
    """By Hund's first rule, of an atom or ion of the main groups with so many electrons."""
    if n_electrons < 1:
        return 1
    unpaired = 0
    for l, count in enumerate(electrons_by_angular_momentum(n_electrons)):
        open_shell = count % (4 * l + 2)
        unpaired += min(open_shell, 4 * l + 2 - open_shell)
    return 1 + unpaired


def placed_apart(molecule: Any, positions: Float64[np.ndarray, "natm 3"] | None = None) -> np.ndarray:
    """Return positions (angstrom) of the molecule's conformer with its fragments in contact instead of on top of each
    other.

    Distance geometry knows no distance between fragments. The first stays; each other one is put with its centre on
    the line through the first one's along x and moved out until no atom is nearer to an atom placed before than the
    sum of their van der Waals radii. A molecule of one fragment is returned as it is.
    """
    Chem = _rdkit()
    out = np.array(
        molecule.GetConformer().GetPositions() if positions is None else positions, dtype=np.float64
    )
    fragments = Chem.GetMolFrags(molecule)
    if len(fragments) < 2:
        return out
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRvdw(atom.GetAtomicNum()) for atom in molecule.GetAtoms()])
    placed: list[int] = list(fragments[0])
    for fragment in fragments[1:]:
        here: Sequence[int] = list(fragment)
        out[here] += out[list(fragments[0])].mean(axis=0) - out[here].mean(axis=0)
        offset = out[placed][:, None] - out[here][None]  # from each new atom to each placed one
        across = np.linalg.norm(offset[..., 1:], axis=-1)
        contact = radii[placed][:, None] + radii[here][None]
        along = offset[..., 0] + np.sqrt(np.maximum(contact**2 - across**2, 0.0))
        # At least one pair is in the way: both centres lie on the line.
        out[here, 0] += float(np.max(np.where(across < contact, along, -np.inf), initial=0.0))
        placed += here
    return out
