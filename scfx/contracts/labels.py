"""Labels for other tasks: who makes datasets of them, and how one is read."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from scfx.errors import InputError

if TYPE_CHECKING:
    import os

    import pyarrow as pa
    from pydantic import BaseModel

    from scfx.contracts.task import TaskContext
    from scfx.registry import Registry


class AbstractDataset(abc.ABC):
    """A dataset of labels: rows with a geometry, a status and columns of labels. Only whole, committed rows are seen.

    Columns that every dataset has: row_id, molecule, smiles, conformer, charge, multiplicity, atomic_numbers,
    positions_angstrom, energy_ev, homo_ev, lumo_ev, gap_ev, dipole_debye, status ("ok", "not_converged", "failed" or
    "poison") and reason. Those of a property have its name under "property" and their unit under "unit" in the metadata
    of their field.
    """

    @property
    @abc.abstractmethod
    def schema(self) -> pa.Schema:
        """Return the columns, with unit and meaning in each field's metadata."""

    @property
    @abc.abstractmethod
    def identity(self) -> str:
        """Return a text that is the same for equal rows: plan, and how many rows there are by now."""

    @property
    @abc.abstractmethod
    def planned(self) -> int:
        """Return the number of rows that it is to have."""

    @property
    @abc.abstractmethod
    def complete(self) -> bool:
        """Return whether every planned row is there."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Rows that are there."""

    @abc.abstractmethod
    def filter(self, status: str | Sequence[str]) -> AbstractDataset:
        """Return the rows of some statuses only."""

    @abc.abstractmethod
    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield tables of some rows each, so that memory stays small; `columns` limits what is read."""

    @abc.abstractmethod
    def to_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows as one table ordered by row_id."""

    @abc.abstractmethod
    def summary(self) -> Mapping[str, Any]:
        """Return plain data with at least "statuses" (rows by status), "worker_seconds" (by stage, "total" their wall
        time) and "labels_per_worker_second"."""


class AbstractLabels(abc.ABC):
    """Makes datasets of labels and reads them. Constructed without arguments.

    The level of theory is `context.spec`; everything else is said by an instance of `Options`.
    """

    #: Name under which it was chosen.
    name: str
    #: What may be said: a pydantic model with at least "molecules" (a source of geometries) and "output".
    Options: ClassVar[type[BaseModel]]

    @abc.abstractmethod
    def row_options(self, options: BaseModel) -> Mapping[str, Any]:
        """Return the options that decide what the rows are, as plain data; the others only say how they are made."""

    @abc.abstractmethod
    def elements(self, options: BaseModel, context: TaskContext) -> tuple[int, ...]:
        """Return the atomic numbers in the rows to come. Computes nothing and leaves no file."""

    @abc.abstractmethod
    def make(self, options: BaseModel, context: TaskContext) -> int:
        """Make the rows that are not there yet. Exit code 0: all are there and some are ok; 1: not so; 130: stopped.

        What is there stays, whatever happens: calling it again goes on.
        """

    @abc.abstractmethod
    def reads(self, path: str | os.PathLike[str]) -> bool:
        """Return whether what is at the path is a dataset of this kind. Opens nothing but what tells."""

    @abc.abstractmethod
    def open(self, path: str | os.PathLike[str]) -> AbstractDataset:
        """Open a dataset for reading. `InputError` if there is none, or it is damaged."""


def scalar_properties(schema: pa.Schema) -> dict[str, tuple[str, str]]:
    """Return the properties of a dataset that are numbers: by name, (column, unit of the column; "" for pure numbers).

    What can be averaged, compared or learnt without knowing more of the property.
    """
    found = {}
    for field in schema:
        metadata = field.metadata or {}
        if b"property" in metadata and b"axes" not in metadata and str(field.type) == "double":
            found[metadata[b"property"].decode()] = field.name, metadata.get(b"unit", b"").decode()
    return found


def makers(registry: Registry) -> list[AbstractLabels]:
    """Return every maker of labels that can be used here, by name."""
    available = [o for o in registry.offers("labels") if o.status == "available"]
    return [registry.labels(f"{o.distribution}:{o.name}") for o in available]


def is_dataset(registry: Registry, path: str | os.PathLike[str]) -> bool:
    """Return whether somebody here can read what is at the path as a dataset of labels."""
    return any(maker.reads(path) for maker in makers(registry))


def open_dataset(registry: Registry, path: str | os.PathLike[str]) -> AbstractDataset:
    """Open a dataset with whoever reads it. `InputError` if nobody does."""
    found = makers(registry)
    for maker in found:
        if maker.reads(path):
            return maker.open(path)
    names = ", ".join(maker.name for maker in found) or "none that is installed"
    raise InputError(f"{str(path)!r} is no dataset of labels that is known here (readers: {names})")
