"""What a task of a configuration does, and what it is told."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import os

    from pydantic import BaseModel
    from rich.console import Console

    from scfx.config.spec import SCFSpec
    from scfx.contracts.labels import AbstractDataset, AbstractLabels
    from scfx.registry import Named, Registry


@dataclass(frozen=True)
class TaskContext:
    """What a task is given: the validated `[scf]` spec, the registry, the console, and where the config lies.

    `scf_lists`: keys of `[scf]` that the file gives as lists, each with its values; `spec` has the first of each.
    `earlier`: the tasks of the file that run before this one, whose outputs it may read; each has been checked.
    `console` None: nobody listens, as where a task is run by another one.
    """

    spec: SCFSpec
    registry: Registry
    console: Console | None
    config_path: str | None = None
    scf_lists: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    earlier: Sequence[AbstractTask] = ()

    def labels(self, choice: Named | None = None) -> AbstractLabels:
        """Return who makes datasets of labels, resumably: for tasks that need labels of their own. See
        `Registry.labels`.
        """
        return self.registry.labels(choice)

    def dataset(self, path: str | os.PathLike[str]) -> AbstractDataset:
        """Return a dataset of labels to read, whoever made it. `InputError` if nobody here can read what is at the
        path.
        """
        from scfx.contracts.labels import open_dataset

        return open_dataset(self.registry, path)

    def say(self, text: str) -> None:
        """Print a line for people, as it stands."""
        if self.console is not None:
            self.console.print(text, highlight=False, markup=False)


class AbstractTask(abc.ABC):
    """One `[[task]]` of a config. `Options` is a pydantic model (unknown keys forbidden) that validates its table."""

    Options: ClassVar[type[BaseModel]]
    #: Whether keys of `[scf]` may be lists of values (`TaskContext.scf_lists`): for tasks that compare options.
    accepts_scf_lists: ClassVar[bool] = False

    def __init__(self, options: BaseModel):
        self.options = options

    def check(self, context: TaskContext) -> None:  # noqa: B027 - most tasks have nothing more to refuse
        """Refuse what `Options` cannot see to be wrong. Called for every task of a file before the first one runs."""

    @abc.abstractmethod
    def run(self, context: TaskContext) -> int:
        """Do the work; returns the exit code (0 done, 1 ran but something is not usable)."""
