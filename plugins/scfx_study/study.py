"""`Study`: the options of a comparison, their labels, and what the labels say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

import scfx
from scfx.abstract import TaskContext
from scfx.config.file import Config
from scfx.config.spec import SCFSpec
from scfx.config.spec_hash import plain
from scfx.config.toml import validation_error
from scfx.errors import ConfigError
from scfx_study.checked_options import checked_options
from scfx_study.combinations import KEY
from scfx_study.options import StudyOptions

if TYPE_CHECKING:
    import os

    import pandas as pd


class Study:
    """Labels of one set of geometries under several options, one of them the reference.

    `scf`: the keys of `[scf]`; each may be a list of values. `options`: the options one by one, in place of lists.
    `reference`: the label of an option, or keys that single it out. The other keyword arguments are those of the
    study task and of the dataset task (`molecules`, `conformers`, `output`...). docs/studies.md has them all.

    Everything is checked here: raises `ConfigError` with the key for what cannot be done, before any SCF.
    """

    def __init__(
        self,
        scf: Mapping[str, Any] | None = None,
        *,
        reference: str | Mapping[str, Any],
        molecules: Any,
        output: str | os.PathLike[str],
        options: Sequence[Mapping[str, Any]] = (),
        registry: Any = None,
        **more: Any,
    ):
        task = {"name": "study", "reference": reference, "molecules": molecules, "output": str(output)}
        loaded = Config.from_table({"scf": dict(scf or {}), "task": [task]})
        try:
            parsed = StudyOptions.model_validate(
                {
                    "reference": reference,
                    "molecules": molecules,
                    "output": str(output),
                    "options": options,
                    **more,
                }
            )
        except ValidationError as error:
            raise validation_error(error, StudyOptions, KEY) from None
        registry = scfx.Registry.discover() if registry is None else registry
        self._set(parsed, TaskContext(loaded.scf, registry, None, None, loaded.scf_lists))

    @classmethod
    def of_task(cls, options: StudyOptions, context: TaskContext) -> Study:
        """Return the study of a `[[task]]`."""
        study = cls.__new__(cls)
        study._set(options, context)
        return study

    def _set(self, settings: StudyOptions, context: TaskContext) -> None:
        self.settings = settings
        self._context = context
        #: The options in the order of the file, and the reference among them.
        self.options, self.reference = checked_options(settings, context)
        self.output = Path(settings.output)
        #: Folder with a dataset for each option, named by its key.
        self.labels = Path(settings.labels) if settings.labels else self.output / "labels"
        self._table: pd.DataFrame | None = None

    def _repr_html_(self) -> str:
        from scfx.notebook import listing, panel

        header = ("option", "functional", "basis", "precision", "compared with", "labels")
        rows = []
        for option in self.options:
            there = (self.labels / option.key).is_dir()
            level = (option.names[key] for key in ("functional", "basis", "precision"))
            against = "(reference)" if option is self.reference else option.against
            rows.append(((option.label, *level, against, "begun" if there else "none yet"), False))
        return panel(f"Study of {len(self.options)} options, output {self.output}", listing(header, rows))

    def __repr__(self) -> str:
        labels = ", ".join(option.label for option in self.options)
        return f"Study({labels}; reference {self.reference.label})"

    @property
    def registry(self) -> Any:
        """Return the installed plugins."""
        return self._context.registry

    @property
    def spec(self) -> SCFSpec:
        """Return what the options have in common, and the first value of what they vary."""
        return self._context.spec

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Return (option, compared with) for every option but the reference."""
        return [(option.label, option.against) for option in self.options if option is not self.reference]

    def run(self) -> int:
        """Compute the labels that are not committed yet, option by option, the reference first.

        Returns 0 if every option has its labels, 1 if some have none or were given up, 130 if interrupted: run it
        again to go on.
        """
        from scfx_study.labels import compute

        self._table = None
        self.labels.mkdir(parents=True, exist_ok=True)
        self._write_record()
        worst = 0
        order = [self.reference, *(option for option in self.options if option is not self.reference)]
        for index, option in enumerate(order, start=1):
            self._say(f"option {index} of {len(order)}: {option.label}")
            code = compute(option, self.labels, self._context)
            if code == 130:
                return code
            worst = max(worst, code)
        return worst

    def complete(self) -> bool:
        """Return whether every planned row of every option is committed."""
        labels = self._context.labels()
        folders = [self.labels / option.key for option in self.options]
        return all(labels.reads(folder) and labels.open(folder).complete for folder in folders)

    def table(self) -> pd.DataFrame:
        """Return one row for each option and conformer; computes first what is missing, unless `report_only`.

        See `scfx_study.labels.table`.
        """
        from scfx_study.labels import table

        if self._table is None:
            if not self.settings.report_only and not self.complete():
                self.run()
            self._table = table(self.options, self.labels, self._context)
        return self._table.copy()

    def properties(self) -> dict[str, tuple[str, str]]:
        """Return quantities beside the usual ones: every property that is a number and that all options have.

        By its name: (column of the table, unit of its statistics). See `scfx_study.labels.quantities_of`.
        """
        from scfx_study.labels import quantities_of

        return quantities_of(self.options, self.labels, self._context)

    def statistics(self) -> pd.DataFrame:
        """Return one row for each option and quantity. See `scfx_study.statistics.statistics`."""
        from scfx_study.statistics import statistics

        settings = self.settings
        return statistics(
            self.table(), self.pairs, settings.bootstrap, settings.confidence, self.properties()
        )

    def force_statistics(self) -> pd.DataFrame:
        """Return errors of forces, one row for each option and element; empty where no option has forces.

        See `scfx_study.force_statistics.force_statistics`.
        """
        from scfx_study.force_statistics import force_statistics, has_forces

        table = self.table()
        if not has_forces(table):
            import pandas as pd

            return pd.DataFrame()
        return force_statistics(table, self.pairs, self.settings.bootstrap, self.settings.confidence)

    def cost(self) -> pd.DataFrame:
        """Return one row for each option: convergence, iterations, labels a second. See `scfx_study.labels.cost`."""
        from scfx_study.labels import cost

        self.table()
        return cost(self.options, self.labels, self._context)

    def traces(self) -> dict[str, list[list[tuple[float, float]]]]:
        """Return the energy and orbital gradient (hartree) of every iteration of a few conformers, by option."""
        from scfx_study.traces import traces

        return traces(self.options, self.table(), self.settings.traces, self.output / "traces", self.registry)

    def report(self) -> Path:
        """Write tables, plots and report.html to `output`; returns the path of the report."""
        from scfx_study.report import write_report

        return write_report(self)

    def _write_record(self) -> None:
        """study.json: what the folder of labels holds, for people and for other programs."""
        record = {
            "format": "scfx-study",
            "scfx": scfx.__version__,
            "reference": self.reference.label,
            "settings": self.settings.model_dump(mode="json"),
            "options": [
                {
                    "label": option.label,
                    "against": option.against,
                    "labels": option.key,
                    "spec_hash": option.spec_hash,
                    "names": dict(option.names),
                    "changes": plain(option.changes),
                    "definition": plain(option.definition),
                }
                for option in self.options
            ],
        }
        self.output.mkdir(parents=True, exist_ok=True)
        try:
            text = json.dumps(record, indent=2)
        except TypeError as error:
            raise ConfigError(f"{KEY}.options", f"an option has no plain form: {error}") from error
        (self.output / "study.json").write_text(text + "\n", encoding="utf-8")

    def _say(self, text: str) -> None:
        if self._context.console is not None and self.settings.geometry.get("progress") != "quiet":
            self._context.console.print(f"study: {text}", highlight=False, markup=False)
