"""How the learning rate goes, as a function of the step alone, so that resuming needs no state."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class PublishedSchedule(BaseModel):
    """Linear warm-up, then a factor every so many updates: the QM1B paper's (2,500; 0.96 every 9,600)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["published"] = "published"
    peak: float = Field(5e-4, gt=0)
    warmup: int = Field(2500, ge=0, description="updates until the peak")
    factor: float = Field(0.96, gt=0, le=1)
    every: int = Field(9600, ge=1, description="updates after which the rate is multiplied by `factor`")

    def at(self, step: int, steps: int) -> tuple[float, float]:
        """Return (learning rate, first momentum of Adam) of update `step`, counted from 0, of `steps`."""
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return self.peak * warm * self.factor ** (max(0, step - self.warmup) // self.every), 0.9


class OneCycle(BaseModel):
    """One cycle (Smith and Topin 2019) with cosine annealing, as `torch.optim.lr_scheduler.OneCycleLR` does it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["onecycle"] = "onecycle"
    peak: float = Field(4e-3, gt=0)
    rise: float = Field(0.3, gt=0, lt=1, description="share of the updates until the peak")
    start_divisor: float = Field(25.0, ge=1)
    end_divisor: float = Field(1e4, ge=1, description="of the starting rate")
    momentum: tuple[float, float] = Field((0.85, 0.95), description="Adam's first: at the peak, at both ends")

    def at(self, step: int, steps: int) -> tuple[float, float]:
        """Return (learning rate, first momentum of Adam) of update `step`, counted from 0, of `steps`."""
        start = self.peak / self.start_divisor
        turn, last = self.rise * steps - 1, steps - 1
        low, high = self.momentum
        if step <= turn or last <= turn:
            share = min(1.0, step / turn) if turn > 0 else 1.0
            return _cosine(start, self.peak, share), _cosine(high, low, share)
        share = min(1.0, (step - turn) / (last - turn))
        return _cosine(self.peak, start / self.end_divisor, share), _cosine(low, high, share)


class Constant(BaseModel):
    """Always the same rate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["constant"] = "constant"
    peak: float = Field(5e-4, gt=0)

    def at(self, step: int, steps: int) -> tuple[float, float]:
        """Return (learning rate, first momentum of Adam) of update `step`, counted from 0, of `steps`."""
        return self.peak, 0.9


Schedule = Annotated[PublishedSchedule | OneCycle | Constant, Field(discriminator="name")]


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
