"""Molecules of other programs' objects, kept away from `System` so that importing it stays light.

Each function gives a `Given`: what the object states, in its own unit, and what it leaves open. `System` joins that
with the caller's arguments. xyz files are read in `scfx.model.xyz`, SMILES and RDKit's
molecules in `scfx.model.structures`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scfx.errors import InputError
from scfx.model.elements import atomic_number, whole_number
from scfx.model.stated import (
    joined,
    stated_charge,
    stated_multiplicity,
    total_by_atom,
    unpaired_by_atom,
)


@dataclass(frozen=True)
class Given:
    """What an object states of a molecule: None where it states nothing. `ghosts` marks atoms without a nucleus.

    `structural_multiplicity` is what its bonds suggest, which counts as assumed.
    """

    labels: list[Any]
    positions: Any
    unit: str
    charge: int | None = None
    multiplicity: int | None = None
    name: str = ""
    ghosts: list[bool] | None = None
    structural_multiplicity: int | None = None


def of_ase(atoms: Any, charge: int | None, multiplicity: int | None) -> Given:
    """Make a system of an `ase.Atoms`. The arguments are what the caller has decided: what they decide is not asked of
    it.

    `atoms.info` states charge (`charge`, `total_charge`...) and multiplicity (`multiplicity`; `spin`, read as 2S + 1;
    `uhf`, read as 2S), else initial charges and magnetic moments of the atoms add up to them.
    """
    where = "from_ase"
    if np.any(atoms.pbc):
        raise InputError(
            f"{where}: the atoms are periodic (pbc = {np.asarray(atoms.pbc).tolist()}), and scfx computes isolated "
            "molecules; if it is one molecule in a box, set atoms.pbc = False"
        )
    # Rows of an ASE database keep what was written beside the atoms one level down. "charge" is ASE's own there: the
    # sum of initial charges, whatever was written under it.
    stored = atoms.info.get("key_value_pairs")
    stored = {k: v for k, v in stored.items() if k != "charge"} if isinstance(stored, Mapping) else {}
    pairs = {**stored, **atoms.info}
    info = {str(key).lower(): value for key, value in pairs.items()}
    if charge is None:
        by_atom = total_by_atom(
            atoms.get_initial_charges(), "initial charges", where, "set atoms.info['charge'] and remove them"
        )
        charge = joined(stated_charge(info, where), by_atom, "charge", "initial charges", where)
    if multiplicity is None:
        electrons = int(np.sum(atoms.numbers)) - (charge or 0)
        multiplicity = joined(
            stated_multiplicity(info, electrons, where),
            unpaired_by_atom(atoms.get_initial_magnetic_moments(), where),
            "multiplicity", "initial magnetic moments", where,
        )  # fmt: skip
    name = info.get("name", "")
    return Given(
        list(atoms.numbers),
        atoms.positions,
        "angstrom",
        charge,
        multiplicity,
        name if isinstance(name, str) else "",
    )


def of_pyscf(mole: Any) -> Given:
    """Make a system of a built `pyscf.gto.Mole`, ghost atoms included; core potentials and periodic cells are
    refused.
    """
    where = "from_pyscf"
    if hasattr(mole, "lattice_vectors"):
        raise InputError(
            f"{where}: got a periodic {type(mole).__name__}, scfx computes isolated molecules; use cell.to_mol()"
        )
    if not getattr(mole, "_built", True):
        raise InputError(f"{where}: the Mole is not built; call mole.build() first")
    if mole.has_ecp():
        raise InputError(f"{where}: effective core potentials belong to the basis, not to the System")
    labels, ghosts = [], []
    for i in range(mole.natm):
        symbol, nuclear = mole.atom_pure_symbol(i), mole.atom_charge(i)
        ghost = nuclear == 0
        element = symbol
        if ghost:
            # "GHOST-He", "X-He"; alone it says no element.
            element = symbol.upper().removeprefix("GHOST").removeprefix("X").lstrip("-_.:")
            if not element:
                raise InputError(
                    f"{where}: ghost atom {i} ({symbol!r}) names no element; write ghost-O for oxygen's functions"
                )
        if not ghost and nuclear != atomic_number(element):
            raise InputError(
                f"{where}: atom {i} ({symbol}) has the nuclear charge {nuclear}, and scfx computes with whole nuclei"
            )
        raw = mole.atom_symbol(i)  # "O1", where the geometry is written so
        numbered = not ghost and re.fullmatch(r"[A-Za-z]{1,2}[0-9]+", raw)
        labels.append(raw if numbered else element)
        ghosts.append(ghost)
    return Given(
        labels, mole.atom_coords(), "bohr", whole_number(mole.charge, "charge"), whole_number(mole.spin, "spin") + 1,
        ghosts=ghosts,
    )  # fmt: skip


def of_qcschema(molecule: Any, charge: int | None, multiplicity: int | None) -> Given:
    """Make a system of a QCSchema molecule: a mapping, or an object of qcelemental; geometry in bohr.

    `real` marks ghost atoms; numbers in `atom_labels` follow the symbols. The charge is the molecule's, else the sum of
    its fragments'. The multiplicity is the molecule's, else that of a single fragment; several open-shell fragments
    could couple in several ways.
    """
    where = "from_qcschema"
    data = _mapping(molecule, where)
    for key in ("symbols", "geometry"):
        if data.get(key) is None:
            raise InputError(
                f"{where}: there is no {key!r}; a QCSchema molecule has symbols and geometry (in bohr)"
            )
    symbols = list(data["symbols"])
    numbers = data.get("atom_labels")
    if numbers is not None and len(numbers) == len(symbols):  # Psi4's H1 is "H" and "1"
        symbols = [f"{s}{n}" if str(n).isdigit() else s for s, n in zip(symbols, numbers, strict=True)]
    geometry = np.asarray(data["geometry"], dtype=np.float64)
    if geometry.size != 3 * len(symbols):
        raise InputError(f"{where}: {len(symbols)} symbols, but {geometry.size} numbers in geometry")
    real = data.get("real")
    real = [True] * len(symbols) if real is None else [bool(x) for x in real]
    if len(real) != len(symbols):
        raise InputError(f"{where}: {len(symbols)} symbols, but {len(real)} entries of real")
    fragments = data.get("fragments")
    if fragments is not None:
        atoms = sorted(int(i) for fragment in fragments for i in fragment)
        if atoms != list(range(len(symbols))):
            raise InputError(f"{where}: fragments do not name each of the {len(symbols)} atoms once")
    if charge is None:
        charge = _charge(data, where)
    if multiplicity is None:
        multiplicity = _multiplicity(data, where)
    return Given(
        symbols, geometry.reshape(-1, 3), "bohr", charge, multiplicity, str(data.get("name") or ""),
        [not r for r in real],
    )  # fmt: skip


def _mapping(molecule: Any, where: str) -> Mapping[str, Any]:
    data = molecule
    if not isinstance(molecule, Mapping):
        to_dict = getattr(molecule, "model_dump", None) or getattr(molecule, "dict", None)
        if to_dict is None:
            raise InputError(
                f"{where}: got {type(molecule).__name__}, expected a mapping or a qcelemental Molecule"
            )
        data = to_dict()
    if "molecule" in data or "initial_molecule" in data:
        key = "molecule" if "molecule" in data else "initial_molecule"
        raise InputError(
            f"{where}: got an input or a result ({data.get('schema_name', type(molecule).__name__)}), whose model and "
            f"driver a System cannot hold; pass its molecule: System.from_qcschema(it[{key!r}])"
        )
    return data


def _fragment_numbers(data: Mapping[str, Any], key: str, where: str) -> list[int] | None:
    values = data.get(key)
    return None if values is None else [whole_number(v, f"{where}: {key}") for v in values]


def _charge(data: Mapping[str, Any], where: str) -> int | None:
    fragments = _fragment_numbers(data, "fragment_charges", where)
    stated = data.get("molecular_charge")
    charge = None if stated is None else whole_number(stated, f"{where}: molecular_charge")
    return joined(
        charge, None if fragments is None else sum(fragments), "molecular_charge", "fragment_charges", where
    )


def _multiplicity(data: Mapping[str, Any], where: str) -> int | None:
    fragments = _fragment_numbers(data, "fragment_multiplicities", where)
    stated = data.get("molecular_multiplicity")
    if stated is not None:
        return whole_number(stated, f"{where}: molecular_multiplicity")
    if fragments is None:
        return None
    if sum(m > 1 for m in fragments) > 1:
        raise InputError(
            f"{where}: fragment_multiplicities {fragments} can couple in several ways; state molecular_multiplicity"
        )
    return max(fragments)


def kind_of(value: Any) -> str:
    """Return which door of `System` an object belongs to, without importing its package; "" for none."""
    for parent in type(value).__mro__:
        module, name = parent.__module__, parent.__name__
        if module.startswith("ase.") and name == "Atoms":
            return "ase"
        if module.startswith("pyscf.") and name in ("Mole", "MoleBase", "Cell", "CellBase"):
            return "pyscf"
        if module.startswith("rdkit.") and name == "Mol":
            return "rdkit"
        if module.startswith("qcelemental.") and name in ("Molecule", "AtomicInput", "AtomicResult"):
            return "qcschema"
    if isinstance(value, Mapping) and ("symbols" in value or "molecule" in value):
        return "qcschema"
    return ""
