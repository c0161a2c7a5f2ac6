"""`PackedMolecules`: molecules of different sizes in one batch, their atoms concatenated, nothing padded."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from scfx.errors import InputError
from scfx.model.system import BOHR_IN_ANGSTROM

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Lengths that are accepted at the edge, in angstrom. Inside there are only angstroms.
LENGTH_UNITS = {"angstrom": 1.0, "bohr": BOHR_IN_ANGSTROM}


@dataclass(frozen=True, eq=False)
class PackedMolecules:
    """Atoms of `n_molecules` molecules one after the other. Positions in angstrom.

    `molecule` says which molecule an atom belongs to; `first` < `second` are all pairs of atoms of one molecule,
    each once, whatever their distance. `targets` are those of the training, if there are any, else empty; `forces`
    [atom, 3] are those to be learnt, in the unit that the targets are in, None where there are none. `head`: which kind
    of labels a molecule has, where a network learns several (`scfx_schnet.fidelity.Heads`).
    """

    numbers: Int[torch.Tensor, "atom"]
    positions: Float[torch.Tensor, "atom 3"]
    molecule: Int[torch.Tensor, "atom"]
    first: Int[torch.Tensor, "pair"]
    second: Int[torch.Tensor, "pair"]
    targets: Float[torch.Tensor, "molecule target"]
    n_molecules: int
    forces: Float[torch.Tensor, "atom 3"] | None = None
    head: Int[torch.Tensor, "molecule"] | None = None

    def to(self, device: torch.device | str) -> PackedMolecules:
        """Return the batch on a device."""
        moved = {
            f.name: getattr(self, f.name).to(device, non_blocking=True)
            for f in fields(self)
            if isinstance(getattr(self, f.name), torch.Tensor)
        }
        return replace(self, **moved)


def pack(
    numbers: Sequence[np.ndarray],
    positions: Sequence[np.ndarray],
    targets: np.ndarray | None = None,
    *,
    unit: str = "angstrom",
    dtype: torch.dtype = torch.float32,
) -> PackedMolecules:
    """Pack molecules: atomic numbers [natm] and positions [natm, 3] each, in `unit` ("angstrom" or "bohr").

    `targets` [molecule, target] is carried along. `dtype` is that of positions and targets, and must be the network's.
    Raises `InputError` for an unknown unit, a molecule without atoms, or numbers and positions that do not match.
    """
    if unit not in LENGTH_UNITS:
        raise InputError(f"unit: got {unit!r}, expected one of {', '.join(LENGTH_UNITS)}")
    for index, (z, xyz) in enumerate(zip(numbers, positions, strict=True)):
        if len(z) == 0 or np.shape(xyz) != (len(z), 3):
            raise InputError(
                f"molecule {index}: got {len(z)} atomic numbers and positions of shape {np.shape(xyz)}, "
                "expected at least one atom and as many rows of x, y, z"
            )
    sizes = np.array([len(z) for z in numbers], dtype=np.int64)
    xyz = np.concatenate([np.asarray(p) for p in positions]) * LENGTH_UNITS[unit]
    return pack_arrays(np.concatenate([np.asarray(z) for z in numbers]), xyz, sizes, targets, dtype=dtype)


def pack_arrays(
    numbers: np.ndarray,
    positions: np.ndarray,
    sizes: np.ndarray,
    targets: np.ndarray | None = None,
    forces: np.ndarray | None = None,
    dtype: torch.dtype = torch.float32,
) -> PackedMolecules:
    """Return a batch of atoms that are concatenated already, `sizes` of them a molecule; positions in angstrom."""

    def real(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(dtype)

    starts = np.concatenate([[0], np.cumsum(sizes)])
    pairs = [_pairs_of(int(n)) + start for n, start in zip(sizes, starts, strict=False)]
    first, second = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), dtype=np.int64)
    if targets is None:
        targets = np.empty((len(sizes), 0))
    return PackedMolecules(
        numbers=torch.from_numpy(numbers.astype(np.int64)),
        positions=real(positions),
        molecule=torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)),
        first=torch.from_numpy(np.ascontiguousarray(first)),
        second=torch.from_numpy(np.ascontiguousarray(second)),
        targets=real(targets),
        n_molecules=len(sizes),
        forces=None if forces is None else real(forces),
    )


@lru_cache(maxsize=512)
def _pairs_of(natm: int) -> np.ndarray:
    """[2, natm (natm - 1) / 2]: i < j."""
    return np.stack(np.triu_indices(natm, 1)).astype(np.int64)


PackedMolecules = PackedMolecules  #: Its name before 0.2: models of other plugins may import it.
