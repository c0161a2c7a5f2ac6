"""`Config`: a TOML file with an `[scf]` table and the tasks that use it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from scfx.config.old_keys import translated
from scfx.config.spec import SCFSpec
from scfx.config.toml import apply_override, read_toml, validation_error
from scfx.errors import ConfigError

if TYPE_CHECKING:
    from scfx.contracts.task import AbstractTask
    from scfx.registry import Registry

_LIST_REMEDY = (
    "Give one value; only tasks that compare options take lists, and all tasks of a file share its [scf]"
)


def _without_lists(table: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """The table with the first value of each list in `[scf]`, and the lists, every value of them validated."""
    scf = table.get("scf")
    if not isinstance(scf, Mapping):
        return dict(table), {}
    scf = translated(scf)
    lists = {key: tuple(v) for key, v in scf.items() if _is_options(key, v) and key in SCFSpec.model_fields}
    for key, values in lists.items():
        if not values:
            raise ConfigError(f"scf.{key}", "is an empty list; give one value, or several to compare")
        for value in values:
            SCFSpec.create({key: value})
    first = {key: values[0] for key, values in lists.items()}
    return {**table, "scf": {**scf, **first}}, lists


def _is_options(key: str, value: Any) -> bool:
    """Whether a value is a list of values to compare; `properties` is itself a list, several are a list of lists."""
    if not isinstance(value, list):
        return False
    return key != "properties" or (bool(value) and all(isinstance(item, list) for item in value))


class Config(BaseModel):
    """A configuration file: an optional `title`, the `[scf]` table, and the `[[task]]` entries in order."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    title: str = ""
    scf: SCFSpec = SCFSpec()
    task: tuple[dict[str, Any], ...] = ()
    _scf_lists: dict[str, tuple[Any, ...]] = PrivateAttr(default_factory=dict)

    @property
    def scf_lists(self) -> Mapping[str, tuple[Any, ...]]:
        """Return the keys of `[scf]` that are lists of values, for tasks that compare options; `scf` has the first of
        each.
        """
        return dict(self._scf_lists)

    @classmethod
    def load(cls, path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
        """Read a TOML file, apply "dotted.key=value" overrides, and validate all but the tasks' own options.

        Raises `ConfigError`: a missing file, a syntax error (with line and column), an unknown key (with near
        matches), a value of the wrong kind.
        """
        return cls.from_table(read_toml(Path(path)), overrides)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
        """Make a configuration of a table that is already parsed, in the way that `load` does."""
        for override in overrides:
            table = apply_override(table, override)
        table, lists = _without_lists(table)
        try:
            config = cls.model_validate(table)
        except ValidationError as error:
            raise validation_error(error, cls, "") from None
        if lists and not config.task:
            raise ConfigError(
                f"scf.{next(iter(lists))}", f"is a list, and the file has no task. {_LIST_REMEDY}"
            )
        config._scf_lists = lists
        return config

    def tasks(self, registry: Registry) -> list[AbstractTask]:
        """Return every `[[task]]`, looked up and its options validated, before any of them runs."""
        out = []
        for index, entry in enumerate(self.task):
            options = dict(entry)
            name = options.pop("name", None)
            key = f"task[{index}]"
            if not isinstance(name, str):
                raise ConfigError(f"{key}.name", f"got {name!r}, expected the name of a task")
            task = registry.task(name, key=f"{key}.name")
            if self._scf_lists and not task.accepts_scf_lists:
                listed = next(iter(self._scf_lists))
                raise ConfigError(
                    f"scf.{listed}",
                    f"is a list of {len(self._scf_lists[listed])} values, and {key} ({name}) computes with one. "
                    f"{_LIST_REMEDY}",
                )
            try:
                out.append(task(task.Options.model_validate(options)))
            except ValidationError as error:
                raise validation_error(error, task.Options, f"{key} ({name})") from None
        return out
