"""Reading a dataset: only what is committed, checked against its checksum."""

from __future__ import annotations

import hashlib
import io
import operator
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scfx.contracts.labels import AbstractDataset
from scfx.errors import InputError, PluginUnavailableError
from scfx.jobs.commits import committed, files_of, read_commit, read_record
from scfx.jobs.stores import open_store
from scfx_dataset.plan import Plan
from scfx_dataset.property_columns import MATRICES, matrix_schema
from scfx_dataset.schema import FULL_SCHEMA, STATUSES
from scfx_dataset.split import KEY_COLUMNS, SplitPart, parts

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from scfx_dataset.plan import Shard


class Dataset(AbstractDataset):
    """A dataset on disk. Opening reads the plan only; rows are read when asked for.

    `dataset.to_table()` gives all committed rows ordered by `row_id`, `dataset.to_pandas()` the same as a DataFrame;
    `dataset.filter(status="ok")` is the dataset restricted to some statuses, `dataset.split()` parts of it by molecule;
    `len(dataset)` its number of rows; `dataset.torch()` a PyTorch dataset. A loop over it gives one dict a row, shard
    by shard, so that memory stays at one shard; `dataset[i]` is the i-th of these, `dataset[i:j]` a list. It can be
    pickled: what travels is the address.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        _statuses: tuple[str, ...] | None = None,
        _part: SplitPart | None = None,
    ):
        self._store = open_store(path)
        self._statuses = _statuses
        self._part = _part
        #: The plan: `plan.counts`, `plan.identity` (spec, options, versions), `plan.shards`, `plan.excluded()`.
        self.plan = Plan.load(self._store)

    def _repr_html_(self) -> str:
        from scfx_dataset.notebook import dataset_html

        return dataset_html(self)

    def __repr__(self) -> str:
        kept = "" if self._statuses is None else f", status in {self._statuses}"
        kept += "" if self._part is None else f", molecules in {self._part}"
        return (
            f"Dataset({self._store.where()!r}, {len(self)} of {self.plan.counts['rows']} planned rows{kept})"
        )

    def __len__(self) -> int:
        """Committed rows (of the chosen statuses and molecules)."""
        return sum(self._count(shard) for shard in self.committed_shards())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for table in self.shards():
            yield from table.to_pylist()

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if not isinstance(index, slice) and not hasattr(index, "__index__"):
            raise InputError(
                f"a dataset is indexed by row, got {index!r}; dataset.to_table([{index!r}]) reads a column"
                if isinstance(index, str)
                else f"a dataset is indexed by row or by a slice of rows, got {index!r}"
            )
        # Fixed now: another process may be committing more.
        shards = self.committed_shards()
        ends = np.cumsum([self._count(shard) for shard in shards], dtype=np.int64)
        total = int(ends[-1]) if shards else 0
        wanted = range(total)[index] if isinstance(index, slice) else [_position(index, total)]
        found: dict[int, dict[str, Any]] = {}
        for number in sorted({int(n) for n in np.searchsorted(ends, wanted, side="right")}):
            start = int(ends[number - 1]) if number else 0
            inside = [i for i in wanted if start <= i < ends[number]]
            rows = self.rows_of(shards[number]).take([i - start for i in inside]).to_pylist()
            found.update(zip(inside, rows, strict=True))
        rows = [found[i] for i in wanted]
        return rows if isinstance(index, slice) else rows[0]

    def _count(self, shard: Shard) -> int:
        """Rows of one shard; read only where a part of the molecules is asked for."""
        if self._part is not None:
            return self.rows_of(shard, ["row_id"]).num_rows
        statuses = read_commit(self.plan, shard)["statuses"]
        return sum(n for status, n in statuses.items() if self._statuses is None or status in self._statuses)

    @property
    def identity(self) -> str:
        """Return a text that is equal for equal rows: the plan, and how many rows there are by now."""
        return f"plan {self.plan.plan_id}, {len(self)} rows"

    @property
    def planned(self) -> int:
        """Return the number of planned rows."""
        return self.plan.counts["rows"]

    @property
    def complete(self) -> bool:
        """Return whether every planned row is committed."""
        return len(committed(self.plan)) == len(self.plan.shards)

    @property
    def schema(self) -> pa.Schema:
        """Return columns, with unit and meaning in each field's metadata."""
        return self.plan.schema

    def filter(self, status: str | Sequence[str]) -> Dataset:
        """Return the rows of some statuses only: "ok", "not_converged", "failed", "poison". A filter of a filtered
        dataset keeps the rows that pass both.
        """
        statuses = (status,) if isinstance(status, str) else tuple(status)
        for asked in statuses:
            if asked not in STATUSES:
                raise InputError(f"status: got {asked!r}, expected one of {', '.join(STATUSES)}")
        kept = tuple(s for s in statuses if self._statuses is None or s in self._statuses)
        return Dataset(self._store.url, kept, self._part)

    @overload
    def split(self, fractions: Mapping[str, float] | None = None, seed: int = 0) -> dict[str, Dataset]: ...

    @overload
    def split(self, fractions: Sequence[float], seed: int = 0) -> list[Dataset]: ...

    def split(
        self, fractions: Mapping[str, float] | Sequence[float] | None = None, seed: int = 0
    ) -> dict[str, Dataset] | list[Dataset]:
        """Return parts by molecule, without leakage: all geometries of a molecule and its stereoisomers are in one
        part.

        `fractions` of the molecules by name; default 0.8 "train", 0.1 "validation", 0.1 "test". Or a sequence of them:
        then the parts are a list in its order. A molecule's part is a function of the seed and its InChIKey's
        connectivity block (`scfx.model.same_molecule`): it stays the same when the dataset grows, and in every
        dataset. So sizes meet the fractions only on average. Raises `InputError` for fractions that are not positive
        or exceed 1.
        """
        if self._part is not None:
            raise InputError("split: this is a part already; split the whole dataset into more parts instead")
        fractions = {"train": 0.8, "validation": 0.1, "test": 0.1} if fractions is None else fractions
        found = {
            name: Dataset(self._store.url, self._statuses, part)
            for name, part in parts(fractions, seed).items()
        }
        return found if isinstance(fractions, Mapping) else list(found.values())

    def torch(
        self,
        targets: Sequence[str] = ("gap_ev",),
        dtype: Any = None,
        stream: bool = False,
        shuffle: bool = False,
        seed: int = 0,
        atom_references: Mapping[str, float] | None = None,
    ) -> Any:
        """Return a PyTorch dataset of the rows that are ok: items with geometry and targets
        (`scfx_dataset.torch_data`).

        `targets` are columns of numbers: one a row ("energy_ev"), a vector ("dipole_vector_debye"), one or a vector
        for each atom ("forces_ev_per_angstrom"). By index, or with `stream` an IterableDataset that reads every shard
        once an epoch (then `shuffle` and `seed` order it).

        `dtype` of positions and targets; default float32, but float64 for total energies, of which float32 would keep
        2 meV in 18,000 eV. `atom_references`, energies in eV by element as `dataset.atom_references()` gives them, are
        taken from "energy_ev", before it is rounded; it is float32 then too. Raises `PluginUnavailableError` without
        PyTorch.
        """
        try:
            import torch  # noqa: F401 - is it there?
        except ImportError as error:
            raise PluginUnavailableError(
                "", "Dataset.torch needs PyTorch, which is not installed: pip install 'scfx[schnet]'"
            ) from error
        from scfx_dataset.torch_data import Labels, Stream, Wanted

        if shuffle and not stream:
            raise InputError("shuffle: rows by index are shuffled by the DataLoader; or give stream=True")
        ok = self.filter("ok")
        wanted = Wanted.from_targets(ok, targets, dtype, atom_references)
        return Stream(ok, wanted, shuffle, seed) if stream else Labels(ok, wanted)

    def atom_references(self, target: str = "energy_ev") -> dict[str, float]:
        """Return what each element contributes to a target on average, in its unit: least squares over the rows that
        are ok.

        See `scfx_dataset.atom_references.fit`. Fit on the training part and subtract from all.
        """
        from scfx_dataset.atom_references import fit

        return fit(self.filter("ok"), target)

    def __reduce__(self) -> tuple[Any, ...]:
        return Dataset, (self._store.url, self._statuses, self._part)

    def to_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the committed rows as one pyarrow Table ordered by row_id; `columns` limits what is read.

        Raises `InputError` naming the file if a shard is missing or does not have its checksum.
        """
        self._check_columns(columns)
        wanted = None if columns is None else list(dict.fromkeys([*columns, "row_id"]))
        tables = list(self.shards(wanted))
        schema = self.schema if wanted is None else pa.schema([self.schema.field(name) for name in wanted])
        table = pa.concat_tables([t.select(schema.names) for t in tables]) if tables else schema.empty_table()
        table = table.sort_by("row_id")
        return table if columns is None else table.select(list(columns))

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """Return `to_table` as a pandas DataFrame."""
        try:
            import pandas  # noqa: F401 - is it there?
        except ImportError as error:
            raise PluginUnavailableError(
                "", "Dataset.to_pandas needs the package 'pandas': pip install 'scfx[study]'"
            ) from error
        return self.to_table(columns).to_pandas()

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows one committed shard at a time (ordered by row_id within each): memory stays at one shard."""
        self._check_columns(columns)
        for shard in self.committed_shards():
            yield self.rows_of(shard, columns)

    def committed_shards(self) -> list[Shard]:
        """Return the shards that are committed now, in the plan's order."""
        return committed(self.plan)

    def rows_of(self, shard: Shard, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of one committed shard that this dataset is restricted to, ordered by row_id."""
        needed = None
        if columns is not None:
            extra = () if self._part is None else KEY_COLUMNS
            needed = list(dict.fromkeys([*columns, "status", *extra]))
        table = self.read_shard(shard, needed)
        if self._statuses is not None:
            table = table.filter(pc.field("status").isin(pa.array(self._statuses, pa.string())))
        if self._part is not None:
            table = table.filter(pa.array(self._part.mask(table)))
        return table if columns is None else table.select(list(columns))

    def verify(self) -> list[str]:
        """Read every file of the plan and every committed shard; returns what is wrong (empty: nothing).

        Checks checksums, the schema, that row ids are exactly the planned ones, each once, and their statuses.
        """
        problems = []
        try:
            self.plan.verify()
        except InputError as error:
            return [str(error)]
        for shard in committed(self.plan):
            try:
                problem = self.problem_of(shard)
            except (InputError, pa.ArrowException) as error:
                problem = str(error)
            if problem:
                problems.append(problem)
        return problems

    def problem_of(self, shard: Shard) -> str:
        """Return what is wrong with a committed shard that can be read: other rows than planned or than its commit
        says.
        """
        record, copy = read_record(self.plan, shard), read_commit(self.plan, shard)
        if (record["attempt"], record["sha256"]) != (copy["attempt"], copy["sha256"]):
            return f"shard {shard.id}: commits.parquet names another attempt than the commit; it is a copy, remove it"
        table = self.read_shard(shard, ["row_id", "status"])
        if table["row_id"].to_pylist() != self.plan.rows(shard)["row_id"].to_pylist():
            return f"shard {shard.id} does not have the planned rows"
        if self.matrix_schema.names != ["row_id"]:
            matrices = self.read_matrices(shard)
            if matrices["row_id"].to_pylist() != table["row_id"].to_pylist():
                return f"shard {shard.id} has matrices of other rows than the planned ones"
        statuses = Counter(table["status"].to_pylist())
        if statuses != Counter(record["statuses"]):
            return f"shard {shard.id} has rows {dict(statuses)}, which is not what its commit says"
        return ""

    def digest(self) -> str:
        """Return SHA-256 of the plan and the checksums of the committed shards: equal for equal rows."""
        total = hashlib.sha256(self.plan.plan_id.encode())
        for shard in committed(self.plan):
            for file in files_of(read_commit(self.plan, shard)):
                total.update(file["sha256"].encode())
        return total.hexdigest()

    def summary(self) -> dict[str, Any]:
        """Return rows by status, statistics of the gap, time by stage. See `scfx_dataset.summary.summarise`."""
        from scfx_dataset.summary import summarise

        return summarise(self)

    @property
    def matrix_schema(self) -> pa.Schema:
        """Return the columns of what is stored beside the rows: `row_id`, and the properties that have no place in a
        row.
        """
        return matrix_schema(self.plan.identity["options"].get("columns") or ())

    def matrices(self) -> Iterator[pa.Table]:
        """Yield density, overlap, Fock and coefficient matrices, as asked for in `scf.properties`: a table for each
        shard.

        Rows are those that `shards` gives, in its order, found again by `row_id`; values are lists of lists in the unit
        of `matrix_schema`, null where a row has none. Raises `InputError` if the dataset has none.
        """
        if self.matrix_schema.names == ["row_id"]:
            raise InputError(
                f"{self._store.where()!r} has no matrices: ask for them in scf.properties (such as "
                '"density_matrix") when it is made'
            )
        for shard in self.committed_shards():
            kept = self.rows_of(shard, ["row_id"])["row_id"].to_pylist()
            yield self.read_matrices(shard).filter(pc.field("row_id").isin(kept))

    def read_matrices(self, shard: Shard) -> pa.Table:
        """Return what is stored beside the rows of a committed shard."""
        file = read_commit(self.plan, shard).get("beside", {}).get(MATRICES)
        if file is None:
            raise InputError(f"the commit of shard {shard.id} names no matrices, which the plan asks for")
        table = pq.read_table(io.BytesIO(self._committed(file)))
        if not table.schema.remove_metadata().equals(self.matrix_schema.remove_metadata()):
            raise InputError(
                f"{self._store.where(file['attempt'])!r} has other columns: {table.schema.names}"
            )
        return table.replace_schema_metadata(None)

    def _committed(self, file: Mapping[str, Any]) -> bytes:
        """A file of a commit, checked against its checksum."""
        where = self._store.where(file["attempt"])
        hint = "`scfx dataset verify --drop-damaged` takes its commit back, so that the next run computes it again"
        try:
            data = self._store.read(file["attempt"])
        except OSError as error:
            raise InputError(f"committed shard {where!r} cannot be read: {error}; {hint}") from error
        if hashlib.sha256(data).hexdigest() != file["sha256"]:
            raise InputError(
                f"committed shard {where!r} is damaged: its checksum is not that of its commit; {hint}"
            )
        return data

    def read_shard(self, shard: Shard, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of one committed shard."""
        record = read_commit(self.plan, shard)
        where = self._store.where(record["attempt"])
        data = self._committed(record)
        table = pq.read_table(io.BytesIO(data), columns=None if columns is None else list(columns))
        schema = self.plan.schema
        expected = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        if not table.schema.remove_metadata().equals(expected.remove_metadata()):
            version = self.plan.identity["format_version"]
            raise InputError(
                f"shard {where!r} has other columns than format version {version}: {table.schema.names}"
            )
        return table.replace_schema_metadata(None)

    def _check_columns(self, columns: Sequence[str] | None) -> None:
        for name in columns or ():
            if name not in self.schema.names:
                hint = " (an optional column: task.extras)" if name in FULL_SCHEMA.names else ""
                raise InputError(
                    f"columns: no column {name!r}{hint}; there are {', '.join(self.schema.names)}"
                )


def _position(index: Any, total: int) -> int:
    at = operator.index(index)
    if not -total <= at < total:
        raise IndexError(f"row {at} of a dataset of {total}")
    return at % total
