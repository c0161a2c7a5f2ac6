"""The plan of a dataset: a manifest of every row in Parquet, cut into shards (see `scfx.jobs.plan`).

A plan is identified by what decides its rows (`Identity`). `planning.py` makes it.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scfx.errors import InputError
from scfx.jobs.plan import AbstractPlan, Shard
from scfx.jobs.records import differences, digest
from scfx.versions import NUMERICAL, versions
from scfx_dataset.options import DatasetOptions
from scfx_dataset.schema import EXCLUDED, FORMAT, FORMAT_VERSION, READABLE_VERSIONS, SHARDS, row_schema


@dataclass(frozen=True)
class Identity:
    """Everything that decides the rows and their labels; two plans with equal identities are the same plan.

    `spec` shows the electronic-structure specification to people; `spec_hash` is what counts, with `solver` (options
    that the hash leaves out although they can change a status or the last bits). `molecules_sha256` is the digest of
    the source file (its path does not matter), `versions` those of the packages that the labels depend on.
    """

    spec_hash: str
    spec: dict[str, Any]
    solver: dict[str, Any]
    options: dict[str, Any]
    molecules_sha256: str
    versions: dict[str, str]
    format_version: int = FORMAT_VERSION

    @property
    def plan_id(self) -> str:
        """Return the digest of all but `spec`, which is for people."""
        return digest({key: value for key, value in asdict(self).items() if key != "spec"})

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Return the lines 'key: theirs there, mine now' for what differs from the identity stored in another plan."""
        return differences(asdict(self), other)


def current_versions() -> dict[str, str]:
    """Return the versions of the packages here that rows depend on."""
    return versions((*NUMERICAL, "rdkit"))


def filled(identity: dict[str, Any]) -> dict[str, Any]:
    """Return a stored identity with the defaults of options that did not exist when it was made: they did nothing
    then.
    """
    defaults = DatasetOptions.model_validate({"molecules": "-", "output": "-"}).row_options()
    return {**identity, "options": _fill(identity["options"], defaults)}


def _fill(stored: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    found = {**defaults, **stored}
    for key, value in stored.items():
        if isinstance(value, dict) and isinstance(defaults.get(key), dict):
            found[key] = _fill(value, defaults[key])
    return found


@dataclass(frozen=True)
class Plan(AbstractPlan):
    """The plan of a dataset. `counts`: lines read, unreadable, duplicates, excluded by each filter, molecules, rows,
    shards. Shard i is row group i of the manifest.
    """

    FORMAT = FORMAT
    WHAT = "dataset"
    READABLE = READABLE_VERSIONS
    FOR_PEOPLE = ("spec.",)  # what it means is in the hash
    ANOTHER_WAY = " (task.take_over can take over the rows that are equal)"
    DAMAGED = (
        "`scfx dataset verify --drop-damaged {}` takes these commits back, so that a run computes them again"
    )
    GO_ON = (
        " (`scfx dataset run --continue-with-other-versions`): every row states the versions that made it."
    )

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """Return the shards of the plan, in their order."""
        table = pq.read_table(io.BytesIO(self._checked("shards")), schema=SHARDS)
        return tuple(
            Shard(index, self._safe_id(row["shard"]), row["rows"], row["shape"], row["seconds"] or 0.0)
            for index, row in enumerate(table.to_pylist())
        )

    @cached_property
    def schema(self) -> pa.Schema:
        """Return the columns of the shards, with the optional ones that the plan asks for."""
        return row_schema(self.identity)

    def rows(self, shard: Shard) -> pa.Table:
        """Return the planned rows of a shard: one row group of one of the manifest's files, so memory does not grow."""
        pieces = sorted(name for name in self.record["files"] if name.startswith("manifest"))
        per_piece = self.record.get("shards_per_manifest") or len(self.shards)
        name = pieces[shard.index // per_piece]
        # The last file that was read: shards are asked for mostly in order.
        kept, piece = self.kept.get("manifest", ("", None))
        if piece is None or kept != name:
            piece = pq.ParquetFile(io.BytesIO(self._checked(name)))
            self.kept["manifest"] = name, piece
        table = piece.read_row_group(shard.index % per_piece)
        if table.num_rows != shard.rows or set(table["shard"].to_pylist()) != {shard.id}:
            raise InputError(
                f"{self.store.where()!r}: the manifest does not match its index at shard {shard.id}"
            )
        return table

    def items(self, shard: Shard) -> list[dict[str, Any]]:
        """Return the planned rows of a shard as plain data."""
        return self.rows(shard).to_pylist()

    def excluded(self) -> pa.Table:
        """Return the lines of the source that became no row: duplicates and filtered molecules."""
        return pq.read_table(io.BytesIO(self._checked("excluded")), schema=EXCLUDED)
