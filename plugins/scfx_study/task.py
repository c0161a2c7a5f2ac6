"""The study task: check everything, make the labels, write the report."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from scfx.abstract import AbstractTask, TaskContext
from scfx_study.options import StudyOptions

if TYPE_CHECKING:
    from scfx_study.study import Study


class StudyTask(AbstractTask):
    """Labels under every option, their errors against the reference, plots and a report (docs/studies.md)."""

    Options = StudyOptions
    accepts_scf_lists: ClassVar[bool] = True

    def study(self, context: TaskContext) -> Study:
        """Return the study, checked: `ConfigError` for what cannot be done."""
        from scfx_study.study import Study

        assert isinstance(self.options, StudyOptions)
        return Study.of_task(self.options, context)

    def check(self, context: TaskContext) -> None:
        """Refuse everything that can be refused before the first SCF."""
        self.study(context)

    def run(self, context: TaskContext) -> int:
        """Run the study; exit code 0: every option has labels and the report is written; 1: not so; 130:
        interrupted.
        """
        study = self.study(context)
        code = int(not study.complete()) if study.settings.report_only else study.run()
        if code == 130:
            return code
        if not study.table()["used"].any():
            study._say("no conformer has labels in every option: nothing to compare (study.json, labels/)")
            return 1
        path = study.report()
        study._say(f"wrote {path}")
        return code
