"""The dataset task: plan, run what is not committed, report."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scfx.abstract import AbstractTask, TaskContext
from scfx.errors import InputError, ScfxError
from scfx.model.elements import atomic_number
from scfx_dataset.attempt import Job
from scfx_dataset.commits import committed, missing_data, read_commits, remove_leftovers, remove_orphans
from scfx_dataset.executor import DatasetExecutor
from scfx_dataset.local import LocalExecutor
from scfx_dataset.options import DatasetOptions
from scfx_dataset.plan import Identity, Plan, Shard, current_versions
from scfx_dataset.planning import ensure_plan
from scfx_dataset.progress import Progress
from scfx_dataset.reader import Dataset
from scfx_dataset.report import up_to_date, write_report
from scfx_dataset.run import Run, pending
from scfx_dataset.solvers import Description, LabelSolver, describe, make_solver
from scfx_dataset.sources import Source, resolve
from scfx_dataset.store import open_store
from scfx_dataset.summary import as_text
from scfx_dataset.takeover import check

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
            # Left out where there are none, so that plans made before keep their identity.
            options=self.options.row_options()
            | ({"columns": list(description.columns)} if description.columns else {}),
            molecules_sha256=source.sha256(),
            versions=current_versions(),
        )
        check(self.options.take_over, identity, self.options.continue_with_other_versions)
        store = open_store(self.options.output)
        with store.created():
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
        remove_leftovers(plan)
        done = sum(s.rows for s in committed(plan))
        progress = Progress(
            self.options.progress,
            _console(context),
            plan.counts["rows"],
            done,
            lambda index: plan.shards[index].shape,
        )
        todo = pending(plan, self.options.part)
        if self.options.extras:
            names = ", ".join(map(repr, self.options.extras))
            progress.say(f"task.extras is taken as before; scf.properties = [{names}] gives the same columns")
        if made:
            progress.say(
                f"planned {plan.counts['rows']} rows in {plan.counts['shards']} shards: {self.options.output}"
            )
            if bad := plan.counts["unreadable"]:
                progress.say(
                    f"{bad} records of the source cannot be read: a failed row each, with the reason"
                )
        if not todo:
            progress.say(f"nothing to do: every shard is committed in {self.options.output}")
            return self._finish(plan, progress, 0, [])
        if not made:
            progress.say(f"resuming: {len(todo)} of {len(plan.shards)} shards are not committed yet")
        job = self._job(plan, context)
        executor = self._executor(job, context, progress, description.device)
        run = Run(plan, self.options, progress, executor, job)
        try:
            with progress, _stops_when_asked(progress):
                run.work()
        except KeyboardInterrupt:
            left = sum(shard.rows for shard in run.pending())
            progress.say(
                f"stopped; {left} rows are left. Committed shards are safe: run the same command again to go on."
            )
            return 130
        finally:
            if isinstance(executor, DatasetExecutor):
                executor.close()
        workers = min(getattr(executor, "workers", 1), len(todo))
        return self._finish(plan, progress, workers, run.given_up)

    def _job(self, plan: Plan, context: TaskContext) -> Job:
        memory = self.options.worker_memory_gib
        return Job(
            store=plan.store.url,
            spec=context.spec,
            embedding=self.options.embedding,
            batch_size=self.options.batch_size,
            atomic_numbers=self._elements(),
            solver_factory=self._solver_factory,
            hang_seconds=self.options.hang_seconds,
            worker_memory=None if memory is None else int(memory * 2**30),
            take_over=tuple(open_store(path).url for path in self.options.take_over),
            other_versions=self.options.continue_with_other_versions,
        )

    def _executor(self, job: Job, context: TaskContext, progress: Progress, device: str) -> Any:
        # An accelerator is one for all cores: processes would compete for its memory.
        workers = self.options.workers if self.options.workers or device == "cpu" else 1
        arguments = {"job": job, "workers": workers, "on_rows": progress.rows}
        choice = self.options.executor
        if context.registry is None:
            return LocalExecutor(**arguments)
        chosen = {"name": choice} if isinstance(choice, str) else choice
        return context.registry.executor({**chosen, **arguments}, key="task.executor")

    def _finish(self, plan: Plan, progress: Progress, workers: int, given_up: list[Shard]) -> int:
        dataset = Dataset(plan.store.url)
        left = pending(plan, self.options.part)
        # A part of many leaves the whole to whoever finishes last: each would read all that is committed.
        if dataset.complete or not self.options.part:
            self._report(dataset, progress, workers)
        for shard in given_up:
            progress.say(
                f"gave up on shard {shard.id} ({shard.rows} rows): every row that was tried alone ended its "
                "process, and this run computed no row of any other shard. That blames the machine or the "
                "installation, so no row is recorded as poison; run again when the cause is gone"
            )
        labels = any(record["statuses"].get("ok") for _, record in read_commits(plan))
        return 0 if not left and labels else 1

    def _report(self, dataset: Dataset, progress: Progress, workers: int) -> None:
        plan = dataset.plan
        summary = dataset.summary()
        if workers:
            labels = progress.counts()["ok"]
            summary["last_run"] = {
                "labels": labels,
                "seconds": round(progress.seconds, 2),
                "labels_per_second": labels / progress.seconds,
                "workers": workers,
            }
        if dataset.complete:
            remove_orphans(plan)
        # Also where a run before this one was killed after its last shard.
        if workers or not up_to_date(dataset):
            written = write_report(dataset, plan.store, summary)
            progress.finish(summary, as_text(summary))
            progress.say(f"wrote {', '.join(written)} in {self.options.output}")


def _console(context: TaskContext) -> Any:
    if context.console is not None:
        return context.console
    from rich.console import Console

    return Console(stderr=True)


@contextmanager
def _stops_when_asked(progress: Progress) -> Iterator[None]:
    """Ctrl-C, SIGTERM (a batch queue) and SIGHUP (a closed terminal) raise `KeyboardInterrupt`; a second one ends at
    once. SIGHUP that is ignored stays so: nohup means it.

    Ending at once is safe, what is committed is committed. The first one ends worker processes too, but waits for the
    lanes in progress where the solver runs in this process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        for each in heard:
            signal.signal(each, lambda *_: os._exit(130))
        progress.say("stopping; once more stops at once")
        raise KeyboardInterrupt

    heard = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    previous = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
