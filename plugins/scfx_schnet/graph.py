"""Which atoms see each other: `PairGraph`, from a cutoff and at most so many nearest neighbours."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from scfx_schnet.batch import PackedMolecules


@dataclass(frozen=True, eq=False)
class PairGraph:
    """Pairs of atoms, each once, and how strongly each atom of a pair hears the other.

    `distance` in angstrom. `to_first` weighs what the second atom sends to the first, `to_second` the other way; they
    differ only where "nearest" is not mutual. They hold the cosine cutoff. On CPU pairs are in the order of their
    distance (bins of `BIN` angstrom), which lets `Smearing` skip Gaussians that vanish, and `sums` are two sparse
    matrices [atom, pair] that weigh and add up what first and second atoms get (`sums_transposed`: what they send).

    Where the positions require a gradient, distances and weights carry it, and there are no `sums`: plain operations
    of PyTorch can be differentiated twice, as a training on forces needs.
    """

    first: Int[torch.Tensor, "pair"]
    second: Int[torch.Tensor, "pair"]
    distance: Float[torch.Tensor, "pair"]
    to_first: Float[torch.Tensor, "pair"]
    to_second: Float[torch.Tensor, "pair"]
    symmetric: bool
    n_atoms: int
    sums: tuple[torch.Tensor, torch.Tensor] | None = None
    sums_transposed: tuple[torch.Tensor, torch.Tensor] | None = None


#: Pairs are ordered by distance in steps of this many angstrom.
BIN = 1 / 64


def pair_graph(batch: PackedMolecules, cutoff: float, max_neighbors: int | None) -> PairGraph:
    """Return all pairs within `cutoff` (angstrom), of each atom at most its `max_neighbors` nearest; cosine cutoff
    weights.

    The weight is (cos(π d / cutoff) + 1) / 2 (Schütt et al. 2018). Ties between equally near neighbours go to the one
    that comes first in the batch. Distances and weights are differentiable where `batch.positions` require a gradient;
    which pairs there are is not, so that with `max_neighbors` an energy jumps where the nearest neighbours change.
    """
    graph: PairGraph = _outside_compiled(batch, cutoff, max_neighbors)
    if not (batch.positions.requires_grad and torch.is_grad_enabled()):
        return graph
    distance = (batch.positions[graph.first] - batch.positions[graph.second]).norm(dim=-1)
    weight = _cosine_cutoff(distance, cutoff)
    to_first, to_second = weight, weight
    if not graph.symmetric:
        # A pair that one atom does not hear has weight zero in its direction.
        to_first, to_second = weight * (graph.to_first > 0), weight * (graph.to_second > 0)
    return replace(
        graph, distance=distance, to_first=to_first, to_second=to_second, sums=None, sums_transposed=None
    )


def _cosine_cutoff(distance: torch.Tensor, cutoff: float) -> torch.Tensor:
    return 0.5 * (torch.cos(distance * (math.pi / cutoff)) + 1.0)


@torch.no_grad()
def _pair_graph(batch: PackedMolecules, cutoff: float, max_neighbors: int | None) -> PairGraph:
    first, second = batch.first, batch.second
    distance = (batch.positions[first] - batch.positions[second]).norm(dim=-1)
    keep_first = keep_second = None
    if max_neighbors is not None and _may_exceed(batch, max_neighbors):
        keep_first, keep_second = _nearest(first, second, distance, len(batch.numbers), max_neighbors)
        inside = (distance <= cutoff) & (keep_first | keep_second)
    else:
        inside = distance <= cutoff
    on_cpu = distance.device.type == "cpu"
    if on_cpu:
        kept = np.flatnonzero(inside.numpy())
        bins = (distance.numpy()[kept] * (1 / BIN)).astype(np.uint16)
        # A stable sort of 16-bit integers is a radix sort: much faster than sorting the distances.
        chosen = torch.from_numpy(kept[np.argsort(bins, kind="stable")])
    else:
        chosen = inside.nonzero().squeeze(1)
    first, second, distance = first[chosen], second[chosen], distance[chosen]
    weight = _cosine_cutoff(distance, cutoff)
    to_first = weight if keep_first is None else weight * keep_first[chosen]
    to_second = weight if keep_second is None else weight * keep_second[chosen]
    sums = transposed = None
    symmetric = keep_first is None
    if on_cpu:
        sums = _message_sums(first, second, to_first, to_second, len(batch.numbers))
        if not symmetric:
            transposed = _message_sums(first, second, to_second, to_first, len(batch.numbers))
    return PairGraph(
        first, second, distance, to_first, to_second, symmetric, len(batch.numbers), sums, transposed
    )


#: Which pairs there are depends on the numbers: torch.compile leaves that to Python, and compiles the rest.
_outside_compiled: Any = torch.compiler.disable(_pair_graph)


def _may_exceed(batch: PackedMolecules, max_neighbors: int) -> bool:
    return int(torch.bincount(batch.molecule).max()) > max_neighbors + 1


def _nearest(
    first: torch.Tensor, second: torch.Tensor, distance: torch.Tensor, n_atoms: int, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each pair: is the second atom among the `count` nearest of the first, and the other way round."""
    n_pairs = len(first)
    centre = torch.cat([first, second])
    other = torch.cat([second, first])
    by_other = torch.argsort(other, stable=True)
    by_distance = by_other[torch.argsort(torch.cat([distance, distance])[by_other], stable=True)]
    order = by_distance[torch.argsort(centre[by_distance], stable=True)]
    starts = torch.cumsum(torch.bincount(centre, minlength=n_atoms), 0) - torch.bincount(
        centre, minlength=n_atoms
    )
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - starts[centre[order]]
    kept = rank < count
    return kept[:n_pairs], kept[n_pairs:]


def _message_sums(
    first: torch.Tensor, second: torch.Tensor, to_first: torch.Tensor, to_second: torch.Tensor, n_atoms: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sparse matrices [atom, pair] that add up what the first atoms of pairs get, and what the second ones get."""
    with warnings.catch_warnings():
        # Compressed sparse rows are "beta" by their warning; what is used here is their product with a dense matrix.
        warnings.filterwarnings("ignore", message="Sparse CSR")
        return _rows(first.numpy(), to_first, n_atoms), _rows(second.numpy(), to_second, n_atoms)


def _rows(target: np.ndarray, values: torch.Tensor, n_atoms: int) -> torch.Tensor:
    order = np.argsort(target.astype(np.uint16) if n_atoms < 2**16 else target, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=n_atoms))])
    columns = torch.from_numpy(order)
    return torch.sparse_csr_tensor(
        torch.from_numpy(starts), columns, values[columns], (n_atoms, len(target)), check_invariants=False
    )
