"""From lists, or a list of tables, to the combinations that a study computes; which one is the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from scfx.config.old_keys import translated
from scfx.config.spec import SCFSpec
from scfx.config.toml import SHORTHAND, unknown_key
from scfx.errors import ConfigError

KEY = "task.study"
_OWN_KEYS = ("label", "against")


@dataclass(frozen=True)
class Combination:
    """One option of a study: what it changes of `[scf]` and of the geometry source.

    `against`: label of the option that it is compared with, if not the reference.
    """

    label: str
    scf: Mapping[str, Any]
    geometry: Mapping[str, Any]
    against: str = ""

    @property
    def changes(self) -> dict[str, Any]:
        """Return what the option changes, of `[scf]` and of the geometry source."""
        return {**self.scf, **self.geometry}


def combinations(
    scf_lists: Mapping[str, Sequence[Any]],
    geometry_lists: Mapping[str, Sequence[Any]],
    tables: Sequence[Mapping[str, Any]],
    geometry_keys: Sequence[str],
) -> list[Combination]:
    """Return the grid of the lists, or the `tables` one by one. `ConfigError` with the key for whatever does
    not fit.
    """
    lists = {**scf_lists, **geometry_lists}
    if tables and lists:
        key = f"scf.{next(iter(scf_lists))}" if scf_lists else f"{KEY}.{next(iter(geometry_lists))}"
        raise ConfigError(
            key,
            f"is a list, and {KEY}.options gives the options one by one: use either. Give one value here, or leave "
            "task.options out for the grid of all lists",
        )
    if tables:
        made = [_from_table(i, table, geometry_keys) for i, table in enumerate(tables)]
    elif lists:
        made = []
        for values in product(*lists.values()):
            changes = dict(zip(lists, values, strict=True))
            scf = {key: value for key, value in changes.items() if key in scf_lists}
            geometry = {key: value for key, value in changes.items() if key not in scf_lists}
            made.append(Combination(_label(changes), scf, geometry))
    else:
        raise ConfigError(
            f"{KEY}.options",
            'there is nothing to compare: make a key of [scf] a list, as precision = ["float64", "float32"], or give '
            "the options one by one as [[task.options]]",
        )
    labels = [c.label for c in made]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(
                f"{KEY}.options", f"{labels.count(label)} options are labelled {label!r}; labels must differ"
            )
    for i, c in enumerate(made):
        if c.against and c.against not in labels:
            raise ConfigError(
                f"{KEY}.options[{i}].against",
                f"{c.against!r} is no option's label; there are {_listed(labels)}",
            )
        if c.against == c.label:
            raise ConfigError(
                f"{KEY}.options[{i}].against", "is the option itself; name another, or leave it out"
            )
    if len(made) < 2:
        raise ConfigError(
            f"{KEY}.options", f"there is one option, {made[0].label!r}; a study needs two or more"
        )
    return made


def _from_table(index: int, table: Mapping[str, Any], geometry_keys: Sequence[str]) -> Combination:
    known = [*_OWN_KEYS, *SCFSpec.model_fields, *geometry_keys]
    where = f"{KEY}.options[{index}]"
    table = translated(table, where)
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{where}.{key}", unknown_key(key, known))
        if isinstance(value, list):
            raise ConfigError(
                f"{where}.{key}",
                "is a list; in a list of options each one has a single value: write an option each",
            )
    for key in _OWN_KEYS:
        if not isinstance(table.get(key, ""), str):
            raise ConfigError(f"{where}.{key}", f"got {table[key]!r}, expected text")
    scf = {key: value for key, value in table.items() if key in SCFSpec.model_fields}
    geometry = {key: value for key, value in table.items() if key in geometry_keys}
    label = table.get("label") or _label({**scf, **geometry}) or f"option {index}"
    return Combination(label, scf, geometry, table.get("against", ""))


def reference_of(made: Sequence[Combination], asked: str | Mapping[str, Any]) -> Combination:
    """Return the combination that `task.reference` names; `ConfigError` if there is none, or several."""
    key = f"{KEY}.reference"
    labels = _listed([c.label for c in made])
    if isinstance(asked, str):
        found = [c for c in made if c.label == asked]
        if not found:
            raise ConfigError(key, f"{asked!r} is not among the options; there are {labels}")
        return found[0]
    if not asked:
        raise ConfigError(key, f"is empty; give the label of an option or keys that single it out: {labels}")
    asked = translated(asked, key)
    varied = {k for c in made for k in c.changes}
    for name in asked:
        if name not in varied:
            raise ConfigError(
                f"{key}.{name}", f"no option changes {name!r}; what varies: {', '.join(sorted(varied))}"
            )
    found = [
        c
        for c in made
        if all(k in c.changes and _normal(k, c.changes[k]) == _normal(k, v) for k, v in asked.items())
    ]
    if not found:
        raise ConfigError(key, f"{dict(asked)!r} is not among the options; there are {labels}")
    if len(found) > 1:
        more = sorted(varied - set(asked))
        raise ConfigError(
            key,
            f"{dict(asked)!r} fits {len(found)} options ({_listed([c.label for c in found])}); "
            + (f"say also {' or '.join(more)}" if more else "give the label"),
        )
    return found[0]


def _normal(key: str, value: Any) -> Any:
    if key in SHORTHAND and not isinstance(value, Mapping):
        value = {SHORTHAND[key]: value}
    return _folded(value)


def _folded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _folded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_folded(v) for v in value]
    return value.casefold() if isinstance(value, str) else value


def _label(changes: Mapping[str, Any]) -> str:
    """'float32' where one key varies, 'float32, grid 1' where several do."""
    return ", ".join(_shown(key, value) for key, value in changes.items())


def _shown(key: str, value: Any) -> str:
    name = value
    extra = ""
    if isinstance(value, Mapping):
        name = value.get(SHORTHAND.get(key, "name"), "")
        rest = [f"{k}={v}" for k, v in value.items() if k != SHORTHAND.get(key, "name")]
        extra = f" ({', '.join(rest)})" if rest else ""
    # A bare number or truth value says nothing without its key.
    text = str(name) if isinstance(name, str) and name else f"{key} {name}".strip()
    return text + extra


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(repr(label) for label in labels)
