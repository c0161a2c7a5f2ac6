"""Running a job from its plan to its last commit, and reading what it made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scfx.contracts.executor import AbstractExecutor, Job
from scfx.errors import InputError, ScfxError
from scfx.execution.interrupt import stops_when_asked
from scfx.jobs.commits import (
    committed,
    files_of,
    missing_data,
    read_commit,
    read_commits,
    remove_leftovers,
    remove_orphans,
)
from scfx.jobs.plan import AbstractPlan, ItemPlan, Shard, plan_items
from scfx.jobs.plan_run import PlanRun, pending
from scfx.jobs.progress import Progress
from scfx.jobs.stores import open_store

if TYPE_CHECKING:
    import os

    from rich.console import Console

    from scfx.contracts.task import TaskContext
    from scfx.contracts.work import AbstractWork, Row
    from scfx.jobs.options import JobOptions


@dataclass(frozen=True)
class Finished:
    """How a run of a job ended. `workers` is 0 where nothing was left to do."""

    interrupted: bool
    workers: int
    given_up: tuple[Shard, ...]


def run_job(
    context: TaskContext,
    options: JobOptions,
    work: AbstractWork,
    items: Iterable[Any],
    identity: Mapping[str, Any],
    shard_rows: int | None = None,
) -> int:
    """Compute a row for each item, in shards that are committed exactly once; resume what is there.

    `shard_rows`: items of a shard. None: up to 16, and so few that there are 32 shards if there are the items, so that
    several workers are busy to the end. Work that computes items side by side (in the lanes of a solver) states its
    own.
    Items are plain data, planned once in `options.output`. `identity` is plain data that names all else that the rows
    depend on (the options that decide them, a spec hash): a folder of another identity is refused. Returns the exit
    code: 0 every shard of this part is committed and some row is ok, 1 not so, 130 interrupted. Raises `InputError` for
    a folder or configuration that does not fit, `ScfxError` where the machine fails.
    """
    store = open_store(options.output)
    whole = {"work": dict(identity), "versions": work.versions()}
    try:
        with store.created():
            plan, made = plan_items(store, whole, items, shard_rows, options.continue_with_other_versions)
        progress = progress_of(plan, options, context.console)
        if made:
            progress.say(
                f"planned {plan.counts['rows']} rows in {plan.counts['shards']} shards: {options.output}"
            )
        end = run_plan(plan, work, options, context, progress, made)
    except OSError as error:
        raise machine_fault(options.output, error) from error
    if end.interrupted:
        return 130
    say_what_was_given_up(end.given_up, progress)
    results = open_results(options.output)
    if results.complete:
        remove_orphans(plan)
    counts = results.statuses()
    progress.finish({"statuses": counts, "complete": results.complete}, _as_text(counts, results.complete))
    return 0 if not pending(plan, options.part) and counts.get("ok") else 1


def machine_fault(output: str, error: OSError) -> ScfxError:
    """Return what a fault of the machine (a full disk) means for a job."""
    return ScfxError(
        f"{output!r}: {error}\nCommitted shards are safe; run the same command again when the cause is gone."
    )


def _as_text(counts: Mapping[str, int], complete: bool) -> str:
    listed = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in counts.items()) or "no row"
    return f"{listed}; {'every shard is committed' if complete else 'some shards are not committed yet'}"


def progress_of(plan: AbstractPlan, options: JobOptions, console: Console | None) -> Progress:
    """Return what people see of a run of this plan."""
    if console is None:
        from rich.console import Console

        console = Console(stderr=True)
    done = sum(s.rows for s in committed(plan))
    return Progress(
        options.progress, console, plan.counts["rows"], done, lambda index: plan.shards[index].shape
    )


def run_plan(
    plan: AbstractPlan,
    work: AbstractWork,
    options: JobOptions,
    context: TaskContext,
    progress: Progress,
    made: bool,
    workers: int | None = None,
) -> Finished:
    """Attempt all shards of `options.part` that have no commit, until they have one or are given up.

    `made`: the plan was made just now. `workers` in place of `options.workers`.
    """
    if damage := missing_data(plan):
        raise InputError(
            f"{options.output!r} is damaged:\n  "
            + "\n  ".join(damage)
            + f"\n{plan.DAMAGED.format(options.output)}"
        )
    remove_leftovers(plan)
    todo = pending(plan, options.part)
    if not todo:
        progress.say(f"nothing to do: every shard is committed in {options.output}")
        return Finished(False, 0, ())
    if not made:
        progress.say(f"resuming: {len(todo)} of {len(plan.shards)} shards are not committed yet")
    job = Job(
        plan.store.url,
        work,
        options.hang_seconds,
        options.worker_memory,
        options.continue_with_other_versions,
    )
    executor = executor_of(options, job, context, progress, options.workers if workers is None else workers)
    run = PlanRun(plan, options, progress, executor, job)
    try:
        with progress, stops_when_asked(progress.say):
            run.work()
    except KeyboardInterrupt:
        left = sum(shard.rows for shard in run.pending())
        progress.say(
            f"stopped; {left} rows are left. Committed shards are safe: run the same command again to go on."
        )
        return Finished(True, 0, ())
    finally:
        executor.close()
    return Finished(False, min(executor.workers, len(todo)), tuple(run.given_up))


def executor_of(
    options: JobOptions, job: Job, context: TaskContext, progress: Progress, workers: int
) -> AbstractExecutor:
    """Return the executor that the options name."""
    return context.registry.executor(options.executor, job, workers, progress.rows, key="task.executor")


def say_what_was_given_up(given_up: Iterable[Shard], progress: Progress) -> None:
    """Tell people which shards were given up, and what to do."""
    for shard in given_up:
        progress.say(
            f"gave up on shard {shard.id} ({shard.rows} rows): every row that was tried alone ended its "
            "process, and this run computed no row of any other shard. That blames the machine or the "
            "installation, so no row is recorded as poison; run again when the cause is gone"
        )


class Results:
    """What a job of items has committed so far, checked against its checksums when it is read."""

    def __init__(self, path: str | os.PathLike[str]):
        self.plan = ItemPlan.load(open_store(path))

    @property
    def complete(self) -> bool:
        """Return whether every planned row is committed."""
        return len(committed(self.plan)) == len(self.plan.shards)

    def statuses(self) -> dict[str, int]:
        """Return the committed rows by status."""
        counts: dict[str, int] = {}
        for _, record in read_commits(self.plan):
            for status, n in record["statuses"].items():
                counts[status] = counts.get(status, 0) + n
        return dict(sorted(counts.items()))

    def files(self, shard: Shard) -> dict[str, bytes]:
        """Return the files of a committed shard by their endings. `InputError` for one that is missing or damaged."""
        found = {}
        for file in files_of(read_commit(self.plan, shard)):
            name = file["attempt"]
            try:
                data = self.plan.store.read(name)
            except OSError as error:
                raise InputError(
                    f"committed {self.plan.store.where(name)!r} cannot be read: {error}"
                ) from error
            if hashlib.sha256(data).hexdigest() != file["sha256"]:
                raise InputError(
                    f"committed {self.plan.store.where(name)!r} is damaged: its checksum differs"
                )
            found[name.partition(".")[2]] = data
        return found

    def rows(self) -> Iterator[Row]:
        """Yield the committed rows in the order of their items, of work that keeps the default `encode` (JSON
        lines).
        """
        for shard in committed(self.plan):
            text = next(iter(self.files(shard).values())).decode()
            yield from (json.loads(line) for line in text.splitlines())


def open_results(path: str | os.PathLike[str]) -> Results:
    """Open the folder of a job of items for reading. `InputError` if it holds none."""
    return Results(path)
