"""The reader of xyz and extended xyz files: of `System.from_xyz`, of the command line and of datasets.

What a frame says is honoured or refused: `Properties`, charge, multiplicity and spin, unit, lattice; so are marks of
ghost atoms and QM9's own records. A file is read line by line and nothing is allocated for what it announces.
"""

from __future__ import annotations

import bz2
import gzip
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import InputError
from scfx.model.elements import SYMBOLS, atom_label, nucleus
from scfx.model.stated import joined, stated_charge, stated_multiplicity, total_by_atom, unpaired_by_atom
from scfx.model.xyz_comment import count_line, doubt_of, pairs, refuse_periodic, stated_in_words, unit_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO, TextIO

_LONGEST_LINE = 1 << 20
_COUNT_LIKE = re.compile(r"\s*\d+(\s+[A-Za-z.()]+)?\s*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+|\*\^[+-]?\d+)?")
_QM9_TAG = re.compile(r"gdb\s+\d+\b")
# After the atoms of a QM9 record: frequencies; two SMILES (of the GDB entry, of the relaxed geometry); two InChI.
_QM9_LINES_AFTER = 3
_ELEMENT_COLUMNS = ("species", "z", "numbers", "atomic_numbers")


@dataclass(frozen=True)
class XYZFrame:
    """One geometry as it stands in a file.

    `positions` [natm, 3] in `unit` ("angstrom" or "bohr"; `unit_stated` says whether the file names it). `charge` and
    `multiplicity` are None where nothing states them. `info` has the pairs of the comment line, keys in lower case.
    `qm9` is the identity of a record of QM9 ("gdb 1"), whose `info["smiles"]` is that of the relaxed geometry,
    and `info["smiles_gdb"]` that of the entry it was made from.
    `problem` says why the frame cannot be used; then there are no atoms. `doubt` says which words of the comment may
    state another charge or multiplicity than would be assumed: who takes the frame must have been told both.
    `labels` are the atoms' names, their symbols where the file has no number after it.
    """

    number: int
    comment: str = ""
    numbers: tuple[int, ...] = ()
    ghosts: tuple[bool, ...] = ()
    positions: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    unit: str = "angstrom"
    unit_stated: bool = False
    charge: int | None = None
    multiplicity: int | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    qm9: str = ""
    problem: str = ""
    doubt: str = ""
    labels: tuple[str, ...] = ()


def read_xyz(path: str | os.PathLike[str]) -> list[XYZFrame]:
    """Return all frames of an xyz file; `InputError` naming file and frame if one cannot be used, or there is none."""
    try:
        with open_xyz(Path(path)) as handle:
            frames = []
            for frame in frames_of(handle):
                if frame.problem:
                    which = f"frame {frame.number}: " if frame.number > 1 else ""
                    raise InputError(f"cannot read {str(path)!r} as an xyz file: {which}{frame.problem}")
                frames.append(frame)
    except (OSError, EOFError) as error:
        raise InputError(f"cannot read {str(path)!r} as an xyz file: {error}") from error
    if not frames:
        raise InputError(f"cannot read {str(path)!r} as an xyz file: it is empty")
    return frames


def open_xyz(path: Path) -> TextIO:
    """Return an xyz file as text, decompressed if its name ends in .gz or .bz2; `decoded` says of which encoding."""
    opener: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix.lower(), open)
    return decoded(opener(path, "rb"))


def decoded(stream: BinaryIO) -> TextIO:
    """Return the text of a stream of bytes: UTF-16 if it begins with that mark, else UTF-8, whose mark is dropped.

    Bytes that are not UTF-8 are kept as surrogates: only a comment can hold them, and `frames_of` reads it as latin-1.
    """
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]
    first = buffered.peek(2)[:2]
    if first in (b"\xff\xfe", b"\xfe\xff"):
        return io.TextIOWrapper(buffered, encoding="utf-16")
    return io.TextIOWrapper(buffered, encoding="utf-8-sig", errors="surrogateescape")


class _Lines:
    """Lines of a file with one line of looking ahead; empty text at the end. Lines are cut at 1 MiB."""

    def __init__(self, handle: TextIO):
        self._handle = handle
        self.next = self._read()

    def _read(self) -> str:
        line = self._handle.readline(_LONGEST_LINE)
        if any("\udc80" <= c <= "\udcff" for c in line):
            return line.encode("utf-8", "surrogateescape").decode("latin-1")
        return line

    def take(self) -> str:
        line, self.next = self.next, self._read()
        return line


