"""Options that the training tasks share: `[task.training]`, `[task.split]`, `model`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scfx.errors import ConfigError
from scfx_schnet.schedule import OneCycle, Schedule
from scfx_schnet.split import Split, split_by_molecule


class TrainingOptions(BaseModel):
    """How a network is trained. Every subset sees `steps` x `batch_size` examples, whatever its size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(2000, ge=1, description="updates")
    batch_size: int = Field(32, ge=1, description="molecules an update, over all processes")
    schedule: Schedule = Field(default_factory=lambda: OneCycle())  # type: ignore[call-arg]
    loss: Literal["l1", "huber", "mse"] = Field("l1", description="of standardised errors")
    huber_delta: float = Field(0.1, gt=0, description="standardised error above which 'huber' grows linearly")
    energy_weight: float = Field(
        1.0, ge=0, description="of the error of the energy per atom, where forces are learnt"
    )
    force_weight: float = Field(
        1.0, ge=0, description="of the error of force components, where forces are learnt"
    )
    atom_energies: dict[str, float] = Field(
        default_factory=dict,
        description="eV by element, subtracted from the energy; left out: a least-squares fit to the training subset",
    )
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    clip_norm: float | None = Field(None, gt=0, description="gradients longer than this are shortened to it")
    ema: float = Field(
        0.99, ge=0, lt=1, description="decay of the weights' average, which is what is evaluated; 0: none"
    )
    evaluate_every: int = Field(
        0,
        ge=0,
        description="updates between evaluations; 0: at the end and after 1/2, 1/4 ... 1/32 of the updates",
    )
    evaluate_rows: int = Field(
        1000, ge=1, description="rows of an evaluation on the way, and of the training subset"
    )
    evaluation_batch: int = Field(128, ge=1)
    log_every: int = Field(100, ge=1, description="updates between lines of metrics.csv")
    checkpoint_every: int = Field(500, ge=1, description="updates between checkpoints")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32",
        description="of matrix products; parameters, sums over neighbours and the loss stay float32",
    )
    compile: bool = Field(False, description="torch.compile: worth it on GPU, in long runs")
    device: str = Field(
        "auto", description="auto: cuda if there is one, else cpu; or torch's name of a device"
    )
    threads: int = Field(0, ge=0, description="of torch; 0: leave them alone")
    tensorboard: bool = Field(False, description="TensorBoard events beside metrics.csv")

    @model_validator(mode="after")
    def _float16_needs_a_gpu(self) -> TrainingOptions:
        if self.precision == "float16" and self.device == "cpu":
            raise ValueError("precision float16 is for GPUs; on CPU take bfloat16 or float32")
        return self

    def identity(self) -> dict[str, Any]:
        """Return what decides the weights: not how often they are looked at, written down, or shown.

        The options of the loss are left out at their defaults: trainings from before there were any keep their names.
        """
        seen = {
            "evaluate_every", "evaluate_rows", "evaluation_batch", "log_every", "checkpoint_every", "tensorboard",
            "threads",
        }  # fmt: skip
        later = ("loss", "huber_delta", "energy_weight", "force_weight", "atom_energies")
        default = {
            name: type(self).model_fields[name].get_default(call_default_factory=True) for name in later
        }
        seen |= {name for name, value in default.items() if getattr(self, name) == value}
        return self.model_dump(mode="json", exclude=seen)

    def evaluations(self) -> set[int]:
        """Return updates after which the validation error is looked at; the end is always one."""
        if self.evaluate_every:
            return {*range(self.evaluate_every, self.steps, self.evaluate_every), self.steps}
        return {n for k in range(6) if (n := self.steps >> k) > 0}

    def merged(self, changes: dict[str, Any], key: str) -> TrainingOptions:
        """Return these options with some keys replaced. Raises `ConfigError` for a key that there is not, or a bad
        value.
        """
        for name in changes:
            if name not in TrainingOptions.model_fields:
                raise ConfigError(
                    f"{key}.{name}", f"no such option; there are {', '.join(TrainingOptions.model_fields)}"
                )
        try:
            return TrainingOptions.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            raise ConfigError(key, str(error)) from error


class SplitOptions(BaseModel):
    """Shares of the molecules that are set apart. Whether one is depends on its structure and `seed` only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation: float = Field(0.05, gt=0, lt=1)
    test: float = Field(0.05, ge=0, lt=1)
    seed: int = Field(0, ge=0)

    def divide(self, keys: np.ndarray) -> Split:
        """Return the split of rows whose molecules have these keys."""
        return split_by_molecule(keys, self.validation, self.test, self.seed)


#: Rows of training subsets, and seeds.
Sizes = tuple[Annotated[int, Field(ge=1)], ...]
Seeds = tuple[Annotated[int, Field(ge=0)], ...]


def check_distinct(values: Sequence[int] | None, key: str) -> None:
    """Raise `ConfigError` for a number that comes twice: one run would be counted as several."""
    twice = sorted({value for value in values or () if list(values or ()).count(value) > 1})
    if twice:
        raise ConfigError(
            key, f"has {', '.join(map(str, twice))} more than once: one run would count as several"
        )


def model_table(model: str | dict[str, Any]) -> dict[str, Any]:
    """Return the key `model`, a name or a table, as a table."""
    return {"name": model} if isinstance(model, str) else dict(model)
