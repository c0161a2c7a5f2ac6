"""From a source to shards of rows: canonicalise, deduplicate, filter, enumerate geometries, group by shape."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scfx.errors import InputError
from scfx_dataset.conformers import conformer_seed, recipe
from scfx_dataset.molecules import Molecule, excluded_by, molecule_of_geometry, molecule_of_smiles
from scfx_dataset.sources.lines import KEPT
from scfx_dataset.sources.record import UNUSABLE, whole
from scfx_dataset.spill import Groups, KeyIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scfx_dataset.cost import CostModel
    from scfx_dataset.options import DatasetOptions
    from scfx_dataset.sources import Record, Source

_EXCLUDED_PIECE = 10_000
#: Bounds of a shard that is cut by cost: a commit costs an object, a crash the rows of a shard.
_SHARD_ROWS = (16, 16_384)
#: A job that has not the work of so many shards of the asked minutes is cut into so many, for eight of each of 16
#: workers; where these would have fewer than `_FULL_BATCHES` of the solver's batches, into `_FEW_SHARDS`, if there are
#: rows for them.
_MANY_SHARDS = 128
_FEW_SHARDS = 48
_FULL_BATCHES = 4
UNREADABLE = "unreadable"
#: What no SMILES holds: anything but printable ASCII.
_NO_SMILES = re.compile(r"[^!-~]")

#: (shape, rows, model seconds) of a shard.
_Cut = tuple[str, list[dict[str, Any]], float]


class _Entry(NamedTuple):
    """A molecule to embed, or one given geometry, or (no molecule) an unreadable record: the rows from `row_id` on."""

    row_id: int
    number: int
    first_conformer: int
    n_rows: int
    record: Record
    molecule: Molecule | None
    reason: str


class PlannedRows:
    """Iterate over (shape, rows, model seconds) of one shard after the other; afterwards `counts` says what became of
    every record.

    A molecule stays in one shard, unless it has more rows than a shard and its conformers do not depend on each other.
    Shards have the asked minutes of work, or less where the whole job would give fewer than `_MANY_SHARDS`: then they
    are whole batches of `lane_width` rows, or half of one. Shards of one shape are cut as soon as they are full;
    what is left of each shape at the end is put together in order of shape. Records that cannot be read become one
    row each, with the reason. Nothing here looks at the machine: the same source and options give the same shards for
    any number of workers. Memory is bounded: keys of molecules seen and entries of shards that are not full yet
    go on in files in `scratch`; one shard at a time is held whole.
    """

    def __init__(
        self,
        source: Source,
        options: DatasetOptions,
        cost: CostModel | None,
        exclude: Callable[[list[dict[str, Any]]], None],
        scratch: Path,
        lane_width: int = 16,
    ):
        if cost is None and (options.filters.max_aos is not None or not options.shard_rows):
            raise InputError(
                "task.shard_rows: the sizes of molecules are not known here (the solver's description has no cost "
                "model); set shard_rows, and leave filters.max_aos out"
            )
        self._source = source
        self._options = options
        self._cost = cost
        self._exclude = exclude
        self._scratch = scratch
        self._lanes = lane_width
        # Which conformers are pruned depends on the earlier ones of their molecule.
        self._whole = options.embedding.prune_rms is not None
        self._excluded: list[dict[str, Any]] = []
        self._next_row = 0
        self._recipe = recipe(options.geometry == "embed", options.embedding)
        self.counts: dict[str, Any] = {
            "lines": 0, "unreadable": 0, "duplicates": 0, "excluded": {}, "molecules": 0, "geometries": 0, "rows": 0,
        }  # fmt: skip

    def __iter__(self) -> Iterator[_Cut]:
        groups = Groups(self._scratch)
        sizes: dict[str, int] = {}
        held: dict[str, int] = {}
        seconds: dict[str, float] = {}
        total, enough = 0.0, _MANY_SHARDS * 60 * self._options.shard_minutes
        # Until there is work for so many shards it is not known how large they may be.
        flows = bool(self._options.shard_rows)
        for entry in self._entries():
            shape = entry.molecule.shape if entry.molecule else UNREADABLE
            if shape not in sizes:
                seconds[shape] = self._seconds(entry.molecule)
                sizes[shape] = self._shard_size(seconds[shape])
            total += entry.n_rows * seconds[shape]
            if not flows:
                groups.add(shape, entry)
                held[shape] = held.get(shape, 0) + entry.n_rows
                if total >= enough:
                    flows = True
                    yield from self._full_shards(groups, sizes, held, seconds)
                continue
            yield from self._add(entry, shape, groups, sizes, held, seconds)
        if not flows:
            sizes = {shape: self._small(size, total, seconds[shape]) for shape, size in sizes.items()}
            yield from self._full_shards(groups, sizes, held, seconds)
        yield from self._rest(groups, sizes, held, seconds)
        if self._excluded:
            self._exclude(self._excluded)

    def _pieces(self, entry: _Entry, size: int, held: int) -> Iterator[_Entry]:
        """Yield the entry itself; or, of one with more rows than a shard holds, parts that fill up shards of `size`
        rows, of which the first has `held` already.
        """
        if self._whole or entry.n_rows <= size:
            yield entry
            return
        first, room = 0, size - held
        while first < entry.n_rows:
            rows = min(room, entry.n_rows - first)
            yield entry._replace(
                row_id=entry.row_id + first, first_conformer=entry.first_conformer + first, n_rows=rows
            )
            first, room = first + rows, size

    def _small(self, size: int, total: float, seconds: float) -> int:
        """Return the rows of a shard of one shape, `size` by the asked minutes, in a job of `total` model seconds."""
        if not seconds:
            return size
        lanes = self._lanes
        few, many = (total / count / seconds for count in (_FEW_SHARDS, _MANY_SHARDS))
        batches = max(many, min(few, _FULL_BATCHES * lanes)) / lanes
        # Half a batch costs a label a tenth more than a full one, less than half of one much more.
        return min(size, lanes * max(1, round(batches)) if batches >= 0.5 else max(1, lanes // 2))

    def _full_shards(
        self, groups: Groups, sizes: dict[str, int], held: dict[str, int], seconds: dict[str, float]
    ) -> Iterator[_Cut]:
        """The full shards of all that is waiting; the remainders wait on."""
        for shape in groups.waiting():
            held[shape] = 0
            for entry in groups.drain(shape):
                yield from self._add(entry, shape, groups, sizes, held, seconds)

    def _add(
        self,
        entry: _Entry,
        shape: str,
        groups: Groups,
        sizes: dict[str, int],
        held: dict[str, int],
        seconds: dict[str, float],
    ) -> Iterator[_Cut]:
        """Put an entry to those of its shape, and yield the shards that are full then."""
        for piece in self._pieces(entry, sizes[shape], held.get(shape, 0)):
            groups.add(shape, piece)
            held[shape] = held.get(shape, 0) + piece.n_rows
            # Close the shard when the next molecule would not fit, unless a part of it may.
            least = entry.n_rows if piece is entry else 1
            if held[shape] + least > sizes[shape]:
                rows = self._rows(groups.take(shape))
                yield shape, rows, len(rows) * seconds[shape]
                held[shape] = 0

    def _rest(
        self, groups: Groups, sizes: dict[str, int], held: dict[str, int], seconds: dict[str, float]
    ) -> Iterator[_Cut]:
        """What is left of each shape, put together up to one shard's worth of work."""
        rows: list[dict[str, Any]] = []
        shapes: list[str] = []
        filled = total = 0.0
        for shape in groups.waiting():
            share = held[shape] / sizes[shape]
            if rows and filled + share > 1:
                yield ", ".join(shapes), rows, total
                rows, shapes, filled, total = [], [], 0.0, 0.0
            rows = rows + self._rows(groups.take(shape))
            shapes.append(shape)
            filled += share
            total += held[shape] * seconds[shape]
        if rows:
            yield ", ".join(shapes), rows, total

    def _seconds(self, molecule: Molecule | None) -> float:
        return self._cost.seconds(molecule.numbers) if self._cost and molecule else 0.0

    def _shard_size(self, seconds: float) -> int:
        """Rows of a shard of one shape: a function of the molecule, the basis and the options, never of a clock."""
        if self._options.shard_rows:
            return self._options.shard_rows
        low, high = _SHARD_ROWS
        return max(low, min(high, round(60 * self._options.shard_minutes / seconds))) if seconds else high

    def _entries(self) -> Iterator[_Entry]:
        """Records that become rows, in the order of the source; the others are counted and listed."""
        # 128 bits: among ten billion keys two are alike with a chance of 1e-19.
        seen, numbers, copies = (KeyIndex(self._scratch) for _ in range(3))
        try:
            for record in map(_normal, self._source.records()):
                if self._options.geometry == "embed" and self._full():
                    return
                self.counts["lines"] += 1
                molecule = self._molecule(record)
                if isinstance(molecule, str):
                    self.counts["unreadable"] += 1
                    # Molecules of their own, numbered downwards so that real ones stay dense.
                    yield self._entry(-self.counts["unreadable"], 0, 1, _bare(record), None, molecule)
                    continue
                why = self._left_out(molecule, record, seen)
                if why is not None:
                    self._leave_out(record, molecule, why)
                    continue
                many = self._options.conformers
                if self._options.geometry == "embed":  # deduplicated: every molecule is new
                    number, first = None, 0
                else:
                    number = numbers.first(_key(molecule.key), self.counts["molecules"])
                    if number is None and self._full():
                        self.counts["lines"] -= 1
                        return
                    first = copies.add(_key(molecule.key), many)
                    self.counts["geometries"] += 1
                if number is None:
                    number = self.counts["molecules"]
                    self.counts["molecules"] += 1
                yield self._entry(number, first, many, record, molecule, "")
        finally:
            for index in (seen, numbers, copies):
                index.close()

    def _full(self) -> bool:
        return self._options.limit is not None and self.counts["molecules"] >= self._options.limit

    def _molecule(self, record: Record) -> Molecule | str:
        """The molecule of a record, or why there is none."""
        try:
            return self._checked(record)
        except (*UNUSABLE, RuntimeError) as error:
            # Whatever it is, it is this record's: the others go on.
            return f"this record cannot be read: {type(error).__name__}: {error}"

    def _checked(self, record: Record) -> Molecule | str:
        if record.problem:
            return record.problem
        most = self._options.limits.text_length
        for what, text in (("SMILES", record.smiles), ("name", record.name)):
            if len(text) > most:
                return f"the {what} has {len(text)} characters, more than limits.text_length = {most}"
        if odd := _NO_SMILES.search(record.smiles):
            # RDKit stops at a null character and takes what stands before it.
            return f"the SMILES holds the character {odd[0]!r}"
        atoms = len(record.geometry.numbers) if record.geometry else 0
        if atoms > self._options.limits.atoms:
            return f"{atoms} atoms, more than limits.atoms = {self._options.limits.atoms}"
        if self._options.geometry == "given":
            if record.geometry is None:
                return "this record has no geometry"
            return molecule_of_geometry(record, self._options.multiplicity)
        if not record.smiles:
            return "this record has no SMILES to embed (task.geometry = 'given' takes its geometry)"
        molecule = molecule_of_smiles(record, self._options.multiplicity)
        if not isinstance(molecule, str) and molecule.natm > self._options.limits.atoms:
            return f"{molecule.natm} atoms, more than limits.atoms = {self._options.limits.atoms}"
        return molecule

    def _left_out(self, molecule: Molecule, record: Record, seen: KeyIndex) -> str | None:
        """'duplicate', the name of the filter that excludes it, or None. What a filter excludes can have duplicates."""
        identity = molecule.key + molecule.state
        if self._options.geometry == "given":
            identity = _geometry_id(molecule, "given", _geometry_digest(record))
        if seen.first(_key(identity), 0) is not None:
            self.counts["duplicates"] += 1
            return "duplicate"
        nao = self._cost.nao(molecule.numbers) if self._cost else None
        name = excluded_by(molecule, self._options.filters, nao)
        if name is not None:
            self.counts["excluded"][name] = self.counts["excluded"].get(name, 0) + 1
        return name

    def _entry(
        self, number: int, conformer: int, many: int, record: Record, molecule: Molecule | None, reason: str
    ) -> _Entry:
        row_id = self._next_row
        self._next_row += many
        self.counts["rows"] = self._next_row
        return _Entry(row_id, number, conformer, many, record, molecule, reason)

    def _rows(self, entries: list[_Entry]) -> list[dict[str, Any]]:
        return [row for entry in entries for row in self._expand(entry)]

    def _expand(self, entry: _Entry) -> Iterator[dict[str, Any]]:
        record, molecule = entry.record, entry.molecule
        base = {
            "molecule": entry.number,
            "line": record.line,
            "input_smiles": record.smiles,
            "smiles": molecule.smiles if molecule else None,
            "name": record.name or None,
            "charge": molecule.charge if molecule else None,
            "multiplicity": molecule.multiplicity if molecule else None,
            "assumed": ", ".join(molecule.assumed) if molecule else None,
            "shape": molecule.shape if molecule else UNREADABLE,
            "reason": entry.reason,
        }
        blank = dict.fromkeys(
            ("conformer", "geometry", "geometry_id", "embedding_seed", "atomic_numbers", "positions_angstrom")
        )
        for k in range(entry.n_rows):
            row = {"row_id": entry.row_id + k, **base, **blank}
            if molecule is not None:
                row |= self._geometry(molecule, record, entry.first_conformer + k)
            yield row

    def _geometry(self, molecule: Molecule, record: Record, conformer: int) -> dict[str, Any]:
        """What decides one row's geometry: a seed, or given positions, or both."""
        seed, digest, given = None, "", {}
        embed = self._options.geometry == "embed"
        if embed or self._options.embedding.displacement_angstrom:
            seed = conformer_seed(self._options.seed, molecule.key, conformer)
        if not embed:
            assert record.geometry is not None
            digest = _geometry_digest(record)
            given = {
                "atomic_numbers": list(record.geometry.numbers),
                "positions_angstrom": record.geometry.positions.tolist(),
            }
        return {
            "conformer": conformer,
            "geometry": self._recipe,
            "geometry_id": _geometry_id(molecule, self._recipe, f"{seed}|{digest}"),
            "embedding_seed": seed,
            **given,
        }

    def _leave_out(self, record: Record, molecule: Molecule, why: str) -> None:
        self._excluded.append(
            {
                "line": record.line,
                "input_smiles": record.smiles,
                "smiles": molecule.smiles or "",
                "excluded_by": why,
            }
        )
        if len(self._excluded) >= _EXCLUDED_PIECE:
            self._exclude(self._excluded)
            self._excluded = []


