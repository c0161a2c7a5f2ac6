"""A dataset as PyTorch sees it. Imported only when asked for: `Dataset.torch()`."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, get_worker_info

from scfx.errors import InputError
from scfx.model.elements import SYMBOLS, atomic_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from scfx_dataset.reader import Dataset

_ROW = ("row_id", "charge", "multiplicity", "atomic_numbers", "positions_angstrom")
#: Whole numbers of an item, one a row.
_WHOLE = ("row_id", "charge", "multiplicity")
Item = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What an item holds: the target columns and, in the same order, the dtype of each; `dtype` of positions.

    `vectors` are targets with one vector a row. `references`: eV by atomic number to take from "energy_ev".
    """

    targets: tuple[str, ...]
    dtypes: tuple[torch.dtype, ...]
    dtype: torch.dtype
    vectors: frozenset[str]
    references: Mapping[int, float] | None = None

    @classmethod
    def from_targets(
        cls,
        dataset: Dataset,
        targets: Sequence[str],
        dtype: torch.dtype | None,
        atom_references: Mapping[str, float] | None,
    ) -> Wanted:
        """Make it of names. Raises `InputError` for columns that are no numbers, one or a vector for a row or for an
        atom.
        """
        if isinstance(targets, str):
            targets = (targets,)
        usable = {field.name: kind for field in dataset.schema if (kind := _kind(field))}
        for name in targets:
            if name not in usable:
                raise InputError(f"targets: got {name!r}, expected some of {', '.join(usable)}")
        if atom_references is not None and "energy_ev" not in targets:
            raise InputError(
                f"atom_references are taken from 'energy_ev', which is not a target: {', '.join(targets)}"
            )
        exact = () if atom_references is not None else ("energy_ev",)
        return cls(
            tuple(targets),
            tuple(dtype or (torch.float64 if name in exact else torch.float32) for name in targets),
            dtype or torch.float32,
            frozenset(name for name in targets if usable[name] == "vector"),
            None
            if atom_references is None
            else {atomic_number(element): float(value) for element, value in atom_references.items()},
        )

    def value(self, name: str, given: Any, row: Mapping[str, Any]) -> Any:
        """Return the number of a target that an item has, in float64."""
        if name != "energy_ev" or self.references is None:
            return given
        lacking = sorted({z for z in row["atomic_numbers"] if z not in self.references})
        if lacking:
            raise InputError(
                f"atom_references: row {row['row_id']} has {', '.join(SYMBOLS[z] for z in lacking)}, for which "
                "there is none; fit them on a part that has every element"
            )
        return given - sum(self.references[z] for z in row["atomic_numbers"])


def _kind(field: pa.Field) -> str:
    """Whether a column is a "number", a "vector", or by "atom"; "" for anything else (text, matrices, orbitals)."""
    axes = tuple((field.metadata or {}).get(b"axes", b"").decode().split())
    if field.name == "mulliken_charges":  # also where task.extras asked for it, without axes
        return "atom"
    if field.name == "dipole_vector_debye" or axes == ("xyz",):
        return "vector"
    if axes in (("atom",), ("atom", "xyz")):
        return "atom"
    return "number" if str(field.type) == "double" else ""


