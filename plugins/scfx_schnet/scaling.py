"""The `scaling` task: error against size of the training set, for models, budgets and kinds of labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from scfx.abstract import AbstractTask, TaskContext
from scfx.errors import ConfigError
from scfx.registry import Registry
from scfx_schnet.judge import Judge
from scfx_schnet.logs import console_of
from scfx_schnet.molecules import Molecules
from scfx_schnet.objective import median_mae
from scfx_schnet.options import SplitOptions, TrainingOptions, model_table
from scfx_schnet.processes import Processes, processes
from scfx_schnet.runs import Runs
from scfx_schnet.sources import DataOptions, open_shared
from scfx_schnet.split import Split, check_size, subset
from scfx_schnet.targets import FORCES, checked_targets
from scfx_schnet.training import TrainingJob


class Curve(BaseModel):
    """One curve; what is not given is the task's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[\w.+-]+$", description="folder and legend")
    model: str | dict[str, Any] | None = None
    data: DataOptions | None = None
    training: dict[str, Any] = Field(default_factory=dict, description="keys of [task.training] that differ")
    sizes: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None
    judge: DataOptions | None = Field(
        None, description="labels of the same kind of molecules by which this curve is judged too"
    )
    seconds_per_label: float | None = Field(
        None, gt=0, description="thread seconds; left out: as the dataset's records say"
    )


class ScalingOptions(BaseModel):
    """Options of the scaling task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: str = Field(description="folder of runs, tables and plots")
    data: DataOptions
    targets: tuple[str, ...] = ("gap",)
    model: str | dict[str, Any] = Field(
        "schnet-laptop", description="name or table, as scfx_register_models offers"
    )
    sizes: tuple[int, ...] = Field(
        (100, 316, 1000, 3162, 10000), min_length=1, description="rows of the nested training subsets"
    )
    seeds: tuple[int, ...] = Field((0, 1, 2), description="each varies subset and initial weights")
    split: SplitOptions = Field(default_factory=lambda: SplitOptions())  # type: ignore[call-arg]
    training: TrainingOptions = Field(default_factory=lambda: TrainingOptions())  # type: ignore[call-arg]
    curves: tuple[Curve, ...] = Field((), description="left out: one, of the task's own options")
    calibration_rows: int = Field(
        100,
        ge=2,
        description="judged curves: rows of the judge's pool that fit the line from one label to the other",
    )
    reference: dict[str, float] = Field(
        default_factory=dict, description="horizontal lines in the plot: legend -> MAE in meV"
    )
    report_only: bool = Field(False, description="train nothing; tables and plots of what is there")


class ScalingTask(AbstractTask):
    """Trains every (curve, seed, size) that is not done yet, and reports (docs/schnet.md)."""

    Options = ScalingOptions

    def __init__(self, options: BaseModel):
        super().__init__(options)
        assert isinstance(options, ScalingOptions)
        self.options: ScalingOptions = options
        self.targets = checked_targets(options.targets)
        self.curves = options.curves or (Curve(name="curve"),)  # type: ignore[call-arg]
        if len({c.name for c in self.curves}) != len(self.curves):
            raise ConfigError("task.curves", "two curves have one name")
        self._trainings = {
            c.name: options.training.merged(c.training, f"task.curves.{c.name}.training") for c in self.curves
        }

    def run(self, context: TaskContext) -> int:
        """Run the task; exit code 0: every run is done; 1: some are not (`report_only`)."""
        with processes(self.options.training.device) as group:
            return self._run(context, group)

    def _run(self, context: TaskContext, group: Processes) -> int:
        root = Path(self.options.output)
        if group.first:
            root.mkdir(parents=True, exist_ok=True)
        runs = Runs(root / "runs", context.registry, group, console_of(context))
        # All curves' data first: what is missing or too small is said before hours of training, not after.
        plans = [self._plan(curve, root / "cache", group, context.registry) for curve in self.curves]
        results, missing = [], 0
        try:
            for plan in plans:
                for size, job in self._jobs(plan):
                    name = f"{plan.curve.name}/n{size}-seed{job.seed}"
                    about = {"curve": plan.curve.name, "size": size, "seed": job.seed}
                    about["seconds_per_label"] = plan.facts["seconds_per_label"]
                    if self.options.report_only:
                        result = runs.result(name)
                    else:
                        result = runs.train(name, job, about, after=plan.judge)
                    missing += result is None
                    results += [] if result is None else [result]
        except KeyboardInterrupt:
            runs.say("stopped; run the same command again to go on from the last checkpoint")
            return 130
        if group.first and results:
            from scfx_schnet.report import write_scaling_report

            facts = {plan.curve.name: plan.facts for plan in plans}
            written = write_scaling_report(root, self.options, self.targets, results, facts)
            runs.say(f"wrote {', '.join(written)} in {self.options.output}")
        return 1 if missing else 0

    def _plan(self, curve: Curve, cache: Path, group: Processes, registry: Registry) -> _CurvePlan:
        """Opens the curve's data, splits it and takes the subsets. Raises `ConfigError` for what is not there."""
        key = f"task.curves.{curve.name}"
        data, where = (curve.data, f"{key}.data") if curve.data else (self.options.data, "task.data")
        with_forces = FORCES in self.targets
        molecules = open_shared(data, cache, group, registry, where, with_forces)
        molecules.check(self.targets, "task.targets")
        split = self.options.split.divide(molecules.keys)
        judge = None
        if curve.judge is not None:
            judged = open_shared(curve.judge, cache, group, registry, f"{key}.judge", with_forces)
            judged.check(self.targets, f"{key}.judge")
            judge = Judge(
                judged, self.options.split.divide(judged.keys), self.targets, self.options.calibration_rows
            )
        choice, training = model_table(curve.model or self.options.model), self._trainings[curve.name]
        cost = curve.seconds_per_label or molecules.description.get("seconds_per_label")
        facts = {
            "model": choice,
            "rows": len(molecules),
            "molecules": len(np.unique(molecules.keys)),
            "pool": len(split.pool),
            "validation": len(split.validation),
            "test": len(split.test),
            "seconds_per_label": cost,
            "units": {target: molecules.unit(target) for target in self.targets},
            "median_mae_ev": median_mae(molecules, split.pool, split.validation, self.targets),
            "training": training.model_dump(mode="json"),
        }
        sizes, where = (curve.sizes, f"{key}.sizes") if curve.sizes else (self.options.sizes, "task.sizes")
        check_size(split.pool, max(sizes), where)
        return _CurvePlan(
            curve, molecules, split, judge, sizes, curve.seeds or self.options.seeds, training, facts
        )

    def _jobs(self, plan: _CurvePlan) -> Iterator[tuple[int, TrainingJob]]:
        """(size, training) of every run of a curve, one subset in memory at a time."""
        for seed in plan.seeds:
            for size in plan.sizes:
                rows = subset(plan.molecules.keys, plan.split.pool, size, seed)
                yield (
                    size,
                    TrainingJob(
                        plan.molecules, rows, plan.split.validation, plan.split.test, self.targets,
                        plan.facts["model"], plan.training, seed,
                    ),
                )  # fmt: skip


@dataclass(frozen=True)
class _CurvePlan:
    """A curve whose data is open, split, and large enough; `facts` are for the report."""

    curve: Curve
    molecules: Molecules
    split: Split
    judge: Judge | None
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    training: TrainingOptions
    facts: dict[str, Any]
