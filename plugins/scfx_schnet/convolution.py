"""The two operations that a SchNet spends its time on: Gaussians of distances through a linear layer, and the
continuous-filter convolution (Schütt et al. 2018, eq. 4). Both with hand-written derivatives."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional
from jaxtyping import Float

from scfx_schnet.graph import PairGraph

_LOG_2 = 0.6931471805599453
#: A Gaussian of the smearing is below 1e-8 beyond this many standard deviations.
_REACH = 6.1


def shifted_softplus(x: torch.Tensor) -> torch.Tensor:
    """Return ln(½ eˣ + ½)."""
    return functional.softplus(x).sub_(_LOG_2)


class Smearing:
    """Gaussians exp(-(d - μ_k)² / 2Δ²) of distances, μ_k from 0 to the cutoff in steps of Δ.

    Where pairs come in the order of their distance (on CPU), only Gaussians that are not below 1e-8 are made and
    multiplied: a band of some 13 columns and the width of a block of rows.
    """

    def __init__(self, graph: PairGraph, centres: torch.Tensor):
        self.distance = graph.distance
        self.centres = centres
        step = float(centres[1] - centres[0])
        self.coefficient = -0.5 / step**2
        self.bands: list[tuple[int, int, int, int, torch.Tensor]] | None = None
        self.dense: torch.Tensor | None = None
        if graph.sums is not None and len(centres) >= 40 and not torch.is_autocast_enabled("cpu"):
            self.bands = list(self._cut_into_bands(step))
        else:
            self.dense = self._gaussians(self.distance, centres)

    def _gaussians(self, distance: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
        if distance.requires_grad:
            return ((distance[:, None] - centres).square() * self.coefficient).exp()
        return (distance[:, None] - centres).square_().mul_(self.coefficient).exp_()

    def _cut_into_bands(self, step: float) -> Any:
        from scfx_schnet.graph import BIN

        width = 7 * step  # of a block of rows, in angstrom
        last, row = len(self.centres) - 1, 0
        edges = torch.arange(1, int(float(self.centres[-1]) / width) + 2) * width
        # Rows are ordered by bins of BIN only: the search is on the lower edges of the bins.
        floors = (self.distance * (1 / BIN)).floor_().mul_(BIN)
        for edge, end in zip(edges.tolist(), torch.searchsorted(floors, edges).tolist(), strict=True):
            if end > row:
                low = max(0, int((edge - width) / step - _REACH))
                high = min(last, int((edge + BIN) / step + _REACH) + 1) + 1
                yield row, end, low, high, self._gaussians(self.distance[row:end], self.centres[low:high])
            row = end

    def linear(self, layer: torch.nn.Linear) -> torch.Tensor:
        """Return `layer` applied to the Gaussians: [pair, out]."""
        if self.bands is None:
            assert self.dense is not None
            return layer(self.dense)
        return _BandedLinear.apply(layer.weight, layer.bias, self.bands, len(self.distance))


class _BandedLinear(torch.autograd.Function):
    """A linear layer on a matrix that is zero outside bands."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, bias: torch.Tensor, bands: Any, rows: int) -> torch.Tensor:
        ctx.bands, ctx.shape = bands, weight.shape
        out = weight.new_empty(rows, weight.shape[0])
        transposed = weight.t().contiguous()
        for start, end, low, high, gaussians in bands:
            torch.addmm(bias, gaussians, transposed[low:high], out=out[start:end])
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        weight = gradient.new_zeros(ctx.shape[1], ctx.shape[0])
        for start, end, low, high, gaussians in ctx.bands:
            weight[low:high].addmm_(gaussians.t(), gradient[start:end])
        return weight.t(), gradient.sum(0), None, None


def pair_convolution(
    x: Float[torch.Tensor, "atom filter"], filters: Float[torch.Tensor, "pair filter"], graph: PairGraph
) -> Float[torch.Tensor, "atom filter"]:
    """Return y_i = Σ_j c_ij W_ij ∘ x_j over the neighbours j of i, with one filter W a pair and c the graph's
    weights.
    """
    # Sums over neighbours stay in float32 under autocast.
    with torch.autocast(x.device.type, enabled=False):
        x, filters = at_least_float32(x), at_least_float32(filters)
        if graph.to_first.requires_grad:
            to_first = x[graph.second] * filters * graph.to_first[:, None]
            to_second = x[graph.first] * filters * graph.to_second[:, None]
            out = torch.zeros_like(x).index_add(0, graph.first, to_first)
            return out.index_add(0, graph.second, to_second)
        return _PairConvolution.apply(x, filters, graph)


def at_least_float32(x: torch.Tensor) -> torch.Tensor:
    """What autocast made half as wide in float32; the rest, float64 too, as it is."""
    return x if x.dtype == torch.float64 else x.float()


class _PairConvolution(torch.autograd.Function):
    """The transpose of the sum over neighbours is the same sum with the weights of the two directions exchanged."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, filters: torch.Tensor, graph: PairGraph) -> torch.Tensor:
        ctx.graph = graph
        ctx.save_for_backward(x, filters)
        return _sum_messages(x, filters, graph, transposed=False)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        x, filters = ctx.saved_tensors
        graph: PairGraph = ctx.graph
        gradient = gradient.contiguous()
        to_x = to_filters = None
        if ctx.needs_input_grad[0]:
            to_x = _sum_messages(gradient, filters, graph, transposed=True)
        if ctx.needs_input_grad[1]:
            to_filters = gradient.index_select(0, graph.first).mul_(x.index_select(0, graph.second))
            back = gradient.index_select(0, graph.second).mul_(x.index_select(0, graph.first))
            if graph.symmetric:
                to_filters.add_(back).mul_(graph.to_first[:, None])
            else:
                to_filters.mul_(graph.to_first[:, None]).addcmul_(back, graph.to_second[:, None])
        return to_x, to_filters, None


def _sum_messages(x: torch.Tensor, filters: torch.Tensor, graph: PairGraph, transposed: bool) -> torch.Tensor:
    exchange = transposed and not graph.symmetric
    to_first, to_second = (graph.to_second, graph.to_first) if exchange else (graph.to_first, graph.to_second)
    if graph.sums is not None:
        matrices: Any = graph.sums_transposed if exchange else graph.sums
        out = matrices[0] @ x.index_select(0, graph.second).mul_(filters)
        return out.add_(matrices[1] @ x.index_select(0, graph.first).mul_(filters))
    out = x.new_zeros(graph.n_atoms, x.shape[1])
    out.index_add_(0, graph.first, x.index_select(0, graph.second).mul_(filters).mul_(to_first[:, None]))
    out.index_add_(0, graph.second, x.index_select(0, graph.first).mul_(filters).mul_(to_second[:, None]))
    return out
