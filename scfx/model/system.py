"""`System`: one molecule, in atomic units, validated once."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import Bool, Float64, Int32

from scfx.errors import InputError
from scfx.model.atom_arrays import atom_labels, ghost_marks, refuse_coincident, whole_numbers
from scfx.model.elements import SYMBOLS, atom_label, nucleus, whole_number
from scfx.model.stated import Assumed, AssumedUnit, LengthUnit, length_unit, lowest_multiplicity
from scfx.model.units import BOHR_IN_ANGSTROM as BOHR_IN_ANGSTROM
from scfx.model.units import DIPOLE_AU_IN_DEBYE as DIPOLE_AU_IN_DEBYE
from scfx.model.units import HARTREE_IN_EV as HARTREE_IN_EV

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scfx.model.formats import Given
    from scfx.model.xyz import XYZFrame

_UNSTATED_UNIT = cast("LengthUnit", AssumedUnit("angstrom"))


@dataclass(frozen=True, eq=False)
class System:
    """A molecule: nuclei, total charge and spin multiplicity.

    Equal by value, where `name`, `labels` and `assumed` do not count.

    `atomic_numbers` [natm]; `positions` [natm, 3] in bohr; `charge` in units of e; `multiplicity` = 2S + 1.
    `ghosts` [natm] marks atoms that have the basis functions and the grid points of their element, and neither charge
    nor electrons. `labels` [natm] are the atoms' names where some have a number ("O1"), by which a basis set may be
    chosen; None: none has. `name` is a label for messages only. `assumed` names what nobody stated: "charge",
    "multiplicity", "unit". Raises `InputError` for coincident or non-finite nuclei, for numbers that are not whole,
    and for a multiplicity that the number of electrons cannot have.
    """

    atomic_numbers: Int32[np.ndarray, "natm"]
    positions: Float64[np.ndarray, "natm 3"]
    charge: int = Assumed(0)
    multiplicity: int = Assumed(1)
    name: str = ""
    ghosts: Bool[np.ndarray, "natm"] | None = None
    assumed: frozenset[str] = frozenset()
    labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        numbers = whole_numbers(self.atomic_numbers)
        positions = np.array(self.positions, dtype=np.float64)
        if numbers.ndim != 1 or numbers.size == 0:
            raise InputError("a System needs at least one atom")
        if positions.shape != (numbers.size, 3):
            raise InputError(f"positions have shape {positions.shape}, expected ({numbers.size}, 3)")
        if not np.isfinite(positions).all():
            raise InputError("positions are not finite")
        if numbers.min() < 1 or numbers.max() >= len(SYMBOLS):
            raise InputError(f"atomic numbers must lie in 1..{len(SYMBOLS) - 1}, got {numbers.tolist()}")
        ghosts = ghost_marks(self.ghosts, numbers.size)
        if ghosts is not None and ghosts.all():
            raise InputError("a System of ghost atoms alone has no nucleus")
        refuse_coincident(positions)
        numbers.setflags(write=False)
        positions.setflags(write=False)
        assumed = set(self.assumed)
        for field in ("charge", "multiplicity"):
            if isinstance(getattr(self, field), Assumed):
                assumed.add(field)
            object.__setattr__(self, field, whole_number(getattr(self, field), field))
        object.__setattr__(self, "atomic_numbers", numbers)
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "ghosts", ghosts)
        object.__setattr__(self, "labels", atom_labels(self.labels, numbers))
        object.__setattr__(self, "assumed", frozenset(assumed))
        self._check_electrons()

    def _check_electrons(self) -> None:
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

    def __eq__(self, other: object) -> bool:
        return self._value() == other._value() if isinstance(other, System) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value())

    def _value(self) -> tuple[Any, ...]:
        # + 0.0: zero is equal to minus zero.
        return (
            self.atomic_numbers.tobytes(), (self.positions + 0.0).tobytes(), self.charge, self.multiplicity,
            self.ghost.tobytes(),
        )  # fmt: skip

    @property
    def natm(self) -> int:
        """Return the number of atoms."""
        return int(self.atomic_numbers.size)

    @property
    def ghost(self) -> Bool[np.ndarray, "natm"]:
        """Return which atoms are ghosts; all False where there are none."""
        return np.zeros(self.natm, dtype=bool) if self.ghosts is None else self.ghosts

    @property
    def nuclear_charges(self) -> Int32[np.ndarray, "natm"]:
        """Return the atomic numbers, 0 for ghost atoms."""
        return np.where(self.ghost, 0, self.atomic_numbers).astype(np.int32)

    @property
    def n_electrons(self) -> int:
        """Return the number of electrons."""
        return int(self.nuclear_charges.sum()) - self.charge

    @property
    def n_alpha(self) -> int:
        """Return the number of electrons of spin alpha."""
        return (self.n_electrons + self.multiplicity - 1) // 2

    @property
    def n_beta(self) -> int:
        """Return the number of electrons of spin beta."""
        return self.n_electrons - self.n_alpha

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols of the atoms."""
        return tuple(SYMBOLS[z] for z in self.atomic_numbers)

    @property
    def positions_angstrom(self) -> Float64[np.ndarray, "natm 3"]:
        """Return the positions [natm, 3] in angstrom."""
        return self.positions * BOHR_IN_ANGSTROM

    def without_ghosts(self) -> System:
        """Return the molecule without its ghost atoms: what has nuclei. Itself if it has none."""
        if self.ghosts is None:
            return self
        real = ~self.ghost
        labels = None if self.labels is None else tuple(itertools.compress(self.labels, real))
        return System(
            self.atomic_numbers[real], self.positions[real], self.charge, self.multiplicity, self.name,
            assumed=self.assumed, labels=labels,
        )  # fmt: skip

    def with_ghosts(self, atoms: Iterable[int], charge: int = 0, multiplicity: int | None = None) -> System:
        """Return the system with these atoms (indices from 0) as ghosts: a fragment in the basis of the whole.

        `charge` and `multiplicity` are those of the atoms that stay; None: the lowest. For counterpoise corrections,
        Boys and Bernardi, Mol. Phys. 19, 553 (1970).
        """
        chosen = np.array(sorted({whole_number(i, "an index of an atom") for i in atoms}), dtype=np.int64)
        if chosen.size == 0 or chosen[0] < 0 or chosen[-1] >= self.natm:
            raise InputError(f"with_ghosts: got atoms {chosen.tolist()}, expected some of 0..{self.natm - 1}")
        ghosts = self.ghost.copy()
        ghosts[chosen] = True
        symbols = self.symbols if self.labels is None else self.labels
        return System.from_arrays(symbols, self.positions, "bohr", charge, multiplicity, self.name, ghosts)

    def with_labels(self, labels: Sequence[str] | None = None) -> System:
        """Return the system with these names of its atoms, in order; None: symbol and number from 1, C1, C2, H3...

        A name is the atom's symbol with or without a number. `basis={"C2": ..., "default": ...}` chooses by it.
        """
        made = [f"{s}{i}" for i, s in enumerate(self.symbols, 1)] if labels is None else list(labels)
        return replace(self, labels=tuple(made))

    @property
    def formula(self) -> str:
        """Return the atoms that are no ghosts, carbon first and then by the alphabet, such as C2H6O."""
        real = [s for s, ghost in zip(self.symbols, self.ghost, strict=True) if not ghost]
        counts = {s: real.count(s) for s in sorted(set(real), key=lambda s: (s != "C", s))}
        return "".join(f"{s}{n if n > 1 else ''}" for s, n in counts.items())

    def _repr_html_(self) -> str:
        from scfx.notebook import system_html

        return system_html(self)

    def __repr__(self) -> str:
        ghosts = f", ghosts={int(self.ghost.sum())}" if self.ghosts is not None else ""
        return f"System({self.formula}, charge={self.charge}, multiplicity={self.multiplicity}{ghosts})"

    @classmethod
    def from_arrays(
        cls,
        symbols_or_numbers: Sequence[str] | Sequence[int] | np.ndarray,
        positions: Any,
        unit: LengthUnit = _UNSTATED_UNIT,
        charge: int = Assumed(0),
        multiplicity: int | None = Assumed(1),
        name: str = "",
        ghosts: Sequence[bool] | np.ndarray | None = None,
    ) -> System:
        """Build from element symbols (or atomic numbers) and positions [natm, 3] in `unit` ('angstrom' or 'bohr').

        `multiplicity=None` takes the lowest: 1 for an even number of electrons, 2 for an odd one. "O1" is oxygen, and
        the atom keeps that label; "@O", "Gh(O)" and "ghost-O" are ghost atoms, as are those that `ghosts` marks.
        Nothing is rounded: 8.7 is no element and 2.5 no multiplicity.
        """
        nuclei = [nucleus(s) for s in symbols_or_numbers]
        marks = np.array([ghost for _, ghost in nuclei], dtype=bool)
        if ghosts is not None:
            given = ghost_marks(ghosts, len(nuclei))
            marks = marks if given is None else marks | given
        unit_name = length_unit(unit, "unit")
        numbers = np.array([z for z, _ in nuclei], dtype=np.int32)
        if multiplicity is None:
            real = int(numbers[~marks].sum()) if numbers.size else 0
            multiplicity = lowest_multiplicity(real - whole_number(charge, "charge"))
        scale = 1.0 / BOHR_IN_ANGSTROM if unit_name == "angstrom" else 1.0
        assumed = frozenset({"unit"} if isinstance(unit, AssumedUnit) else ())
        coordinates = np.asarray(positions, dtype=np.float64) * scale
        labels = tuple(atom_label(s) for s in symbols_or_numbers)
        return cls(numbers, coordinates, charge, multiplicity, name, marks, assumed, labels)

    @classmethod
    def from_xyz(
        cls,
        path: str | os.PathLike[str],
        charge: int | None = None,
        multiplicity: int | None = None,
        *,
        unit: LengthUnit | None = None,
        frame: int | None = None,
    ) -> System:
        """Read an xyz or extended xyz file of one frame, or frame number `frame` (from 1) of several.

        Charge, multiplicity and unit are the arguments, else what the file states (`charge=`, `multiplicity=`, `spin=`
        or "0 3" in the comment line; `bohr` there or after the count), else 0, the lowest, and angstrom.
        """
        from scfx.model.xyz import read_xyz

        frames = read_xyz(path)
        if frame is None and len(frames) > 1:
            raise InputError(
                f"{os.fspath(path)!r} has {len(frames)} frames; say which (frame=1 to {len(frames)}), or take all: "
                "System.all_from_xyz"
            )
        number = 1 if frame is None else whole_number(frame, "frame")
        if not 1 <= number <= len(frames):
            raise InputError(f"frame: got {frame}, {os.fspath(path)!r} has frames 1 to {len(frames)}")
        return cls._from_frame(frames[number - 1], path, charge, multiplicity, unit)

    @classmethod
    def all_from_xyz(
        cls,
        path: str | os.PathLike[str],
        charge: int | None = None,
        multiplicity: int | None = None,
        *,
        unit: LengthUnit | None = None,
    ) -> list[System]:
        """Return every frame of an xyz file, as `from_xyz` reads one; the arguments are for all of them."""
        from scfx.model.xyz import read_xyz

        return [cls._from_frame(frame, path, charge, multiplicity, unit) for frame in read_xyz(path)]

    @classmethod
    def _from_frame(
        cls, frame: XYZFrame, path: Any, charge: int | None, multiplicity: int | None, unit: str | None
    ) -> System:
        if frame.doubt and (charge is None or multiplicity is None):
            raise InputError(f"{os.fspath(path)!r}: {frame.doubt}")
        stated = frame.unit if frame.unit_stated else AssumedUnit(frame.unit)
        return cls.from_arrays(
            frame.labels,
            frame.positions,
            cast("LengthUnit", stated if unit is None else unit),
            _first(charge, frame.charge, Assumed(0)),
            frame.multiplicity if multiplicity is None else multiplicity,
            str(frame.info.get("name") or frame.comment),
            frame.ghosts,
        )

    @classmethod
    def from_smiles(
        cls, smiles: str, seed: int = 42, multiplicity: int | None = None, charge: int | None = None
    ) -> System:
        """Make one ETKDGv3 conformer of a SMILES string (RDKit, hydrogens added). The charge is the molecule's formal
        one.

        Another `charge` keeps the structure's geometry; the lowest multiplicity is then assumed. `multiplicity=None`
        assumes that all radical electrons of the structure are parallel, and refuses what a structure does not tell:
        open d and f shells, O=O. Fragments are placed in contact, side by side. Needs `pip install "scfx[dataset]"`.
        Raises `InputError` if RDKit cannot parse or embed it.
        """
        from scfx.model.structures import embed_smiles

        return cls._from_given(embed_smiles(smiles, seed, multiplicity), charge, multiplicity)

    @classmethod
    def from_rdkit(
        cls,
        molecule: Any,
        conformer: int | None = None,
        charge: int | None = None,
        multiplicity: int | None = None,
    ) -> System:
        """Make a system of an RDKit molecule with explicit hydrogens and a conformer (its id; None: the only one).

        Charge: the argument, else the sum of formal charges. Multiplicity: the argument, else as `from_smiles`.
        """
        from scfx.model.structures import of_rdkit

        return cls._from_given(of_rdkit(molecule, conformer, multiplicity), charge, multiplicity)

    @classmethod
    def from_pyscf(cls, mole: Any) -> System:
        """Make a system of a built `pyscf.gto.Mole`, with its ghost atoms; cells and effective core potentials are
        refused.
        """
        from scfx.model.formats import of_pyscf

        return cls._from_given(of_pyscf(mole))

    @classmethod
    def from_ase(cls, atoms: Any, charge: int | None = None, multiplicity: int | None = None) -> System:
        """Make a system of an `ase.Atoms`: not periodic, positions in angstrom.

        Charge and multiplicity are the arguments, else those of `atoms.info` (`charge`; `multiplicity`, or `spin` read
        as 2S + 1), else the sums of initial charges and magnetic moments, else 0 and the lowest. Statements that
        contradict each other are refused.
        """
        from scfx.model.formats import of_ase

        return cls._from_given(of_ase(atoms, charge, multiplicity))

    @classmethod
    def from_qcschema(
        cls, molecule: Any, charge: int | None = None, multiplicity: int | None = None
    ) -> System:
        """Make a system of a QCSchema molecule: a mapping (or qcelemental `Molecule`) with `symbols` and `geometry` in
        bohr.

        Atoms with `real` false are ghosts. Charge and multiplicity are the arguments, else the molecule's, else its
        fragments', else 0 and the lowest.
        """
        from scfx.model.formats import of_qcschema

        return cls._from_given(of_qcschema(molecule, charge, multiplicity))

    @classmethod
    def _from_given(cls, given: Given, charge: int | None = None, multiplicity: int | None = None) -> System:
        total = _first(charge, given.charge, Assumed(0))
        suggested = given.structural_multiplicity
        # What the bonds suggest is for the charge of the bonds.
        suggested = None if suggested is None or total != given.charge else Assumed(suggested)
        spin = next((m for m in (multiplicity, given.multiplicity, suggested) if m is not None), None)
        return cls.from_arrays(
            given.labels,
            given.positions,
            cast("LengthUnit", given.unit),
            total,
            spin,
            given.name,
            given.ghosts,
        )


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