class Labels(TorchDataset[Item]):
    """Rows by index, in order of row_id within shards. Shards are read when a row of theirs is asked for.

    An item is a dict: `row_id`, `charge`, `multiplicity`; `atomic_numbers` [natm] int64; `positions_angstrom` [natm,
    3]; and every target: a number, a vector as [1, n] (so that batches are [batch, n]), or [natm] or [natm, 3] of
    the atoms. The last `cached_shards` shards stay in memory; shuffle with `Stream` where a dataset is larger.
    """

    def __init__(self, dataset: Dataset, wanted: Wanted, cached_shards: int = 1024):
        self._dataset = dataset
        self._wanted = wanted
        self._cached_shards = cached_shards
        self._cache: OrderedDict[int, list[Item]] = OrderedDict()
        # Fixed now: another process may be committing more.
        self._shards = dataset.committed_shards()
        counts = [dataset.rows_of(shard, ["row_id"]).num_rows for shard in self._shards]
        self._ends = np.cumsum(counts, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._ends.size else 0

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of a dataset of {len(self)}")
        shard = int(np.searchsorted(self._ends, index, side="right"))
        start = int(self._ends[shard - 1]) if shard else 0
        return self._items(shard)[index - start]

    def _items(self, shard: int) -> list[Item]:
        if shard in self._cache:
            self._cache.move_to_end(shard)
            return self._cache[shard]
        table = self._dataset.rows_of(self._shards[shard], _columns(self._wanted))
        self._cache[shard] = items = _items(table, self._wanted)
        if len(self._cache) > self._cached_shards:
            self._cache.popitem(last=False)
        return items

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": OrderedDict()}


class Stream(IterableDataset[Item]):
    """Rows as they come from the shards, each shard read once an epoch; the workers of a DataLoader share the shards.

    With `shuffle` the shards come in random order and rows through a buffer of `buffer` rows: call `set_epoch` before
    each epoch for another order. Memory: the buffer and one shard.
    """

    def __init__(
        self,
        dataset: Dataset,
        wanted: Wanted,
        shuffle: bool,
        seed: int,
        buffer: int = 4096,
    ):
        self._dataset = dataset
        self._wanted = wanted
        self._shards = dataset.committed_shards()
        self._shuffle = shuffle
        self._seed = seed
        self._buffer = buffer
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Item]:
        worker = get_worker_info()
        index, count = (worker.id, worker.num_workers) if worker else (0, 1)
        order = np.arange(len(self._shards))
        generator = np.random.default_rng([self._seed, self._epoch])
        if self._shuffle:
            order = generator.permutation(order)
        items = (
            item
            for shard in order[index::count]
            for item in _items(
                self._dataset.rows_of(self._shards[shard], _columns(self._wanted)), self._wanted
            )
        )
        return _mixed(items, self._buffer, generator) if self._shuffle else items


def _mixed(items: Iterator[Item], size: int, generator: np.random.Generator) -> Iterator[Item]:
    held: list[Item] = []
    for item in items:
        held.append(item)
        if len(held) >= size:
            at = int(generator.integers(len(held)))
            held[at], held[-1] = held[-1], held[at]
            yield held.pop()
    for at in generator.permutation(len(held)):
        yield held[at]


def collate(items: Sequence[Item]) -> Item:
    """Return molecules of different sizes as one batch: atoms one after the other, `batch` [total atoms] tells whose
    they are.

    Numbers become [batch], vectors [batch, n], what belongs to atoms [total atoms] or [total atoms, 3].
    """
    natm = torch.tensor([len(item["atomic_numbers"]) for item in items])
    batch: Item = {"batch": torch.repeat_interleave(torch.arange(len(items)), natm)}
    for name in items[0]:
        values = [item[name] for item in items]
        if name in _WHOLE:
            batch[name] = torch.tensor(values)
        else:
            batch[name] = torch.cat(values) if values[0].ndim else torch.stack(values)
    return batch


def _columns(wanted: Wanted) -> list[str]:
    return list(dict.fromkeys([*_ROW, *wanted.targets]))


def _items(table: pa.Table, wanted: Wanted) -> list[Item]:
    items = []
    for row in table.to_pylist():
        lacking = [name for name in (*wanted.targets, "positions_angstrom") if row[name] is None]
        if lacking:
            raise InputError(
                f"row {row['row_id']} is ok but has no {', '.join(lacking)} (the dataset says why where it has a "
                "column of reasons); leave that target out"
            )
        item: Item = {name: row[name] for name in _WHOLE}
        item["atomic_numbers"] = torch.tensor(row["atomic_numbers"], dtype=torch.int64)
        item["positions_angstrom"] = torch.tensor(row["positions_angstrom"], dtype=wanted.dtype)
        for name, dtype in zip(wanted.targets, wanted.dtypes, strict=True):
            value = torch.tensor(wanted.value(name, row[name], row), dtype=dtype)
            item[name] = value[None] if name in wanted.vectors else value
        items.append(item)
    return items
