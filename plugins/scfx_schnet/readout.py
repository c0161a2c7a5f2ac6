"""The readout of a network: from values of atoms to values of molecules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float

from scfx.errors import InputError

if TYPE_CHECKING:
    from scfx_schnet.batch import PackedMolecules

Readout = Literal["add", "mean", "softmax"]
_KNOWN = ("add", "mean", "softmax")


def per_target(readout: str | Sequence[str], n_targets: int) -> tuple[str, ...]:
    """Return one readout for each target. Raises `InputError` for an unknown one, or another number of them."""
    chosen = (readout,) * n_targets if isinstance(readout, str) else tuple(readout)
    if len(chosen) != n_targets or set(chosen) - set(_KNOWN):
        raise InputError(
            f"readout: got {readout!r} for {n_targets} targets, expected 'add', 'mean' or 'softmax', or one of them a "
            "target"
        )
    return chosen


def columns(readouts: Sequence[str]) -> int:
    """Return how many values an atom needs: one a target, and another one where it has a say in its weight."""
    return len(readouts) + sum(readout == "softmax" for readout in readouts)


def read_out(
    atoms: Float[torch.Tensor, "atom column"], batch: PackedMolecules, readouts: tuple[str, ...]
) -> Float[torch.Tensor, "molecule target"]:
    """Sum ("add"), mean, or weighted mean ("softmax") of the atoms' contributions, target by target.

    Weights are the softmax over a molecule's atoms of the columns after the targets': what few atoms decide, as the
    orbitals at the gap, need not be diluted by the others.
    """
    values = atoms[:, : len(readouts)]
    if "softmax" in readouts:
        places = [index for index, readout in enumerate(readouts) if readout == "softmax"]
        share = _softmax(atoms[:, len(readouts) :], batch)
        weighed = torch.ones_like(values)
        weighed[:, places] = share
        values = values * weighed
    out = values.new_zeros(batch.n_molecules, values.shape[1]).index_add(0, batch.molecule, values)
    if "mean" not in readouts:
        return out
    count = torch.bincount(batch.molecule, minlength=batch.n_molecules).to(out.dtype)[:, None]
    if set(readouts) == {"mean"}:
        return out / count
    mean = torch.tensor([r == "mean" for r in readouts], device=out.device)
    return torch.where(mean, out / count, out)


def _softmax(
    atoms: Float[torch.Tensor, "atom column"], batch: PackedMolecules
) -> Float[torch.Tensor, "atom column"]:
    """Softmax of each column over the atoms of each molecule."""
    index = batch.molecule[:, None].expand_as(atoms)
    largest = atoms.new_full((batch.n_molecules, atoms.shape[1]), -torch.inf)
    largest = largest.scatter_reduce(0, index, atoms.detach(), "amax")
    weight = (atoms - largest[batch.molecule]).exp()
    total = torch.zeros_like(largest).index_add(0, batch.molecule, weight)
    return weight / total[batch.molecule]
