"""Forces of a network: minus the derivative of its energy by the positions of the atoms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import nn

from scfx.errors import InputError

if TYPE_CHECKING:
    from scfx_schnet.batch import PackedMolecules


class WithForces(nn.Module):
    """A network, and the forces of one of its targets: maps a `PackedMolecules` to ([molecule, target], [atom, 3]).

    Any network will do whose `forward` reads `batch.positions` by operations that PyTorch differentiates. The forces
    can be differentiated by the weights while the module is in training mode. Units are those of the network's output,
    per angstrom.
    """

    def __init__(self, network: nn.Module, energy: int):
        super().__init__()
        self.network, self.energy = network, energy

    def forward(
        self, batch: PackedMolecules
    ) -> tuple[Float[torch.Tensor, "molecule target"], Float[torch.Tensor, "atom 3"]]:
        """Return the network's output [molecule, target] and the forces [atom, 3] of a batch."""
        with torch.enable_grad():
            positions = batch.positions.detach().requires_grad_(True)
            out = self.network(replace(batch, positions=positions))
            energy = out[:, self.energy].sum()
            gradient = None
            if energy.requires_grad:
                (gradient,) = torch.autograd.grad(
                    energy, positions, create_graph=self.training, allow_unused=True
                )
        if gradient is not None:
            return out, -gradient
        if len(batch.first):
            raise InputError(
                f"{type(self.network).__name__} has no forces: its output does not depend on `batch.positions` by "
                "operations that PyTorch differentiates"
            )
        return out, torch.zeros_like(positions)  # lone atoms
