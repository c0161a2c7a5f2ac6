"""Jobs: work on many items that is planned once, committed exactly once, and resumed after any death.

A task makes its work resumable by writing one class, `AbstractWork`, and calling `run_job` (docs/write-a-task.md). The
dataset task is a user of this room like any other.
"""

from scfx.contracts.work import AbstractWork, Attempt
from scfx.jobs.options import JobOptions
from scfx.jobs.service import Results, open_results, run_job

__all__ = ["AbstractWork", "Attempt", "JobOptions", "Results", "open_results", "run_job"]
