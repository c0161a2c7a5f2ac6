"""QM9 in its own form (Ramakrishnan et al. 2014): dsgdb9nsd xyz files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from scfx.model.qm9 import QM9Record, read_qm9
from scfx.model.same_molecule import molecule_key
from scfx.model.system import HARTREE_IN_EV
from scfx_schnet.molecules import Chunk

#: Rows that are in memory at once.
CHUNK = 4096


def read_xyz(path: Path) -> Iterator[Chunk]:
    """Read QM9's own files: a folder of `dsgdb9nsd_*.xyz`, one such file, or a tar archive of them (`scfx.model.qm9`).

    Which molecule a record is, the SMILES of its relaxed geometry says.
    """
    records = read_qm9(path)
    while rows := list(islice(records, CHUNK)):
        yield _chunk(rows)


def xyz_identity(path: Path) -> Any:
    """Return what tells one folder or archive from another, without reading it: names, sizes and times.

    None for a folder without such files.
    """
    files = sorted(path.rglob("*.xyz")) if path.is_dir() else [path]
    if not files:
        return None
    stats = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return [len(stats), hash_of(stats)]


def hash_of(value: Any) -> str:
    """Return the SHA-256 (hex) of a value's text."""
    return hashlib.sha256(repr(value).encode()).hexdigest()


def _chunk(rows: list[QM9Record]) -> Chunk:
    energies = {name: [r.properties[name] for r in rows] for name in ("homo", "lumo", "gap")}
    energies["energy"] = [r.electronic_energy for r in rows]
    return Chunk(
        sizes=np.array([len(r.numbers) for r in rows]),
        numbers=np.concatenate([np.array(r.numbers) for r in rows]),
        positions=np.concatenate([r.positions for r in rows]),
        molecules=[molecule_key(r.smiles_relaxed, None, r.numbers) for r in rows],
        targets={name: np.array(values) * HARTREE_IN_EV for name, values in energies.items()},
    )
