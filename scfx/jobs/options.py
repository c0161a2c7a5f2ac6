"""The options that every task has which is run as a job: where to, by whom, and what to do about deaths."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class JobOptions(BaseModel):
    """Inherit a task's `Options` from this to give it the options of a job. `output` is relative to the working
    directory; an address as `s3://bucket/prefix` is an object store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: str = Field(description="folder of the results")
    executor: str | dict[str, Any] = Field(
        "local", description="who runs the attempts: a name, or a table { name = ..., options }"
    )
    workers: int = Field(0, ge=0, description="worker processes; 0: one per core; 1: this one, with threads")
    part: str = Field("", description="'i/N', i = 0..N-1: only that part of the shards")
    quarantine_after: int = Field(
        2, ge=1, description="deaths of a worker over one shard before its rows are tried alone"
    )
    max_deaths: int = Field(
        3,
        ge=1,
        description="deaths of a process with one row alone in it before that row is recorded as poison",
    )
    hang_seconds: float = Field(
        3600.0, gt=0, description="a worker in which no row ends for so long is killed, as hung"
    )
    worker_memory_gib: float | None = Field(
        None,
        gt=0,
        description="a worker with more memory than this is killed; default: no limit but the kernel's",
    )
    continue_with_other_versions: bool = Field(
        False, description="go on, or take over rows, although other versions of packages made what is there"
    )
    progress: Literal["auto", "rich", "plain", "json", "quiet"] = "auto"

    @field_validator("part")
    @classmethod
    def _part_in_range(cls, value: str) -> str:
        found = re.fullmatch(r"(\d+)/(\d+)", value)
        if value and (found is None or int(found[1]) >= int(found[2])):
            raise ValueError("expected 'i/N' with i = 0 .. N-1, such as '0/4'")
        return value

    @property
    def worker_memory(self) -> int | None:
        """Return the bytes that a worker may have resident; None: no limit."""
        return None if self.worker_memory_gib is None else int(self.worker_memory_gib * 2**30)
