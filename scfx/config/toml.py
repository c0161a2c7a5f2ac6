"""Reading TOML with errors that say where: the file, the line, the dotted key, and what was probably meant."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from scfx.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError

#: Where a bare value stands for a table, and under which key of the table it belongs.
SHORTHAND = {"backend": "name", "functional": "name", "basis": "name", "precision": "name",
              "grid": "level", "convergence": "preset"}  # fmt: skip


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a file; `ConfigError` with the path and, for syntax errors, line and column."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("", f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("", f"{path}: cannot be read as a TOML file: {error}") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("", f"{path}: not valid TOML: {error}") from None


def apply_override(table: Mapping[str, Any], override: str) -> dict[str, Any]:
    """Return a copy of `table` with "dotted.key=value" set. The value is TOML, or text if it does not parse as TOML.

    In `task` the second part is an index, or the name of a task that occurs once: "task.0.seed=1".
    """
    key, equals, text = override.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise ConfigError("--set", f"got {override!r}, expected dotted.key=value, as scf.backend=simd")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    return _put(table, parts, value, key.strip())


def _put(node: Any, parts: list[str], value: Any, key: str) -> Any:
    head, *rest = parts
    if isinstance(node, list):
        index = _entry(node, head, key)
        return [_put(item, rest, value, key) if i == index else item for i, item in enumerate(node)]
    if not isinstance(node, Mapping):
        raise ConfigError(key, f"cannot set {head!r} inside {node!r}, which is not a table")
    if not rest:
        return {**node, head: value}
    inner = node.get(head, {})
    if head in SHORTHAND and not isinstance(inner, Mapping):
        inner = {SHORTHAND[head]: inner}
    return {**node, head: _put(inner, rest, value, key)}


def _entry(entries: list[Any], text: str, key: str) -> int:
    named = [i for i, e in enumerate(entries) if isinstance(e, Mapping) and e.get("name") == text]
    if text.isdigit() and int(text) < len(entries):
        return int(text)
    if len(named) == 1:
        return named[0]
    names = ", ".join(
        f"{i} ({e.get('name')})" if isinstance(e, Mapping) else str(i) for i, e in enumerate(entries)
    )
    whole = key.partition(".")[0]
    raise ConfigError(key, f"{text!r} is not one of the entries: {names}; set a key of one as {whole}.0.KEY")


def validation_error(error: ValidationError, model: type[BaseModel], prefix: str) -> ConfigError:
    """Return pydantic's complaints as one `ConfigError`; its key is the first one's."""
    lines = []
    for item in error.errors():
        where = ".".join([prefix, *_location(item["loc"])]).strip(".") if item["loc"] else prefix
        lines.append((where, _complaint(item, model)))
    rest = "".join(f"\n{key}: {text}" for key, text in lines[1:])
    return ConfigError(lines[0][0], lines[0][1] + rest)


def _location(loc: tuple[int | str, ...]) -> list[str]:
    # pydantic adds the tag of a union's member, e.g. "function-before[...]", which is no key of the file.
    return [str(part) for part in loc if not (isinstance(part, str) and "[" in part)]


def _complaint(item: Any, model: type[BaseModel]) -> str:
    if item["type"] == "extra_forbidden":
        return unknown_key(str(item["loc"][-1]), list(_model_at(model, item["loc"][:-1]).model_fields))
    if item["type"] == "missing":
        return "is required and not given"
    message = item["msg"].removeprefix("Value error, ")
    return f"got {item['input']!r}; {message[:1].lower()}{message[1:]}"


def unknown_key(name: str, known: Sequence[str]) -> str:
    """Return the complaint about a key that there is not: what was probably meant, and what there is."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown key{hint} (keys: {', '.join(known)})"


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The nested model that `loc` leads to, as far as it is one."""
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        for candidate in (field.annotation, *get_args(field.annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
                break
    return model
