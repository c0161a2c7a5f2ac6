"""The dataset task: plan, run what is not committed, report."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scfx.abstract import AbstractTask, TaskContext
from scfx.config.spec import SCFSpec
from scfx.errors import InputError
from scfx.jobs.commits import read_commits, remove_orphans
from scfx.jobs.plan_run import pending
from scfx.jobs.service import Finished, machine_fault, progress_of, run_plan, say_what_was_given_up
from scfx.jobs.stores import open_store
from scfx.model.elements import atomic_number
from scfx_dataset.options import DatasetOptions
from scfx_dataset.plan import Identity, Plan, current_versions
from scfx_dataset.planning import ensure_plan
from scfx_dataset.reader import Dataset
from scfx_dataset.report import up_to_date, write_report
from scfx_dataset.solvers import Description, LabelSolver, describe, make_solver
from scfx_dataset.sources import Source, resolve
from scfx_dataset.summary import as_text
from scfx_dataset.takeover import check
from scfx_dataset.work import LabelWork

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import BaseModel

    from scfx.jobs.progress import Progress


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
        """Return the plan of the output folder, made now if there is none; and whether it was made now.

        Raises `InputError` if the folder holds another dataset, or the source cannot be read.
        """
        task, context = self._translated(context)
        return task._plan(task._describe(context.spec, context.registry, task._elements()), context)

    def _translated(self, context: TaskContext) -> tuple[DatasetTask, TaskContext]:
        """This task with `extras` said as `scf.properties`, which they became; with a warning.

        A dataset that was begun with `extras` goes on with them.
        """
        extras, spec = self.options.extras, context.spec
        if not extras or not isinstance(spec, SCFSpec) or _begun_with_extras(self.options.output):
            return self, context
        names = [item if isinstance(item, str) else item["name"] for item in spec.properties]
        properties = [*spec.properties, *(name for name in extras if name not in names)]
        warnings.warn(
            f"task.extras became scf.properties: write properties = [{', '.join(map(repr, extras))}] under [scf], and "
            "leave extras out; the columns are the same",
            FutureWarning,
            stacklevel=2,
        )
        stated = {name: getattr(spec, name) for name in spec.model_fields_set}
        options = self.options.model_copy(update={"extras": ()})
        task = type(self)(options, solver_factory=self._solver_factory, describe=self._describe)
        return task, replace(context, spec=SCFSpec.create({**stated, "properties": properties}))

    def _elements(self) -> tuple[int, ...] | None:
        """Atomic numbers that the filter allows; None: any."""
        symbols = self.options.filters.elements
        return None if symbols is None else tuple(atomic_number(symbol) for symbol in symbols)

    def _plan(self, description: Description, context: TaskContext) -> tuple[Plan, bool]:
        source = Source.from_options(resolve(self.options.molecules, context.config_path), self.options)
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
        """Make the dataset; exit code 0: every shard of this part is committed and some row is ok; 1: not so; 130:
        interrupted.

        Raises `InputError` for a configuration or folder that does not fit, `ScfxError` if the machine fails (a full
        disk); what is committed stays committed.
        """
        task, context = self._translated(context)
        try:
            return task._run(context)
        except OSError as error:
            raise machine_fault(self.options.output, error) from error

    def _run(self, context: TaskContext) -> int:
        options = self.options
        description = self._describe(context.spec, context.registry, self._elements())
        plan, made = self._plan(description, context)
        progress = progress_of(plan, options, context.console)
        if made:
            progress.say(
                f"planned {plan.counts['rows']} rows in {plan.counts['shards']} shards: {options.output}"
            )
            if bad := plan.counts["unreadable"]:
                progress.say(
                    f"{bad} records of the source cannot be read: a failed row each, with the reason"
                )
        # An accelerator is one for all cores: processes would compete for its memory.
        workers = options.workers if options.workers or description.device == "cpu" else 1
        end = run_plan(plan, self._work(context), options, context, progress, made, workers)
        return 130 if end.interrupted else self._finish(plan, progress, end)

    def _work(self, context: TaskContext) -> LabelWork:
        return LabelWork(
            spec=context.spec,
            embedding=self.options.embedding,
            batch_size=self.options.batch_size,
            atomic_numbers=self._elements(),
            solver_factory=self._solver_factory,
            take_over=tuple(open_store(path).url for path in self.options.take_over),
        )

    def _finish(self, plan: Plan, progress: Progress, end: Finished) -> int:
        dataset = Dataset(plan.store.url)
        left = pending(plan, self.options.part)
        # A part of many leaves the whole to whoever finishes last: each would read all that is committed.
        if dataset.complete or not self.options.part:
            self._report(dataset, progress, end.workers)
        say_what_was_given_up(end.given_up, progress)
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


def _begun_with_extras(output: str) -> bool:
    """Whether the folder holds the plan of a dataset with `extras`."""
    try:
        return bool(Plan.load(open_store(output)).identity["options"].get("extras"))
    except InputError:  # no plan yet, or one that planning will refuse
        return False
