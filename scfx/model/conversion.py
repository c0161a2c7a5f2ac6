"""Systems of whatever people have: objects of other programs, paths of xyz files, SMILES."""

from __future__ import annotations

import os
from typing import Any

from scfx.errors import InputError
from scfx.model.system import System


def as_system(value: Any) -> System:
    """Return a `System` of whatever people have: itself, ASE Atoms, a PySCF Mole, an RDKit Mol, a QCSchema molecule, a
    path of an xyz file, or a SMILES string. Raises `InputError` naming the constructors for anything else.
    """
    if isinstance(value, System):
        return value
    if isinstance(value, os.PathLike):
        return System.from_xyz(value)
    if isinstance(value, str):
        return _from_text(value)
    from scfx.model.formats import kind_of

    kind = kind_of(value)
    if kind:
        return getattr(System, f"from_{kind}")(value)
    raise InputError(
        f"got {type(value).__name__} {value!r:.60}, expected a scfx.System; make one with System.from_arrays "
        "(symbols and positions), from_xyz, from_smiles, from_rdkit, from_ase, from_pyscf or from_qcschema"
    )


def as_systems(values: Any) -> list[System]:
    """Return a list of Systems of one object or of an iterable of objects that `as_system` takes. Errors name the
    entry.
    """
    from scfx.model.formats import kind_of

    if isinstance(values, (System, str, os.PathLike)) or kind_of(values):
        return [as_system(values)]
    try:
        entries = list(values)
    except TypeError:
        return [as_system(values)]
    out = []
    for index, value in enumerate(entries):
        try:
            out.append(as_system(value))
        except InputError as error:
            raise type(error)(f"systems[{index}]: {error}") from error
    return out


def _from_text(text: str) -> System:
    if is_xyz_path(text):
        return System.from_xyz(text)
    return System.from_smiles(text)


def is_xyz_path(text: str) -> bool:
    """Return whether text names an xyz file (one of that name exists, or it ends so) rather than being a SMILES
    string.
    """
    name = text.lower().removesuffix(".gz").removesuffix(".bz2")
    return name.endswith((".xyz", ".extxyz")) or os.path.exists(text)
