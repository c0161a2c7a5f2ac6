"""The `scaling` task: error against size of the training set, for models, budgets and kinds of labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from scfx.abstract import AbstractTask, TaskContext
from scfx.errors import ConfigError
from scfx_schnet.dynamics import DynamicsOptions
from scfx_schnet.examination import Examination
from scfx_schnet.fidelity import Form
from scfx_schnet.job import TrainingJob
from scfx_schnet.judge import Judge
from scfx_schnet.logs import console_of
from scfx_schnet.molecules import Molecules
from scfx_schnet.objective import check_elements, check_units, median_mae
from scfx_schnet.options import Seeds, Sizes, SplitOptions, TrainingOptions, check_distinct, model_table
from scfx_schnet.processes import Processes, processes
from scfx_schnet.relaxation import RelaxationOptions
from scfx_schnet.runs import Runs
from scfx_schnet.sources import DataOptions, open_shared
from scfx_schnet.split import Growth, Split, check_size, subset
from scfx_schnet.targets import FORCES, checked_targets, scalars


class Curve(BaseModel):
    """One curve; what is not given is the task's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[\w+-][\w.+-]*$", description="folder and legend")
    model: str | dict[str, Any] | None = None
    data: DataOptions | None = None
    training: dict[str, Any] = Field(default_factory=dict, description="keys of [task.training] that differ")
    sizes: Sizes | None = Field(None, min_length=1)
    seeds: Seeds | None = Field(None, min_length=1)
    conformers: int | None = Field(None, ge=1, description="of each molecule at most so many")
    molecules: int | None = Field(
        None, ge=1, description="only so many molecules: sizes grow by conformers of them, not by molecules"
    )
    judge: DataOptions | None = Field(
        None, description="labels of the same kind of molecules by which this curve is judged too"
    )
    level: dict[str, Any] = Field(
        default_factory=dict,
        description="keys that differ from [scf]: the level at which this curve's relaxations are judged, where it is "
        "not task.relaxation.level",
    )
    against: str | None = Field(
        None,
        description="the curve from which this one's errors are subtracted, seed by seed, molecule by molecule",
    )
    seconds_per_label: float | None = Field(
        None,
        gt=0,
        description="thread seconds; left out: as the dataset's records say, without the gradients where force_weight "
        "is 0",
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
    sizes: Sizes = Field(
        (100, 316, 1000, 3162, 10000), min_length=1, description="rows of the nested training subsets"
    )
    seeds: Seeds = Field((0, 1, 2), min_length=1, description="each varies subset and initial weights")
    split: SplitOptions = Field(default_factory=lambda: SplitOptions())  # type: ignore[call-arg]
    training: TrainingOptions = Field(default_factory=lambda: TrainingOptions())  # type: ignore[call-arg]
    curves: tuple[Curve, ...] = Field((), description="left out: one, of the task's own options")
    calibration_rows: int = Field(
        100,
        ge=2,
        description="judged curves: rows of the judge's pool that fit the line from one label to the other",
    )
    dynamics: DynamicsOptions | None = Field(
        None, description="molecular dynamics with the potentials of each curve's largest size"
    )
    relaxation: RelaxationOptions | None = Field(
        None, description="relaxations with the potentials of each curve's largest size"
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
        self._check_comparisons()
        for where, of in (("task", options), *((f"task.curves.{c.name}", c) for c in self.curves)):
            check_distinct(of.sizes, f"{where}.sizes")
            check_distinct(of.seeds, f"{where}.seeds")
        self._trainings = {
            c.name: options.training.merged(c.training, f"task.curves.{c.name}.training") for c in self.curves
        }

    def _check_comparisons(self) -> None:
        """Raise `ConfigError` for curves that are compared with none of them, or have no potential to try."""
        names = {c.name: c for c in self.curves}
        for curve in self.curves:
            key = f"task.curves.{curve.name}"
            if curve.against is not None:
                other = names.get(curve.against)
                if other is None or other is curve:
                    raise ConfigError(
                        f"{key}.against", f"{curve.against!r} is no other curve; there are {', '.join(names)}"
                    )
                if curve.judge != other.judge:
                    raise ConfigError(
                        f"{key}.against",
                        f"{curve.against!r} is not judged by the same labels: give both one judge",
                    )
                if curve.level != other.level:
                    raise ConfigError(
                        f"{key}.against",
                        f"the relaxations of {curve.against!r} are judged at another level: give both one level",
                    )
            if curve.level and self.options.relaxation is None:
                raise ConfigError(f"{key}.level", "is for relaxations, and there is no task.relaxation")
        for name in ("dynamics", "relaxation"):
            if getattr(self.options, name) is not None and FORCES not in self.targets:
                raise ConfigError(f"task.{name}", "is of potentials: targets = ['energy', 'forces']")

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
        plans = [self._plan(curve, root / "cache", group, context) for curve in self.curves]
        _check_comparable(plans)
        for plan in plans:
            for _ in self._jobs(plan):  # what a subset lacks
                pass
        results, missing = [], 0
        try:
            for plan in plans:
                for size, job in self._jobs(plan):
                    name = run_name(plan.curve.name, size, job.seed)
                    about = {"curve": plan.curve.name, "size": size, "seed": job.seed}
                    exam, largest = plan.examination, size == max(plan.sizes)
                    if self.options.report_only:
                        result = runs.done(name, job, about, exam.asks(largest))
                    else:
                        after = exam.largest if largest else exam
                        result = runs.train(name, job, about, after, exam.asks(largest))
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
        elif not results:
            runs.say(f"no run of these curves is in {self.options.output}: run it without report_only")
        return 1 if missing else 0

    def _plan(self, curve: Curve, cache: Path, group: Processes, context: TaskContext) -> _CurvePlan:
        """Opens the curve's data, splits it and takes the subsets. Raises `ConfigError` for what is not there."""
        key, registry = f"task.curves.{curve.name}", context.registry
        data, where = (curve.data, f"{key}.data") if curve.data else (self.options.data, "task.data")
        with_forces = FORCES in self.targets
        molecules = open_shared(data, cache, group, registry, where, with_forces)
        molecules.check(self.targets, "task.targets")
        split = self.options.split.divide(molecules.keys)
        judge = None
        if curve.judge is not None:
            judged = open_shared(curve.judge, cache, group, registry, f"{key}.judge", with_forces)
            judged.check(self.targets, f"{key}.judge")
            check_units(self.targets, judged, molecules, f"{key}.judge")
            judge = Judge(
                judged, self.options.split.divide(judged.keys), self.targets, self.options.calibration_rows
            )
        choice, training = model_table(curve.model or self.options.model), self._trainings[curve.name]
        # A network that cannot be built is said before the first training.
        where = f"{key}.model" if curve.model else "task.model"
        with torch.random.fork_rng(devices=[]):
            Form().build(choice, len(scalars(self.targets)), registry, where)
        learnt = "seconds_per_label" if training.force_weight or not with_forces else "seconds_per_energy"
        cost = curve.seconds_per_label or molecules.description.get(learnt)
        facts = {
            "model": choice,
            "labels": " ".join(filter(None, (data.path, data.option))),
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
        growth = Growth(curve.conformers, curve.molecules)
        if growth != Growth():
            where = f"{key}.{'conformers' if curve.conformers else 'molecules'}"
        check_size(growth.rows(molecules.keys, split.pool, 0, f"{key}.molecules"), max(sizes), where)
        options, against = self.options, {c.against for c in self.curves}
        spec = None
        if options.relaxation is not None:
            where = f"{key}.level" if curve.level else "task.relaxation.level"
            spec = options.relaxation.spec(context.spec, curve.level, where)
        examination = Examination(
            molecules, split, judge, curve.against is not None or curve.name in against, options.dynamics,
            options.relaxation, spec, cache / "minima", registry,
        )  # fmt: skip
        return _CurvePlan(
            curve,
            molecules,
            split,
            judge,
            examination,
            growth,
            sizes,
            curve.seeds or options.seeds,
            training,
            facts,
        )

    def _jobs(self, plan: _CurvePlan) -> Iterator[tuple[int, TrainingJob]]:
        """(size, training) of every run of a curve, one subset in memory at a time."""
        for seed in plan.seeds:
            for size in plan.sizes:
                rows = subset(plan.molecules.keys, plan.split.pool, size, seed, growth=plan.growth)
                if "energy" in self.targets:
                    key = f"task.curves.{plan.curve.name}.sizes"
                    parts = {"validation part": plan.split.validation, "test part": plan.split.test}
                    asked = {name: plan.molecules.elements(part) for name, part in parts.items()}
                    if plan.judge is not None:
                        asked["judge"] = plan.judge.elements
                    check_elements(
                        plan.molecules.elements(rows),
                        asked,
                        key,
                        f"Take more than {size} rows, or another seed",
                    )
                yield (
                    size,
                    TrainingJob(
                        plan.molecules, rows, plan.split.validation, plan.split.test, self.targets,
                        plan.facts["model"], plan.training, seed,
                    ),
                )  # fmt: skip


def run_name(curve: str, size: int, seed: int) -> str:
    """Return the name of a run, which is that of its folder."""
    return f"{curve}/n{size}-seed{seed}"


@dataclass(frozen=True)
class _CurvePlan:
    """A curve whose data is open, split, and large enough; `facts` are for the report."""

    curve: Curve
    molecules: Molecules
    split: Split
    judge: Judge | None
    examination: Examination
    growth: Growth
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    training: TrainingOptions
    facts: dict[str, Any]


def _check_comparable(plans: Sequence[_CurvePlan]) -> None:
    """Raise `ConfigError` for curves in other units, or one that is compared with one that is asked other things."""
    named = {plan.curve.name: plan for plan in plans}
    for plan in plans:
        if plan.facts["units"] != plans[0].facts["units"]:
            raise ConfigError(
                f"task.curves.{plan.curve.name}.data",
                f"its targets are in {plan.facts['units']}, those of {plans[0].curve.name!r} in "
                f"{plans[0].facts['units']}: they do not go into one table",
            )
        if plan.curve.against is None:
            continue
        if plan.examination.question != named[plan.curve.against].examination.question:
            raise ConfigError(
                f"task.curves.{plan.curve.name}.against",
                f"{plan.curve.against!r} is asked about other rows, or by other labels, as their data differ: give "
                "both one judge",
            )
