"""`System`: one molecule, in atomic units, validated once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int32

from scfx.elements import SYMBOLS, atomic_number
from scfx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Bohr radius in angstrom: the CODATA 2010 value that PySCF and most quantum-chemistry programs convert with, so that
#: one xyz file is one geometry everywhere.
BOHR_IN_ANGSTROM = 0.52917721092
#: CODATA 2018 hartree in electronvolt.
HARTREE_IN_EV = 27.211386245988
#: Atomic unit of the electric dipole moment in debye.
DIPOLE_AU_IN_DEBYE = 2.541746473


@dataclass(frozen=True, eq=False)
class System:
    """A molecule: nuclei, total charge and spin multiplicity.

    `atomic_numbers` [natm]; `positions` [natm, 3] in bohr; `charge` in units of e; `multiplicity` = 2S + 1.
    `name` is a label for messages only. Raises `InputError` for coincident or non-finite nuclei, and for a
    multiplicity that the number of electrons cannot have.
    """

    atomic_numbers: Int32[np.ndarray, "natm"]
    positions: Float64[np.ndarray, "natm 3"]
    charge: int = 0
    multiplicity: int = 1
    name: str = ""

    def __post_init__(self) -> None:
        numbers = np.array(self.atomic_numbers, dtype=np.int32)
        positions = np.array(self.positions, dtype=np.float64)
        if numbers.ndim != 1 or numbers.size == 0:
            raise InputError("a System needs at least one atom")
        if positions.shape != (numbers.size, 3):
            raise InputError(f"positions have shape {positions.shape}, expected ({numbers.size}, 3)")
        if not np.isfinite(positions).all():
            raise InputError("positions are not finite")
        if numbers.min() < 1 or numbers.max() >= len(SYMBOLS):
            raise InputError(f"atomic numbers must lie in 1..{len(SYMBOLS) - 1}, got {numbers.tolist()}")
        if numbers.size > 1:
            separation = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
            separation[np.diag_indices(numbers.size)] = np.inf
            i, j = np.unravel_index(np.argmin(separation), separation.shape)
            if separation[i, j] < 0.1:
                raise InputError(
                    f"atoms {i} and {j} are {separation[i, j]:.3g} bohr apart: coincident nuclei. "
                    "Are the positions in the unit you gave (unit='angstrom' or 'bohr')?"
                )
        numbers.setflags(write=False)
        positions.setflags(write=False)
        object.__setattr__(self, "atomic_numbers", numbers)
        object.__setattr__(self, "positions", positions)
        if self.multiplicity < 1:
            raise InputError(f"multiplicity is 2S + 1 and at least 1, got {self.multiplicity}")
        n = self.n_electrons
        unpaired = self.multiplicity - 1
        if n < 0:
            raise InputError(
                f"charge {self.charge} removes more electrons than the nuclei bring ({n + self.charge})"
            )
        if unpaired > n or (n - unpaired) % 2:
            allowed = [m for m in range(1, 8) if (n - m + 1) % 2 == 0 and m - 1 <= n]
            raise InputError(
                f"{n} electrons (charge {self.charge}) cannot have multiplicity {self.multiplicity}; "
                f"possible: {', '.join(map(str, allowed))}, ... (multiplicity = 2S + 1)"
            )

    @property
    def natm(self) -> int:
        return int(self.atomic_numbers.size)

    @property
    def n_electrons(self) -> int:
        return int(self.atomic_numbers.sum()) - self.charge

    @property
    def n_alpha(self) -> int:
        return (self.n_electrons + self.multiplicity - 1) // 2

    @property
    def n_beta(self) -> int:
        return self.n_electrons - self.n_alpha

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(SYMBOLS[z] for z in self.atomic_numbers)

    @property
    def positions_angstrom(self) -> Float64[np.ndarray, "natm 3"]:
        return self.positions * BOHR_IN_ANGSTROM

    def __repr__(self) -> str:
        counts = {s: self.symbols.count(s) for s in sorted(set(self.symbols), key=lambda s: (s != "C", s))}
        formula = "".join(f"{s}{n if n > 1 else ''}" for s, n in counts.items())
        return f"System({formula}, charge={self.charge}, multiplicity={self.multiplicity})"

    @classmethod
    def from_arrays(
        cls,
        symbols_or_numbers: Sequence[str] | Sequence[int] | np.ndarray,
        positions: Any,
        unit: str = "angstrom",
        charge: int = 0,
        multiplicity: int | None = 1,
        name: str = "",
    ) -> System:
        """Build from element symbols (or atomic numbers) and positions [natm, 3] in `unit` ('angstrom' or 'bohr').

        `multiplicity=None` takes the lowest: 1 for an even number of electrons, 2 for an odd one.
        """
        numbers = np.array([atomic_number(s) for s in symbols_or_numbers], dtype=np.int32)
        scale = {"angstrom": 1.0 / BOHR_IN_ANGSTROM, "bohr": 1.0}.get(str(unit).lower())
        if scale is None:
            raise InputError(f"unit: got {unit!r}, expected 'angstrom' or 'bohr'")
        if multiplicity is None:
            multiplicity = 1 + (int(numbers.sum()) - charge) % 2
        coordinates = np.asarray(positions, dtype=np.float64) * scale
        return cls(numbers, coordinates, int(charge), int(multiplicity), name)

    @classmethod
    def from_xyz(
        cls, path: str | os.PathLike[str], charge: int = 0, multiplicity: int | None = None
    ) -> System:
        """Read the first frame of an xyz file (angstrom). `multiplicity=None`: the lowest possible."""
        from scfx.formats import read_xyz

        symbols, positions, name = read_xyz(path)
        return cls.from_arrays(symbols, positions, "angstrom", charge, multiplicity, name)

    @classmethod
    def from_smiles(cls, smiles: str, seed: int = 42, multiplicity: int | None = None) -> System:
        """One ETKDGv3 conformer of a SMILES string (RDKit, hydrogens added). The charge is the molecule's formal one.

        Needs `pip install "scfx[dataset]"`. Raises `InputError` if RDKit cannot parse or embed it.
        """
        from scfx.formats import embed_smiles

        symbols, positions, charge, unpaired = embed_smiles(smiles, seed)
        if multiplicity is None:
            multiplicity = unpaired + 1
        return cls.from_arrays(symbols, positions, "angstrom", charge, multiplicity, smiles)

    @classmethod
    def from_pyscf(cls, mole: Any) -> System:
        """From a built `pyscf.gto.Mole` (ghost atoms and effective core potentials are refused)."""
        numbers = [int(mole.atom_charge(i)) for i in range(mole.natm)]
        symbols = [mole.atom_pure_symbol(i) for i in range(mole.natm)]
        if any(z == 0 for z in numbers):
            raise InputError("from_pyscf: ghost atoms are not supported")
        if mole.has_ecp():
            raise InputError("from_pyscf: effective core potentials belong to the basis, not to the System")
        return cls.from_arrays(symbols, mole.atom_coords(), "bohr", int(mole.charge), int(mole.spin) + 1)

    @classmethod
    def from_ase(cls, atoms: Any, charge: int | None = None, multiplicity: int | None = None) -> System:
        """From an `ase.Atoms`; charge and multiplicity from `atoms.info` ('charge', 'spin') unless given."""
        charge = int(atoms.info.get("charge", 0)) if charge is None else charge
        if multiplicity is None and "spin" in atoms.info:
            multiplicity = int(atoms.info["spin"])
        return cls.from_arrays(atoms.numbers, atoms.positions, "angstrom", charge, multiplicity)

    @classmethod
    def from_qcschema(cls, molecule: Any) -> System:
        """From a QCSchema molecule: a mapping (or qcelemental `Molecule`) with `symbols` and `geometry` in bohr."""
        data = molecule if isinstance(molecule, dict) else molecule.dict()
        geometry = np.asarray(data["geometry"], dtype=np.float64).reshape(-1, 3)
        return cls.from_arrays(
            list(data["symbols"]),
            geometry,
            "bohr",
            int(data.get("molecular_charge", 0)),
            int(data.get("molecular_multiplicity", 1)),
            str(data.get("name", "")),
        )