def frames_of(handle: TextIO) -> Iterator[XYZFrame]:
    """Yield frames of one file, in order, each with its problem if it has one.

    After a frame that holds more or fewer atoms than it announces, reading goes on at the next line that can be a
    count.
    """
    lines, number = _Lines(handle), 0
    while lines.next:
        if not lines.next.strip():
            lines.take()
            continue
        number += 1
        yield _frame(lines, number)


def _frame(lines: _Lines, number: int) -> XYZFrame:
    comment = ""
    try:
        natm, unit = count_line(lines.take())
        comment = lines.take().strip()
        rows = []
        while len(rows) < natm and lines.next.strip() and not _COUNT_LIKE.fullmatch(lines.next):
            rows.append(lines.take())
        if len(rows) < natm:
            raise InputError(f"{natm} atoms announced, {len(rows)} found")
        tag = _QM9_TAG.match(comment)
        after = [lines.take() for _ in range(_QM9_LINES_AFTER if tag else 0)]
        if sum(bool(_NUMBER.fullmatch(word)) for word in lines.next.split()) >= 3:
            raise InputError(
                f"{natm} atoms and then {lines.next.strip()[:40]!r}: there are more atoms than announced"
            )
        return _read_frame(number, comment, rows, unit, " ".join(tag.group().split()) if tag else "", after)
    except InputError as error:
        while lines.next and not _COUNT_LIKE.fullmatch(lines.next):
            lines.take()
        return XYZFrame(number, comment, problem=str(error))


def _read_frame(
    number: int, comment: str, rows: list[str], counted: str | None, qm9: str, after: list[str]
) -> XYZFrame:
    if qm9:  # its comment line is a list of numbers
        words = after[1].split() or [""]
        info: dict[str, Any] = {"smiles": words[-1], "smiles_gdb": words[0], "name": qm9}
        unit, rest = counted, ""
    else:
        said, rest = pairs(comment)
        info = stated_in_words(said, rest)
        refuse_periodic(info)
        unit = unit_of(info, rest, counted)
    numbers, labels, ghosts, positions, by_atom = _atoms(rows, info.get("properties"))
    electrons = sum(z for z, ghost in zip(numbers, ghosts, strict=True) if not ghost)
    where = "comment line"
    charge = joined(
        stated_charge(info, where), by_atom.get("initial_charges"), "charge", "initial charges", where
    )
    multiplicity = joined(
        stated_multiplicity(info, electrons - (charge or 0), where), by_atom.get("initial_magmoms"),
        "multiplicity", "initial magnetic moments", where,
    )  # fmt: skip
    told = charge is not None and multiplicity is not None
    doubt = "" if told else doubt_of(info, rest, electrons, charge, multiplicity)
    return XYZFrame(
        number, comment, numbers, ghosts, positions, unit or "angstrom", unit is not None, charge, multiplicity,
        info, qm9, doubt=doubt, labels=labels,
    )  # fmt: skip


def _atoms(
    rows: list[str], properties: str | None
) -> tuple[tuple[int, ...], tuple[str, ...], tuple[bool, ...], np.ndarray, dict[str, int | None]]:
    """Atomic numbers, labels, ghost marks, positions, and what charges and magnetic moments by atom add up to."""
    cells = [row.split() for row in rows]
    if properties is None:
        columns, width = {"species": (0, 1), "pos": (1, 3)}, None
        _refuse_indexed(cells)
    else:
        columns, width = _layout(properties)
    element = next(columns[name][0] for name in _ELEMENT_COLUMNS if name in columns)
    start = columns["pos"][0]
    needed = width or max(element + 1, start + 3)
    numbers, labels, ghosts, positions = [], [], [], np.empty((len(rows), 3))
    for i, row in enumerate(cells):
        if len(row) < needed or (width and len(row) > width):
            expected = f"{width} columns by Properties" if width else "'symbol x y z'"
            raise InputError(f"atom {i + 1} of {len(rows)} is {rows[i].strip()[:60]!r}, expected {expected}")
        z, ghost = nucleus(row[element])
        for name in _ELEMENT_COLUMNS:
            if name in columns and nucleus(row[columns[name][0]])[0] != z:
                raise InputError(
                    f"atom {i + 1}: {row[element]!r} and {name} {row[columns[name][0]]!r} differ"
                )
        if not 1 <= z < len(SYMBOLS):
            raise InputError(f"atom {i + 1}: atomic number {z}, expected 1 to {len(SYMBOLS) - 1}")
        numbers.append(z)
        labels.append(atom_label(row[element]))
        ghosts.append(ghost or ("ghost" in columns and _true(row[columns["ghost"][0]], i)))
        positions[i] = [_number(text, i) for text in row[start : start + 3]]
    return tuple(numbers), tuple(labels), tuple(ghosts), positions, _by_atom(cells, columns)


