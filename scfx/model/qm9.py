"""QM9's own records (Ramakrishnan, Dral, Rupp, von Lilienfeld, Sci. Data 1, 140022, 2014, table 2).

A record is an xyz frame whose comment line has the properties, each atom a Mulliken charge behind its position, and
which three lines follow: frequencies; two SMILES, of the GDB-17 entry and of the relaxed geometry; two InChI of the
same. Where the two structures differ, the relaxation has broken or made a bond; the geometry is that of the second, so
the second says which molecule it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scfx.errors import InputError
from scfx.model.xyz import XYZFrame, frames_of, number_of
from scfx.model.xyz_files import xyz_files

#: Names of the properties behind "gdb 1", in order: GHz (3), debye, bohr³, hartree (3), bohr², hartree (5), cal/(mol
#: K).
PROPERTIES = (
    "A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "U0", "U", "H", "G", "Cv",
)  # fmt: skip


@dataclass(frozen=True)
class QM9Record:
    """One record, in QM9's own units (`PROPERTIES`); positions [natm, 3] in angstrom."""

    name: str
    numbers: tuple[int, ...]
    positions: np.ndarray
    properties: Mapping[str, float]
    smiles_gdb: str
    smiles_relaxed: str

    @property
    def electronic_energy(self) -> float:
        """Return U0 without the zero-point energy, hartree: what an SCF calculation gives."""
        return self.properties["U0"] - self.properties["zpve"]


def record_of(frame: XYZFrame) -> QM9Record:
    """Return the record that a frame is; `InputError` if it is none."""
    fields = frame.comment.split()
    if frame.problem or not frame.qm9 or len(fields) < 2 + len(PROPERTIES):
        reason = frame.problem or f"its comment line is {frame.comment[:40]!r}"
        raise InputError(
            f"not a record of QM9: {reason}; expected the number of atoms, a line of 'gdb', an index and "
            f"{len(PROPERTIES)} properties, the atoms with a partial charge, frequencies, and two SMILES"
        )
    values = {name: number_of(text) for name, text in zip(PROPERTIES, fields[2:], strict=False)}
    return QM9Record(
        frame.qm9, frame.numbers, frame.positions, values, frame.info["smiles_gdb"], frame.info["smiles"]
    )


def read_qm9(path: Path) -> Iterator[QM9Record]:
    """Yield records of a file, of the .xyz files in a folder and its folders, or of a tar archive, in the order of
    names.

    Raises `InputError` naming the file of the first frame that is no record.
    """
    for name, handle in xyz_files(path, recursive=True):
        for frame in frames_of(handle):
            try:
                yield record_of(frame)
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
