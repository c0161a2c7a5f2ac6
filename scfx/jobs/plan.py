"""The plan of a job: an immutable manifest of every item, cut into shards, made once and then only read.

A plan is identified by what decides its rows. Making it again from the same inputs gives the same bytes, so resuming
is: make sure that the identity is the same, then work on the shards that have no commit.
"""

from __future__ import annotations

import abc
import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from scfx.errors import InputError
from scfx.jobs.records import canonical_json, differences, digest, sealed, unharmed

if TYPE_CHECKING:
    from scfx.jobs.store import AbstractStore

PLAN = "plan.json"

REMEDY = (
    "Restore it; or remove plan.json and run again: the same configuration and versions make the same plan, and what "
    "is committed stays"
)
#: Shards of one file of items: a worker reads one file, not the whole plan.
_SHARDS_PER_FILE = 256
#: Items of a shard where nobody says how many, at most; and the shards that a job then has, if it has the items.
_MOST_ITEMS = 16
_FEW_SHARDS = 32


@dataclass(frozen=True)
class Shard:
    """One shard of a plan: `index` is its place in it, `shape` a word for people about what is in it.

    `seconds` of one core that whoever planned expects of it; 0 where nobody has said.
    """

    index: int
    id: str
    rows: int
    shape: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class AbstractPlan(abc.ABC):
    """A plan as stored. `record` is the content of plan.json: format, plan_id, identity, counts, files."""

    store: AbstractStore = field(repr=False)
    record: dict[str, Any] = field(repr=False)
    #: What was read last, by what it is: shards and commits are asked for again and again.
    kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    #: What plan.json calls itself, what messages call the folder, and the versions that can be read.
    FORMAT: ClassVar[str]
    WHAT: ClassVar[str] = "job"
    READABLE: ClassVar[tuple[int, ...]] = (1,)
    #: Beginnings of keys of the identity that only show people what another key decides.
    FOR_PEOPLE: ClassVar[tuple[str, ...]] = ()
    #: For messages: a further way out of another identity, and what to do about damage, and when going on with other
    #: versions.
    ANOTHER_WAY: ClassVar[str] = ""
    DAMAGED: ClassVar[str] = (
        "Restore these files, or remove the records of their shards in commits/: a run makes them again"
    )
    GO_ON: ClassVar[str] = ": the record of each shard states the versions that made it."

    @classmethod
    def load(cls, store: AbstractStore) -> Self:
        """Read plan.json; `InputError` if it is not there, damaged, or of another format version."""
        try:
            record = json.loads(store.read(PLAN))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{store.where()!r} holds no {cls.WHAT}: there is no {PLAN} in it") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{store.where(PLAN)!r} cannot be read: {error}. {REMEDY}") from error
        if not isinstance(record, dict) or record.get("format") != cls.FORMAT:
            raise InputError(f"{store.where(PLAN)!r} is not the plan of an scfx {cls.WHAT}")
        if not unharmed(record):
            raise InputError(
                f"{store.where(PLAN)!r} is damaged: its digest is not that of its content. {REMEDY}"
            )
        if record["identity"]["format_version"] not in cls.READABLE:
            raise InputError(
                f"{store.where()!r} has format version {record['identity']['format_version']}, this scfx reads "
                f"{cls.READABLE}; read it with scfx {record['identity']['versions'].get('scfx')}"
            )
        return cls(store, record)

    @property
    def plan_id(self) -> str:
        """Return the digest of what decides the rows; it stands in every commit."""
        return self.record["plan_id"]

    @property
    def counts(self) -> dict[str, Any]:
        """Return how many "rows" and "shards", and what else whoever planned has counted."""
        return self.record["counts"]

    @property
    def identity(self) -> dict[str, Any]:
        """Return what decides the rows, with the "versions" of packages that the plan was made for."""
        return self.record["identity"]

    @property
    @abc.abstractmethod
    def shards(self) -> tuple[Shard, ...]:
        """Return all shards, in order."""

    @abc.abstractmethod
    def items(self, shard: Shard) -> Sequence[Any]:
        """Return the planned items of a shard, in the order of its rows."""

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
                f"{self.store.where()!r}: the plan's {entry['name']} cannot be read: {error}. {REMEDY}"
            ) from error
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise InputError(
                f"{self.store.where()!r}: the plan's {entry['name']} is damaged (checksum differs). {REMEDY}"
            )
        return data

    def _safe_id(self, name: str) -> str:
        """An id of a shard, which names files, if it is a plain word."""
        if not re.fullmatch(r"[\w-]+", name):
            raise InputError(f"{self.store.where()!r}: its plan has a shard that is called {name[:100]!r}")
        return name


class ItemPlan(AbstractPlan):
    """A plan of items that are plain data (numbers, texts, lists and tables of them), stored as JSON lines."""

    FORMAT = "scfx-job"

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """Return the shards of the plan, in their order."""
        index = json.loads(self._checked("shards"))
        return tuple(Shard(i, self._safe_id(str(name)), int(rows)) for i, (name, rows) in enumerate(index))

    def items(self, shard: Shard) -> list[Any]:
        """Return the items of a shard, in their order."""
        number, at = divmod(shard.index, _SHARDS_PER_FILE)
        pieces: dict[int, list[list[Any]]] = self.kept.setdefault("items", {})
        if number not in pieces:
            lines = self._checked(_file_of(number)).decode().splitlines()
            pieces.clear()
            pieces[number] = [json.loads(line) for line in lines]
        found = pieces[number][at]
        if len(found) != shard.rows:
            raise InputError(
                f"{self.store.where()!r}: the plan's items do not match its index at shard {shard.id}"
            )
        return found


