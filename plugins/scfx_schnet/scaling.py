"""The `scaling` task: error against size of the training set, for models, budgets and kinds of labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scfx.abstract import AbstractTask, TaskContext
from scfx.errors import ConfigError
from scfx_schnet.judge import Judge
from scfx_schnet.molecules import Molecules
from scfx_schnet.options import TrainingOptions
from scfx_schnet.processes import Processes, processes
from scfx_schnet.runs import Runs
from scfx_schnet.sources import DataOptions, open_data
from scfx_schnet.split import Split, split_by_molecule, subset
from scfx_schnet.targets import checked_targets
from scfx_schnet.training import Job, median_mae


class SplitOptions(BaseModel):
    """Shares of the molecules that are set apart. Whether one is depends on its SMILES and `seed` only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation: float = Field(0.05, gt=0, lt=1)
    test: float = Field(0.05, ge=0, lt=1)
    seed: int = Field(0, ge=0)


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
        (100, 316, 1000, 3162, 10000), description="rows of the nested training subsets"
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
            c.name: merged(options.training, c.training, f"task.curves.{c.name}.training")
            for c in self.curves
        }

    def run(self, context: TaskContext) -> int:
        """Exit code 0: every run is done; 1: some are not (`report_only`)."""
        with processes(self.options.training.device) as group:
            return self._run(context, group)

    def _run(self, context: TaskContext, group: Processes) -> int:
        root = Path(self.options.output)
        if group.first:
            root.mkdir(parents=True, exist_ok=True)
        runs = Runs(root / "runs", context.registry, group, console_of(context))
        facts: dict[str, dict[str, Any]] = {}
        results, missing = [], 0
        try:
            for curve in self.curves:
                done = self._curve(curve, runs, context, group, facts)
                for result in done:
                    if result is None:
                        missing += 1
                    else:
                        results.append(result)
        except KeyboardInterrupt:
            runs.say("stopped; run the same command again to go on from the last checkpoint")
            return 130
        if group.first and results:
            from scfx_schnet.report import write_scaling_report

            written = write_scaling_report(root, self.options, self.targets, results, facts)
            runs.say(f"wrote {', '.join(written)} in {self.options.output}")
        return 1 if missing else 0

    def _curve(
        self,
        curve: Curve,
        runs: Runs,
        context: TaskContext,
        group: Processes,
        facts: dict[str, dict[str, Any]],
    ) -> Iterator[dict[str, Any] | None]:
        cache = runs.root.parent / "cache"
        molecules = open_shared(curve.data or self.options.data, cache, group)
        split = self._split(molecules)
        judge = None
        if curve.judge is not None:
            judged = open_shared(curve.judge, cache, group)
            judge = Judge(judged, self._split(judged), self.targets, self.options.calibration_rows)
        sizes, seeds = curve.sizes or self.options.sizes, curve.seeds or self.options.seeds
        model = curve.model or self.options.model
        choice = {"name": model} if isinstance(model, str) else dict(model)
        cost = curve.seconds_per_label or molecules.description.get("seconds_per_label")
        facts[curve.name] = {
            "model": choice,
            "rows": len(molecules),
            "molecules": len(np.unique(molecules.keys)),
            "pool": len(split.pool),
            "validation": len(split.validation),
            "test": len(split.test),
            "seconds_per_label": cost,
            "median_mae_ev": median_mae(molecules, split.pool, split.validation, self.targets),
            "training": self._trainings[curve.name].model_dump(mode="json"),
        }
        for seed in seeds:
            for size in sizes:
                name = f"{curve.name}/n{size}-seed{seed}"
                if self.options.report_only:
                    yield runs.result(name)
                    continue
                rows = subset(molecules.keys, split.pool, size, seed)
                job = Job(
                    molecules, rows, split.validation, split.test, self.targets, choice,
                    self._trainings[curve.name], seed,
                )  # fmt: skip
                about = {"curve": curve.name, "size": size, "seed": seed, "seconds_per_label": cost}
                yield runs.do(name, job, about, after=judge)

    def _split(self, molecules: Molecules) -> Split:
        options = self.options.split
        return split_by_molecule(molecules.keys, options.validation, options.test, options.seed)


def merged(options: TrainingOptions, changes: dict[str, Any], key: str) -> TrainingOptions:
    """The options with some keys replaced. Raises `ConfigError` for a key that there is not, or a bad value."""
    for name in changes:
        if name not in TrainingOptions.model_fields:
            raise ConfigError(
                f"{key}.{name}", f"no such option; there are {', '.join(TrainingOptions.model_fields)}"
            )
    try:
        return TrainingOptions.model_validate({**options.model_dump(), **changes})
    except ValidationError as error:
        raise ConfigError(key, str(error)) from error


def open_shared(data: DataOptions, cache: Path, group: Processes) -> Molecules:
    """`open_data`, of several processes by the first one first, so that the cache is written once."""
    if group.first:
        open_data(data, cache)
    group.wait()
    return open_data(data, cache)


def console_of(context: TaskContext) -> Any:
    """The context's console, or one on stderr."""
    if context.console is not None:
        return context.console
    from rich.console import Console

    return Console(stderr=True)
