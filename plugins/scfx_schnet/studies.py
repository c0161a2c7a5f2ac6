"""The labels of a study: one of its options, and the rows that every option has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfx.config.spec import SCFSpec
from scfx.contracts.labels import AbstractDataset, open_dataset
from scfx.errors import ConfigError

if TYPE_CHECKING:
    from scfx.registry import Registry

RECORD = "study.json"


@dataclass(frozen=True)
class StudyLabels:
    """The labels of one option of a study, and `absent`: rows that this option or another one lacks.

    So that networks trained on different options are trained on the same geometries.
    """

    dataset: AbstractDataset
    absent: frozenset[int]

    @property
    def identity(self) -> str:
        """Return a text that is the same for equal rows."""
        return json.dumps([self.dataset.identity, sorted(self.absent)])


def is_study(path: Path) -> bool:
    """Return whether a folder is the output of a study."""
    return (path / RECORD).is_file()


def open_study(
    path: Path, option: str | None, key: str, registry: Registry, column: str | None
) -> StudyLabels:
    """Return the labels of the option that is called `option`; rows without a value in `column` count as absent.

    Raises `ConfigError` for an option that there is not, labels that are not finished, or options that differ in
    their geometries.
    """
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        options = {each["label"]: each for each in record["options"]}
        changed = {
            label: sorted(set(each["changes"]) - set(SCFSpec.model_fields)) for label, each in options.items()
        }
        folder = Path(record["settings"]["labels"] or path / "labels")
        places = {label: folder / each["labels"] for label, each in options.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{key}.path", f"{str(path / RECORD)!r} is no record of a study ({error}): run the study again"
        ) from error
    if option not in options:
        near = get_close_matches(option or "", options, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"{key}.option", f"{option!r}: the study in {str(path)!r} has {', '.join(options)}{hint}"
        )
    for label, other in changed.items():
        if other:
            raise ConfigError(
                f"{key}.option",
                f"the options of the study in {str(path)!r} differ in their geometries ({label!r} changes "
                f"{', '.join(other)}): networks would not see the same rows. Name its folder of labels as the path",
            )
    datasets = {label: open_dataset(registry, place) for label, place in places.items()}
    for label, dataset in datasets.items():
        if not dataset.complete:
            raise ConfigError(
                f"{key}.path",
                f"option {label!r} of the study in {str(path)!r} has {len(dataset):,} of {dataset.planned:,} rows: run "
                "the study to its end first",
            )
    absent = frozenset(row for dataset in datasets.values() for row in _absent(dataset, column))
    return StudyLabels(datasets[option], absent)


def _absent(dataset: AbstractDataset, column: str | None) -> Iterator[int]:
    """Rows that are not ok, or have no value in the column."""
    asked = [] if column is None or column not in dataset.schema.names else [column]
    for table in dataset.shards(["row_id", "status", *asked]):
        usable = np.array([status == "ok" for status in table["status"].to_pylist()], dtype=bool)
        for name in asked:
            usable &= table[name].is_valid().to_numpy()
        yield from table["row_id"].to_numpy()[~usable].tolist()
