"""SDF files, cut into blocks here and read by RDKit one block at a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rdkit import Chem

from scfx.errors import InputError
from scfx.model.stated import stated_charge, stated_multiplicity
from scfx_dataset.sources.lines import Lines, readable
from scfx_dataset.sources.record import UNUSABLE, Record, geometry_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scfx_dataset.options import Limits

_END_OF_BLOCK = b"$$$$"
_FIELD = re.compile(r"> .*?<([^<>]+)>.*|><([^<>]+)>.*")
#: Names that fields of other programs' files have for a molecule's charge, besides those that scfx reads everywhere.
_OTHER_NAMES = {"pubchem_total_charge": "charge"}


def read_sdf(path: Path, limits: Limits) -> Iterator[Record]:
    """Yield every block of an SDF: its title, its SMILES from the bonds, and its 3-D positions if it has any.

    Hydrogens stay as they are drawn for the geometry; a block without 3-D coordinates has no geometry. The data fields
    `charge`, `multiplicity`, `spin` (2S + 1) and kin are what the record states. A block that RDKit cannot read, that
    is larger than the limit or that breaks off is one record with a problem, and so is one whose fields contradict
    each other.
    """
    lines = Lines(path, limits.record_bytes)
    number, block, size, begin, problem = 0, [], 0, 1, ""
    for line in lines:
        if line.text.startswith(_END_OF_BLOCK):
            number += 1
            yield _record(number, b"\n".join(block), limits, problem)
            block, size, begin, problem = [], 0, line.number + 1, ""
            continue
        problem = problem or line.problem
        size += len(line.text) + 1
        if size > limits.record_bytes:
            problem = problem or f"the block has more than limits.record_bytes = {limits.record_bytes} bytes"
            block = block[:1]
        else:
            block.append(line.text)
    if any(text.strip() for text in block) or problem:
        rest = b"\n".join(block)
        # A .mol file has no end mark; but half a block may look like a smaller molecule.
        if not problem and b"M  END" not in rest:
            problem = f"the block that begins in line {begin} breaks off: it has no 'M  END'"
        number += 1
        yield _record(number, rest, limits, problem)
    if lines.ended_early:
        yield Record(number + 1, "", problem=lines.ended_early)


def _record(number: int, block: bytes, limits: Limits, problem: str) -> Record:
    name = f"block {number}"
    if problem:
        return Record(number, "", name, problem=problem)
    try:
        text = readable(block.decode("utf-8", "surrogateescape"))
        molecule = Chem.MolFromMolBlock(text, removeHs=False)
        if molecule is None:
            return Record(number, "", name, problem="RDKit cannot read this block of the SDF")
        name = molecule.GetProp("_Name") if molecule.HasProp("_Name") else ""
        # From the 3-D positions, if there are any: a mol block need not carry stereo marks.
        solid = molecule.GetNumConformers() > 0 and molecule.GetConformer().Is3D()
        if solid:
            Chem.AssignStereochemistryFrom3D(molecule)
        smiles = Chem.MolToSmiles(Chem.RemoveHs(molecule))
        geometry = None
        if solid:
            numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
            geometry = geometry_of(numbers, molecule.GetConformer().GetPositions(), most_atoms=limits.atoms)
    except (*UNUSABLE, RuntimeError) as error:
        return Record(number, "", name, problem=f"RDKit cannot read this block of the SDF: {error}")
    fields = _fields(text)
    try:
        charge = stated_charge(fields, "the data fields")
        total = Chem.GetFormalCharge(molecule) if charge is None else charge
        multiplicity = stated_multiplicity(fields, _nuclear_charge(molecule) - total, "the data fields")
    except InputError as error:
        return Record(number, smiles, name, geometry, problem=str(error))
    return Record(number, smiles, name, geometry, charge, multiplicity)


def _fields(block: str) -> dict[str, str]:
    """The data fields behind the connection table, names in lower case, empty ones left out."""
    lines = iter(block.partition("M  END")[2].splitlines())
    found: dict[str, str] = {}
    for line in lines:
        if head := _FIELD.fullmatch(line.strip()):
            name = (head[1] or head[2]).strip().lower()
            value = next(lines, "").strip()
            if value:
                found[_OTHER_NAMES.get(name, name)] = value
    return found


def _nuclear_charge(molecule: Chem.Mol) -> int:
    """Of all atoms, with the hydrogens that are counted at their atoms."""
    return sum(
        atom.GetAtomicNum() + atom.GetTotalNumHs(includeNeighbors=False) for atom in molecule.GetAtoms()
    )
