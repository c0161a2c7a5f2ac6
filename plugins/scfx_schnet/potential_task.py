"""The `potential` task: one network trained on energies and forces, ready for ASE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from scfx.abstract import AbstractTask, TaskContext
from scfx_schnet import dynamics, relaxation
from scfx_schnet.dynamics import DynamicsOptions
from scfx_schnet.examination import Examination
from scfx_schnet.job import TrainingJob
from scfx_schnet.logs import console_of
from scfx_schnet.objective import check_elements, median_mae
from scfx_schnet.options import SplitOptions, TrainingOptions, model_table
from scfx_schnet.processes import processes
from scfx_schnet.relaxation import RelaxationOptions
from scfx_schnet.runs import Runs
from scfx_schnet.sources import DataOptions, open_shared
from scfx_schnet.split import subset
from scfx_schnet.targets import FORCES

_TARGETS = ("energy", FORCES)


class PotentialOptions(BaseModel):
    """Options of the potential task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: str = Field(description="folder of model.pt, metrics.csv, result.json and summary.md")
    data: DataOptions
    model: str | dict[str, Any] = Field(
        "painn-potential", description="name or table, as scfx_register_models offers"
    )
    rows: int | None = Field(
        None, ge=1, description="of the training subset; left out: all that are not set apart"
    )
    seed: int = Field(0, ge=0, description="of subset and initial weights")
    dynamics: DynamicsOptions | None = Field(
        None, description="molecular dynamics with the potential, of molecules that it was not trained on"
    )
    relaxation: RelaxationOptions | None = Field(
        None, description="relaxations with the potential, judged by the level of [scf]"
    )
    split: SplitOptions = Field(default_factory=lambda: SplitOptions())  # type: ignore[call-arg]
    training: TrainingOptions = Field(default_factory=lambda: TrainingOptions())  # type: ignore[call-arg]


class PotentialTask(AbstractTask):
    """Trains one network on energy and forces, and says how far it is off (docs/schnet.md)."""

    Options = PotentialOptions

    def __init__(self, options: BaseModel):
        super().__init__(options)
        assert isinstance(options, PotentialOptions)
        self.options: PotentialOptions = options

    def run(self, context: TaskContext) -> int:
        """Train it; exit code 0: it is trained; 130: interrupted: the same command goes on from the last checkpoint."""
        options, folder = self.options, Path(self.options.output)
        with processes(options.training.device) as group:
            runs = Runs(folder.parent, context.registry, group, console_of(context))
            molecules = open_shared(options.data, folder / "cache", group, context.registry, forces=True)
            molecules.check(_TARGETS, "task.data")
            split = options.split.divide(molecules.keys)
            rows = subset(
                molecules.keys, split.pool, options.rows or len(split.pool), options.seed, "task.rows"
            )
            parts = {"validation part": split.validation, "test part": split.test}
            asked = {name: molecules.elements(part) for name, part in parts.items()}
            remedy = "Take another seed, or more molecules"
            check_elements(molecules.elements(rows), asked, "task.split.seed", remedy)
            job = TrainingJob(
                molecules, rows, split.validation, split.test, _TARGETS, model_table(options.model), options.training,
                options.seed,
            )  # fmt: skip
            lazy = median_mae(molecules, rows, split.validation, _TARGETS)
            facts = {"size": len(rows), "seed": options.seed, "median_mae_ev": lazy}
            spec = None
            if options.relaxation is not None:
                spec = options.relaxation.spec(context.spec, {}, "task.relaxation.level")
            exam = Examination(
                molecules, split, None, False, options.dynamics, options.relaxation, spec,
                folder / "cache" / "minima", context.registry,
            )  # fmt: skip
            try:
                result = runs.train(folder.name, job, facts, exam.largest, exam.asks(largest=True))
            except KeyboardInterrupt:
                runs.say("stopped; run the same command again to go on from the last checkpoint")
                return 130
            if group.first:
                text = summary(result, len(split.validation), len(split.test))
                (folder / "summary.md").write_text(text, encoding="utf-8")
                runs.say(f"wrote model.pt and summary.md in {options.output}")
        return 0


def summary(result: dict[str, Any], validation: int, test: int) -> str:
    """Return errors of energy and forces in meV and meV/angstrom, beside those of knowing nothing, and what became of
    molecules that the potential moved.
    """
    lines = [
        f"Trained on {result['size']:,} rows in {result['seconds']:.0f} s ({result['epochs']:.0f} epochs). Mean "
        "absolute errors, of the energy in meV a molecule, of force components in meV/angstrom:",
        "",
        "| | energy | forces |",
        "|---|---|---|",
    ]
    kinds = (
        ("training rows", "train_mae_ev"),
        (f"validation, {validation:,} rows", "validation_mae_ev"),
        (f"test, {test:,} rows", "test_mae_ev"),
        ("validation, knowing the elements only", "median_mae_ev"),
    )
    for name, key in kinds:
        if result[key]:
            energy, forces = (f"{1000 * value:,.1f}" for value in result[key])
            lines.append(f"| {name} | {energy} | {forces} |")
    for section, sentence in (("relaxation", relaxation.sentence), ("dynamics", dynamics.sentence)):
        if section in result:
            lines += ["", sentence(result[section])]
    return "\n".join(lines) + "\n"
