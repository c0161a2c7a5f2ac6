"""Conformers of a molecule by ETKDG and MMFF94: those of lowest energy, or those nearest to its own geometry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scfx.errors import InputError
from scfx.execution.sheltered import Sheltered
from scfx.model.system import BOHR_IN_ANGSTROM
from scfx_geometry.sampling.seeds import seed_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.model.system import System

Pick = Literal["lowest", "nearest"]
#: kcal/mol: two conformers are the same where energies are closer than this and heavy atoms than `prune_rms`. Of the
#: energy too, since the position of a hydroxyl's hydrogen is not seen in heavy atoms.
SAME_ENERGY = 0.05
_ITERATIONS = 5000
_made = Sheltered("scfx_geometry.sampling.conformers:made")


def conformers_of(
    system: System, smiles: str, count: int, samples: int, seed: int, pick: Pick, prune_rms: float
) -> list[tuple[System, dict[str, Any]]]:
    """Return at most `samples` different ones of `count` embedded conformers, in order of `pick`; each with what it is.

    Bonds are those of `smiles`, whose atoms `system` has in their canonical order, or (where it is empty) those that
    RDKit finds in the geometry; stereo centres are the geometry's. Distances (angstrom) are of heavy atoms, after the
    best alignment over all mappings of like atoms (`rdMolAlign.GetBestRMS`). Each conformer has a seed of its own,
    which is that of the row: more of them change none. Raises `InputError` where RDKit finds no bonds, no conformer or
    no parameters.
    """
    seeds = [seed_of(system, seed, number) for number in range(count)]
    found = _made(
        system.atomic_numbers.tolist(),
        system.positions_angstrom,
        system.charge,
        smiles,
        seeds,
        pick,
        samples,
        prune_rms,
    )
    return [
        (
            replace(system, positions=positions / BOHR_IN_ANGSTROM),
            {
                "seed": str(seeds[number]),
                "conformer": number,
                "force_field_kcal_mol": energy,
                "rmsd_angstrom": apart,
            },
        )
        for number, positions, energy, apart in found
    ]


def made(
    numbers: Sequence[int],
    positions: np.ndarray,
    charge: int,
    smiles: str,
    seeds: Sequence[int],
    pick: Pick,
    samples: int,
    prune_rms: float,
) -> list[tuple[int, np.ndarray, float, float]]:
    """Return (number, positions in angstrom, kcal/mol above the lowest, angstrom from the given geometry) of each
    conformer that is picked.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    with rdBase.BlockLogs():
        own = _structure(numbers, positions, charge, smiles)
        if len(Chem.GetMolFrags(own)) > 1:
            raise InputError("conformers are made of one molecule, and this is several")
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(own, mmffVariant="MMFF94")
        if properties is None:
            raise InputError("MMFF94 has no parameters for an atom or bond of this molecule")
        found = []
        for number, seed in enumerate(seeds):
            molecule = Chem.Mol(own)
            parameters = rdDistGeom.ETKDGv3()
            parameters.randomSeed = 1 + seed % (2**31 - 1)
            parameters.numThreads, parameters.timeout = 1, 60
            if rdDistGeom.EmbedMolecule(molecule, parameters) != 0:
                continue
            field = rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties)
            field.Initialize()
            if field.Minimize(maxIts=_ITERATIONS) == 0:
                found.append((number, molecule, field.CalcEnergy(), _apart(molecule, own)))
        if not found:
            raise InputError(f"ETKDGv3 and MMFF94 give none of {len(seeds)} conformers")
        lowest = min(energy for _, _, energy, _ in found)
        found.sort(key=(lambda c: (c[2], c[0])) if pick == "lowest" else (lambda c: (c[3], c[2], c[0])))
        picked: list[Any] = []
        for each in found:
            alike = [other[1] for other in picked if abs(each[2] - other[2]) < SAME_ENERGY]
            mirrored = _mirrored(each[1])
            if not any(min(_apart(each[1], m), _apart(mirrored, m)) < prune_rms for m in alike):
                picked.append(each)
            if len(picked) == samples:
                break
    return [
        (number, np.array(molecule.GetConformer().GetPositions()), energy - lowest, apart)
        for number, molecule, energy, apart in picked
    ]


def _structure(numbers: Sequence[int], positions: np.ndarray, charge: int, smiles: str) -> Any:
    """The molecule with bonds, the given geometry as its conformer, and the stereo centres of that."""
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    if smiles:
        molecule = Chem.AddHs(Chem.MolFromSmiles(Chem.MolToSmiles(Chem.MolFromSmiles(smiles))))
        if [atom.GetAtomicNum() for atom in molecule.GetAtoms()] != list(numbers):
            raise InputError(
                f"the atoms of the geometry are not those of {smiles!r} in their canonical order"
            )
    else:
        raw = Chem.RWMol()
        for z in numbers:
            raw.AddAtom(Chem.Atom(int(z)))
        molecule = raw.GetMol()
    conformer = Chem.Conformer(len(numbers))
    conformer.SetPositions(np.array(positions, dtype=np.float64))
    molecule.RemoveAllConformers()
    molecule.AddConformer(conformer)
    if not smiles:
        try:
            rdDetermineBonds.DetermineBonds(molecule, charge=charge)
        except (ValueError, RuntimeError) as error:
            raise InputError(f"RDKit finds no bonds in the geometry: {error}") from error
    Chem.SanitizeMol(molecule)
    Chem.AssignStereochemistryFrom3D(molecule)
    return molecule


def _mirrored(molecule: Any) -> Any:
    """A copy whose conformer is the mirror image, which has the same energy."""
    from rdkit import Chem

    copy = Chem.Mol(molecule)
    positions = np.array(copy.GetConformer().GetPositions()) * np.array([1.0, 1.0, -1.0])
    copy.GetConformer().SetPositions(positions)
    return copy


def _apart(molecule: Any, other: Any) -> float:
    """RMSD of heavy atoms in angstrom; 0 where there are fewer than two."""
    from rdkit import Chem
    from rdkit.Chem import rdMolAlign

    if molecule.GetNumHeavyAtoms() < 2:
        return 0.0
    # It moves the first: a copy, as RemoveHs makes one.
    return float(rdMolAlign.GetBestRMS(Chem.RemoveHs(molecule), Chem.RemoveHs(other)))
