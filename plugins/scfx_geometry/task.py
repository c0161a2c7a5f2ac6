"""What the tasks share: source, solvers, the job, and the tables that are made of its rows when it is complete."""

from __future__ import annotations

import abc
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from scfx.contracts.task import AbstractTask, TaskContext
from scfx.errors import InputError
from scfx.jobs import open_results, run_job
from scfx.jobs.plan import PLAN
from scfx.jobs.service import machine_fault
from scfx.jobs.stores import open_store
from scfx_geometry.options import SourceOptions
from scfx_geometry.property_columns import property_fields, reported
from scfx_geometry.solvers import SolverFactory, Solvers, make_solver, solvers_of
from scfx_geometry.sources import MoleculeFile, read_source
from scfx_geometry.work import item_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import pyarrow as pa
    from pydantic import BaseModel

    from scfx.config.spec import SCFSpec
    from scfx_geometry.work import GeometryWork

#: What the plan of a task of before the job service has, and that of a job has deeper down.
_FORMER = b'"molecules_sha256"'


class GeometryTask(AbstractTask):
    """A task over the molecules of a source, a row each, as a job.

    `solver_factory(spec, registry, atomic_numbers)` replaces the core's solver, for tests.
    """

    def __init__(self, options: BaseModel, solver_factory: SolverFactory = make_solver):
        super().__init__(options)
        assert isinstance(options, SourceOptions)
        self._source_options: SourceOptions = options
        self._solver_factory = solver_factory
        self._prepared: tuple[MoleculeFile, Solvers | None] | None = None

    #: What the task is called, in its identity.
    _name: ClassVar[str]
    #: Files that it leaves when every row is there, the first one its table.
    _files: Sequence[str]
    #: Columns of that table that every row has.
    _columns: Collection[str]
    #: Work on the molecules of a spec.
    _work: ClassVar[type[GeometryWork]]
    #: Whether later tasks can take their molecules from here.
    leaves_geometries: ClassVar[bool] = True

    @property
    def _distributions(self) -> tuple[str, ...]:
        """Packages beside scfx's own whose versions decide the rows."""
        return ("ase",)

    @property
    def _level(self) -> SCFSpec | None:
        """The spec of the forces on the way, if it is another than `[scf]`."""
        return None

    @abc.abstractmethod
    def _contents(
        self, rows: Iterable[Mapping[str, Any]], more: Sequence[pa.Field]
    ) -> tuple[list[bytes], str]:
        """The files of `_files` in their order, from rows as they come, and what people are told of them.

        `more`: the fields of further columns, which `scf.properties` asks for.
        """

    @property
    def source(self) -> MoleculeFile:
        """Return the molecules, of a task that has been checked."""
        assert self._prepared is not None
        return self._prepared[0]

    def check(self, context: TaskContext) -> None:
        """Refuse everything that can be refused before the first SCF."""
        options = self._source_options
        earlier = {}
        for task in context.earlier:
            if isinstance(task, GeometryTask) and task.leaves_geometries:
                earlier[task._source_options.output] = task.source
        source = read_source(options, context.config_path, earlier)
        self._check_source(source, context.registry)
        solvers = None
        if elements := elements_of(source):
            solvers = solvers_of(context.spec, context.registry, elements, self._solver_factory)
            reported(solvers.labels.resolved.properties, self._columns)
        self._prepared = source, solvers
        self._check_output()

    def _check_source(self, source: MoleculeFile, registry: Any) -> None:
        """Refuse what the options say of these molecules."""

    def _check_output(self) -> None:
        """Refuse a folder that is no job's, where files would be written over, and one of before the job service."""
        output = self._source_options.output
        store = open_store(output)
        try:
            plan = store.read(PLAN) if store.exists(PLAN) else b""
            taken = [name for name in self._files if not plan and store.exists(name)]
        except OSError as error:
            raise machine_fault(output, error) from error
        if taken:
            raise InputError(
                f"task.output: {output!r} has a file {taken[0]!r} that is no job's (there is no {PLAN}); choose "
                "another folder"
            )
        if _FORMER in plan and b'"format"' not in plan:
            raise InputError(
                f"task.output: {output!r} holds rows of an earlier scfx, a file each in rows/, which this one does not "
                "go on with; choose another folder. If that run was finished, its tables can still be read, and its "
                "folder be named as task.molecules of another task"
            )

    def run(self, context: TaskContext) -> int:
        """Run the job and, when every row is there, write its tables; exit code 0: every shard of this part is
        committed and some row is ok; 1: not so; 130: interrupted.
        """
        if self._prepared is None or self.source.to_come:
            # What an earlier task was to make is there now.
            self.check(replace(context, earlier=()))
        assert self._prepared is not None
        source, solvers = self._prepared
        options = self._source_options
        work = self._work(
            context.spec, options, elements_of(source), self._distributions, self._solver_factory, self._level
        )
        identity = self._identity(solvers)
        items = (item_of(index, record) for index, record in enumerate(source.records))
        code = run_job(context, options, work, items, identity, options.shard_rows)
        if code == 130:
            return code
        try:
            self._report(context, solvers)
        except OSError as error:
            raise machine_fault(options.output, error) from error
        return code

    def _identity(self, solvers: Solvers | None) -> dict[str, Any]:
        return {
            "task": self._name,
            "options": self._source_options.row_options(),
            "spec_hash": "" if solvers is None else solvers.labels.spec_hash,
            "properties": [] if solvers is None else list(solvers.labels.resolved.properties.reported),
        }

    def _report(self, context: TaskContext, solvers: Solvers | None) -> None:
        """Write the tables of a job that is complete, unless they are there."""
        options = self._source_options
        results = open_results(options.output)
        store = results.plan.store
        if not results.complete or all(store.exists(name) for name in self._files):
            return
        more = [] if solvers is None else property_fields(solvers.labels.resolved.properties, self._columns)
        contents, text = self._contents(results.rows(), more)
        # The table last: it says that the task is finished.
        for name, content in reversed(list(zip(self._files, contents, strict=True))):
            store.replace(name, content)
        if options.progress not in ("json", "quiet"):
            context.say(f"{text}; wrote {', '.join(self._files)} in {options.output}")


def elements_of(source: MoleculeFile) -> list[int]:
    """Return the atomic numbers in a source, in order."""
    return sorted({int(z) for r in source.records if r.system is not None for z in r.system.atomic_numbers})
