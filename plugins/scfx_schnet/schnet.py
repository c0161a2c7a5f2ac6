"""SchNet (Schütt et al. 2018, J. Chem. Phys. 148, 241722), with the parameters and their names of PyTorch Geometric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import nn

from scfx.errors import InputError
from scfx_schnet.convolution import Smearing, at_least_float32, pair_convolution, shifted_softplus
from scfx_schnet.graph import PairGraph, pair_graph
from scfx_schnet.readout import columns, per_target, read_out

if TYPE_CHECKING:
    from scfx_schnet.batch import PackedMolecules


class _ShiftedSoftplus(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return shifted_softplus(x)


class _Convolution(nn.Module):
    """The atom-wise layers around a continuous-filter convolution."""

    def __init__(self, hidden: int, filters: int):
        super().__init__()
        self.lin1 = nn.Linear(hidden, filters, bias=False)
        self.lin2 = nn.Linear(filters, hidden)


class _Interaction(nn.Module):
    def __init__(self, hidden: int, filters: int, gaussians: int):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(gaussians, filters), _ShiftedSoftplus(), nn.Linear(filters, filters)
        )
        self.conv = _Convolution(hidden, filters)
        self.lin = nn.Linear(hidden, hidden)

    def forward(self, h: torch.Tensor, smearing: Smearing, graph: PairGraph) -> torch.Tensor:
        # One filter a pair: it depends on the distance only, which both directions share.
        filters = self.mlp[2](shifted_softplus(smearing.linear(self.mlp[0])))  # type: ignore[arg-type]
        y = pair_convolution(self.conv.lin1(h), filters, graph)
        return self.lin(shifted_softplus(self.conv.lin2(y)))


class SchNet(nn.Module):
    """Continuous-filter convolutions over pairs of atoms; maps a `PackedMolecules` to [molecule, target].

    `hidden_channels`: features of an atom. `num_filters`: of a filter. `num_gaussians`: of the distance, between 0 and
    `cutoff` (angstrom). `max_neighbors`: of each atom only so many nearest neighbours; None: all within the cutoff.
    `readout`: "add", "mean" or "softmax" (`read_out`) over atoms, or one for each of `num_targets` targets. With one
    target and no softmax the parameters are those of PyTorch Geometric's `SchNet`, which `load_pyg` accepts.
    `filter_gain` multiplies the initial weights of the filters' last layers. At 1, as published, an interaction's share
    starts at a tenth of the features that it is added to, and short trainings spend their updates on making it larger.
    """

    def __init__(
        self,
        hidden_channels: int = 128,
        num_filters: int = 128,
        num_interactions: int = 6,
        num_gaussians: int = 50,
        cutoff: float = 10.0,
        max_neighbors: int | None = None,
        readout: str | Sequence[str] = "add",
        num_targets: int = 1,
        filter_gain: float = 1.0,
    ):
        super().__init__()
        if num_gaussians < 2 or cutoff <= 0:
            raise InputError(
                f"got num_gaussians = {num_gaussians} and cutoff = {cutoff}, expected at least 2 and above 0 angstrom"
            )
        self.cutoff, self.max_neighbors = float(cutoff), max_neighbors
        self.readouts = per_target(readout, num_targets)
        # As PyTorch Geometric: atomic number 0 would be padding.
        self.embedding = nn.Embedding(100, hidden_channels, padding_idx=0)
        self.interactions = nn.ModuleList(
            _Interaction(hidden_channels, num_filters, num_gaussians) for _ in range(num_interactions)
        )
        self.lin1 = nn.Linear(hidden_channels, hidden_channels // 2)
        self.lin2 = nn.Linear(hidden_channels // 2, columns(self.readouts))
        self.centres: torch.Tensor
        self.register_buffer("centres", torch.linspace(0.0, self.cutoff, num_gaussians), persistent=False)
        for name, parameter in self.named_parameters():
            if name.startswith("embedding"):
                continue
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
        with torch.no_grad():
            for interaction in self.interactions:
                interaction.mlp[2].weight.mul_(filter_gain)  # type: ignore[index]

    def atom_features(self, batch: PackedMolecules) -> Float[torch.Tensor, "atom hidden"]:
        """Return the features of the atoms after the interactions."""
        graph = pair_graph(batch, self.cutoff, self.max_neighbors)
        smearing = Smearing(graph, self.centres)
        h = self.embedding(batch.numbers)
        for interaction in self.interactions:
            h = h + interaction(h, smearing, graph)
        return h

    def forward(self, batch: PackedMolecules) -> Float[torch.Tensor, "molecule target"]:
        """Return the targets [molecule, target] of a batch."""
        h = self.lin2(shifted_softplus(self.lin1(self.atom_features(batch))))
        return read_out(at_least_float32(h), batch, self.readouts)

    def load_pyg(self, state: Mapping[str, torch.Tensor]) -> SchNet:
        """Take the weights of a `torch_geometric.nn.models.SchNet.state_dict()` of the same sizes; returns self.

        PyTorch Geometric lists each filter network twice (`mlp`, `conv.nn`) and has a buffer of the Gaussians'
        centres; both are left out here. Raises `RuntimeError` (torch's) if sizes or names do not match.
        """
        own = {k: v for k, v in state.items() if ".conv.nn." not in k and k != "distance_expansion.offset"}
        self.load_state_dict(own)
        return self
