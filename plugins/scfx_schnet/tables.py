"""Tables of molecules, Parquet or CSV: which column is what, and which cell is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import ConfigError
from scfx.model.same_molecule import molecule_key
from scfx_schnet import column_units, table_files
from scfx_schnet.molecules import Chunk
from scfx_schnet.table_files import short
from scfx_schnet.targets import FORCES, MAX_ATOMIC_NUMBER, TARGETS

if TYPE_CHECKING:
    from scfx_schnet.surface import Surface

#: Columns under which public tables keep things, in the order of preference.
_ALIASES = {
    "smiles": ("smiles", "canonical_smiles", "smiles_relaxed", "smiles_gdb", "smi", "SMILES"),
    "numbers": ("atomic_numbers", "numbers", "z", "nuclear_charges", "Z"),
    "positions": ("positions_angstrom", "positions", "pos", "coordinates", "xyz", "R"),
    "gap": ("gap_ev", "gap", "homolumogap"),
    "homo": ("homo_ev", "homo"),
    "lumo": ("lumo_ev", "lumo"),
    "energy": ("energy_ev", "energy"),
}
_FORCES = ("forces_ev_per_angstrom", "forces")
#: Columns that say what a row is a label of, under the names of scfx's datasets.
_TOLD = ("spec_hash", "charge", "multiplicity")
#: Of QM9's tables the energy is the first without the second.
_ZERO_POINT = ("u0", "zpve")


@dataclass(frozen=True)
class MoleculeTable:
    """A table whose columns were found and whose units are known; `chunks` reads its rows, a molecule each.

    `columns` by what they are (smiles, numbers, positions, targets, forces), `factors` what turns them into angstrom,
    eV and eV/angstrom. In CSV, lists are JSON.
    """

    path: Path
    key: str
    columns: Mapping[str, str]
    factors: Mapping[str, float]
    told: tuple[str, ...]
    surface: Surface | None
    #: Why targets that nobody named are left out, by target: their units contradict what is stated.
    unread: Mapping[str, str]

    def chunks(self, limit: int | None = None) -> Iterator[Chunk]:
        """Yield the rows, the first so many of them.

        Raises `ConfigError` with row and column for the first one that is no molecule.
        """
        targets = [column for what, column in self.columns.items() if what in TARGETS]
        zero_point = _ZERO_POINT if self._from_zero_point else ()
        plain = list(dict.fromkeys([self.columns["smiles"], *targets, *zero_point, *self.told]))
        lists = [self.columns[what] for what in ("numbers", "positions", FORCES) if what in self.columns]
        row = 0
        for whole in table_files.parts(self.path, self.key, plain, lists, self.refused):
            left = None if limit is None else limit - row
            part = {column: values[:left] for column, values in whole.items()}
            if not part[self.columns["smiles"]]:
                return
            chunk = self._chunk(part, row)
            row += len(chunk.sizes)
            yield chunk

    @property
    def _from_zero_point(self) -> bool:
        return "energy" in self.factors and "energy" not in self.columns

    def refused(self, row: int, column: str | None, why: str) -> ConfigError:
        """Return the error for a cell, or for a whole row."""
        cell = "" if column is None else f", column {column!r}"
        return ConfigError(
            f"{self.key}.path",
            f"{str(self.path)!r}, row {row} (the first is row 0){cell}: {why}. Mend that row, or leave it out",
        )

    def _chunk(self, part: Mapping[str, list[Any]], row: int) -> Chunk:
        sizes, numbers = self._numbers(part[self.columns["numbers"]], row)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        smiles = part[self.columns["smiles"]]
        nameless = np.array([text is None or text == "" or str(text).isspace() for text in smiles])
        for index in np.flatnonzero(~nameless):
            if not isinstance(smiles[index], str):
                raise self.refused(
                    row + int(index), self.columns["smiles"], f"{short(smiles[index])} is no SMILES"
                )
        targets = {}
        for name in (name for name in TARGETS if name in self.factors):
            if name in self.columns:
                values = _finite_or_nan(part[self.columns[name]])
            else:
                of_zero, vibrations = (_finite_or_nan(part[column]) for column in _ZERO_POINT)
                values = of_zero - vibrations
            targets[name] = values * self.factors[name]
        return Chunk(
            sizes=sizes,
            numbers=numbers,
            positions=self._positions(part[self.columns["positions"]], sizes, row)
            * self.factors["positions"],
            molecules=[
                # A row without a structure counts by its formula.
                molecule_key(None, None, numbers[start:end].tolist()) if without else molecule_key(text)
                for text, without, start, end in zip(smiles, nameless, starts, starts[1:], strict=False)
            ],
            targets=targets,
            forces=self._forces(part, numbers, sizes, row),
            rows=np.arange(row, row + len(sizes)),
            columns={name: self.columns.get(name, " - ".join(_ZERO_POINT)) for name in targets},
        )

    def _numbers(self, values: list[Any], row: int) -> tuple[np.ndarray, np.ndarray]:
        """Sizes [row] and concatenated atomic numbers of a part that begins at `row`."""
        column, found = self.columns["numbers"], []
        for index, value in enumerate(values):
            z = _array(value)
            if z is None or z.ndim != 1 or (len(z) and z.dtype.kind not in "iuf"):
                raise self.refused(row + index, column, f"{short(value)} is no list of atomic numbers")
            if not len(z):
                raise self.refused(row + index, column, "there is no atom")
            found.append(z)
        sizes = np.array([len(z) for z in found])
        numbers = np.concatenate(found)
        wrong = ~((numbers >= 1) & (numbers <= MAX_ATOMIC_NUMBER) & (numbers == np.floor(numbers)))
        if wrong.any():
            atom = int(np.flatnonzero(wrong)[0])
            index = int(np.repeat(np.arange(len(sizes)), sizes)[atom])
            raise self.refused(
                row + index,
                column,
                f"{numbers[atom]} is no atomic number; expected 1 to {MAX_ATOMIC_NUMBER}",
            )
        return sizes, numbers.astype(np.int64)

    def _positions(self, values: list[Any], sizes: np.ndarray, row: int) -> np.ndarray:
        """Positions [atom, 3] of a part, in the unit of the table; rows [natm, 3] or flat."""
        column, found = self.columns["positions"], []
        for index, (value, size) in enumerate(zip(values, sizes, strict=True)):
            xyz = _array(value, np.float64)
            if value is None or xyz is None:
                raise self.refused(row + index, column, f"{short(value)} is no list of positions")
            if xyz.shape not in ((size, 3), (3 * size,)):
                raise self.refused(
                    row + index,
                    column,
                    f"the row has {size} atoms and positions of shape {xyz.shape}, expected [{size}, 3]",
                )
            if not np.all(np.isfinite(xyz)):
                raise self.refused(row + index, column, "positions that are missing or not finite")
            found.append(xyz.reshape(-1, 3))
        return np.concatenate(found)

    def _forces(
        self, part: Mapping[str, list[Any]], numbers: np.ndarray, sizes: np.ndarray, row: int
    ) -> np.ndarray | None:
        """Forces [atom, 3] of a part in eV/angstrom, after the surface had a look at it; None if nobody asked."""
        if self.surface is None:
            return None
        column, found = self.columns[FORCES], []
        values = part[column]
        absent = [row + i for i, value in enumerate(values) if value is None or value == "" or value == []]
        self.surface.check_present(absent, [])
        for index, (value, size) in enumerate(zip(values, sizes, strict=True)):
            forces = _array(value, np.float64)
            if forces is None or forces.shape != (size, 3):
                shape = short(value) if forces is None else f"forces of shape {forces.shape}"
                raise self.refused(row + index, column, f"the row has {size} atoms and {shape}")
            if not np.all(np.isfinite(forces)):
                raise self.refused(row + index, column, "forces that are missing or not finite")
            found.append(forces)
        self.surface.check_levels(part.get("spec_hash", ()))
        states = (self._whole(part, name, len(sizes), row) for name in ("charge", "multiplicity"))
        self.surface.check_states(numbers, sizes, *states)
        return np.concatenate(found) * self.factors[FORCES]

    def _whole(self, part: Mapping[str, list[Any]], column: str, count: int, row: int) -> list[int | None]:
        """A column of whole numbers; None where nothing is said."""
        found: list[int | None] = []
        for index, value in enumerate(part.get(column, [None] * count)):
            number = None if value is None or value == "" else float(_finite_or_nan([value])[0])
            if number is not None and not number.is_integer():
                raise self.refused(row + index, column, f"{short(value)} is no whole number")
            found.append(None if number is None else int(number))
        return found


def open_table(
    path: Path,
    columns: Mapping[str, str],
    energy_unit: str,
    length_unit: str,
    surface: Surface | None,
    key: str,
) -> MoleculeTable:
    """Find the columns of a table and their units (`scfx_schnet.column_units`). With a `surface` forces are read too.

    `columns` names those that the usual names do not say. Raises `ConfigError` for a file that cannot be read, a column
    that is not there, or units that contradict each other.
    """
    known = ("smiles", "numbers", "positions", *TARGETS, FORCES)
    names = table_files.column_names(path, key)
    for what, column in columns.items():
        if what not in known:
            raise ConfigError(
                f"{key}.columns.{what}", f"is not something to read; there are {', '.join(known)}"
            )
        if column not in names:
            raise ConfigError(
                f"{key}.columns.{what}",
                f"{str(path)!r} has no column {column!r}; there are {', '.join(names)}",
            )
    # A column that was named for one thing is not another: PCQM4Mv2 has its gap in a column "homo".
    free = [name for name in names if name not in columns.values()]
    aliases = {**_ALIASES, **({} if surface is None else {FORCES: _FORCES})}
    found = {what: next((a for a in those if a in free), None) for what, those in aliases.items()}
    chosen = {what: column for what, column in found.items() if column} | dict(columns)
    for what in ("smiles", "numbers", "positions"):
        if what not in chosen:
            raise ConfigError(
                f"{key}.columns.{what}",
                f"{str(path)!r} has no column of a usual name for it; there are {', '.join(names)}. Name it: "
                f'columns.{what} = "..."',
            )
    if surface is None:
        chosen.pop(FORCES, None)
    elif FORCES not in chosen:
        raise surface.missing(f"no column of them; there are {', '.join(names)}. Name it: columns.forces")
    told = tuple(name for name in _TOLD if name in names) if surface else ()
    twice = [c for c in (*chosen.values(), *told) if names.count(c) > 1]
    if twice:
        raise ConfigError(f"{key}.path", f"{str(path)!r} has two columns {twice[0]!r}. Rename one")
    factors = {"positions": column_units.length_factor(chosen["positions"], length_unit, key)}
    unread = {}
    for name in (name for name in TARGETS if name in chosen):
        try:
            factors[name] = column_units.energy_factor(chosen[name], energy_unit, key)
        except ConfigError as error:
            if name in columns:
                raise
            unread[name] = str(error)  # said where it is asked for
            del chosen[name]
    if "energy" not in chosen and "energy" not in unread and set(_ZERO_POINT) <= set(names):
        factors["energy"] = column_units.energy_factor(_ZERO_POINT[0], energy_unit, key)
    if FORCES in chosen:
        factors[FORCES] = column_units.force_factor(chosen[FORCES], energy_unit, length_unit, key)
    return MoleculeTable(path, key, chosen, factors, told, surface, unread)


def _array(value: Any, dtype: Any = None) -> np.ndarray | None:
    """A value as an array; None if it is none, or not one of numbers where `dtype` asks for them."""
    try:
        return np.asarray(value, dtype=dtype)
    except (TypeError, ValueError):
        return None


def _finite_or_nan(values: list[Any]) -> np.ndarray:
    """Numbers of a column [row]; NaN for what is missing or no number."""
    whole = _array(values, np.float64)
    if whole is not None and whole.shape == (len(values),):
        return whole
    found = np.full(len(values), np.nan)
    for index, value in enumerate(values):
        number = _array(value, np.float64)
        if number is not None and number.ndim == 0:
            found[index] = number
    return found
