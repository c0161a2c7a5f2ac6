"""The `finetune` task asks whether generated labels help a network that learns better ones, and in which way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from scfx.abstract import AbstractTask, TaskContext
from scfx.errors import ConfigError
from scfx_schnet.checkpoint import load_model, read
from scfx_schnet.fidelity import Form, Joined, balanced, shifted
from scfx_schnet.finetune_parts import Parts, Start
from scfx_schnet.finetune_report import write_report
from scfx_schnet.job import TrainingJob
from scfx_schnet.logs import console_of
from scfx_schnet.molecules import Molecules
from scfx_schnet.objective import check_units
from scfx_schnet.options import Seeds, Sizes, SplitOptions, TrainingOptions, check_distinct, model_table
from scfx_schnet.processes import Processes, processes
from scfx_schnet.runs import Runs
from scfx_schnet.sources import DataOptions, open_shared
from scfx_schnet.split import subset
from scfx_schnet.targets import FORCES, checked_targets, scalars

Way = Literal["scratch", "pretrained", "delta", "heads"]


class Pretraining(BaseModel):
    """What comes first: a training on generated labels, or one that a scaling task did already."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: DataOptions = Field(
        description="the generated labels; its molecules are removed from the fine-tuning data"
    )
    model: str | None = Field(
        None, description="model.pt of a run on this data; left out: trained here, once for each seed"
    )
    rows: int | None = Field(
        None, ge=1, description="of the training subset; left out: all but the validation part"
    )
    training: dict[str, Any] = Field(default_factory=dict, description="keys of [task.training] that differ")


