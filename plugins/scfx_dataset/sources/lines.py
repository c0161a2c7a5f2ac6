"""Lines of a text file in bounded memory, whatever the file holds; and where it ended if it ended early."""

from __future__ import annotations

import bz2
import gzip
import zlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from scfx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 1 << 16
#: Characters of a refused text that are kept to recognise it by.
KEPT = 80
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line without its end. `problem` says why it cannot be used: `text` is then only its beginning."""

    number: int
    text: bytes
    problem: str = ""


class Lines:
    """The lines of a file, decompressed if its name ends in .gz or .bz2. A line longer than `limit` bytes is a problem.

    A file that breaks off (a compressed stream that is cut or damaged) ends where it does: `ended_early` then says at
    which byte and why. `InputError` if not even its beginning can be read.
    """

    def __init__(self, path: Path, limit: int):
        self._path = path
        self._limit = limit
        self.ended_early = ""

    def __iter__(self) -> Iterator[Line]:
        number, rest, dropped = 0, b"", 0
        for chunk in self._chunks():
            *whole, rest = _split(rest + chunk)
            for text in whole:
                number += 1
                yield self._line(number, text, dropped)
                dropped = 0
            if len(rest) + dropped > self._limit and len(rest) > KEPT:
                # Only its beginning is kept, and a carriage return at the end, which a line feed may follow.
                kept = rest[:KEPT] + (b"\r" if rest.endswith(b"\r") else b"")
                dropped += len(rest) - len(kept)
                rest = kept
        if rest:
            yield self._line(number + 1, rest, dropped)

    def _line(self, number: int, text: bytes, dropped: int) -> Line:
        text = text.rstrip(b"\r\n").removeprefix(_BYTE_ORDER_MARK if number == 1 else b"")
        size = len(text) + dropped
        if size > self._limit:
            problem = f"the line has {size} bytes, more than limits.record_bytes = {self._limit}"
            return Line(number, text[:KEPT], problem)
        return Line(number, text)

    def _chunks(self) -> Iterator[bytes]:
        read = 0
        with self._path.open("rb") as file:
            handle = _decompressed(self._path, file)
            while True:
                try:
                    chunk = handle.read1(_CHUNK)  # type: ignore[attr-defined]
                except (EOFError, zlib.error, OSError) as error:
                    if isinstance(error, OSError) and error.errno is not None:
                        raise  # of the machine, not of the stream
                    if not read:
                        raise InputError(
                            f"task.molecules: cannot read {str(self._path)!r}: {error}"
                        ) from error
                    self.ended_early = (
                        f"the source breaks off after byte {read} of its text (near byte {file.tell()} of the file): "
                        f"{error}. What follows is not read, and what precedes may be damaged"
                    )
                    return
                if not chunk:
                    return
                if not read and chunk.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise InputError(f"task.molecules: {str(self._path)!r} is UTF-16 text; save it as UTF-8")
                read += len(chunk)
                yield chunk


def _decompressed(path: Path, file: BinaryIO) -> BinaryIO:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    return bz2.BZ2File(file) if suffix == ".bz2" else file  # type: ignore[return-value]


def _split(data: bytes) -> list[bytes]:
    """Lines with their ends; the last one, perhaps empty, is not complete yet."""
    lines = data.splitlines(keepends=True)
    # A carriage return may be the first half of the end of a line.
    return lines if lines and not lines[-1].endswith(b"\n") else [*lines, b""]


def readable(text: str) -> str:
    """Return text that can be stored and shown: bytes that are not UTF-8 as \\xNN."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
