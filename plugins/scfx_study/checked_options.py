"""The options of a study, checked before any SCF: names, keys, elements that a backend cannot do, twins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

from pydantic import ValidationError

from scfx.abstract import TaskContext
from scfx.config.spec import SCFSpec
from scfx.config.toml import unknown_key, validation_error
from scfx.errors import ConfigError
from scfx_study.combinations import KEY, Combination, combinations, reference_of
from scfx_study.options import StudyOptions

if TYPE_CHECKING:
    from scfx.contracts.labels import AbstractLabels

#: Rows of a shard unless the file says otherwise: studies are small, and a stopped one should lose little.
SHARD_ROWS = 64
#: Options of the dataset task that a study sets itself, and why.
_TAKEN = {"part": "a study runs in one process; its labels resume, so it may be stopped and run again"}


@dataclass(frozen=True)
class Option:
    """A combination, ready to be computed by the dataset task.

    `spec` names its backend even where the file says "auto". `key` is the name of its folder of labels: a digest of
    spec hash, rows and source file. `definition` is what the spec hash is taken over.
    """

    label: str
    against: str
    changes: Mapping[str, Any]
    spec: SCFSpec
    dataset: Mapping[str, Any]
    rows: Mapping[str, Any]
    key: str
    spec_hash: str
    names: Mapping[str, str]
    definition: Mapping[str, Any]


def checked_options(options: StudyOptions, context: TaskContext) -> tuple[list[Option], Option]:
    """Return the options of a study in the order of the file, and the reference among them.

    Raises `ConfigError` (or another `InputError`) with the key and what to do. Computes nothing and leaves no file.
    """
    labels = context.labels()
    fields = labels.Options.model_fields
    _known_keys(options, fields)
    made, reference = _combinations_and_reference(options, context, fields)
    prepared: list[Option] = []
    elements: dict[str, tuple[int, ...]] = {}
    for combination in made:
        with _naming(combination.label):
            spec = _spec(context, combination)
            dataset = _dataset_options(labels, options, combination)
            spec.resolve(context.registry)
            rows = dict(labels.row_options(dataset))
            source = _digest([rows, _source_digest(dataset.molecules, context.config_path)])
            if source not in elements:
                elements[source] = labels.elements(dataset, replace(context, spec=spec))
            resolved = spec.resolve(context.registry, elements[source])
            spec = spec.model_copy(update={"backend": _named_backend(spec.backend, resolved.backend.name)})
        prepared.append(
            Option(
                label=combination.label,
                against="" if combination is reference else combination.against or reference.label,
                changes=combination.changes,
                spec=spec,
                dataset=dataset.model_dump(mode="json", exclude_unset=True),
                rows=rows,
                key=_digest([resolved.spec_hash, spec.recovery, spec.lane_width, source]),
                spec_hash=resolved.spec_hash,
                names=resolved.names,
                definition=resolved.definition,
            )
        )
    _no_twins(prepared)
    return prepared, next(o for o in prepared if o.label == reference.label)


def _known_keys(options: StudyOptions, fields: Mapping[str, Any]) -> None:
    known = [
        *StudyOptions.model_fields,
        *(name for name in fields if name not in _TAKEN and name != "output"),
    ]
    for key in options.geometry:
        if key in _TAKEN:
            raise ConfigError(f"{KEY}.{key}", f"is not for studies: {_TAKEN[key]}. Leave it out")
        if key not in known:
            raise ConfigError(f"{KEY}.{key}", unknown_key(key, known))
    if "molecules" not in options.geometry:
        raise ConfigError(
            f"{KEY}.molecules", "is required and not given: a file of molecules, as for a dataset"
        )


def _combinations_and_reference(
    options: StudyOptions, context: TaskContext, fields: Mapping[str, Any]
) -> tuple[list[Combination], Combination]:
    """The combinations, and which one is the reference."""
    labels = context.labels()
    lists = {k: v for k, v in options.geometry.items() if isinstance(v, list) and not _is_sequence(fields[k])}
    plain = {k: v for k, v in options.geometry.items() if k not in lists}
    # The row options are known only to an instance; any valid one will do, with the first value of each list.
    firsts = {k: v[0] for k, v in lists.items() if v}
    rows = labels.row_options(_validated(labels, {**plain, **firsts, "output": options.output}))
    geometry_keys = ["molecules", *rows]
    for key, values in lists.items():
        if key not in geometry_keys:
            raise ConfigError(
                f"{KEY}.{key}",
                f"got a list, but it changes no label: give one value (lists: {', '.join(geometry_keys)})",
            )
        if not values:
            raise ConfigError(f"{KEY}.{key}", "is an empty list; give one value, or several to compare")
    made = combinations(context.scf_lists, lists, options.options, geometry_keys)
    return made, reference_of(made, options.reference)


def _is_sequence(field: Any) -> bool:
    return get_origin(field.annotation) in (tuple, list)


def _spec(context: TaskContext, combination: Combination) -> SCFSpec:
    # What is left out stays left out: the thresholds in force depend on what is asked for.
    base = {name: getattr(context.spec, name) for name in context.spec.model_fields_set}
    return SCFSpec.create({**base, **combination.scf})


def _dataset_options(labels: AbstractLabels, options: StudyOptions, combination: Combination) -> Any:
    values = {**options.geometry, **combination.geometry, "output": options.output}
    if not {"shard_rows", "shard_minutes"} & set(values):
        values["shard_rows"] = SHARD_ROWS
    return _validated(labels, values)


def _validated(labels: AbstractLabels, values: Mapping[str, Any]) -> Any:
    try:
        return labels.Options.model_validate(values)
    except ValidationError as error:
        raise validation_error(error, labels.Options, KEY) from None


def _named_backend(asked: Any, name: str) -> Any:
    """The backend that "auto" took, so that the dataset task, which knows no elements, takes the same."""
    return name if isinstance(asked, str) and asked.casefold() == "auto" else asked


def _source_digest(molecules: str, config_path: str | None) -> str:
    """SHA-256 of the source file, looked for where the dataset task looks; its name where it is no single file."""
    tried = [Path(molecules)]
    if config_path is not None:
        tried.append(Path(config_path).resolve().parent / molecules)
    for path in tried:
        if path.is_file():
            with path.open("rb") as handle:
                return hashlib.file_digest(handle, "sha256").hexdigest()
    return molecules


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _no_twins(prepared: list[Option]) -> None:
    seen: dict[str, str] = {}
    for option in prepared:
        if option.key in seen:
            raise ConfigError(
                f"{KEY}.options",
                f"{seen[option.key]!r} and {option.label!r} define the same labels (spec {option.spec_hash[:16]}): "
                "they differ in a name or in how fast they run only. Leave one out",
            )
        seen[option.key] = option.label


class _naming:
    """Says in a `ConfigError` which option it concerns; the key stays."""

    def __init__(self, label: str):
        self._label = label

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ConfigError):
            text = str(error).removeprefix(f"{error.key}: ") if error.key else str(error)
            raise type(error)(error.key, f"option {self._label!r}: {text}") from error
