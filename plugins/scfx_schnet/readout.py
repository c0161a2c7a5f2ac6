"""The readout of a network: from values of atoms to values of molecules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float

from scfx.errors import InputError

if TYPE_CHECKING:
    from scfx_schnet.batch import PackedMolecules

Readout = Literal["add", "mean"]


def per_target(readout: str | Sequence[str], n_targets: int) -> tuple[str, ...]:
    """Return one readout for each target. Raises `InputError` for an unknown one, or another number of them."""
    chosen = (readout,) * n_targets if isinstance(readout, str) else tuple(readout)
    if len(chosen) != n_targets or set(chosen) - {"add", "mean"}:
        raise InputError(
            f"readout: got {readout!r} for {n_targets} targets, expected 'add' or 'mean', or one of them a target"
        )
    return chosen


def read_out(
    atoms: Float[torch.Tensor, "atom target"], batch: PackedMolecules, readouts: tuple[str, ...]
) -> Float[torch.Tensor, "molecule target"]:
    """Sum ("add") or mean of the atoms' contributions, target by target."""
    out = atoms.new_zeros(batch.n_molecules, atoms.shape[1]).index_add(0, batch.molecule, atoms)
    if "mean" not in readouts:
        return out
    count = torch.bincount(batch.molecule, minlength=batch.n_molecules).to(out.dtype)[:, None]
    if "add" not in readouts:
        return out / count
    mean = torch.tensor([r == "mean" for r in readouts], device=out.device)
    return torch.where(mean, out / count, out)
