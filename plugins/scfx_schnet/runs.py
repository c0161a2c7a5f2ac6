"""Runs of a task: each in a folder of its own, done once, resumed where it was cut off."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from scfx.errors import InputError
from scfx_schnet.examination import BY_MOLECULE
from scfx_schnet.job import TrainingJob
from scfx_schnet.processes import Processes
from scfx_schnet.targets import thousandth
from scfx_schnet.training import Training

#: Which keys of a result answer a question; `by_molecule` is answered by a file.
_ANSWERS = {
    "judge": ("judged_mae_ev", "judged_line_mae_ev", "judged_rows", "calibration_rows"),
    "dynamics": ("dynamics",),
    "relaxation": ("relaxation",),
}


class Runs:
    """Trains what has no `result.json` yet. Every folder holds `result.json`, `metrics.csv` and `model.pt`."""

    def __init__(self, root: Path, registry: Any, group: Processes, console: Any):
        self.root, self._registry, self._group, self._console = root, registry, group, console

    def train(
        self,
        name: str,
        job: TrainingJob,
        facts: dict[str, Any],
        after: Callable[[Training, Set[str]], dict[str, Any]] | None = None,
        asked: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the result of the run `name`, trained now if it is not there, with `facts` and the answers of `after`.

        `asked` are the questions that `after` answers, by name, as plain data; it is called with the names of those
        that are new. Answers that hold are kept, and a network that is there is not trained again.

        Raises `InputError` if the folder holds another training's result, or if another process is at it.
        """
        folder, found = self.root / name, self._trained(name, job)
        asked = {"rows": job.asked, **(asked or {})}
        new = _new_questions(folder, found, asked)
        self._group.wait()  # all have read it before one writes
        if found is not None and not new:
            return _told(found, facts, asked)
        with self._alone_in(folder):
            training = Training(job, folder, self._registry, self._group, self._console)
            if found is None:
                errors, kept = training.train(), {}
            else:
                training.reopen()
                # What does not hold any more goes, and is asked again.
                stale = {key for question in new for key in _ANSWERS.get(question, ())}
                kept = {key: value for key, value in found.items() if key not in stale}
                errors = training.mean_errors() if "rows" in new else {}
            shown = thousandth(job.molecules.unit(job.targets[0]))
            result = {"run": name, "shown_unit": shown, **kept, **errors, **facts, "identity": job.identity()}
            answered = {q: a for q, a in kept.get("asked", {}).items() if q not in new}
            result["asked"] = {**answered, "rows": job.asked}
            # What is trained is kept before it is asked for more, which may take long and be stopped.
            self._write(folder, result)
            if after is not None:
                result |= {**after(training, new), "asked": {**answered, **asked}}
                self._write(folder, result)
            if self._group.first:
                self.say(_line(result))
            self._group.wait()
        return _told(result, facts, asked)

    def done(
        self, name: str, job: TrainingJob, facts: dict[str, Any], asked: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Return the result of a run that is there, with `facts`; None, and a line, if it was not asked this.

        Raises `InputError` if the folder holds another training's result.
        """
        found, asked = self._trained(name, job), {"rows": job.asked, **(asked or {})}
        if found is None:
            return None
        if new := _new_questions(self.root / name, found, asked):
            self.say(
                f"{self.root / name} was not asked this ({', '.join(sorted(new))}): run it without report_only"
            )
            return None
        return _told(found, facts, asked)

    def _trained(self, name: str, job: TrainingJob) -> dict[str, Any] | None:
        found = self.result(name)
        if found is not None and found["identity"] != job.identity():
            raise InputError(
                f"{self.root / name} holds a run of another configuration (data, rows, model, training or seed "
                "differ). Take another `output`, or remove that folder"
            )
        return found

    def _write(self, folder: Path, result: dict[str, Any]) -> None:
        if self._group.first:
            write_json(folder / "result.json", result)

    @contextmanager
    def _alone_in(self, folder: Path) -> Iterator[None]:
        """Keep other processes out of a run's folder, whose checkpoints two would overwrite for each other."""
        if not self._group.first:
            yield
            return
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise InputError(
                f"{folder}: another process is at this training. Wait for it, or take another `output`"
            ) from None
        except (OSError, NotImplementedError) as error:
            self.say(f"{folder} cannot be locked ({error}): see to it that no other process trains there")
        try:
            yield
        finally:
            lock.release()

    def result(self, name: str) -> dict[str, Any] | None:
        """Return the result of a run, or None if it is not done."""
        path = self.root / name / "result.json"
        return json.loads(path.read_text()) if path.exists() else None

    def say(self, text: str) -> None:
        """Print a line, from one process only."""
        if self._group.first and self._console is not None:
            self._console.print(text, highlight=False)


def _new_questions(folder: Path, found: dict[str, Any] | None, asked: dict[str, Any]) -> set[str]:
    """The names of the questions that a result does not answer."""
    before = {} if found is None else found.get("asked", {})
    new = {question for question, what in asked.items() if before.get(question) != what}
    if "by_molecule" in asked and not (folder / BY_MOLECULE).exists():
        new.add("by_molecule")
    return new


def _told(result: dict[str, Any], facts: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """A result without answers that are not asked for here."""
    others = {key for question, keys in _ANSWERS.items() if question not in asked for key in keys}
    return {key: value for key, value in result.items() if key not in others} | facts


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(content, indent=1) + "\n")
    scratch.replace(path)


def _line(result: dict[str, Any]) -> str:
    def mev(key: str) -> str:
        return f"{1000 * result[key][0]:7.1f}" if result.get(key) else "      -"  # of the first target

    return (
        f"{result['run']:<44} train {mev('train_mae_ev')}  validation {mev('validation_mae_ev')}  "
        f"test {mev('test_mae_ev')} {result.get('shown_unit', 'meV')}  {result['seconds']:7.1f} s"
    )
