"""The plan: an immutable manifest of every row, cut into shards, made once and then only read.

A plan is identified by what decides its rows (`Identity`). Making it again from the same inputs gives the same
bytes, so resuming is: make sure the identity is the same, then work on the shards that have no commit. `planning.py`
makes it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from scfx.errors import InputError
from scfx.versions import NUMERICAL, versions
from scfx_dataset.options import DatasetOptions
from scfx_dataset.schema import EXCLUDED, FORMAT_VERSION, READABLE_VERSIONS, SHARDS, row_schema

if TYPE_CHECKING:
    from scfx_dataset.store import AbstractStore

PLAN = "plan.json"

_REMEDY = (
    "Restore it; or remove plan.json and run again: the same configuration and versions make the same plan, and what "
    "is committed stays"
)


def canonical_json(value: Any) -> str:
    """One text per value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest(value: Any) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """A record with a digest of itself under "check", so that a flipped bit in it is seen."""
    return {**record, "check": digest(record)}


def unharmed(record: dict[str, Any]) -> bool:
    """Whether a sealed record is as it was written; one that was written before there were seals passes."""
    return "check" not in record or record["check"] == digest(
        {k: v for k, v in record.items() if k != "check"}
    )


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
        return digest({key: value for key, value in asdict(self).items() if key != "spec"})

    def differences(self, other: dict[str, Any]) -> list[str]:
        """Lines 'key: theirs -> ours' for what differs from the identity stored in another plan."""
        lines = []
        mine, theirs = _flatten(json.loads(canonical_json(asdict(self)))), _flatten(other)
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                lines.append(f"{key}: {theirs.get(key, 'absent')!r} there, {mine.get(key, 'absent')!r} now")
        return lines


def current_versions() -> dict[str, str]:
    """Versions of the packages here that rows depend on."""
    return versions((*NUMERICAL, "rdkit"))


def filled(identity: dict[str, Any]) -> dict[str, Any]:
    """A stored identity with the defaults of options that did not exist when it was made: they did nothing then."""
    defaults = DatasetOptions.model_validate({"molecules": "-", "output": "-"}).row_options()
    return {**identity, "options": _fill(identity["options"], defaults)}


def _fill(stored: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    found = {**defaults, **stored}
    for key, value in stored.items():
        if isinstance(value, dict) and isinstance(defaults.get(key), dict):
            found[key] = _fill(value, defaults[key])
    return found


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    out: dict[str, Any] = {}
    for key, item in value.items():
        out |= _flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return out


@dataclass(frozen=True)
class Shard:
    """One shard of a plan: `index` is its row group in the manifest."""

    index: int
    id: str
    rows: int
    shape: str


@dataclass(frozen=True)
class Plan:
    """A plan as stored. `record` is the content of plan.json."""

    store: AbstractStore = field(repr=False)
    record: dict[str, Any] = field(repr=False)
    #: The last file of the manifest that was read: shards are asked for mostly in order.
    _piece: dict[str, pq.ParquetFile] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, store: AbstractStore) -> Plan:
        """Read plan.json; `InputError` if it is not there, damaged, or of another format version."""
        try:
            record = json.loads(store.read(PLAN))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{store.where()!r} holds no dataset: there is no {PLAN} in it") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{store.where(PLAN)!r} cannot be read: {error}. {_REMEDY}") from error
        if not isinstance(record, dict) or record.get("format") != "scfx-dataset":
            raise InputError(f"{store.where(PLAN)!r} is not the plan of an scfx dataset")
        if not unharmed(record):
            raise InputError(
                f"{store.where(PLAN)!r} is damaged: its digest is not that of its content. {_REMEDY}"
            )
        if record["identity"]["format_version"] not in READABLE_VERSIONS:
            raise InputError(
                f"{store.where()!r} has format version {record['identity']['format_version']}, this scfx reads "
                f"{READABLE_VERSIONS}; read it with scfx {record['identity']['versions'].get('scfx')}"
            )
        return cls(store, record)

    @property
    def plan_id(self) -> str:
        return self.record["plan_id"]

    @property
    def counts(self) -> dict[str, Any]:
        """Lines read, unreadable, duplicates, excluded by each filter, molecules, rows, shards."""
        return self.record["counts"]

    @property
    def identity(self) -> dict[str, Any]:
        return self.record["identity"]

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        table = pq.read_table(io.BytesIO(self._checked("shards")), schema=SHARDS)
        for name in table["shard"].to_pylist():
            if not re.fullmatch(r"[\w-]+", name):
                raise InputError(
                    f"{self.store.where()!r}: its plan has a shard that is called {name[:100]!r}"
                )
        return tuple(
            Shard(index, row["shard"], row["rows"], row["shape"])
            for index, row in enumerate(table.to_pylist())
        )

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the shards, with the optional ones that the plan asks for."""
        return row_schema(self.identity)

    def rows(self, shard: Shard) -> pa.Table:
        """The planned rows of a shard: one row group of one of the manifest's files, so memory does not grow."""
        pieces = sorted(name for name in self.record["files"] if name.startswith("manifest"))
        per_piece = self.record.get("shards_per_manifest") or len(self.shards)
        name = pieces[shard.index // per_piece]
        piece = self._piece.get(name)
        if piece is None:
            piece = pq.ParquetFile(io.BytesIO(self._checked(name)))
            self._piece.clear()
            self._piece[name] = piece
        table = piece.read_row_group(shard.index % per_piece)
        if table.num_rows != shard.rows or set(table["shard"].to_pylist()) != {shard.id}:
            raise InputError(
                f"{self.store.where()!r}: the manifest does not match its index at shard {shard.id}"
            )
        return table

    def excluded(self) -> pa.Table:
        """Lines of the source that became no row: duplicates and filtered molecules."""
        return pq.read_table(io.BytesIO(self._checked("excluded")), schema=EXCLUDED)

    def verify(self) -> None:
        """Compare every file of the plan with its checksum; `InputError` if one differs."""
        for name in self.record["files"]:
            self._checked(name)

    def _checked(self, which: str) -> bytes:
        entry = self.record["files"][which]
        if not re.fullmatch(r"plan/[\w.-]+", str(entry["name"])):
            raise InputError(
                f"{self.store.where(PLAN)!r} names {str(entry['name'])[:100]!r} as a file of the plan"
            )
        try:
            data = self.store.read(entry["name"])
        except OSError as error:
            raise InputError(
                f"{self.store.where()!r}: the plan's {entry['name']} cannot be read: {error}. {_REMEDY}"
            ) from error
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise InputError(
                f"{self.store.where()!r}: the plan's {entry['name']} is damaged (checksum differs). {_REMEDY}"
            )
        return data
