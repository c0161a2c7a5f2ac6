"""Labels for other tasks: the dataset task and its reader behind the core's contract."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any, ClassVar

from scfx.contracts.labels import AbstractLabels
from scfx.errors import InputError
from scfx.jobs.plan import PLAN
from scfx.jobs.stores import open_store
from scfx_dataset.options import DatasetOptions
from scfx_dataset.schema import FORMAT

if TYPE_CHECKING:
    from pydantic import BaseModel

    from scfx.contracts.task import TaskContext
    from scfx_dataset.reader import Dataset
    from scfx_dataset.task import DatasetTask


class DatasetLabels(AbstractLabels):
    """Makes datasets as the dataset task does, and reads them."""

    Options: ClassVar[type[BaseModel]] = DatasetOptions

    def task(self, options: BaseModel) -> DatasetTask:
        """Return the task that does the work."""
        from scfx_dataset.task import DatasetTask

        return DatasetTask(options)

    def row_options(self, options: BaseModel) -> dict[str, Any]:
        """Return the options that decide what the rows are."""
        assert isinstance(options, DatasetOptions)
        return options.row_options()

    def elements(self, options: BaseModel, context: TaskContext) -> tuple[int, ...]:
        """Return the atomic numbers in the rows to come. A plan is made in passing, in a folder of its own."""
        from rdkit import Chem

        assert isinstance(options, DatasetOptions)
        found: set[int] = set()
        with tempfile.TemporaryDirectory(prefix="scfx-elements-") as folder:
            plan, _ = self.task(options.model_copy(update={"output": folder})).plan(context)
            for shard in plan.shards:
                rows = plan.rows(shard)
                found.update(z for row in rows["atomic_numbers"].to_pylist() for z in row or ())
                for smiles in set(rows["smiles"].to_pylist()) - {None}:
                    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
                    found.update(atom.GetAtomicNum() for atom in molecule.GetAtoms())
        return tuple(sorted(found))

    def make(self, options: BaseModel, context: TaskContext) -> int:
        """Make the rows that are not there yet; 0: all are there and some are ok, 1: not so, 130: stopped."""
        return self.task(options).run(context)

    def reads(self, path: str | os.PathLike[str]) -> bool:
        """Return whether what is at the path is a dataset of this package."""
        # Of a damaged one `open` says what is wrong with it.
        try:
            return f'"{FORMAT}"'.encode() in open_store(path).read(PLAN)
        except (InputError, OSError):
            return False

    def open(self, path: str | os.PathLike[str]) -> Dataset:
        """Return the dataset at the path, opened."""
        from scfx_dataset.reader import Dataset

        return Dataset(path)
