"""The options of the study task: what a `[[task]]` table with `name = "study"` may say."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class PublishedValue(BaseModel):
    """A number from the literature, shown beside ours. Energies in meV, dipoles in debye."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    option: str = Field(description="label of the option that it belongs to")
    quantity: Literal["energy", "relative_energy", "homo", "lumo", "gap", "dipole"]
    statistic: Literal["mean_error", "mae", "rmse", "max"] = "mae"
    value: float
    source: str = Field(description="where it stands")


class StudyOptions(BaseModel):
    """Options of the study task. Every other key goes to the dataset task, which validates it: `molecules`,
    `conformers`, `seed`, `workers` and so on. Relative `output` and `labels` are relative to the working directory."""

    model_config = ConfigDict(extra="allow", frozen=True)

    output: str = Field(description="folder of the tables, plots and the report")
    reference: str | dict[str, Any] = Field(
        description="the option that the others are compared with: its label, or keys that single it out"
    )
    options: tuple[dict[str, Any], ...] = Field(
        (), description="the options one by one, in place of lists: keys of [scf] and of the geometry source"
    )
    labels: str = Field("", description="folder of the labels, which studies may share; empty: in `output`")
    bootstrap: int = Field(
        1000, ge=0, description="resamples of molecules for the confidence intervals; 0: none"
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="of the intervals")
    traces: int = Field(2, ge=0, description="conformers whose convergence is drawn, iteration by iteration")
    outliers: int = Field(6, ge=0, description="conformers of largest error that are drawn")
    report_only: bool = Field(
        False, description="compute no label; tables, plots and report of those that are there"
    )
    published: tuple[PublishedValue, ...] = Field(
        (), description="numbers from the literature, shown beside ours"
    )

    @property
    def geometry(self) -> dict[str, Any]:
        """Return the keys that go to the dataset task."""
        return dict(self.__pydantic_extra__ or {})
