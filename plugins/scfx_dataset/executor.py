"""What an executor of datasets gives beyond running attempts."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from scfx.abstract import AbstractExecutor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scfx_dataset.attempt import Outcome, Probe


class DatasetExecutor(AbstractExecutor):
    """An executor that can also try rows alone, and holds something to let go. For other executors the local one tries.

    Constructed with `job` (an `attempt.Job`), `workers` (0: as many as there is room for), `on_rows(shard, rows by
    status)` and its own options.
    """

    #: Attempts that may be in progress at once.
    workers: int

    @abc.abstractmethod
    def alone(self, probes: Iterable[Probe]) -> Iterator[Outcome]:
        """One outcome per probe, each in a process with nothing else of this run beside it.

        The next probe is asked for when the consumer has seen the outcome of the one before.
        """

    def close(self) -> None:
        """Let go of what is held between calls of `run` and `alone`. Called once, also after an error."""
