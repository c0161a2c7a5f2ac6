"""Running a plan: attempts until every pending shard is committed, its poison rows found, or given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from scfx.errors import InputError, ScfxError
from scfx_dataset.commits import committed
from scfx_dataset.executor import DatasetExecutor
from scfx_dataset.local import LocalExecutor
from scfx_dataset.quarantine import MOST_UNCHARGED, Quarantine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scfx_dataset.attempt import Job, Outcome, Probe
    from scfx_dataset.options import DatasetOptions
    from scfx_dataset.plan import Plan, Shard
    from scfx_dataset.progress import Progress


class Run:
    """One run over the pending shards of a plan (of one part of them, with `options.part`).

    `executor` works on attempts; unless it is a `DatasetExecutor`, the local one tries rows alone.
    """

    def __init__(self, plan: Plan, options: DatasetOptions, progress: Progress, executor: Any, job: Job):
        self._plan = plan
        self._options = options
        self._progress = progress
        self._executor = executor
        self._job = job
        self._deaths: Counter[int] = Counter()
        self._uncharged: Counter[int] = Counter()
        self.given_up: list[Shard] = []

    def pending(self) -> list[Shard]:
        """Shards of this part that have no commit."""
        return pending(self._plan, self._options.part)

    def work(self) -> None:
        """Attempts at all that is pending; then, alone, at what killed its workers.

        Raises `InputError` for a fault of the configuration, `ScfxError` for one of the machine.
        """
        enough = self._options.quarantine_after
        while todo := [shard for shard in self.pending() if self._deaths[shard.index] < enough]:
            for outcome in _ended(self._executor.run([shard.index for shard in todo])):
                self._settle(self._plan.shards[outcome.shard], outcome)
        for shard in self.pending():
            self._isolate(shard)

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
        """Find the rows that kill, now that nothing else runs."""
        self._progress.say(
            f"shard {shard.id}: trying its rows alone, to find what ended {self._deaths[shard.index]} workers"
        )
        own = isinstance(self._executor, DatasetExecutor)
        alone = self._executor.alone if own else LocalExecutor(self._job).alone

        def try_alone(probes: Iterable[Probe]) -> Iterator[Outcome]:
            return _ended(alone(probes))

        quarantine = Quarantine(self._plan, try_alone, self._options.max_deaths, self._progress.say)
        outcome = quarantine.settle(shard, bool(self._progress.counts()["ok"]))
        if outcome is None:
            self.given_up.append(shard)
        else:
            self._settle(shard, outcome)


def pending(plan: Plan, part: str = "") -> list[Shard]:
    """Shards of a part ("i/N"; default: all) that have no commit."""
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
