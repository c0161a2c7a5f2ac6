"""A dataset as PyTorch sees it. Imported only when asked for: `Dataset.torch()`."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, get_worker_info

from scfx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from scfx_dataset.reader import Dataset

_GEOMETRY = ("row_id", "atomic_numbers", "positions_angstrom")
Item = dict[str, Any]


class Labels(TorchDataset[Item]):
    """Rows by index, in order of row_id within shards. Shards are read when a row of theirs is asked for.

    An item is a dict: `row_id`; `atomic_numbers` [natm] int64; `positions_angstrom` [natm, 3] and every target, in
    `dtype`. The last `cached_shards` shards stay in memory; shuffle with `Stream` where a dataset is larger.
    """

    def __init__(
        self, dataset: Dataset, targets: Sequence[str], dtype: torch.dtype, cached_shards: int = 1024
    ):
        self._dataset = dataset
        self._targets = _checked(dataset, targets)
        self._dtype = dtype
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
        table = self._dataset.rows_of(self._shards[shard], [*_GEOMETRY, *self._targets])
        self._cache[shard] = items = _items(table, self._targets, self._dtype)
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
        targets: Sequence[str],
        dtype: torch.dtype,
        shuffle: bool,
        seed: int,
        buffer: int = 4096,
    ):
        self._dataset = dataset
        self._targets = _checked(dataset, targets)
        self._dtype = dtype
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
                self._dataset.rows_of(self._shards[shard], [*_GEOMETRY, *self._targets]),
                self._targets,
                self._dtype,
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
    """Molecules of different sizes as one batch: atoms one after the other, `batch` [total atoms] tells whose they are.

    Targets and `row_id` become [batch].
    """
    natm = torch.tensor([len(item["atomic_numbers"]) for item in items])
    batch: Item = {"batch": torch.repeat_interleave(torch.arange(len(items)), natm)}
    for name in items[0]:
        values = [item[name] for item in items]
        if name == "row_id":
            batch[name] = torch.tensor(values)
        else:
            batch[name] = torch.cat(values) if values[0].ndim else torch.stack(values)
    return batch


def _checked(dataset: Dataset, targets: Sequence[str]) -> tuple[str, ...]:
    for name in targets:
        if name not in dataset.schema.names or str(dataset.schema.field(name).type) != "double":
            numbers = [field.name for field in dataset.schema if str(field.type) == "double"]
            raise InputError(f"targets: got {name!r}, expected some of {', '.join(numbers)}")
    return tuple(targets)


def _items(table: pa.Table, targets: Sequence[str], dtype: torch.dtype) -> list[Item]:
    columns = {name: table[name].to_pylist() for name in table.column_names}
    items = []
    for i in range(table.num_rows):
        if any(columns[name][i] is None for name in (*targets, "positions_angstrom")):
            raise InputError(
                f"row {columns['row_id'][i]} has no {', '.join(targets)}: take dataset.filter(status='ok')"
            )
        items.append(
            {
                "row_id": columns["row_id"][i],
                "atomic_numbers": torch.tensor(columns["atomic_numbers"][i], dtype=torch.int64),
                "positions_angstrom": torch.tensor(columns["positions_angstrom"][i], dtype=dtype),
                **{name: torch.tensor(columns[name][i], dtype=dtype) for name in targets},
            }
        )
    return items
