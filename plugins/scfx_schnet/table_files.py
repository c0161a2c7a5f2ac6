"""Reading tables, Parquet or CSV, some rows at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from scfx.errors import ConfigError

#: Rows that are in memory at once.
CHUNK = 4096
#: Makes the error for a cell, of (row, column or None for the whole row, what is wrong).
Refused = Callable[[int, str | None, str], ConfigError]


def column_names(path: Path, key: str) -> list[str]:
    """Return the names of the columns. Raises `ConfigError` with `key` for a file that cannot be read."""
    with _readable(path, key):
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as file:
                header = next(csv.reader(file), None)
            if header is None:
                raise ConfigError(
                    f"{key}.path", f"{str(path)!r} is empty; expected a line with the columns' names"
                )
            return header
        import pyarrow.parquet as pq

        return list(pq.ParquetFile(path).schema_arrow.names)


def parts(
    path: Path, key: str, plain: list[str], lists: list[str], refused: Refused
) -> Iterator[dict[str, list[Any]]]:
    """Yield some rows after the other, column by column; the columns `lists` are JSON where the table is CSV.

    Raises `ConfigError` with `key` for a file that cannot be read, and what `refused` makes of a bad cell.
    """
    with _readable(path, key):
        if path.suffix == ".csv":
            yield from _csv_parts(path, plain, lists, refused)
            return
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(path).iter_batches(CHUNK, columns=[*plain, *lists]):
            if batch.num_rows:
                yield batch.to_pydict()


def _csv_parts(
    path: Path, plain: list[str], lists: list[str], refused: Refused
) -> Iterator[dict[str, list[Any]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows, first = csv.DictReader(file), 0
        while part := list(islice(rows, CHUNK)):
            for index, each in enumerate(part):
                if None in each:
                    raise refused(
                        first + index, None, "it has more cells than there are columns; lists need quotes"
                    )
            found = {column: [each[column] for each in part] for column in plain}
            for column in lists:
                texts = [each[column] for each in part]
                found[column] = [_json(text, first + i, column, refused) for i, text in enumerate(texts)]
            yield found
            first += len(part)


def _json(text: str | None, row: int, column: str, refused: Refused) -> Any:
    if not text:
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise refused(row, column, f"{short(text)} is no list in JSON") from None


@contextmanager
def _readable(path: Path, key: str) -> Iterator[None]:
    """Turn what goes wrong in reading a file into `ConfigError`."""
    import pyarrow as pa

    kind = "CSV in UTF-8" if path.suffix == ".csv" else "Parquet"
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, csv.Error, OSError) as error:
        raise ConfigError(f"{key}.path", f"{str(path)!r} cannot be read as {kind}: {error}") from error


def short(value: Any) -> str:
    """Return a value as it is shown in an error."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
