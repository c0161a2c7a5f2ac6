"""xyz and extended xyz files, and the layout of QM9's own records."""

from __future__ import annotations

import io
import re
import tarfile
from typing import TYPE_CHECKING, TextIO

from scfx.errors import InputError
from scfx_dataset.sources.record import Geometry, Record, geometry_of, open_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_KEY_VALUE = re.compile(r"""([A-Za-z_][\w-]*)=("[^"]*"|'[^']*'|\{[^}]*\}|\S+)""")
_QM9_TAG = re.compile(r"gdb\s+\d+\b")
# After the atoms of a QM9 record: frequencies; two SMILES (of the GDB entry, of the relaxed geometry); two InChI.
_QM9_LINES_AFTER = 3


def looks_like_qm9(path: Path) -> bool:
    """Whether the first comment line is that of a QM9 record: 'gdb 1  157.7118 ...'."""
    with open_text(path) as handle:
        handle.readline()
        return bool(_QM9_TAG.match(handle.readline()))


def read_xyz_files(path: Path, qm9: bool) -> Iterator[Record]:
    """Frames of an xyz file, of every .xyz file of a folder (by name), or of every .xyz member of a tar archive.

    `qm9`: records of Ramakrishnan et al., Sci. Data 1, 140022 (2014), table 2. Their SMILES is the second of the two,
    that of the relaxed geometry. `line` counts frames over all files.
    """
    number = 0
    for name, handle in _files(path):
        for record in _frames(handle, name, qm9):
            number += 1
            yield record._replace(line=number)


def _files(path: Path) -> Iterator[tuple[str, TextIO]]:
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix == ".xyz":
                with file.open(encoding="utf-8") as handle:
                    yield file.name, handle
    elif any(suffix in (".tar", ".tgz", ".tbz2") for suffix in path.suffixes):
        try:
            with tarfile.open(path, "r|*") as archive:  # as a stream: in order, nothing is unpacked
                for member in archive:
                    content = archive.extractfile(member) if member.name.endswith(".xyz") else None
                    if content is not None:
                        yield member.name.rpartition("/")[2], io.StringIO(content.read().decode())
        except tarfile.TarError as error:
            raise InputError(f"task.molecules: cannot read {str(path)!r} as an archive: {error}") from error
    else:
        with open_text(path) as handle:
            yield path.name, handle


def _frames(handle: TextIO, file: str, qm9: bool) -> Iterator[Record]:
    """Frames of one file. After a wrong count the file's rest is one unusable record: frames have no other marks."""
    frame = 0
    while count := handle.readline():
        if not count.strip():
            continue
        frame += 1
        try:
            natm = int(count.split()[0])
        except ValueError:
            problem = f"{file}, frame {frame}: expected the number of atoms, found {count.strip()[:40]!r}"
            yield Record(0, "", f"{file} {frame}", problem=f"{problem}; the rest of the file is not read")
            return
        comment = handle.readline().strip()
        lines = [handle.readline() for _ in range(natm)]
        after = [handle.readline() for _ in range(_QM9_LINES_AFTER if qm9 else 0)]
        yield _record(file, frame, comment, lines, after)


def _record(file: str, frame: int, comment: str, lines: list[str], after: list[str]) -> Record:
    tag = _QM9_TAG.match(comment) if after else None
    if after:
        info: Mapping[str, str] = {}
        name = " ".join(tag.group().split()) if tag else f"{file} {frame}"
        smiles = (after[1].split() or [""])[-1]
    else:
        info = {key.lower(): value.strip("\"'") for key, value in _KEY_VALUE.findall(comment)}
        name = info.get("name", info.get("id", "")) or f"{file} {frame}"
        smiles = info.get("smiles", "")
    try:
        if after and tag is None:
            raise ValueError(f"not a record of QM9: its comment line is {comment[:40]!r}")
        charge, multiplicity = (int(info[k]) if k in info else None for k in ("charge", "multiplicity"))
        return Record(0, smiles, name, _geometry(lines, info.get("properties")), charge, multiplicity)
    except (ValueError, IndexError) as error:
        return Record(0, smiles, name, problem=f"{file}, frame {frame}: {error}")


def _geometry(lines: list[str], properties: str | None) -> Geometry:
    species, position = _layout(properties) if properties else (0, 1)
    rows = [line.split() for line in lines]
    short = next((i for i, row in enumerate(rows) if len(row) < max(species + 1, position + 3)), None)
    if short is not None:
        raise ValueError(f"{len(rows)} atoms announced, but atom {short + 1} is {lines[short].strip()!r}")
    elements = [int(row[species]) if row[species].isdigit() else row[species] for row in rows]
    # QM9 writes exponents as 1.5*^-6, as Mathematica does.
    positions = [[float(x.replace("*^", "e")) for x in row[position : position + 3]] for row in rows]
    return geometry_of(elements, positions)


def _layout(properties: str) -> tuple[int, int]:
    """Columns where species and positions start, from extended xyz's 'species:S:1:pos:R:3:...'."""
    fields = properties.split(":")
    starts, start = {}, 0
    for name, count in zip(fields[::3], fields[2::3], strict=True):
        starts[name] = start
        start += int(count)
    element = next((starts[n] for n in ("species", "Z", "numbers") if n in starts), None)
    if element is None or "pos" not in starts:
        raise ValueError(f"Properties={properties} has no species or no pos")
    return element, starts["pos"]
