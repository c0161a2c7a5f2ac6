"""Running a plan: attempts until every pending shard is committed, its poison rows found, or given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import TYPE_CHECKING

from scfx.contracts.executor import AbstractIsolatingExecutor, Outcome
from scfx.errors import InputError, PluginUnavailableError, ScfxError
from scfx.jobs.commits import committed
from scfx.jobs.local import LocalExecutor
from scfx.jobs.quarantine import MOST_UNCHARGED, Quarantine

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from scfx.contracts.executor import AbstractExecutor, Job, Probe
    from scfx.jobs.options import JobOptions
    from scfx.jobs.plan import AbstractPlan, Shard
    from scfx.jobs.progress import Progress

#: Shards at the end of a run that are put in order.
_LAST = 256


class PlanRun:
    """One run over the pending shards of a plan (of one part of them, with `options.part`).

    `executor` works on attempts; unless it is an `AbstractIsolatingExecutor`, the local one tries items alone.
    """

    def __init__(
        self,
        plan: AbstractPlan,
        options: JobOptions,
        progress: Progress,
        executor: AbstractExecutor,
        job: Job,
    ):
        self._plan = plan
        self._options = options
        self._progress = progress
        self._executor = executor
        self._job = job
        self._deaths: Counter[int] = Counter()
        self._uncharged: Counter[int] = Counter()
        self.given_up: list[Shard] = []

    def pending(self) -> list[Shard]:
        """Return shards of this part that have no commit."""
        return pending(self._plan, self._options.part)

    def work(self) -> None:
        """Attempt all that is pending; then, alone, what killed its workers.

        Raises `InputError` for a fault of the configuration, `ScfxError` for one of the machine.
        """
        enough = self._options.quarantine_after
        while todo := [shard for shard in self.pending() if self._deaths[shard.index] < enough]:
            deaths = self._deaths.total() + self._uncharged.total()
            asked = {shard.index for shard in todo}
            for outcome in _ended(self._executor.run([shard.index for shard in in_order(todo)])):
                self._check(outcome, asked)
                self._settle(self._plan.shards[outcome.shard], outcome)
            died = self._deaths.total() + self._uncharged.total() - deaths
            if not died and asked <= {shard.index for shard in self.pending()}:
                raise self._fault(
                    f"has ended {len(asked)} attempts, and none of them is committed or has died"
                )
        for shard in self.pending():
            self._isolate(shard)

    def _check(self, outcome: object, asked: Collection[int]) -> None:
        """Refuse what is no outcome of what was asked for: an executor may be anybody's."""
        if not isinstance(outcome, Outcome):
            raise self._fault(f"reported a {type(outcome).__name__}")
        if outcome.shard not in asked or outcome.state not in ("committed", "lost", "died", "error"):
            raise self._fault(f"reported {outcome.state!r} of shard {outcome.shard!r}")

    def _fault(self, what: str) -> PluginUnavailableError:
        kind = type(self._executor)
        name = getattr(self._executor, "name", kind.__name__)
        return PluginUnavailableError(
            "task.executor",
            f"executor {name!r} ({kind.__module__}.{kind.__qualname__}) {what}; its `run` must yield one "
            "scfx.contracts.executor.Outcome for each shard index that it is given (docs/hooks.md, "
            "scfx_register_executors)",
        )

    def _settle(self, shard: Shard, outcome: Outcome) -> None:
        progress = self._progress
        if outcome.state == "error":
            if outcome.bad_input:
                raise InputError(outcome.message)
            raise ScfxError(
                f"shard {shard.id} could not be computed: {outcome.message}\nCommitted shards are safe; run the same "
                "command again when the cause is gone."
            )
        if outcome.state == "died":
            progress.forget(shard.index)
            if outcome.charged:
                self._deaths[shard.index] += 1
                progress.say(
                    f"shard {shard.id}: {outcome.message}; death {self._deaths[shard.index]} over it"
                )
                return
            self._uncharged[shard.index] += 1
            progress.say(f"shard {shard.id}: {outcome.message}; not counted, it will be tried again")
            if self._uncharged[shard.index] >= MOST_UNCHARGED:
                raise ScfxError(
                    f"shard {shard.id}: {outcome.message}, {MOST_UNCHARGED} times: something keeps ending the "
                    "workers of this run. Committed shards are safe; run again when that has stopped"
                )
        elif outcome.state == "committed":
            progress.settle(shard.index, outcome.rows)
        else:
            progress.settle_elsewhere(shard.index, shard.rows)

    def _isolate(self, shard: Shard) -> None:
        """Find the items that kill, now that nothing else runs."""
        self._progress.say(
            f"shard {shard.id}: trying its rows alone, to find what ended {self._deaths[shard.index]} workers"
        )
        executor = self._executor
        if not isinstance(executor, AbstractIsolatingExecutor):
            executor = LocalExecutor(self._job)

        def try_alone(probes: Iterable[Probe]) -> Iterator[Outcome]:
            return _ended(executor.alone(probes))

        quarantine = Quarantine(
            self._plan, self._job.work, try_alone, self._options.max_deaths, self._progress.say
        )
        outcome = quarantine.settle(shard, bool(self._progress.counts()["ok"]))
        if outcome is None:
            self.given_up.append(shard)
        else:
            self._settle(shard, outcome)


def in_order(shards: Sequence[Shard]) -> list[Shard]:
    """Return shards in the order in which to begin them: the plan's, but the smallest last, the longest of them first.

    So workers end together (R. L. Graham, SIAM J. Appl. Math. 17, 416 (1969)). The last are up to a quarter of the
    expected seconds, and no more than `_LAST`: neighbours in a plan are read from one file. No row depends on it.
    """
    longest_first = sorted(shards, key=lambda shard: (-shard.seconds, shard.index))
    left = sum(shard.seconds for shard in shards) / 4
    last: list[Shard] = []
    while longest_first and len(last) < _LAST and (left := left - longest_first[-1].seconds) >= 0:
        last.append(longest_first.pop())
    return sorted(longest_first, key=lambda shard: shard.index) + last[::-1]


def pending(plan: AbstractPlan, part: str = "") -> list[Shard]:
    """Return the shards of a part ("i/N"; default: all) that have no commit."""
    done = {shard.index for shard in committed(plan)}
    index, count = map(int, part.split("/")) if part else (0, 1)
    return [s for s in plan.shards if s.index not in done and s.index % count == index]


def _ended(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """The same; whoever stops listening ends it at once, not when the garbage collector comes by: workers run in it."""
    iterator = iter(outcomes)
    try:
        yield from iterator
    finally:
        if isinstance(iterator, Generator):
            iterator.close()
