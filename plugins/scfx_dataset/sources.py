"""Reading molecule files line by line, in bounded memory."""

from __future__ import annotations

import csv
import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scfx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADERS = {"smiles", "smi", "canonical_smiles", "isomeric_smiles", "#smiles"}


class Record(NamedTuple):
    """One molecule as it stands in the source: 1-based line number and SMILES text."""

    line: int
    smiles: str


def resolve(path: str, config_path: str | None) -> Path:
    """`path` in the working directory, else beside the configuration file; `InputError` naming both otherwise."""
    tried = [Path(path)]
    if config_path is not None and not Path(path).is_absolute():
        tried.append(Path(config_path).resolve().parent / path)
    for candidate in tried:
        if candidate.is_file():
            return candidate
    places = " and ".join(str(p.absolute()) for p in tried)
    raise InputError(f"task.molecules: no file {path!r}; looked at {places}")


def sha256_of(path: Path) -> str:
    """Digest of a file's bytes, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_smiles(path: Path, column: str = "smiles") -> Iterator[Record]:
    """Records of a SMILES file: the first word of each line, or a column of a .csv; `.gz` is read as such.

    A header line, empty lines and lines that start with '#' are passed over. Raises `InputError` if the file cannot
    be read as text or the csv column is missing.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    stem = path.with_suffix("") if path.suffix == ".gz" else path
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as handle:
            if stem.suffix == ".csv":
                yield from _csv_records(handle, path, column)
            else:
                yield from _line_records(handle)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"task.molecules: cannot read {str(path)!r} as a SMILES file: {error}") from error


def _line_records(handle) -> Iterator[Record]:
    first = True
    for number, line in enumerate(handle, start=1):
        words = line.split()
        if not words:
            continue
        header = first and words[0].lower() in _HEADERS
        first = False
        if not header and not words[0].startswith("#"):
            yield Record(number, words[0])


def _csv_records(handle, path: Path, column: str) -> Iterator[Record]:
    reader = csv.DictReader(handle)
    if column not in (reader.fieldnames or ()):
        raise InputError(
            f"task.column: {str(path)!r} has no column {column!r}; it has {', '.join(reader.fieldnames or ())}"
        )
    for row in reader:
        text = (row[column] or "").strip()
        if text:
            yield Record(reader.line_num, text)
