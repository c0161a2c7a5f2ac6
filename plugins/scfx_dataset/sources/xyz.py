"""Frames of xyz and extended xyz files, and QM9's own records, as records of a dataset (`scfx.model.xyz`
reads them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.errors import InputError
from scfx.model.xyz import frames_of, open_xyz
from scfx.model.xyz_files import xyz_files
from scfx_dataset.sources.record import Record, geometry_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from scfx.model.xyz import XYZFrame


def looks_like_qm9(path: Path) -> bool:
    """Return whether the first frame is a QM9 record: its comment is 'gdb 1  157.7118 ...'."""
    with open_xyz(path) as handle:
        return any(frame.qm9 for frame in _first(frames_of(handle)))


def _first(frames: Iterator[XYZFrame]) -> Iterator[XYZFrame]:
    for frame in frames:
        yield frame
        return


def read_xyz_files(path: Path, qm9: bool, unit: str = "") -> Iterator[Record]:
    """Yield frames of an xyz file, of every .xyz file of a folder (by name), or of every .xyz member of a tar archive.

    `qm9`: QM9's own records (`scfx.model.qm9`). Their SMILES is that of the relaxed geometry. `unit` is what the task
    says of positions whose file does not. `line` counts frames over all files.
    """
    number = 0
    for name, handle in _files(path):
        for frame in frames_of(handle):
            number += 1
            yield _record(frame, number, name, qm9, unit)


def _files(path: Path) -> Iterator[tuple[str, TextIO]]:
    try:
        yield from xyz_files(path)
    except InputError as error:
        raise InputError(f"task.molecules: {error}") from error


def _record(frame: XYZFrame, number: int, file: str, qm9: bool, unit: str) -> Record:
    name = str(frame.info.get("name") or frame.info.get("id") or f"{file} {frame.number}")
    smiles = str(frame.info.get("smiles") or "")
    problem = frame.problem or frame.doubt
    if not problem and qm9 and not frame.qm9:
        problem = f"not a record of QM9: its comment line is {frame.comment[:40]!r}"
    if not problem and unit and frame.unit_stated and unit != frame.unit:
        problem = f"the file says {frame.unit}, task.positions_unit says {unit!r}; remove one of them"
    if problem:
        return Record(number, smiles, name, problem=f"{file}, frame {frame.number}: {problem}")
    if any(frame.ghosts):
        return Record(
            number,
            smiles,
            name,
            problem=f"{file}, frame {frame.number}: a dataset has no column for ghost atoms",
        )
    geometry = geometry_of(frame.numbers, frame.positions, unit or frame.unit)
    # QM9's records are in angstrom by their description.
    assumed = () if unit or frame.unit_stated or frame.qm9 else ("unit",)
    return Record(number, smiles, name, geometry, frame.charge, frame.multiplicity, assumed=assumed)
