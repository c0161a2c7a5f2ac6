"""What a job does with its items: the one class that a task writes to be resumable (docs/write-a-task.md)."""

from __future__ import annotations

import abc
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from scfx.versions import versions

if TYPE_CHECKING:
    from scfx.jobs.plan import AbstractPlan, Shard
    from scfx.jobs.store import AbstractStore

#: One result: plain data by name, with at least "status" (one of `STATUSES`) and, unless that is "ok", "reason".
Row = Mapping[str, Any]

STATUSES = ("ok", "not_converged", "failed", "poison")


@dataclass
class Attempt:
    """What `AbstractWork.compute` is told of the attempt that it is part of, and what it may say.

    `made_with` are the versions here; `seconds` by stage and `notes` (plain data) go into the record of the commit.
    """

    plan: AbstractPlan
    shard: Shard
    made_with: Mapping[str, str]
    #: Hears of finished rows by status.
    report: Callable[[Counter[str]], None] = lambda rows: None
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    notes: dict[str, Any] = field(default_factory=dict)

    def done(self, *statuses: str) -> None:
        """Note that rows with these statuses are finished: people see it, and the worker does not count as hung."""
        self.report(Counter(statuses))


class AbstractWork(abc.ABC):
    """Turns the items of a shard into rows, one for each. Must be picklable: it travels to worker processes.

    Rows may depend on their items and on what the job's identity names, on nothing else: an attempt that is made twice,
    anywhere, must give the same bytes, for the first one that ends is committed.
    """

    #: Ending of the file of a shard.
    ending: ClassVar[str] = "jsonl"

    def begin(self, threads: int | None) -> None:  # noqa: B027 - most have nothing to prepare
        """Make what is costly to make; called on a copy of this object before its first shard in a process.

        `threads`: this worker's share of the cores; None: the command's own process, and all of them.
        """

    def warm_up(self) -> None:  # noqa: B027 - most make everything in `begin`
        """Make now what `compute` would make when it is first needed; called before items are tried alone.

        What ends a process before its items are begun is not charged to them.
        """

    @abc.abstractmethod
    def compute(self, items: Sequence[Any], attempt: Attempt) -> Sequence[Row]:
        """Return one row for each item, in their order.

        What is wrong with one item is said in its row ("failed" and a reason). What is raised ends the run, and is
        about the machine or the configuration (`scfx.InputError`): no row is blamed for it.
        """

    def compute_some(self, items: Sequence[Any], places: Sequence[int], attempt: Attempt) -> Sequence[Row]:
        """Return the rows of some places of a shard alone; override where rows depend on the other items of their
        shard.
        """
        return self.compute([items[place] for place in places], attempt)

    def settled(self, item: Any, attempt: Attempt) -> Row | None:
        """Return the row of an item that needs no work; such an item is not suspected when a process dies. None: it
        does.
        """
        return None

    def poison(self, item: Any, reason: str, attempt: Attempt) -> Row:
        """Return the row of an item that ended its process again and again."""
        return {"status": "poison", "reason": reason}

    def name_of(self, item: Any, place: int) -> str:
        """Return what messages call an item."""
        return f"item {place}"

    def encode(self, rows: Sequence[Row], attempt: Attempt) -> dict[str, bytes]:
        """Return the bytes of the files of a shard by their endings, that of `ending` first: a function of the rows
        alone.

        All of them are committed together. JSON lines by default: keys sorted, floats with every digit.
        """
        lines = [json.dumps(row, sort_keys=True, allow_nan=False) for row in rows]
        return {self.ending: "".join(f"{line}\n" for line in lines).encode()}

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages here that rows depend on; those of another machine must be equal."""
        return versions()

    def load_plan(self, store: AbstractStore) -> AbstractPlan | None:
        """Return the plan in a store, where it is of another kind than `run_job` makes; None: it is of that kind."""
        return None
