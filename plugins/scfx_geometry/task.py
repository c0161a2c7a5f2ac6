"""What the two tasks share: source, solver, the folder of rows, and how a run ends."""

from __future__ import annotations

import abc
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from scfx.contracts.task import AbstractTask, TaskContext
from scfx.versions import versions
from scfx_geometry.options import SourceOptions
from scfx_geometry.property_columns import reported
from scfx_geometry.solvers import SolverFactory, Solvers, make_solver, solvers_of
from scfx_geometry.sources import MoleculeFile, SourceMolecule, read_source
from scfx_geometry.store import RowStore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pydantic import BaseModel


class GeometryTask(AbstractTask):
    """A task over the molecules of a file, a row each, in a folder that a run goes on with.

    `solver_factory(spec, registry, atomic_numbers)` replaces the core's solver, for tests.
    """

    def __init__(self, options: BaseModel, solver_factory: SolverFactory = make_solver):
        super().__init__(options)
        self._solver_factory = solver_factory
        self._prepared: tuple[MoleculeFile, Solvers | None] | None = None

    @property
    @abc.abstractmethod
    def _distributions(self) -> tuple[str, ...]:
        """Packages beside scfx's own whose versions decide the rows."""

    @abc.abstractmethod
    def _compute(
        self, solvers: Solvers, todo: Sequence[tuple[int, SourceMolecule]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """(index, row) of records with a system, as soon as each is done."""

    @abc.abstractmethod
    def _write(
        self, store: RowStore, rows: Sequence[Mapping[str, Any]], solvers: Solvers | None
    ) -> list[str]:
        """Write the tables; returns their names. There are no solvers where no row has a molecule."""

    #: Columns of its table that every row has.
    _columns: Collection[str]
    #: Status of a row of a record that has no system.
    _lost: str
    #: Status of a row that is as it should be.
    _good: str

    @property
    def source(self) -> MoleculeFile:
        """Return the molecules, of a task that has been checked."""
        assert self._prepared is not None
        return self._prepared[0]

    def check(self, context: TaskContext) -> None:
        """Refuse everything that can be refused before the first SCF."""
        assert isinstance(self.options, SourceOptions)
        earlier = {
            task.options.output: task.source
            for task in context.earlier
            if isinstance(task, GeometryTask) and isinstance(task.options, SourceOptions)
        }
        source = read_source(self.options, context.config_path, earlier)
        elements = sorted(
            {int(z) for r in source.records if r.system is not None for z in r.system.atomic_numbers}
        )
        self._check_source(source, context.registry)
        solvers = None
        if elements:
            solvers = solvers_of(context.spec, context.registry, elements, self._solver_factory)
            reported(solvers.labels.resolved.properties, self._columns)
        self._prepared = source, solvers

    def _check_source(self, source: MoleculeFile, registry: Any) -> None:
        """Refuse what the options say of these molecules."""

    def run(self, context: TaskContext) -> int:
        """Run the task; exit code 0: every molecule has its row and some row is good; 1: none is good; 130:
        interrupted.
        """
        if self._prepared is None:
            self.check(context)
        assert self._prepared is not None
        assert isinstance(self.options, SourceOptions)
        source, solvers = self._prepared
        if source.to_come:
            source = read_source(self.options, context.config_path, {})
        store = RowStore(self.options.output, self._identity(source, solvers))
        finished = store.finished()
        todo = [(i, record) for i, record in enumerate(source.records) if i not in finished]
        try:
            for index, record in todo:
                if record.system is None:
                    store.write(
                        index, _named(index, record, {"status": self._lost, "reason": record.problem})
                    )
            able = [(i, record) for i, record in todo if record.system is not None]
            for index, row in () if solvers is None else self._compute(solvers, able):
                store.write(index, _named(index, source.records[index], row))
        except KeyboardInterrupt:
            left = len(source.records) - len(store.finished())
            context.say(f"stopped; {left} rows are left: run the same command again to go on")
            return 130
        rows = store.rows()
        names = self._write(store, rows, solvers)
        good = sum(row["status"] == self._good for row in rows)
        context.say(
            f"{good} of {len(rows)} {self._good} ({len(finished)} were there); wrote {', '.join(names)} in "
            f"{self.options.output}"
        )
        return 0 if good else 1

    def _identity(self, source: MoleculeFile, solvers: Solvers | None) -> dict[str, Any]:
        assert isinstance(self.options, SourceOptions)
        return {
            "options": self.options.row_options(),
            "molecules_sha256": source.sha256,
            "spec_hash": "" if solvers is None else solvers.labels.spec_hash,
            "properties": [] if solvers is None else list(solvers.labels.resolved.properties.reported),
            "versions": {**versions(), **{name: _version(name) for name in self._distributions}},
        }


def _named(index: int, record: SourceMolecule, row: Mapping[str, Any]) -> dict[str, Any]:
    stated: dict[str, Any] = {"index": index, "name": record.name}
    if record.system is not None:
        stated |= {
            "charge": record.system.charge,
            "multiplicity": record.system.multiplicity,
            "atomic_numbers": record.system.atomic_numbers.tolist(),
        }
    return stated | dict(row)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"
