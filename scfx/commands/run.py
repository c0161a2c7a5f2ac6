"""`scfx run`: the tasks of a configuration file, in order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from scfx.errors import ConfigError

if TYPE_CHECKING:
    from scfx.cli import Session

#: Exit code of a task that was stopped by Ctrl-C, as of a shell's.
INTERRUPTED = 130

_EPILOG = """\b
Examples:
  scfx run config.toml
  scfx run config.toml --set scf.backend=libcint --set scf.grid=1
  scfx run config.toml --set task.0.conformers=4    (or task.dataset.conformers)

\b
A configuration:
  [scf]
  backend = "auto"           # or { name = "libcint", option = ... }
  functional = "b3lyp"
  basis = "sto-3g"
  precision = "float64"
  grid = 1

\b
  [[task]]
  name = "dataset"           # the other keys are the task's own options
"""


@click.command(short_help="Run the [[task]] entries of a TOML file.", epilog=_EPILOG)
@click.argument("config", type=click.Path())
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the file; the value is TOML, or plain text. May be repeated.",
)
@click.pass_obj
def run(session: Session, config: str, overrides: tuple[str, ...]) -> int:
    """Run the [[task]] entries of the file CONFIG in order.

    The whole file is checked before the first task starts. Exit code 1 if any task says that a result is not usable.
    """
    from rich.console import Console

    from scfx.config.file import Config
    from scfx.contracts.task import TaskContext

    loaded = Config.load(config, overrides)
    if not loaded.task:
        raise ConfigError(
            "task", f"{config} has no [[task]] entry, so there is nothing to run (see scfx run --help)"
        )
    tasks = loaded.tasks(session.registry)
    if "scf" in loaded.model_fields_set:
        # A misspelt functional must not show up an hour into the second task.
        loaded.scf.resolve(session.registry)
    context = TaskContext(loaded.scf, session.registry, Console(stderr=True), config, loaded.scf_lists)
    contexts = [replace(context, earlier=tuple(tasks[:index])) for index in range(len(tasks))]
    for task, own in zip(tasks, contexts, strict=True):
        task.check(own)
    code = 0
    for task, own in zip(tasks, contexts, strict=True):
        code = max(code, task.run(own))
        if code == INTERRUPTED:  # whoever stopped one task means the file
            break
    return code
