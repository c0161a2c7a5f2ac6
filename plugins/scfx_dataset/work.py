"""What a dataset does with the planned rows of a shard: labels, as one Parquet file."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from scfx.contracts.work import AbstractWork
from scfx.jobs.records import canonical_json
from scfx_dataset.embedding import embedder
from scfx_dataset.label import blank_row, label_rows
from scfx_dataset.plan import Plan, current_versions
from scfx_dataset.property_columns import MATRICES, matrix_columns, matrix_table
from scfx_dataset.solvers import LabelSolver, make_solver
from scfx_dataset.takeover import Earlier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scfx.contracts.work import Attempt, Row
    from scfx.jobs.store import AbstractStore
    from scfx_dataset.options import Embedding


@dataclass
class LabelWork(AbstractWork):
    """Geometries and labels of planned rows, with a solver that is made when the first row needs it and then kept."""

    spec: Any
    embedding: Embedding
    batch_size: int
    atomic_numbers: tuple[int, ...] | None = None
    solver_factory: Callable[[Any, int | None, Sequence[int] | None], LabelSolver] = make_solver
    #: Addresses of datasets whose rows are taken over where they are equal.
    take_over: tuple[str, ...] = ()

    ending: ClassVar[str] = "parquet"

    def begin(self, threads: int | None) -> None:
        """Take this process's share of the threads; the solver is made when it is first needed."""
        # Workers are started with Ctrl-C blocked; in the command's own process RDKit would hear it.
        embedder.in_this_process = threads is not None
        self._threads = threads
        self._solver: LabelSolver | None = None
        self._start_seconds = 0.0
        self._earlier = Earlier(self.take_over) if self.take_over else None

    def warm_up(self) -> None:
        """Make the solver now, before rows are tried alone."""
        self._get_solver()

    def compute(self, items: Sequence[dict[str, Any]], attempt: Attempt) -> list[dict[str, Any]]:
        """Return the labels of some planned rows, in their order."""
        before = dict(self._solver.profile) if self._solver else {}
        known = {}
        if self._earlier is not None:
            known, taken = self._earlier.rows(items, self.embedding.prune_rms is not None)
            if taken:
                attempt.notes["taken"] = taken
        rows = self._label(items, attempt, known=known)
        attempt.seconds["start"] += self._start_seconds
        self._start_seconds = 0.0
        if self._solver:
            for stage, value in self._solver.profile.items():
                attempt.seconds[stage] += value - before.get(stage, 0.0)
        return rows

    def compute_some(
        self, items: Sequence[dict[str, Any]], places: Sequence[int], attempt: Attempt
    ) -> list[dict[str, Any]]:
        """Return the labels of some rows of a shard alone."""
        asked = [items[place]["row_id"] for place in places]
        if self.embedding.prune_rms is None:
            items = [items[place] for place in sorted(places)]
        # Else the other conformers of a molecule are embedded too, for a conformer may be pruned because of them.
        found = {row["row_id"]: row for row in self._label(items, attempt, frozenset(asked))}
        return [found[row_id] for row_id in asked]

    def settled(self, item: dict[str, Any], attempt: Attempt) -> Row | None:
        """Return the row of an item that has its status without any work, with the reason; None: it needs work."""
        row = self._blank(item, attempt)
        return row if row["status"] else None

    def poison(self, item: dict[str, Any], reason: str, attempt: Attempt) -> Row:
        """Return the row of what killed its workers."""
        return self._blank(item, attempt) | {"status": "poison", "reason": reason}

    def name_of(self, item: dict[str, Any], place: int) -> str:
        """Return the name of a row for messages."""
        return f"row {item['row_id']}"

    def encode(self, rows: Sequence[Row], attempt: Attempt) -> dict[str, bytes]:
        """Return the bytes of the files of a shard."""
        plan = attempt.plan
        assert isinstance(plan, Plan)
        identity = plan.identity
        metadata = {
            "scfx": canonical_json(
                {
                    "plan_id": plan.plan_id,
                    "shard": attempt.shard.id,
                    "format_version": identity["format_version"],
                    "spec_hash": identity["spec_hash"],
                    "spec": identity["spec"],
                    "versions": dict(attempt.made_with),
                }
            )
        }
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=plan.schema)
        buffer = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd")
        files = {self.ending: buffer.getvalue()}
        columns = identity["options"].get("columns") or ()
        if matrix_columns(columns):
            beside = matrix_table(rows, columns)
            buffer = io.BytesIO()
            pq.write_table(beside.replace_schema_metadata(metadata), buffer, compression="zstd")
            files[MATRICES] = buffer.getvalue()
        return files

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages here that rows depend on."""
        return current_versions()

    def load_plan(self, store: AbstractStore) -> Plan:
        """Return the plan of the dataset in a store."""
        return Plan.load(store)

    def _blank(self, item: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
        return blank_row(item, {**attempt.plan.identity, "versions": dict(attempt.made_with)})

    def _label(
        self,
        items: Sequence[dict[str, Any]],
        attempt: Attempt,
        wanted: frozenset[int] | None = None,
        known: dict[int, dict[str, Any]] | None = None,
    ) -> list[dict[str, Any]]:
        identity = {**attempt.plan.identity, "versions": dict(attempt.made_with)}
        return label_rows(
            items,
            self._get_solver,
            self.embedding,
            self.batch_size,
            identity,
            attempt.report,
            attempt.seconds,
            wanted,
            known,
        )

    def _get_solver(self) -> LabelSolver:
        if self._solver is None:
            began = time.perf_counter()
            self._solver = self.solver_factory(self.spec, self._threads, self.atomic_numbers)
            self._start_seconds = time.perf_counter() - began
        return self._solver
