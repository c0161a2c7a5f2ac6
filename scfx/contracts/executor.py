"""Who runs the attempts of a job, and what an attempt is."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter

    from scfx.contracts.work import AbstractWork, Row

#: What hears of rows as they are computed: (index of the shard, rows by status).
OnRows = Callable[[int, "Counter[str]"], None]


@dataclass(frozen=True)
class Job:
    """What all attempts of a run share. It can be pickled: it travels to the processes that work.

    `store` is the address of the job's folder, from which a worker reads the plan. A worker that reports nothing for
    `hang_seconds`, or has more than `worker_memory` bytes resident (None: no limit), is to be ended by its executor.
    """

    store: str
    work: AbstractWork
    hang_seconds: float = 3600.0
    worker_memory: int | None = None
    #: Whether rows may be made with other versions than the plan's.
    other_versions: bool = False


@dataclass(frozen=True)
class Probe:
    """An attempt at some items of a shard (their places in it), in a process that may die of them. Commits nothing."""

    shard: int
    places: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: "committed", "lost" (another attempt was first), "tried" (a probe), "died", "error".

    `rows` by status (of the committed record); `seconds` by stage; `message` for the last two; `bad_input` if the
    error is one that the configuration must repair. `tried`: the rows of a probe, in the order of its places. Of a
    death, `charged` is False if it says nothing about the work: the worker was asked to end (preemption), or had not
    begun.
    """

    shard: int
    state: str
    rows: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    message: str = ""
    bad_input: bool = False
    charged: bool = True
    tried: Sequence[Row] | None = None


class AbstractExecutor(abc.ABC):
    """Runs attempts and reports their outcomes; owns no truth: the store of the job does.

    Constructed with the keyword arguments `job` (a `Job`), `workers` (0: as many as there is room for), `on_rows`
    (called with the index of a shard and a Counter of its rows by status, as they are computed), and the options of
    the table `executor = { name = ..., ... }`. A constructor that lacks one of the three is refused.

    `scfx.jobs.attempt.Worker` makes an attempt in the process where it is called; `scfx.jobs.process.WorkerProcess`
    keeps one in a process of its own, with threads pinned and the limits of the job enforced.
    """

    #: Name under which it was chosen.
    name: str
    #: Attempts that may be in progress at once.
    workers: int = 1

    @abc.abstractmethod
    def run(self, attempts: Iterable[int]) -> Iterator[Outcome]:
        """Yield one outcome for each shard index, in any order, as they finish.

        An attempt may be made twice or left out (it is asked for again), but to report none of those asked for is a
        fault, which ends the run.
        """

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what is held between calls of `run` and `alone`. Called once, also after an error."""


class AbstractIsolatingExecutor(AbstractExecutor):
    """An executor that can also try items alone, to find those that end their process; else the local one does."""

    @abc.abstractmethod
    def alone(self, probes: Iterable[Probe]) -> Iterator[Outcome]:
        """Yield one outcome per probe, each in a process with nothing else of this run beside it.

        The next probe is asked for when the consumer has seen the outcome of the one before.
        """