class FinetuneOptions(BaseModel):
    """Options of the finetune task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: str = Field(description="folder of runs, tables and plots")
    data: DataOptions = Field(description="the labels that count: QM9, PCQM4Mv2 or others")
    pretraining: Pretraining
    targets: tuple[str, ...] = ("gap",)
    model: str | dict[str, Any] = "schnet-laptop"
    ways: tuple[Way, ...] = Field(
        ("scratch", "pretrained"),
        description="scratch; pretrained: go on from those weights; delta: learn what the pre-trained network is off "
        "by; heads: both kinds of labels at once, a head for each",
    )
    overlap: Literal["remove", "split"] = Field(
        "remove",
        description="molecules of both data sets: remove them from `data`; or split both alike, so that pre-training "
        "sees none that is asked about",
    )
    sizes: Sizes = Field((1000,), min_length=1, description="rows of the nested fine-tuning subsets")
    seeds: Seeds = Field((0, 1, 2), min_length=1)
    split: SplitOptions = Field(default_factory=lambda: SplitOptions())  # type: ignore[call-arg]
    training: TrainingOptions = Field(default_factory=lambda: TrainingOptions())  # type: ignore[call-arg]
    finetuning: dict[str, Any] = Field(
        default_factory=dict,
        description="keys of [task.training] that differ after pre-training; never `steps`",
    )
    report_only: bool = Field(False, description="train nothing; tables and plots of what is there")


class FinetuneTask(AbstractTask):
    """From scratch and with the help of cheap labels: the same rows, seeds, updates and batches (docs/schnet.md)."""

    Options = FinetuneOptions

    def __init__(self, options: BaseModel):
        super().__init__(options)
        assert isinstance(options, FinetuneOptions)
        self.options: FinetuneOptions = options
        self.targets = checked_targets(options.targets)
        if {"steps", "batch_size"} & set(options.finetuning):
            raise ConfigError(
                "task.finetuning", "the budget (steps, batch_size) is the same for both: set it in training"
            )
        if "atom_energies" in options.finetuning:
            raise ConfigError(
                "task.finetuning.atom_energies",
                "what atoms add after pre-training is fitted to what the network is off by: set it in training, for "
                "those from scratch",
            )
        check_distinct(options.sizes, "task.sizes")
        check_distinct(options.seeds, "task.seeds")
        if "scratch" not in options.ways or len(set(options.ways)) != len(options.ways):
            raise ConfigError(
                "task.ways", f"got {list(options.ways)}: each once, and 'scratch' to compare with"
            )
        if options.pretraining.model is not None and options.overlap == "split":
            raise ConfigError(
                "task.overlap",
                "'split' is for a pre-training done here: which of its molecules pretraining.model saw is not known",
            )
        if options.pretraining.model is not None and options.pretraining.model_fields_set & {
            "rows",
            "training",
        }:
            raise ConfigError(
                "task.pretraining.model",
                "is trained already: 'rows' and 'training' beside it are for a pre-training done here. Leave them out",
            )
        self._tuning = options.training.merged(options.finetuning, "task.finetuning")
        self._pretraining = options.training.merged(options.pretraining.training, "task.pretraining.training")
        self._choice = model_table(options.model)

    def run(self, context: TaskContext) -> int:
        """Run the task; exit code 0: every run is done; 1: some are not (`report_only`); 130: interrupted."""
        with processes(self.options.training.device) as group:
            runs = Runs(Path(self.options.output) / "runs", context.registry, group, console_of(context))
            try:
                return self._run(runs, group, context)
            except KeyboardInterrupt:
                runs.say("stopped; run the same command again to go on from the last checkpoint")
                return 130

    def _run(self, runs: Runs, group: Processes, context: TaskContext) -> int:
        options, root = self.options, Path(self.options.output)
        forces = FORCES in self.targets
        cache, registry = root / "cache", context.registry
        first = options.pretraining.data
        cheap = open_shared(first, cache, group, registry, "task.pretraining.data", forces)
        better = open_shared(options.data, cache, group, registry, "task.data", forces)
        parts = Parts.of(cheap, better, options.split, options.overlap == "remove")
        for molecules in (cheap, better):
            molecules.check(self.targets, "task.targets")
        check_units(self.targets, cheap, better, "task.pretraining.data")
        given = self._given(cheap)
        before = self._pretraining.model_dump(mode="json") if given is None else given["training"]
        for seed in options.seeds:
            for size in options.sizes:
                rows = subset(parts.better.keys, parts.pool, size, seed)
                if "energy" in self.targets:
                    parts.check_elements(rows)
        results, missing = [], 0
        for seed in options.seeds:
            start = self._start(given, parts, seed, runs, group, context)
            for size in options.sizes:
                rows = subset(parts.better.keys, parts.pool, size, seed)
                for way in options.ways:
                    name, about = f"{way}/n{size}-seed{seed}", {"start": way, "size": size, "seed": seed}
                    if start is None and way in ("pretrained", "delta"):
                        result = None  # report_only, and nothing was pre-trained
                    else:
                        job = self._job(way, parts, rows, seed, start, before["steps"])
                        result = (runs.done if options.report_only else runs.train)(name, job, about)
                    missing += result is None
                    results += [] if result is None else [result]
        if group.first and results:
            facts = {
                **parts.facts(),
                "units": {target: parts.better.unit(target) for target in self.targets},
                "model": self._choice,
                "training": options.training.model_dump(mode="json"),
                "pretraining": before,
                **({} if given else {"pretraining_rows": len(parts.cheap_rows(options.pretraining.rows, 0))}),
                "finetuning": self._tuning.model_dump(mode="json"),
            }
            written = write_report(root, results, facts, self.targets)
            runs.say(f"wrote {', '.join(written)} in {options.output}")
        elif not results:
            runs.say(f"no run of this task is in {options.output}: run it without report_only")
        return 1 if missing else 0

    def _job(
        self, way: Way, parts: Parts, rows: np.ndarray, seed: int, start: Start | None, before: int
    ) -> TrainingJob:
        """The training of one way: the same rows, seed and updates; `heads` does those of the pre-training too, of
        which there are so many `before`."""
        plain = TrainingJob(
            parts.better, rows, parts.validation, parts.test, self.targets, self._choice, self.options.training, seed
        )  # fmt: skip
        if way == "scratch":
            return plain
        if way == "heads":
            cheap = parts.cheap_rows(self.options.pretraining.rows, seed)
            both = Joined(parts.better, parts.cheap, rows, cheap, self.targets)
            steps = before + self._tuning.steps
            options = self.options.training.merged({"steps": steps}, "task.training")
            return replace(
                plain,
                molecules=both,
                rows=balanced(rows, both.cheap(cheap)),
                options=options,
                form=Form(heads=2),
            )
        assert start is not None
        moved = None
        if "energy" in self.targets or way == "delta":
            # What atoms add differs from one level of theory to the next: fitted to what is off, not anew.
            names = scalars(self.targets)
            off = parts.better.targets(rows, names) - start.predicted(parts.better, rows)
            moved = shifted(start.standardiser, names, off, parts.better.atom_counts(rows))
        if way == "delta":
            weights = {f"base.{name}": value for name, value in start.weights.items()}
            form = Form(delta=True)
        else:
            weights, form = start.weights, plain.form
        return replace(
            plain,
            options=self._tuning,
            start=weights,
            learnt=(parts.cheap.identity,),
            form=form,
            standardiser=moved,
        )

    def _given(self, cheap: Molecules) -> dict[str, Any] | None:
        """The content of `pretraining.model`, which was trained on just these labels; None where none is given."""
        if self.options.pretraining.model is None:
            return None
        path, key = self.options.pretraining.model, "task.pretraining.model"
        content = read(path, key)
        if tuple(content["targets"]) != self.targets or content["model_choice"] != self._choice:
            raise ConfigError(
                key,
                f"{path} is a {content['model_choice']} for {content['targets']}, this task trains {self._choice} for "
                f"{list(self.targets)}",
            )
        if content.get("form"):
            raise ConfigError(key, f"{path} is a network of {content['form']}; take a plain one")
        if content.get("learnt") != [cheap.identity]:
            # Molecules that it has seen would not be removed from what is asked about.
            raise ConfigError(
                key,
                f"{path} was not trained on the labels in pretraining.data alone"
                f"{'' if 'learnt' in content else ', or does not say on which (an older version of scfx)'}. "
                "Name the ones that it was trained on, or leave `model` out to train one here",
            )
        return content

    def _start(
        self,
        given: dict[str, Any] | None,
        parts: Parts,
        seed: int,
        runs: Runs,
        group: Processes,
        context: TaskContext,
    ) -> Start | None:
        """The network after pre-training: the given one, or that of this task's own run for the seed; None where no way
        needs it, or for `report_only` where there is none.
        """
        if not {"pretrained", "delta"} & set(self.options.ways):
            return None
        if given is not None:
            path = Path(str(self.options.pretraining.model))
        else:
            rows = parts.cheap_rows(self.options.pretraining.rows, seed)
            job = TrainingJob(
                parts.cheap,
                rows,
                parts.cheap_split.validation,
                parts.cheap_split.test,
                self.targets,
                self._choice,
                self._pretraining,
                seed,
            )
            name, about = f"pretraining/seed{seed}", {"start": "pretraining", "size": len(rows), "seed": seed}
            if (runs.done if self.options.report_only else runs.train)(name, job, about) is None:
                return None
            path = runs.root / f"pretraining/seed{seed}" / "model.pt"
        group.wait()
        network, standardiser, _ = load_model(path, context.registry)
        return Start(network, standardiser, network.state_dict())
