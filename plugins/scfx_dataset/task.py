"""The dataset task: plan, run what is not committed, report."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scfx.abstract import AbstractTask, TaskContext
from scfx.elements import atomic_number
from scfx.errors import InputError, ScfxError
from scfx.versions import NUMERICAL, versions
from scfx_dataset.attempt import Job, Outcome
from scfx_dataset.commits import committed, missing_data, remove_orphans
from scfx_dataset.local import LocalExecutor
from scfx_dataset.options import DatasetOptions
from scfx_dataset.plan import Identity, Plan, Shard
from scfx_dataset.planning import ensure_plan
from scfx_dataset.progress import Progress
from scfx_dataset.reader import Dataset
from scfx_dataset.report import write_report
from scfx_dataset.solvers import Description, LabelSolver, describe, make_solver
from scfx_dataset.sources import Source, resolve
from scfx_dataset.store import open_store
from scfx_dataset.summary import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic import BaseModel


class DatasetTask(AbstractTask):
    """Labels for the conformers of a file of SMILES, as committed Parquet shards (docs/datasets.md).

    `solver_factory(spec, threads, atomic_numbers)` and `describe(spec, registry, atomic_numbers)` replace the core
    solver, for tests.
    """

    Options = DatasetOptions

    def __init__(
        self,
        options: BaseModel,
        solver_factory: Callable[[Any, int | None, Sequence[int] | None], LabelSolver] = make_solver,
        describe: Callable[[Any, Any, Sequence[int] | None], Description] = describe,
    ):
        super().__init__(options)
        assert isinstance(options, DatasetOptions)
        self.options: DatasetOptions = options
        self._solver_factory = solver_factory
        self._describe = describe

    def plan(self, context: TaskContext) -> tuple[Plan, bool]:
        """The plan of the output folder, made now if there is none; and whether it was made now.

        Raises `InputError` if the folder holds another dataset, or the source cannot be read.
        """
        return self._plan(self._describe(context.spec, context.registry, self._elements()), context)

    def _elements(self) -> tuple[int, ...] | None:
        """Atomic numbers that the filter allows; None: any."""
        symbols = self.options.filters.elements
        return None if symbols is None else tuple(atomic_number(symbol) for symbol in symbols)

    def _plan(self, description: Description, context: TaskContext) -> tuple[Plan, bool]:
        source = Source.of(resolve(self.options.molecules, context.config_path), self.options)
        identity = Identity(
            spec_hash=description.spec_hash,
            spec=description.spec,
            solver=description.solver,
            options=self.options.row_options(),
            molecules_sha256=source.sha256(),
            versions=versions((*NUMERICAL, "rdkit")),
        )
        store = open_store(self.options.output)
        store.create()
        return ensure_plan(store, identity, source, self.options, description.cost)

    def run(self, context: TaskContext) -> int:
        """Exit code 0: every shard of this part is committed and some row is ok; 1: not so; 130: interrupted.

        Raises `InputError` for a configuration or folder that does not fit, `ScfxError` if the machine fails (a full
        disk); what is committed stays committed.
        """
        try:
            return self._run(context)
        except OSError as error:
            raise ScfxError(
                f"{self.options.output!r}: {error}\nCommitted shards are safe; run the same command again when the "
                "cause is gone."
            ) from error

    def _run(self, context: TaskContext) -> int:
        description = self._describe(context.spec, context.registry, self._elements())
        plan, made = self._plan(description, context)
        damage = missing_data(plan)
        if damage:
            raise InputError(
                f"{self.options.output!r} is damaged:\n  " + "\n  ".join(damage) + "\n`scfx dataset verify "
                f"--drop-damaged {self.options.output}` takes these commits back, so that a run computes them again"
            )
        progress = Progress(
            self.options.progress,
            _console(context),
            plan.counts["rows"],
            sum(s.rows for s in committed(plan)),
        )
        todo = self._pending(plan)
        if made:
            progress.say(
                f"planned {plan.counts['rows']} rows in {plan.counts['shards']} shards: {self.options.output}"
            )
        if not todo:
            progress.say(f"nothing to do: every shard is committed in {self.options.output}")
        elif not made:
            progress.say(f"resuming: {len(todo)} of {len(plan.shards)} shards are not committed yet")
        deaths: Counter[int] = Counter()
        try:
            with progress, _stops_when_asked(progress):
                workers = self._work(plan, todo, context, progress, deaths, description.device)
        except KeyboardInterrupt:
            left = sum(shard.rows for shard in self._pending(plan))
            progress.say(
                f"stopped; {left} rows are left. Committed shards are safe: run the same command again to go on."
            )
            return 130
        return self._finish(plan, progress, workers, deaths, bool(todo))

    def _pending(self, plan: Plan) -> list[Shard]:
        done = {shard.index for shard in committed(plan)}
        index, count = map(int, self.options.part.split("/")) if self.options.part else (0, 1)
        return [s for s in plan.shards if s.index not in done and s.index % count == index]

    def _work(
        self,
        plan: Plan,
        todo: list[Shard],
        context: TaskContext,
        progress: Progress,
        deaths: Counter[int],
        device: str,
    ) -> int:
        """Attempts until every pending shard is committed or has used up its deaths; returns the workers used."""
        job = Job(
            store=plan.store.url,
            spec=context.spec,
            embedding=self.options.embedding,
            batch_size=self.options.batch_size,
            atomic_numbers=self._elements(),
            solver_factory=self._solver_factory,
        )
        # An accelerator is one for all cores: processes would compete for its memory.
        asked = self.options.workers if self.options.workers or device == "cpu" else 1
        executor = self._executor(job, context, progress, asked)
        workers = min(getattr(executor, "workers", 1), max(1, len(todo)))
        while todo:
            outcomes = iter(executor.run([shard.index for shard in todo]))
            try:
                for outcome in outcomes:
                    self._settle(plan.shards[outcome.shard], outcome, progress, deaths)
            finally:
                # Now, not when the garbage collector comes by: it ends the worker processes.
                if isinstance(outcomes, Generator):
                    outcomes.close()
            # A dead worker proves nothing about a row, but a shard that keeps killing workers must not loop for ever.
            todo = [shard for shard in self._pending(plan) if deaths[shard.index] < self.options.max_deaths]
        return workers

    def _settle(self, shard: Shard, outcome: Outcome, progress: Progress, deaths: Counter[int]) -> None:
        if outcome.state == "error":
            if outcome.bad_input:
                raise InputError(outcome.message)
            raise ScfxError(
                f"shard {shard.id} could not be computed: {outcome.message}\nCommitted shards are safe; run the same "
                "command again when the cause is gone."
            )
        if outcome.state == "died":
            deaths[shard.index] += 1
            progress.forget(shard.index)
            progress.say(f"shard {shard.id}: {outcome.message}; death {deaths[shard.index]} over it")
        elif outcome.state == "committed":
            progress.settle(shard.index, outcome.rows)
        else:
            progress.settle_elsewhere(shard.index, shard.rows)

    def _executor(self, job: Job, context: TaskContext, progress: Progress, workers: int) -> Any:
        arguments = {"job": job, "workers": workers, "on_rows": progress.rows}
        if context.registry is None:
            return LocalExecutor(**arguments)
        return context.registry.executor({"name": self.options.executor, **arguments}, key="task.executor")

    def _finish(
        self, plan: Plan, progress: Progress, workers: int, deaths: Counter[int], worked: bool
    ) -> int:
        dataset = Dataset(plan.store.url)
        summary = dataset.summary()
        if worked:
            labels = progress.counts()["ok"]
            summary["last_run"] = {
                "labels": labels,
                "seconds": round(progress.seconds, 2),
                "labels_per_second": labels / progress.seconds,
                "workers": workers,
            }
        if dataset.complete:
            remove_orphans(plan)
        if worked or not plan.store.exists("summary.json"):
            written = write_report(dataset, plan.store, summary)
            progress.finish(summary, as_text(summary))
            progress.say(f"wrote {', '.join(written)} in {self.options.output}")
        given_up = [shard for shard in self._pending(plan) if deaths[shard.index]]
        for shard in given_up:
            progress.say(
                f"gave up on shard {shard.id} ({shard.rows} rows) after {deaths[shard.index]} deaths of its worker "
                "(task.max_deaths): out of memory? Fewer workers or a smaller batch_size may help; then run again"
            )
        return 0 if not self._pending(plan) and summary["statuses"]["ok"] else 1


def _console(context: TaskContext) -> Any:
    if context.console is not None:
        return context.console
    from rich.console import Console

    return Console(stderr=True)


@contextmanager
def _stops_when_asked(progress: Progress) -> Iterator[None]:
    """Ctrl-C, and SIGTERM (how batch queues end a job), raise `KeyboardInterrupt`; a second one ends at once.

    Ending at once is safe, what is committed is committed. The first one ends worker processes too, but waits for the
    lanes in progress where the solver runs in this process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        signal.signal(signal.SIGTERM, lambda *_: os._exit(130))
        progress.say("stopping; once more stops at once")
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
