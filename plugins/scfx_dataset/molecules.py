"""From a SMILES string to a canonical molecule, and whether the filters keep it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rdkit import Chem, RDLogger

from scfx.elements import SYMBOLS

if TYPE_CHECKING:
    from scfx_dataset.options import Filters
    from scfx_dataset.sources import Record

# RDKit prints every parse error to stderr; here the reason travels in the row instead.
RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]

_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)


@dataclass(frozen=True)
class Molecule:
    """What planning needs to know of a molecule. `numbers` counts atoms by atomic number, hydrogens included.

    `smiles` is None where a geometry came without one.
    """

    smiles: str | None
    charge: int
    multiplicity: int
    n_fragments: int
    numbers: tuple[tuple[int, int], ...]

    @property
    def key(self) -> str:
        """What makes it this molecule: the canonical SMILES, or else formula and charge, so that isomers of a formula
        count as one molecule rather than one molecule as two.
        """
        return self.smiles if self.smiles is not None else f"{self.formula} {self.charge:+d}"

    @property
    def formula(self) -> str:
        """Elements and counts, such as 'H6 C2 O1', by atomic number."""
        return " ".join(f"{SYMBOLS[z]}{count}" for z, count in self.numbers)

    @property
    def natm(self) -> int:
        return sum(count for _, count in self.numbers)

    @property
    def n_heavy(self) -> int:
        return sum(count for z, count in self.numbers if z > 1)

    @property
    def shape(self) -> str:
        """Atoms by period of the periodic table, such as 'p2:9 p1:14'.

        In most basis sets the elements of a period have the same shells, so molecules of equal shape fill batches
        together. It only orders the work: the solver groups by the real shell structure.
        """
        periods = Counter()
        for z, count in self.numbers:
            periods[next(i for i, noble in enumerate(_NOBLE) if z <= noble)] += count
        text = " ".join(f"p{period}:{count}" for period, count in sorted(periods.items(), reverse=True))
        return text if self.multiplicity == 1 else f"{text} open"


def read_molecule(smiles: str) -> Molecule | str:
    """The canonical molecule, or the reason why there is none.

    The multiplicity is the highest that the radical electrons of the structure allow (2S + 1 = radicals + 1).
    """
    parsed = Chem.MolFromSmiles(smiles)
    if parsed is None:
        return "RDKit cannot parse this SMILES"
    if parsed.GetNumAtoms() == 0:
        return "the SMILES has no atoms"
    canonical = Chem.MolToSmiles(parsed)
    molecule = Chem.MolFromSmiles(canonical)
    if molecule is None:
        return f"RDKit cannot read back its own canonical SMILES {canonical!r}"
    numbers: Counter[int] = Counter()
    radicals = 0
    # Hydrogens are counted at their atoms: adding them to the graph would take most of the time of planning.
    for index in range(molecule.GetNumAtoms()):
        atom = molecule.GetAtomWithIdx(index)
        numbers[atom.GetAtomicNum()] += 1
        numbers[1] += atom.GetTotalNumHs()
        radicals += atom.GetNumRadicalElectrons()
    if 0 in numbers:
        return "the SMILES has a dummy atom '*'"
    return Molecule(
        smiles=canonical,
        charge=Chem.GetFormalCharge(molecule),
        multiplicity=radicals + 1,
        n_fragments=len(Chem.GetMolFrags(molecule)),
        numbers=tuple(sorted((+numbers).items())),
    )


def molecule_of_geometry(record: Record) -> Molecule | str:
    """The molecule of a given geometry, or the reason why its record cannot be used.

    Charge and multiplicity are the record's, else those of its SMILES, else 0 and the lowest that the electrons allow.
    """
    assert record.geometry is not None
    numbers = tuple(sorted(Counter(record.geometry.numbers).items()))
    if not numbers or numbers[0][0] < 1 or numbers[-1][0] >= len(SYMBOLS):
        return f"atomic numbers must lie in 1..{len(SYMBOLS) - 1}, got {[z for z, _ in numbers]}"
    charge, multiplicity, smiles, fragments = record.charge, record.multiplicity, None, 1
    if multiplicity is not None and multiplicity < 1:
        return f"the multiplicity is {multiplicity}, expected 1 or more"
    if record.smiles:
        structure = read_molecule(record.smiles)
        if isinstance(structure, str):
            return structure
        if structure.numbers != numbers:
            given = Molecule(None, 0, 1, 1, numbers)
            return f"the SMILES is {structure.formula} but the geometry is {given.formula}"
        smiles, fragments = structure.smiles, structure.n_fragments
        if charge is None or charge == structure.charge:
            charge, multiplicity = structure.charge, multiplicity or structure.multiplicity
    charge = charge or 0
    protons = sum(z * count for z, count in numbers)
    if abs(charge) > protons:
        return f"the charge is {charge}, but the nuclei have {protons} protons"
    electrons = protons - charge
    if multiplicity is not None and multiplicity > 1 + electrons:
        return f"the multiplicity is {multiplicity}, but there are {electrons} electrons"
    return Molecule(smiles, charge, multiplicity or 1 + electrons % 2, fragments, numbers)


def excluded_by(molecule: Molecule, filters: Filters, nao: int | None) -> str | None:
    """Name of the first filter that excludes the molecule, or None.

    `nao` is its number of atomic orbitals; None, where the basis lacks an element, passes `max_aos`: such a molecule
    becomes a failed row that says so.
    """
    if filters.single_fragment and molecule.n_fragments > 1:
        return "single_fragment"
    if filters.min_heavy_atoms is not None and molecule.n_heavy < filters.min_heavy_atoms:
        return "min_heavy_atoms"
    if filters.max_heavy_atoms is not None and molecule.n_heavy > filters.max_heavy_atoms:
        return "max_heavy_atoms"
    if filters.max_atoms is not None and molecule.natm > filters.max_atoms:
        return "max_atoms"
    if filters.max_aos is not None and nao is not None and nao > filters.max_aos:
        return "max_aos"
    if filters.elements is not None and any(SYMBOLS[z] not in filters.elements for z, _ in molecule.numbers):
        return "elements"
    if filters.charge is not None and molecule.charge != filters.charge:
        return "charge"
    return None