def _by_atom(cells: list[list[str]], columns: Mapping[str, tuple[int, int]]) -> dict[str, int | None]:
    out: dict[str, int | None] = {}
    for name in ("initial_charges", "initial_magmoms"):
        if name in columns:
            at, size = columns[name]
            if size != 1:
                raise InputError(f"{name} has {size} columns, and scfx reads one number by atom; remove it")
            values = [_number(row[at], i) for i, row in enumerate(cells)]
            if name == "initial_charges":
                remedy = "write charge= in the comment line and remove the column"
                out[name] = total_by_atom(values, "initial charges", "Properties", remedy)
            else:
                out[name] = unpaired_by_atom(values, "Properties")
    return out


def _refuse_indexed(cells: list[list[str]]) -> None:
    """Rows such as '1 8 0.0 0.0 0.1' may be index, element, position, or element, position, and a fifth number."""
    whole = all(len(row) > 4 and row[1].isdigit() for row in cells)
    if whole and [row[0] for row in cells] == [str(i + 1) for i in range(len(cells))]:
        raise InputError(
            "the rows begin with two whole numbers, the first counting up: it may be the atom's index; remove the "
            "index, or name the columns in the comment line (Properties=id:I:1:Z:I:1:pos:R:3)"
        )


def _layout(properties: str) -> tuple[dict[str, tuple[int, int]], int]:
    """{name: (first column, number of columns)} and the total, from extended xyz's 'species:S:1:pos:R:3:...'."""
    fields = properties.split(":")
    columns, start = {}, 0
    if len(fields) % 3:
        raise InputError(f"Properties={properties} is not name:type:columns, repeated")
    for name, kind, count in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
        if not count.isdigit() or int(count) < 1 or kind.upper() not in ("S", "R", "I", "L"):
            raise InputError(f"Properties={properties}: {name}:{kind}:{count} is not name:type:columns")
        if name.lower() in columns:
            raise InputError(f"Properties={properties} names {name} twice")
        columns[name.lower()] = (start, int(count))
        start += int(count)
    if "pos" not in columns or columns["pos"][1] != 3:
        raise InputError(f"Properties={properties} has no pos:R:3")
    if not any(columns.get(name, (0, 0))[1] == 1 for name in _ELEMENT_COLUMNS):
        raise InputError(f"Properties={properties} has no species:S:1 (or Z:I:1)")
    return columns, start


def number_of(text: str) -> float:
    """Return a number as files state it: also Fortran's 1.5D-06, and QM9's 1.5*^-6, as Mathematica writes."""
    if not _NUMBER.fullmatch(text):
        raise InputError(f"could not convert string to float: {text[:40]!r}")
    return float(text.replace("*^", "e").replace("D", "e").replace("d", "e"))


def _number(text: str, atom: int) -> float:
    if _NUMBER.fullmatch(text):
        return number_of(text)
    remedy = ""
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        remedy = "; write a decimal point"
    elif re.fullmatch(r"[+-]?(nan|inf|infinity)", text, re.IGNORECASE):
        remedy = ", which is not finite"
    raise InputError(f"could not convert string to float: {text[:40]!r} (atom {atom + 1}){remedy}")


def _true(text: str, atom: int) -> bool:
    if text.lower() in ("t", "true", "1"):
        return True
    if text.lower() in ("f", "false", "0"):
        return False
    raise InputError(f"atom {atom + 1}: ghost is {text!r}, expected T or F")
