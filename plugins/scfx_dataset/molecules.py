"""From a SMILES string to a canonical molecule, and whether the filters keep it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rdkit import Chem, RDLogger

from scfx.errors import InputError
from scfx.model.elements import SYMBOLS
from scfx.model.structures import OPEN_D_OR_F, refuse_unknown_spin

if TYPE_CHECKING:
    from scfx_dataset.options import Filters
    from scfx_dataset.sources import Record

# RDKit prints every parse error to stderr; here the reason travels in the row instead.
RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]

#: How to say a multiplicity that a structure does not tell.
_SPIN_REMEDY = "say multiplicity = {} in a column of that name, or as task.multiplicity"
_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)


@dataclass(frozen=True)
class Molecule:
    """What planning needs to know of a molecule. `numbers` counts atoms by atomic number, hydrogens included.

    `smiles` is None where a geometry came without one. `assumed` names what nobody stated: "charge", "multiplicity",
    "unit". `spin_unknown` says why a structure does not tell its multiplicity, "" if it does. `state` is "" for charge
    and multiplicity as the structure has them, else both.
    """

    smiles: str | None
    charge: int
    multiplicity: int
    n_fragments: int
    numbers: tuple[tuple[int, int], ...]
    assumed: tuple[str, ...] = ()
    spin_unknown: str = ""
    state: str = ""

    @property
    def key(self) -> str:
        """Return what makes it this molecule: the canonical SMILES, or else formula and charge, so that isomers of a
        formula count as one molecule rather than one molecule as two.
        """
        return self.smiles if self.smiles is not None else f"{self.formula} {self.charge:+d}"

    @property
    def formula(self) -> str:
        """Return the elements and counts, such as 'H6 C2 O1', by atomic number."""
        return " ".join(f"{SYMBOLS[z]}{count}" for z, count in self.numbers)

    @property
    def natm(self) -> int:
        """Return the number of atoms."""
        return sum(count for _, count in self.numbers)

    @property
    def n_heavy(self) -> int:
        """Return the number of atoms that are not hydrogen."""
        return sum(count for z, count in self.numbers if z > 1)

    @property
    def shape(self) -> str:
        """Return atoms by period of the periodic table, such as 'p2:9 p1:14'.

        In most basis sets the elements of a period have the same shells, so molecules of equal shape fill batches
        together. It only orders the work: the solver groups by the real shell structure.
        """
        periods = Counter()
        for z, count in self.numbers:
            periods[next(i for i, noble in enumerate(_NOBLE) if z <= noble)] += count
        text = " ".join(f"p{period}:{count}" for period, count in sorted(periods.items(), reverse=True))
        return text if self.multiplicity == 1 else f"{text} open"


def read_molecule(smiles: str) -> Molecule | str:
    """Return the canonical molecule, or the reason why there is none.

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
    spin_unknown = ""
    if molecule.GetNumAtoms() < 3 or not OPEN_D_OR_F.isdisjoint(numbers):  # no other structure hides its spin
        try:
            refuse_unknown_spin(molecule, _SPIN_REMEDY)
        except InputError as error:
            spin_unknown = str(error)
    return Molecule(
        smiles=canonical,
        charge=Chem.GetFormalCharge(molecule),
        multiplicity=radicals + 1,
        n_fragments=len(Chem.GetMolFrags(molecule)),
        numbers=tuple(sorted((+numbers).items())),
        assumed=("multiplicity",),
        spin_unknown=spin_unknown,
    )


def molecule_of_smiles(record: Record, multiplicity: int | None) -> Molecule | str:
    """Return the molecule of a record to be embedded, or the reason why it cannot be used.

    Charge and multiplicity are the record's, else the task's `multiplicity`, else those of the structure. Electrons
    other than the structure's are put into the structure's geometry, with the lowest multiplicity if none is stated.
    """
    structure = read_molecule(record.smiles)
    if isinstance(structure, str):
        return structure
    charge = structure.charge if record.charge is None else record.charge
    stated = multiplicity if record.multiplicity is None else record.multiplicity
    return _with_electrons(replace(structure, assumed=record.assumed), charge, stated, structure)


def _with_electrons(
    molecule: Molecule, charge: int, stated: int | None, structure: Molecule | None
) -> Molecule | str:
    """`molecule` with this charge, and the stated multiplicity or else an assumed one; or why that cannot be."""
    protons = sum(z * count for z, count in molecule.numbers)
    if abs(charge) > protons:
        return f"the charge is {charge}, but the nuclei have {protons} protons"
    electrons = protons - charge
    assumed = list(molecule.assumed)
    if stated is not None:
        if stated < 1:
            return f"the multiplicity is {stated}, expected 1 or more"
        if stated > 1 + electrons:
            return f"the multiplicity is {stated}, but there are {electrons} electrons"
        multiplicity = stated
    else:
        if structure is not None and structure.spin_unknown:
            return structure.spin_unknown
        as_drawn = structure is not None and charge == structure.charge
        multiplicity = structure.multiplicity if structure and as_drawn else 1 + electrons % 2
        assumed = [*(what for what in assumed if what != "multiplicity"), "multiplicity"]
    state = ""
    if structure is not None and (charge, multiplicity) != (structure.charge, structure.multiplicity):
        state = f" {charge:+d} {multiplicity}"
    return replace(
        molecule, charge=charge, multiplicity=multiplicity, assumed=tuple(sorted(assumed)), state=state
    )


def molecule_of_geometry(record: Record, default_multiplicity: int | None = None) -> Molecule | str:
    """Return the molecule of a given geometry, or the reason why its record cannot be used.

    Charge and multiplicity are the record's, else those of its SMILES (the multiplicity the task's
    `default_multiplicity` first), else 0 and the lowest that the electrons allow.
    """
    assert record.geometry is not None
    numbers = tuple(sorted(Counter(record.geometry.numbers).items()))
    if not numbers or numbers[0][0] < 1 or numbers[-1][0] >= len(SYMBOLS):
        return f"atomic numbers must lie in 1..{len(SYMBOLS) - 1}, got {[z for z, _ in numbers]}"
    structure = None
    assumed = record.assumed
    if record.smiles:
        structure = read_molecule(record.smiles)
        if isinstance(structure, str):
            return structure
        if structure.numbers != numbers:
            given = Molecule(None, 0, 1, 1, numbers)
            return f"the SMILES is {structure.formula} but the geometry is {given.formula}"
    charge = record.charge
    if charge is None and structure is not None:
        charge = structure.charge
    if charge is None:
        assumed = (*assumed, "charge")
    stated = default_multiplicity if record.multiplicity is None else record.multiplicity
    smiles, fragments = (structure.smiles, structure.n_fragments) if structure else (None, 1)
    molecule = Molecule(smiles, 0, 1, fragments, numbers, tuple(assumed))
    return _with_electrons(molecule, charge or 0, stated, structure)


def excluded_by(molecule: Molecule, filters: Filters, nao: int | None) -> str | None:
    """Return the name of the first filter that excludes the molecule, or None.

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
