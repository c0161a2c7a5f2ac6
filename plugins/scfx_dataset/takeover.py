"""Rows of earlier datasets that a grown or joined one takes over, so that only what is new is computed.

A row is a function of its geometry (`geometry_id`: molecule, charge, recipe, and seed or given positions) and of the
level of theory. Where both are equal its labels are those that would be computed, to the bit on one machine with one
set of versions.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import InputError
from scfx.jobs.commits import committed
from scfx.model.same_molecule import inchikey_of
from scfx_dataset.plan import Identity, filled
from scfx_dataset.reader import Dataset
from scfx_dataset.schema import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scfx_dataset.plan import Shard

#: What belongs to the plan of the new dataset; all other columns are taken over.
_OF_THE_PLAN = frozenset(MANIFEST.names) - {"atomic_numbers", "positions_angstrom", "reason"}
#: Keys of the identity that decide a row of a given `geometry_id`.
_DECISIVE = (
    "spec_hash",
    "solver",
    "options.embedding",
    "options.extras",
    "options.columns",
    "format_version",
)
_TABLES = 8


def check(paths: Sequence[str], identity: Identity, other_versions: bool) -> None:
    """Refuse datasets whose rows are not those that this plan would compute; `InputError` says what differs."""
    for path in paths:
        dataset = Dataset(path)
        lines = identity.differences(filled(dataset.plan.identity))
        decisive = [line for line in lines if line.startswith(_DECISIVE)]
        if decisive:
            raise InputError(
                f"task.take_over: the rows of {path!r} were computed otherwise:\n  " + "\n  ".join(decisive)
            )
        versions = [line for line in lines if line.startswith("versions.")]
        if versions and not other_versions:
            raise InputError(
                f"task.take_over: the rows of {path!r} were computed with other versions:\n  "
                + "\n  ".join(versions)
                + "\ntask.continue_with_other_versions = true takes them over all the same; every row states its own"
            )


class Earlier:
    """The committed rows of earlier datasets by `geometry_id`. Held are 12 bytes a row, and a few shards."""

    def __init__(self, paths: Sequence[str]):
        self._datasets = [Dataset(path) for path in paths]
        self._homes: list[tuple[Dataset, Shard]] = []
        self._tables: OrderedDict[int, dict[str, dict[str, Any]]] = OrderedDict()
        keys, places = [], []
        for dataset in self._datasets:
            for shard in committed(dataset.plan):
                planned = dataset.plan.rows(shard)["geometry_id"].drop_null().to_pylist()
                keys.append(np.array([int(key, 16) for key in planned], dtype=np.uint64))
                places.append(np.full(len(planned), len(self._homes), dtype=np.int32))
                self._homes.append((dataset, shard))
        joined = np.concatenate(keys) if keys else np.zeros(0, np.uint64)
        # Stable: of a row that several datasets have, that of the first one named is taken.
        order = np.argsort(joined, kind="stable")
        self._keys = joined[order]
        self._places = (np.concatenate(places) if places else np.zeros(0, np.int32))[order]

    def rows(
        self, planned: Sequence[Mapping[str, Any]], whole_molecules: bool
    ) -> tuple[dict[int, dict[str, Any]], dict[str, int]]:
        """Return (the columns taken over by row_id, rows by the plan_id that they come from) of some planned rows.

        With `whole_molecules` (conformers may depend on each other) those of a molecule are taken all or none.
        """
        by_home: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for row in planned:
            if row["geometry_id"] is not None and (home := self._home(row["geometry_id"])) is not None:
                by_home[home].append(row)
        found: dict[int, dict[str, Any]] = {}
        sources: dict[int, str] = {}
        inchikeys: dict[str, str | None] = {}
        for home, rows in sorted(by_home.items()):
            table = self._table(home)
            for row in rows:
                old = table.get(row["geometry_id"])
                # Poison is what one machine did; another may do better.
                if old is None or old["status"] == "poison":
                    continue
                smiles = row["smiles"]
                if smiles is not None and smiles not in inchikeys:
                    inchikeys[smiles] = inchikey_of(smiles) or None
                taken = {name: value for name, value in old.items() if name not in _OF_THE_PLAN}
                found[row["row_id"]] = {
                    **taken,
                    "inchikey": inchikeys[smiles] if smiles is not None else None,
                }
                sources[row["row_id"]] = self._homes[home][0].plan.plan_id
        if whole_molecules:
            lacking = {row["molecule"] for row in planned if row["row_id"] not in found}
            for row in planned:
                if row["molecule"] in lacking:
                    found.pop(row["row_id"], None)
        counts: dict[str, int] = defaultdict(int)
        for row_id in found:
            counts[sources[row_id]] += 1
        return found, dict(counts)

    def _home(self, key: str) -> int | None:
        at = int(np.searchsorted(self._keys, np.uint64(int(key, 16))))
        if at == self._keys.size or self._keys[at] != np.uint64(int(key, 16)):
            return None
        return int(self._places[at])

    def _table(self, home: int) -> Mapping[str, dict[str, Any]]:
        if home not in self._tables:
            dataset, shard = self._homes[home]
            rows = dataset.read_shard(shard).to_pylist()
            if dataset.matrix_schema.names != ["row_id"]:
                beside = dataset.read_matrices(shard).to_pylist()
                rows = [row | matrices for row, matrices in zip(rows, beside, strict=True)]
            self._tables[home] = {row["geometry_id"]: row for row in rows if row["geometry_id"] is not None}
            if len(self._tables) > _TABLES:
                self._tables.popitem(last=False)
        self._tables.move_to_end(home)
        return self._tables[home]