def _normal(record: Record) -> Record:
    """The record with whole numbers for charge and multiplicity, or with what is wrong with them as its problem."""
    if record.charge is None and record.multiplicity is None:
        return record
    try:
        charge = None if record.charge is None else whole(record.charge, "the charge")
        multiplicity = None if record.multiplicity is None else whole(record.multiplicity, "the multiplicity")
    except UNUSABLE as error:
        return record._replace(charge=None, multiplicity=None, problem=record.problem or str(error))
    return record._replace(charge=charge, multiplicity=multiplicity)


def _bare(record: Record) -> Record:
    """A record that becomes a failed row: what is stored of it is short."""
    smiles, name = (text if len(text) <= 2 * KEPT else text[:KEPT] + "..." for text in record[1:3])
    return record._replace(smiles=smiles, name=name, geometry=None)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _geometry_id(molecule: Molecule, recipe: str, source: str) -> str:
    """First 16 hexadecimal digits of a SHA-256 of molecule, recipe, and seed or positions."""
    text = f"{molecule.key}|{molecule.charge}|{molecule.multiplicity}|{recipe}|{source}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _geometry_digest(record: Record) -> str:
    """SHA-256 of a given geometry: atomic numbers and positions as little-endian doubles, in the order given."""
    assert record.geometry is not None
    numbers = np.asarray(record.geometry.numbers, dtype="<i4").tobytes()
    return hashlib.sha256(numbers + record.geometry.positions.astype("<f8").tobytes()).hexdigest()
