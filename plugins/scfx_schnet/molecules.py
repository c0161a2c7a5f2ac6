"""`Molecules`: geometries and targets of a data set, memory-mapped, so that training does not load it whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

import numpy as np

from scfx.errors import ConfigError, InputError
from scfx_schnet.batch import PackedMolecules, pack_arrays
from scfx_schnet.targets import FORCES, MAX_ATOMIC_NUMBER, TARGETS

#: Raised when the layout of the files, or how data is read, changes: caches of another version are made again.
FORMAT = 3
_COLUMNS = {"numbers": np.uint8, "positions": np.float32, "sizes": np.int32, "keys": np.uint64}


@dataclass(frozen=True)
class Chunk:
    """Some rows on their way from a source: sizes [row], concatenated atoms (angstrom), targets in eV.

    `molecules` are texts that are equal for rows of the same molecule (`scfx.model.same_molecule`). A target may lack
    numbers (NaN): then it is not available.
    """

    sizes: np.ndarray
    numbers: np.ndarray
    positions: np.ndarray
    molecules: Sequence[str]
    targets: dict[str, np.ndarray]
    #: Units of targets that are not in eV.
    units: Mapping[str, str] = field(default_factory=dict)
    #: Forces on the concatenated atoms, eV/angstrom; of all chunks of a source or of none.
    forces: np.ndarray | None = None
    #: What the source calls each row [row]; left out: rows are counted from 0.
    rows: np.ndarray | None = None
    #: What the source calls the columns of targets.
    columns: Mapping[str, str] = field(default_factory=dict)

    def first(self, count: int) -> Chunk:
        """Return the first so many rows."""
        atoms = int(self.sizes[:count].sum())
        return replace(
            self,
            sizes=self.sizes[:count],
            numbers=self.numbers[:atoms],
            positions=self.positions[:atoms],
            molecules=self.molecules[:count],
            targets={name: values[:count] for name, values in self.targets.items()},
            forces=None if self.forces is None else self.forces[:atoms],
            rows=None if self.rows is None else self.rows[:count],
        )


def key_number(molecule: str) -> int:
    """Return 64 bits that stand for a molecule: two of a billion molecules share them with a chance of 3%."""
    return int.from_bytes(hashlib.blake2b(molecule.encode(), digest_size=8).digest(), "little")


class Molecules:
    """Rows (conformers) of a data set, read where they are needed. Positions in angstrom, targets in eV.

    `keys` [row]: `key_number` of each row's molecule, by which splits are made; `available` targets have a value in
    every row.
    """

    def __init__(self, folder: Path):
        meta = json.loads((folder / "meta.json").read_text())
        self.identity: str = meta["identity"]
        self.description: dict[str, Any] = meta["description"]
        self._numbers = _mapped(folder / "numbers.bin", np.uint8)
        self._positions = _mapped(folder / "positions.bin", np.float32).reshape(-1, 3)
        self.sizes = _mapped(folder / "sizes.bin", np.int32)
        self.keys = _mapped(folder / "keys.bin", np.uint64)
        self._targets = {name: _mapped(_file(folder, name), np.float64) for name in meta["targets"]}
        with_forces = _file(folder, FORCES).exists()
        self._forces = _mapped(_file(folder, FORCES), np.float32).reshape(-1, 3) if with_forces else None
        self._units: dict[str, str] = meta["units"]
        self._absent: dict[str, str] = meta["absent"]
        self._starts = np.concatenate([[0], np.cumsum(self.sizes, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def available(self) -> tuple[str, ...]:
        """Return what can be a target."""
        return (*self._targets, *(() if self._forces is None else (FORCES,)))

    def unit(self, target: str) -> str:
        """Return the unit of a target: "eV" of energies, else that of the property's column; "" for pure numbers."""
        if target == FORCES:
            return "eV/angstrom"
        return self._units.get(target, "eV")

    def check(self, names: Sequence[str], key: str) -> None:
        """Raise `ConfigError` for a target that the data set has not, or not in every row."""
        for name in names:
            if name in self.description.get("unread", {}):
                raise ConfigError(key, self.description["unread"][name])
            if name in self._absent:
                raise ConfigError(
                    key,
                    f"{name!r}: {self.description.get('path')!r} has {self._absent[name]}. Leave such rows out, or "
                    f"take what every row has: {', '.join(self.available) or 'nothing'}",
                )
            if name not in self.available:
                near = get_close_matches(name, self.available, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ConfigError(key, f"{name!r}: the data has {', '.join(self.available) or 'none'}{hint}")

    def targets(self, rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Return targets that are numbers, [row, target], each in its unit. `InputError` for one that is not there."""
        for name in names:
            if name not in self._targets:
                raise InputError(f"target {name!r}: the data has {', '.join(self.available) or 'none'}")
        return np.stack([self._targets[name][rows] for name in names], axis=1)

    def atom_counts(self, rows: np.ndarray) -> np.ndarray:
        """Return how many atoms of each atomic number: [row, 100], float64."""
        atoms, sizes = self._atoms(rows)
        row = np.repeat(np.arange(len(rows)), sizes)
        flat = row * (MAX_ATOMIC_NUMBER + 1) + self._numbers[atoms]
        width = MAX_ATOMIC_NUMBER + 1
        return np.bincount(flat, minlength=len(rows) * width).reshape(len(rows), width).astype(np.float64)

    def elements(self, rows: np.ndarray) -> list[int]:
        """Return the atomic numbers that occur in some rows, ascending."""
        return np.unique(self._numbers[self._atoms(rows)[0]]).tolist()

    def pack(
        self, rows: np.ndarray, targets: np.ndarray | None = None, forces: np.ndarray | None = None
    ) -> PackedMolecules:
        """Return a batch of some rows; `targets` [row, target] and `forces` [atom, 3] are carried along."""
        atoms, sizes = self._atoms(rows)
        return pack_arrays(self._numbers[atoms], self._positions[atoms], sizes, targets, forces)

    def geometry(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the atomic numbers [natm] and positions [natm, 3] (angstrom) of a row."""
        atoms, _ = self._atoms(np.array([row]))
        return self._numbers[atoms].astype(np.int64), self._positions[atoms].astype(np.float64)

    def forces(self, rows: np.ndarray) -> np.ndarray:
        """Return forces on the concatenated atoms of some rows, [atom, 3], eV/angstrom. `InputError` without any."""
        if self._forces is None:
            raise InputError("forces: the data was opened without them")
        return self._forces[self._atoms(rows)[0]]

    def _atoms(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the rows' atoms, concatenated, and the number of each row's."""
        sizes = self.sizes[rows].astype(np.int64)
        ends = np.cumsum(sizes)
        shift = np.repeat(self._starts[rows] - (ends - sizes), sizes)
        return np.arange(ends[-1] if len(ends) else 0) + shift, sizes


def _mapped(path: Path, dtype: Any) -> np.ndarray:
    return np.memmap(path, dtype=dtype, mode="r") if path.stat().st_size else np.empty(0, dtype=dtype)


def open_or_write(
    folder: Path,
    identity: str,
    description: dict[str, Any],
    chunks: Iterable[Chunk],
    key: str = "task.data",
) -> Molecules:
    """Return the molecules in `folder` if it was written for `identity`; else write it, one chunk in memory at a time.

    The folder appears whole or not at all, so that a killed run leaves nothing half written behind. Raises
    `ConfigError` with `key` for rows that are no molecules, and for no row at all.
    """
    identity = hashlib.sha256(f"{FORMAT} {identity}".encode()).hexdigest()
    where = folder / identity[:16]
    if not (where / "meta.json").exists():
        scratch = folder / f".{identity[:16]}-{uuid.uuid4().hex[:8]}"
        scratch.mkdir(parents=True)
        try:
            _write(scratch, identity, description, chunks, f"{key}.path")
            scratch.rename(where)
        except OSError:
            if not (where / "meta.json").exists():  # else another run was faster; its folder is the same
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return Molecules(where)


def _write(
    folder: Path, identity: str, description: dict[str, Any], chunks: Iterable[Chunk], key: str
) -> None:
    files: dict[str, IO[bytes]] = {}
    present: list[str] | None = None
    units: dict[str, str] = {}
    absent: dict[str, str] = {}
    rows = 0
    try:
        for chunk in chunks:
            named = np.arange(rows, rows + len(chunk.sizes)) if chunk.rows is None else chunk.rows
            _check(chunk, named, key, f"{description.get('path', 'the data')!r}")
            if present is None:
                present = list(chunk.targets)
                paths = {name: folder / f"{name}.bin" for name in _COLUMNS}
                paths |= {name: _file(folder, name) for name in present}
                if chunk.forces is not None:
                    paths[FORCES] = _file(folder, FORCES)
                files = {name: open(path, "wb") for name, path in paths.items()}  # noqa: SIM115 - closed below
            absent = {**_absent(chunk, named), **absent}
            present = [name for name in present if name in chunk.targets and name not in absent]
            units |= chunk.units
            content = {
                "numbers": chunk.numbers,
                "positions": chunk.positions,
                "sizes": chunk.sizes,
                "keys": np.array([key_number(m) for m in chunk.molecules], dtype=np.uint64),
            }
            for name, values in content.items():
                files[name].write(np.ascontiguousarray(values, dtype=_COLUMNS[name]).tobytes())
            for name in present:
                files[name].write(chunk.targets[name].astype(np.float64).tobytes())
            if FORCES in files:
                files[FORCES].write(np.ascontiguousarray(chunk.forces, dtype=np.float32).tobytes())
            rows += len(chunk.sizes)
    finally:
        for file in files.values():
            file.close()
    if not rows:
        raise ConfigError(key, f"{description.get('path', 'the data')!r} has no usable row")
    assert present is not None
    for name in files.keys() - _COLUMNS.keys() - {*present, FORCES}:
        os.remove(_file(folder, name))
    meta = {
        "identity": identity,
        "description": {**description, "rows": rows},
        "targets": sorted(
            present, key=lambda name: (TARGETS.index(name) if name in TARGETS else len(TARGETS), name)
        ),
        "units": {name: unit for name, unit in units.items() if name in present},
        "absent": absent,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


def _file(folder: Path, target: str) -> Path:
    return folder / f"target-{target}.bin"


def _absent(chunk: Chunk, rows: np.ndarray) -> dict[str, str]:
    """What is said of targets that have no number in some row, by target."""
    found = {}
    for name, values in chunk.targets.items():
        without = np.flatnonzero(~np.isfinite(values))
        if len(without):
            column = chunk.columns.get(name, name)
            found[name] = (
                f"no finite number in column {column!r} of row {rows[without[0]]} (rows count from 0)"
            )
    return found


def _check(chunk: Chunk, rows: np.ndarray, key: str, source: str) -> None:
    """Raise `ConfigError` naming the first row that is no molecule."""
    atoms = [chunk.positions] + ([] if chunk.forces is None else [chunk.forces])
    finite = np.logical_and.reduce([np.isfinite(values).all(axis=1) for values in atoms])
    known = (chunk.numbers >= 1) & (chunk.numbers <= MAX_ATOMIC_NUMBER)
    row = np.repeat(rows, chunk.sizes)
    for bad, words in (
        (rows[chunk.sizes < 1], "no atom"),
        (row[~known], f"an atomic number that is not 1 to {MAX_ATOMIC_NUMBER}"),
        (row[~finite], "positions or forces that are not finite"),
    ):
        if len(bad):
            raise ConfigError(
                key, f"{source} has {words} in row {bad[0]} (rows count from 0). Leave such rows out"
            )
