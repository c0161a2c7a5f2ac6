"""What the job service is given: molecules as plain data, and the work that makes a row of each."""

from __future__ import annotations

import abc
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.contracts.work import AbstractWork
from scfx.execution.cores import available_cores
from scfx.model.system import System
from scfx.registry import Registry
from scfx.versions import NUMERICAL, versions
from scfx_geometry.checkpoint import Checkpoint
from scfx_geometry.solvers import SolverFactory, Solvers, solvers_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scfx.config.spec import SCFSpec
    from scfx.contracts.work import Attempt, Row
    from scfx_geometry.sources import SourceMolecule

#: What an item says of its molecule, which every row repeats.
_STATED = ("index", "name", "smiles", "charge", "multiplicity", "atomic_numbers")


def item_of(index: int, record: SourceMolecule) -> dict[str, Any]:
    """Return a record as plain data; positions in bohr, with every digit."""
    item: dict[str, Any] = {"index": index, "name": record.name, "smiles": record.smiles}
    system = record.system
    if system is None:
        return {**item, "problem": record.problem}
    item |= {
        "charge": system.charge,
        "multiplicity": system.multiplicity,
        "atomic_numbers": system.atomic_numbers.tolist(),
        "positions_bohr": system.positions.tolist(),
    }
    return item if system.labels is None else {**item, "labels": list(system.labels)}


def system_of(item: Mapping[str, Any]) -> System:
    """Return the molecule of an item that has one."""
    return System(
        np.array(item["atomic_numbers"], dtype=np.int32),
        np.array(item["positions_bohr"], dtype=np.float64),
        item["charge"],
        item["multiplicity"],
        item["name"],
        labels=tuple(item["labels"]) if "labels" in item else None,
    )


class GeometryWork(AbstractWork):
    """A row of each molecule. `settings`: the task's options. `level`: the spec of the forces on the way, if another.

    `distributions`: packages beside scfx's own whose versions decide the rows.
    """

    def __init__(
        self,
        spec: SCFSpec,
        settings: Any,
        atomic_numbers: Sequence[int],
        distributions: Sequence[str],
        solver_factory: SolverFactory,
        level: SCFSpec | None = None,
    ):
        self.spec, self.level, self.settings = spec, level, settings
        self.atomic_numbers, self.distributions = tuple(atomic_numbers), tuple(distributions)
        self.solver_factory = solver_factory
        self._threads: int | None = None
        self._solvers: Solvers | None = None
        self._start_seconds = 0.0

    @abc.abstractmethod
    def rows(
        self,
        solvers: Solvers,
        items: Sequence[dict[str, Any]],
        systems: Sequence[System],
        memory: Checkpoint | None,
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (place, row) of each molecule, as soon as it is done.

        `memory` may know parts of it from a killed attempt.
        """

    def begin(self, threads: int | None) -> None:
        """Take this process's share of the threads."""
        self._threads, self._solvers = threads, None

    def warm_up(self) -> None:
        """Make the solvers now, before molecules are tried alone."""
        self._get_solvers()

    def compute(self, items: Sequence[dict[str, Any]], attempt: Attempt) -> list[Row]:
        """Compute one row for each item; what a killed attempt left of the shard is taken up."""
        memory = Checkpoint(attempt, self.settings.checkpoint_seconds)
        rows = self._rows(items, attempt, memory)
        memory.forget()
        return rows

    def compute_some(
        self, items: Sequence[dict[str, Any]], places: Sequence[int], attempt: Attempt
    ) -> list[Row]:
        """Compute rows, each from its start: a checkpoint is of the whole shard."""
        return self._rows([items[place] for place in places], attempt, None)

    def settled(self, item: dict[str, Any], attempt: Attempt) -> Row | None:
        """Return the row of a record without a molecule, which says why."""
        if "problem" not in item:
            return None
        return _named(item, {"status": "failed", "reason": item["problem"]})

    def poison(self, item: dict[str, Any], reason: str, attempt: Attempt) -> Row:
        """Return the row of an item that ended its process again and again."""
        return _named(item, {"status": "poison", "reason": f"poison: {reason}"})

    def name_of(self, item: dict[str, Any], place: int) -> str:
        """Return what messages call an item."""
        return f"molecule {item['index']} ({item['name']})"

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages here that rows depend on."""
        return versions((*NUMERICAL, *self.distributions))

    def _rows(
        self, items: Sequence[dict[str, Any]], attempt: Attempt, memory: Checkpoint | None
    ) -> list[Row]:
        rows: dict[int, Row] = {}
        for place, item in enumerate(items):
            row = self.settled(item, attempt)
            if row is None and memory is not None:
                row = memory.row(item["index"])
            if row is not None:
                rows[place] = row
                attempt.done(str(row["status"]))
        todo = [place for place in range(len(items)) if place not in rows]
        if todo:
            solvers = self._get_solvers()
            before = solvers.seconds()
            theirs = [items[place] for place in todo]
            watched = solvers.watched(lambda: attempt.report(Counter()))
            for at, row in self.rows(watched, theirs, [system_of(item) for item in theirs], memory):
                rows[todo[at]] = done = _named(theirs[at], row)
                if memory is None:
                    attempt.done(str(done["status"]))
                else:
                    memory.finished(theirs[at]["index"], done)
            attempt.seconds["start"] += self._start_seconds
            self._start_seconds = 0.0
            for stage, value in solvers.seconds().items():
                attempt.seconds[stage] += value - before.get(stage, 0.0)
        return [rows[place] for place in range(len(items))]

    def _get_solvers(self) -> Solvers:
        if self._solvers is None:
            began = time.perf_counter()
            self._solvers = solvers_of(
                self._shared(self.spec),
                Registry.discover(),
                self.atomic_numbers,
                self.solver_factory,
                None if self.level is None else self._shared(self.level),
            )
            self._start_seconds = time.perf_counter() - began
        return self._solvers

    def _shared(self, spec: SCFSpec) -> SCFSpec:
        """The spec with this worker's share of the cores, and the same share of the memory budget."""
        if self._threads is None:
            return spec
        budget = max(1, spec.memory_budget * self._threads // max(self._threads, available_cores()))
        return spec.model_copy(update={"threads": self._threads, "memory_budget": budget})


def _named(item: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in _STATED if key in item} | dict(row)
