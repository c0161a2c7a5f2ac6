"""Random numbers that depend on a molecule's own start and the stated seed alone."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scfx.model.system import System


def seed_of(system: System, seed: int, sample: int) -> int:
    """Return 64 bits of a SHA-256 over the seed, the number of the sample, and the molecule's atoms and positions.

    Positions count in steps of 1e-6 bohr, so that a file that was written and read again gives the same.
    """
    digest = hashlib.sha256(f"{seed}|{sample}|{system.charge}|{system.multiplicity}|".encode())
    digest.update(np.ascontiguousarray(system.atomic_numbers, dtype=np.int64).tobytes())
    digest.update(np.round(system.positions * 1e6).astype(np.int64).tobytes())
    return int.from_bytes(digest.digest()[:8], "big")


def generator_of(seed: int) -> np.random.Generator:
    """Return numpy's PCG64 of a row's seed."""
    return np.random.Generator(np.random.PCG64(seed))