def _file_of(number: int) -> str:
    return f"items-{number:05d}"


def plan_items(
    store: AbstractStore,
    identity: Mapping[str, Any],
    items: Iterable[Any],
    shard_rows: int | None,
    other_versions: bool = False,
) -> tuple[ItemPlan, bool]:
    """Return the plan of these items in a store, made first if there is none, and whether it was made now.

    `shard_rows`: items of a shard; None: those of the plan that is there, else up to 16, and fewer where there would be
    fewer than 32 shards. `identity` is plain data that names all that decides the rows beside the items, "versions"
    among it. Raises `InputError` if the store holds the plan of something else, naming what differs, or an item is no
    plain data.
    """
    texts = [_text(item, place) for place, item in enumerate(items)]
    if not texts:
        raise InputError("there is no item to work on")
    if shard_rows is None:
        shard_rows = _planned_rows(store) or min(_MOST_ITEMS, max(1, len(texts) // _FEW_SHARDS))
    lines = [f"[{', '.join(texts[i : i + shard_rows])}]" for i in range(0, len(texts), shard_rows)]
    whole = {
        **identity,
        "format_version": 1,
        "shard_rows": shard_rows,
        "items_sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }
    plan_id = digest(whole)
    if not store.exists(PLAN) and _make(store, whole, plan_id, lines):
        return ItemPlan.load(store), True
    plan = ItemPlan.load(store)
    agree(plan, plan_id, differences(whole, plan.identity), other_versions)
    return plan, False


def _planned_rows(store: AbstractStore) -> int | None:
    """Return the items of a shard of the plan that is there; None if there is none."""
    return ItemPlan.load(store).identity["shard_rows"] if store.exists(PLAN) else None


def _text(item: Any, place: int) -> str:
    try:
        return json.dumps(item, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"item {place} is {type(item).__name__}: {error}; items are plain data (numbers, texts, lists and "
            "tables of them), so that a folder from anywhere can be read without running what is in it"
        ) from error


def _make(store: AbstractStore, identity: Mapping[str, Any], plan_id: str, lines: Sequence[str]) -> bool:
    """Write the plan's files under unique names, then plan.json if nobody else was faster."""
    token = uuid.uuid4().hex[:12]
    files: dict[str, dict[str, str]] = {}

    def put(kind: str, text: str, ending: str) -> None:
        name = f"plan/{kind}-{token}.{ending}"
        store.write_new(name, text.encode())
        files[kind] = {"name": name, "sha256": hashlib.sha256(text.encode()).hexdigest()}

    won = False
    try:
        index, rows = [], 0
        for number, first in enumerate(range(0, len(lines), _SHARDS_PER_FILE)):
            piece = lines[first : first + _SHARDS_PER_FILE]
            put(_file_of(number), "".join(f"{line}\n" for line in piece), "jsonl")
            for at, line in enumerate(piece, start=first):
                count = len(json.loads(line))
                index.append([f"{at:06d}-{digest([plan_id, line])}", count])
                rows += count
        put("shards", canonical_json(index) + "\n", "json")
        record = {
            "format": ItemPlan.FORMAT,
            "plan_id": plan_id,
            "identity": dict(identity),
            "counts": {"rows": rows, "shards": len(lines)},
            "files": files,
        }
        won = store.put_if_absent(PLAN, (json.dumps(sealed(record), indent=2) + "\n").encode())
    finally:
        if not won:
            for entry in files.values():
                store.remove(entry["name"])
    return won


def agree(plan: AbstractPlan, plan_id: str, lines: Sequence[str], other_versions: bool) -> None:
    """Refuse to go on with a plan whose identity differs in `lines` from the one asked for, `plan_id`.

    A plan of other versions is an answer where every shard is committed, since nothing is left to compute; else only
    with `other_versions`.
    """
    from scfx.jobs.commits import committed

    # Of an earlier format rows can still be made.
    of_versions = ("versions.", "format_version")
    decisive = [line for line in lines if not line.startswith((*plan.FOR_PEOPLE, *of_versions))]
    versions = [line for line in lines if line.startswith(of_versions)]
    where = plan.store.where()
    if decisive:
        raise InputError(
            f"task.output: {where!r} holds another {plan.WHAT} (plan {plan.plan_id}, this is "
            f"{plan_id}). What differs:\n  "
            + "\n  ".join(lines)
            + f"\nChoose another output folder{plan.ANOTHER_WAY}, or go back to the configuration that made it."
        )
    if versions and not other_versions and len(committed(plan)) < len(plan.shards):
        raise InputError(
            f"task.output: {where!r} is not finished, and was begun with other versions:\n  "
            + "\n  ".join(versions)
            + "\nThe rows to come may differ in the last digits, or more. Go back to the versions that began it, or "
            f"say task.continue_with_other_versions = true{plan.GO_ON}"
        )
