"""The `finetune` task asks whether training on generated labels first helps on better ones."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from scfx.abstract import AbstractTask, TaskContext
from scfx.errors import ConfigError
from scfx_schnet.fit import interval
from scfx_schnet.logs import console_of
from scfx_schnet.molecules import Molecules
from scfx_schnet.options import SplitOptions, TrainingOptions, model_table
from scfx_schnet.processes import Processes, processes
from scfx_schnet.runs import Runs, write_json
from scfx_schnet.sources import DataOptions, open_shared
from scfx_schnet.split import subset
from scfx_schnet.targets import FORCES, checked_targets, thousandth
from scfx_schnet.training import TrainingJob


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
    sizes: tuple[int, ...] = Field((1000,), description="rows of the nested fine-tuning subsets")
    seeds: tuple[int, ...] = (0, 1, 2)
    split: SplitOptions = Field(default_factory=lambda: SplitOptions())  # type: ignore[call-arg]
    training: TrainingOptions = Field(default_factory=lambda: TrainingOptions())  # type: ignore[call-arg]
    finetuning: dict[str, Any] = Field(
        default_factory=dict,
        description="keys of [task.training] that differ after pre-training; never `steps`",
    )
    report_only: bool = Field(False, description="train nothing; tables and plots of what is there")


class FinetuneTask(AbstractTask):
    """From scratch and from pre-trained weights: the same rows, seeds, updates and batches (docs/schnet.md)."""

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
        cache, registry = root / "cache", context.registry
        forces = FORCES in self.targets
        generated = open_shared(
            options.pretraining.data, cache, group, registry, "task.pretraining.data", forces
        )
        better = open_shared(options.data, cache, group, registry, forces=forces)
        for molecules in (generated, better):
            molecules.check(self.targets, "task.targets")
        kept = np.flatnonzero(~np.isin(better.keys, generated.keys))
        if not len(kept):
            raise ConfigError(
                "task.data", "every molecule of it occurs in the pre-training data: nothing is left"
            )
        split = options.split.divide(better.keys[kept])
        pool, validation, test = kept[split.pool], kept[split.validation], kept[split.test]
        results, missing = [], 0
        for seed in options.seeds:
            start = None if options.report_only else self._pretrained(generated, seed, runs, group)
            for size in options.sizes:
                for way in ("scratch", "pretrained"):
                    name = f"{way}/n{size}-seed{seed}"
                    if options.report_only:
                        result = runs.result(name)
                    else:
                        job = TrainingJob(
                            better,
                            subset(better.keys, pool, size, seed),
                            validation,
                            test,
                            self.targets,
                            self._choice,
                            options.training if way == "scratch" else self._tuning,
                            seed,
                            None if way == "scratch" else start,
                        )
                        result = runs.train(name, job, {"start": way, "size": size, "seed": seed})
                    missing += result is None
                    results += [] if result is None else [result]
        if group.first and results:
            facts = {
                "rows": len(better),
                "units": {target: better.unit(target) for target in self.targets},
                "rows_removed": len(better) - len(kept),
                "molecules_removed": len(np.intersect1d(better.keys, generated.keys)),
                "validation": len(validation),
                "test": len(test),
                "pretraining_rows": len(generated),
                "model": self._choice,
                "training": options.training.model_dump(mode="json"),
                "finetuning": self._tuning.model_dump(mode="json"),
            }
            written = write_report(root, results, facts, self.targets[0])
            runs.say(f"wrote {', '.join(written)} in {options.output}")
        return 1 if missing else 0

    def _pretrained(
        self, generated: Molecules, seed: int, runs: Runs, group: Processes
    ) -> dict[str, torch.Tensor]:
        """Weights after pre-training: of the given file, or of this task's own run for the seed."""
        options = self.options.pretraining
        if options.model is not None:
            path = Path(options.model)
            if not path.exists():
                raise ConfigError("task.pretraining.model", f"{options.model!r} does not exist")
        else:
            split = self.options.split.divide(generated.keys)
            rows = subset(
                generated.keys, split.pool, options.rows or len(split.pool), seed, "task.pretraining.rows"
            )
            job = TrainingJob(
                generated,
                rows,
                split.validation,
                split.test,
                self.targets,
                self._choice,
                self._pretraining,
                seed,
            )
            runs.train(
                f"pretraining/seed{seed}", job, {"start": "pretraining", "size": len(rows), "seed": seed}
            )
            path = runs.root / f"pretraining/seed{seed}" / "model.pt"
        group.wait()
        content = torch.load(path, map_location="cpu", weights_only=True)
        if tuple(content["targets"]) != self.targets or content["model_choice"] != self._choice:
            raise ConfigError(
                "task.pretraining.model",
                f"{path} is a {content['model_choice']} for {content['targets']}, this task trains {self._choice} for "
                f"{list(self.targets)}",
            )
        return content["model"]


def compare(results: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return, by size, test MAE (meV) by seed of both ways, and their paired difference with its 95% interval
    (Student's t).
    """
    out: dict[int, dict[str, Any]] = {}
    for size in sorted({r["size"] for r in results}):
        mev = {
            way: {
                r["seed"]: 1000 * r["test_mae_ev"][0]
                for r in results
                if r["size"] == size and r["start"] == way
            }
            for way in ("scratch", "pretrained")
        }
        both = sorted(set(mev["scratch"]) & set(mev["pretrained"]))
        if both:
            gains = [mev["scratch"][s] - mev["pretrained"][s] for s in both]
            mean, low, high = interval(gains)
            out[size] = {
                "seeds": both,
                "scratch_mev": [mev["scratch"][s] for s in both],
                "pretrained_mev": [mev["pretrained"][s] for s in both],
                "gain_mev": mean,
                "gain_low_mev": low,
                "gain_high_mev": high,
            }
    return out


def write_report(root: Path, results: list[dict[str, Any]], facts: dict[str, Any], target: str) -> list[str]:
    """Write `results.csv`, `summary.json`, `summary.md` and a figure for each size."""
    from scfx_schnet import plots

    unit = thousandth(facts.get("units", {}).get(target, "eV"))
    with (root / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["start", "size", "seed", "train_mae_mev", "validation_mae_mev", "test_mae_mev", "seconds"]
        )
        for r in results:
            errors = [round(1000 * r[f"{kind}_mae_ev"][0], 3) for kind in ("train", "validation", "test")]
            writer.writerow([r["start"], r["size"], r["seed"], *errors, r["seconds"]])
    sizes = compare(results)
    write_json(root / "summary.json", {"facts": facts, "sizes": sizes})
    head = "" if unit == "meV" else f", {unit}"
    lines = [
        f"| rows | seeds | from scratch{head} | pre-trained | gain, 95% interval |",
        "|---|---|---|---|---|",
    ]
    for size, row in sizes.items():
        lines.append(
            f"| {size:,} | {len(row['seeds'])} | {np.mean(row['scratch_mev']):.1f} | "
            f"{np.mean(row['pretrained_mev']):.1f} | {row['gain_mev']:.1f} [{row['gain_low_mev']:.1f}, "
            f"{row['gain_high_mev']:.1f}] |"
        )
    (root / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    written = ["results.csv", "summary.json", "summary.md"]
    if sizes:
        plots.paired_bars(root / "finetune.png", sizes, target, unit)
        written.append("finetune.png")
    return written
