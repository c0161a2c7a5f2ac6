"""From a source file to shards of rows: canonicalise, deduplicate, filter, enumerate conformers, group by shape."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from scfx_dataset.conformers import conformer_seed
from scfx_dataset.molecules import Molecule, excluded_by, read_molecule
from scfx_dataset.sources import Record, read_smiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scfx_dataset.options import DatasetOptions

_EXCLUDED_PIECE = 50_000
UNREADABLE = "unreadable"


class PlannedRows:
    """Iterate over (shape, rows of one shard); afterwards `counts` says what became of every line.

    A molecule's conformers stay in one shard. Shards of one shape are cut as soon as they are full; what is left of
    each shape at the end is put together in order of shape. Memory: one open shard per shape, and 8 bytes (in a
    Python set) per distinct molecule. Lines that cannot be read become one row each, with the reason.
    """

    def __init__(self, path: Path, options: DatasetOptions, exclude: Callable[[list[dict[str, Any]]], None]):
        self._path = path
        self._options = options
        self._exclude = exclude
        self._excluded: list[dict[str, Any]] = []
        self._next_row = 0
        self.counts: dict[str, Any] = {
            "lines": 0, "unreadable": 0, "duplicates": 0, "excluded": {}, "molecules": 0, "rows": 0,
        }  # fmt: skip

    def __iter__(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        size = self._options.shard_rows
        open_shards: dict[str, list[dict[str, Any]]] = {}
        for shape, rows in self._molecules():
            shard = open_shards.setdefault(shape, [])
            shard += rows
            # Whole molecules: close the shard when the next one would not fit.
            if len(shard) + len(rows) > size:
                yield shape, open_shards.pop(shape)
        rest: list[dict[str, Any]] = []
        shapes: list[str] = []
        for shape in sorted(open_shards):
            rows = open_shards[shape]
            if rest and len(rest) + len(rows) > size:
                yield ", ".join(shapes), rest
                rest, shapes = [], []
            rest = rest + rows
            shapes.append(shape)
        if rest:
            yield ", ".join(shapes), rest
        if self._excluded:
            self._exclude(self._excluded)

    def _molecules(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        options, counts = self._options, self.counts
        seen: set[int] = set()
        for record in read_smiles(self._path, options.column):
            if options.limit is not None and counts["molecules"] >= options.limit:
                return
            counts["lines"] += 1
            molecule = read_molecule(record.smiles)
            if isinstance(molecule, str):
                counts["unreadable"] += 1
                yield UNREADABLE, [self._row(record, None, None, molecule)]
                continue
            key = int.from_bytes(hashlib.blake2b(molecule.smiles.encode(), digest_size=8).digest(), "big")
            if key in seen:
                counts["duplicates"] += 1
                self._leave_out(record, molecule, "duplicate")
                continue
            seen.add(key)
            filtered = excluded_by(molecule, options.filters)
            if filtered is not None:
                counts["excluded"][filtered] = counts["excluded"].get(filtered, 0) + 1
                self._leave_out(record, molecule, filtered)
                continue
            yield molecule.shape, [self._row(record, molecule, k, "") for k in range(options.conformers)]
            counts["molecules"] += 1

    def _row(
        self, record: Record, molecule: Molecule | None, conformer: int | None, reason: str
    ) -> dict[str, Any]:
        row_id = self._next_row
        self._next_row += 1
        self.counts["rows"] = self._next_row
        smiles = molecule.smiles if molecule else None
        return {
            "row_id": row_id,
            # Unreadable lines count as molecules of their own, numbered downwards so that real ones stay dense.
            "molecule": self.counts["molecules"] if molecule else -self.counts["unreadable"],
            "line": record.line,
            "input_smiles": record.smiles,
            "smiles": smiles,
            "conformer": conformer,
            "embedding_seed": None
            if smiles is None
            else conformer_seed(self._options.seed, smiles, conformer or 0),
            "charge": molecule.charge if molecule else None,
            "multiplicity": molecule.multiplicity if molecule else None,
            "shape": molecule.shape if molecule else UNREADABLE,
            "reason": reason,
        }

    def _leave_out(self, record: Record, molecule: Molecule, why: str) -> None:
        self._excluded.append(
            {
                "line": record.line,
                "input_smiles": record.smiles,
                "smiles": molecule.smiles,
                "excluded_by": why,
            }
        )
        if len(self._excluded) >= _EXCLUDED_PIECE:
            self._exclude(self._excluded)
            self._excluded = []
