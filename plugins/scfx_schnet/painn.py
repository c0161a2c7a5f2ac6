"""PaiNN (Schütt, Unke, Gastegger 2021, arXiv 2102.03150): vectors that turn with the molecule beside the scalars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import nn

from scfx.errors import InputError
from scfx_schnet.convolution import at_least_float32
from scfx_schnet.graph import pair_graph
from scfx_schnet.readout import columns, per_target, read_out

if TYPE_CHECKING:
    from scfx_schnet.batch import PackedMolecules


class _Directed:
    """The pairs of a graph, both ways: `centre` hears `sender`; `unit` [edge, 3] points from centre to sender."""

    def __init__(self, batch: PackedMolecules, cutoff: float, max_neighbors: int | None, n_radial: int):
        graph = pair_graph(batch, cutoff, max_neighbors)
        self.centre = torch.cat([graph.first, graph.second])
        self.sender = torch.cat([graph.second, graph.first])
        # Atoms in one place have no direction between them: the floor keeps 0/0 away.
        distance = graph.distance.clamp_min(1e-6)
        unit = (batch.positions[graph.second] - batch.positions[graph.first]) / distance[:, None]
        self.unit = torch.cat([unit, -unit])
        # The radial basis, sin(nπ r / cutoff) / r.
        n = torch.arange(1, n_radial + 1, device=distance.device)
        radial = torch.sin(distance[:, None] * (n * (math.pi / cutoff))) / distance[:, None]
        self.radial = torch.cat([radial, radial])
        self.weight = torch.cat([graph.to_first, graph.to_second])[:, None]


class _Message(nn.Module):
    """What atoms send to each other: section 4.1, eqs. 7 and 8."""

    def __init__(self, hidden: int, n_radial: int):
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 3 * hidden))
        self.filter = nn.Linear(n_radial, 3 * hidden)

    def forward(
        self, s: torch.Tensor, v: torch.Tensor, edges: _Directed
    ) -> tuple[torch.Tensor, torch.Tensor]:
        gates = self.phi(s)[edges.sender] * self.filter(edges.radial) * edges.weight
        to_s, along, keep = at_least_float32(gates).chunk(3, dim=1)
        to_v = v[edges.sender] * keep[:, None, :] + edges.unit[:, :, None] * along[:, None, :]
        return (
            s + torch.zeros_like(s).index_add(0, edges.centre, to_s),
            v + torch.zeros_like(v).index_add(0, edges.centre, to_v),
        )


class _Update(nn.Module):
    """Within an atom: scalars see the norms and products of vectors (section 4.1, eqs. 9 and 10)."""

    def __init__(self, hidden: int):
        super().__init__()
        self.mix = nn.Linear(hidden, 2 * hidden, bias=False)
        self.gate = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.SiLU(), nn.Linear(hidden, 3 * hidden))

    def forward(self, s: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        u, w = at_least_float32(self.mix(v)).chunk(2, dim=2)
        # A norm has no derivative at zero, where every vector starts.
        norm = (w.square().sum(dim=1) + 1e-8).sqrt()
        gates = at_least_float32(self.gate(torch.cat([s, norm], dim=1)))
        scale, product, plain = gates.chunk(3, dim=1)
        return s + plain + product * (u * w).sum(dim=1), v + scale[:, None, :] * u


class PaiNN(nn.Module):
    """Equivariant message passing; maps a `PackedMolecules` to [molecule, target], which are invariant.

    `num_radial`: sine functions of the distance up to `cutoff` (angstrom); the rest as in
    `scfx_schnet.schnet.SchNet`.
    """

    def __init__(
        self,
        hidden_channels: int = 128,
        num_interactions: int = 3,
        num_radial: int = 20,
        cutoff: float = 5.0,
        max_neighbors: int | None = None,
        readout: str | Sequence[str] = "add",
        num_targets: int = 1,
    ):
        super().__init__()
        if num_radial < 1 or cutoff <= 0:
            raise InputError(
                f"got num_radial = {num_radial} and cutoff = {cutoff}, expected at least 1 and above 0 angstrom"
            )
        self.cutoff, self.max_neighbors, self.num_radial = float(cutoff), max_neighbors, num_radial
        self.readouts = per_target(readout, num_targets)
        self.embedding = nn.Embedding(100, hidden_channels, padding_idx=0)
        self.messages = nn.ModuleList(_Message(hidden_channels, num_radial) for _ in range(num_interactions))
        self.updates = nn.ModuleList(_Update(hidden_channels) for _ in range(num_interactions))
        self.out = nn.Sequential(
            nn.Linear(hidden_channels, hidden_channels // 2),
            nn.SiLU(),
            nn.Linear(hidden_channels // 2, columns(self.readouts)),
        )

    def forward(self, batch: PackedMolecules) -> Float[torch.Tensor, "molecule target"]:
        """Return the targets [molecule, target] of a batch."""
        edges = _Directed(batch, self.cutoff, self.max_neighbors, self.num_radial)
        s = self.embedding(batch.numbers)
        v = s.new_zeros(len(s), 3, s.shape[1])
        for message, update in zip(self.messages, self.updates, strict=True):
            s, v = message(s, v, edges)
            s, v = update(s, v)
        return read_out(at_least_float32(self.out(s)), batch, self.readouts)
