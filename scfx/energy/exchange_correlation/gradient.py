"""The exchange-correlation part of the nuclear gradient, with the response of the quadrature's points and weights.

E = Σ_g w_g e(c_g) depends on the nuclei at a fixed density matrix through the AOs' centres (functions), through the
points, which move with the atom that owns them, and through the weights, which divide space by the atoms' positions:

    dE/dR = Σ_g w_g Σ_c (∂e/∂c) [∂c/∂R at fixed points  +  ∂c/∂r_g dr_g/dR]  +  Σ_g e_g dw_g/dR

A component c (rho, its gradient, tau) depends on differences between point and centres only, so moving a point is
minus moving all centres: functions and points add up to zero over the atoms. With all three terms the gradient is
that of the energy on that grid (B. G. Johnson, P. M. W. Gill, J. A. Pople, J. Chem. Phys. 98, 5612 (1993), eqs. 16 to
19). Without the last two (`response=False`) it is what programs without grid response report.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Float64, Int32

from scfx.energy.exchange_correlation.functional_at_points import evaluate_each_point
from scfx.energy.exchange_correlation.portable import StaticFunctional
from scfx.energy.exchange_correlation.portable_gradient import EntrySums, PortableGradient
from scfx.errors import InputError
from scfx.execution.lanes import COMPILER_OPTIONS
from scfx.grid.weight_gradient import weight_gradient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.derivatives import AbstractGridGradientOperator
    from scfx.contracts.functional import AbstractFunctional
    from scfx.grid import Grid
    from scfx.model.batch import Batch

#: Backend's blocks that go through the functional in one call.
_BACKEND_BLOCKS = 4


class XCGradient(NamedTuple):
    """Of each active entry: `gradient` in hartree/bohr, and, as by-products of the same points, `energy` in hartree and
    the number of `electrons` that the grid integrates to. Atoms are in the batch's order; float64.
    """

    gradient: Float64[np.ndarray, "active natm 3"]
    energy: Float64[np.ndarray, "active"]
    electrons: Float64[np.ndarray, "active"]


def exchange_correlation_gradient(
    batch: Batch,
    grids: Sequence[Grid],
    functional: AbstractFunctional,
    policy: PrecisionPolicy,
    density: Float64[np.ndarray, "active nspin nao nao"],
    lanes: Int32[np.ndarray, "active"],
    *,
    response: bool = True,
    operator: AbstractGridGradientOperator | None = None,
) -> XCGradient:
    """Return dE_xc/dR of the entries `lanes` at fixed density matrices, which lead with `active`.

    `grids` are those of all entries (`scfx.grid.owned_grids`). With `response` points move and weights change with
    the atoms; without, only the basis functions move. `operator`, built on the points and weights of `grids`, does the
    contractions in `policy`'s precision of its own; without one they run in JAX in that of `policy.orbitals`. An
    entry's bits depend on itself alone. Call inside `jax.enable_x64(True)`.

    Raises `InputError` where `operator` was built on another number of points.
    """
    lanes = np.asarray(lanes, dtype=np.int32)
    out = XCGradient(np.zeros((len(lanes), batch.natm, 3)), np.zeros(len(lanes)), np.zeros(len(lanes)))
    if functional.family == "none":
        return out
    route = (
        PortableGradient(batch, functional, policy)
        if operator is None
        else _Backend(operator, functional, policy)
    )
    for row, lane in enumerate(map(int, lanes)):
        grid = grids[lane]
        sums = route.entry(lane, grid, np.ascontiguousarray(density[row], dtype=np.float64))
        out.energy[row] = np.sum(grid.weights * sums.energy_density)
        out.electrons[row] = sums.electrons
        out.gradient[row] = sums.functions
        if response:
            out.gradient[row] += sums.points
            atoms = batch.atomic_numbers[lane], batch.positions[lane]
            out.gradient[row] += (
                weight_gradient(*atoms, grid, sums.energy_density)
                if operator is None
                else operator.weight_gradient(lane, *atoms, grid, sums.energy_density)
            )
    return out


@partial(jax.jit, static_argnames=("functional", "dtype"), compiler_options=COMPILER_OPTIONS)
def _functional_on_blocks(
    functional: StaticFunctional, components: Float[Array, "block spin component point"], *, dtype: str
) -> tuple[Any, Any, Any]:
    return evaluate_each_point(functional.functional, components, dtype)


class _Backend:
    """The contractions by an `AbstractGridGradientOperator`, the functional on a fixed number of its blocks."""

    def __init__(
        self, operator: AbstractGridGradientOperator, functional: AbstractFunctional, policy: PrecisionPolicy
    ):
        self._operator = operator
        self._functional = StaticFunctional(functional)
        self._policy = policy

    def entry(self, lane: int, grid: Grid, density: np.ndarray) -> EntrySums:
        operator, own, matrices = self._operator, np.array([lane], dtype=np.int32), density[None]
        npoint, natm = len(grid.weights), int(grid.owner[-1]) + 1
        orders = [np.asarray(operator.order(block, own))[0] for block in range(operator.n_blocks)]
        present = [block for block in range(operator.n_blocks) if np.any(orders[block] >= 0)]
        given = max((int(order.max()) + 1 for order in orders), default=0)
        if given != npoint:
            raise InputError(f"the grid operator has {given} points of entry {lane}, its grid has {npoint}")
        functions, points = np.zeros((natm, 3)), np.zeros((natm, 3))
        energy_density, electrons = np.zeros(npoint), 0.0
        for first in range(0, len(present), _BACKEND_BLOCKS):
            blocks = present[first : first + _BACKEND_BLOCKS]
            components = np.concatenate([np.asarray(operator.density(b, matrices, own)) for b in blocks])
            missing = _BACKEND_BLOCKS - len(blocks)
            if missing:  # empty points
                components = np.concatenate(
                    [components, np.zeros((missing, *components.shape[1:]), components.dtype)]
                )
            e, rho, v = map(
                np.asarray, _functional_on_blocks(self._functional, components, dtype=self._policy.functional)
            )
            for k, block in enumerate(blocks):
                order = orders[block]
                filled = order >= 0
                weights = np.where(filled, grid.weights[order], 0.0)
                owners = np.where(filled, grid.owner[order], 0).astype(np.int32)
                parts = operator.gradient(block, matrices, v[k : k + 1] * weights, own, owners[None])
                functions += np.asarray(parts[0])[0]
                points += np.asarray(parts[1])[0]
                energy_density[order[filled]] = e[k, filled]
                electrons += float(np.sum(rho[k] * weights))
        return EntrySums(functions, points, energy_density, electrons)
