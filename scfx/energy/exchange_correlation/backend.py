"""Exchange-correlation energy and potential where an integral backend contributes the two matrix contractions.

Only the functional is evaluated here, between the two; `PortableQuadrature` is the portable way.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int32

from scfx.config.precision import PrecisionPolicy
from scfx.contracts.functional import AbstractFunctional
from scfx.contracts.grid import AbstractGridOperator
from scfx.energy.exchange_correlation.functional_at_points import (
    evaluate_closed_shell,
    evaluate_spin_resolved,
)
from scfx.energy.exchange_correlation.portable import StaticFunctional, Totals
from scfx.execution.lanes import COMPILER_OPTIONS
from scfx.model.batch import Batch

#: XLA cuts long loops by the number of processors that it sees, and compiles a cut one to other bits (the derivative of
#: spin-resolved meta-GGAs). Not cut, the functional is what one processor computes; batches run side by side instead.
_UNCUT = {**COMPILER_OPTIONS, "xla_disable_hlo_passes": "cpu-parallel-task-assigner"}
#: Blocks of one functional call.
BLOCKS = 4
#: Blocks (of all active lanes together) whose densities are held at once.
BLOCKS_HELD = 16


@partial(jax.jit, static_argnames=("functional", "dtype"), compiler_options=_UNCUT)
def _functional_on_blocks(
    functional: StaticFunctional,
    components: Float[Array, "block spin component point"],
    weights: Float64[Array, "block point"],
    *,
    dtype: str,
) -> tuple[Any, Any, Any]:
    """The functional alone, for backends that do the contractions: sums and derivatives of each block by itself.

    Not `for_lanes`: within a loop XLA evaluates a functional several times, once for each of its outputs.
    """
    if components.shape[1] == 1:
        energy, electrons, derivative = evaluate_closed_shell(
            functional.functional, components[:, 0], weights, jnp.dtype(dtype)
        )
        return energy, electrons, derivative[:, None]
    return evaluate_spin_resolved(functional.functional, components, weights, jnp.dtype(dtype))


class BackendQuadrature:
    """A quadrature whose contractions an `AbstractGridOperator` does; the functional is still the plugin's.

    A block of one lane is the unit: the functional sees a fixed number of them, from any lanes, so that XLA compiles
    one shape, and a lane's sums run over its own blocks in order, whatever the other lanes are.
    """

    def __init__(
        self,
        operator: AbstractGridOperator,
        batch: Batch,
        functional: AbstractFunctional,
        policy: PrecisionPolicy,
    ):
        self._operator = operator
        self._functional = StaticFunctional(functional)
        self._policy = policy
        self._nao = batch.nao
        every = np.arange(len(batch), dtype=np.int32)
        self._weights = [np.asarray(operator.weights(block, every)) for block in range(operator.n_blocks)]
        self._present: list[np.ndarray] = [np.any(weights != 0.0, axis=1) for weights in self._weights]

    def evaluate(
        self, density: Float64[Array, "lane spin n n"], lanes: Int32[np.ndarray, "active"]
    ) -> Totals:
        """Return energy, number of electrons and potential matrices of the given lanes, as
        `PortableQuadrature.evaluate` does.
        """
        shape, nao = density.shape, self._nao
        lanes = np.asarray(lanes, dtype=np.int32)
        matrices = np.ascontiguousarray(np.asarray(density)[lanes, :, :nao, :nao])
        energy, electrons = np.zeros(shape[0]), np.zeros(shape[0])
        sums = np.zeros_like(matrices)
        blocks_at_once = max(1, BLOCKS_HELD // max(1, len(lanes)))
        for first in range(0, self._operator.n_blocks, blocks_at_once):
            pieces = []
            for block in range(first, min(first + blocks_at_once, self._operator.n_blocks)):
                members = np.flatnonzero(self._present[block][lanes])
                if len(members):
                    chosen = matrices if len(members) == len(lanes) else matrices[members]
                    pieces.append((block, members, self._operator.density(block, chosen, lanes[members])))
            if not pieces:
                continue
            weights = [self._weights[block][lanes[members]] for block, members, _ in pieces]
            e, n, derivative = self._evaluate([np.asarray(c) for _, _, c in pieces], weights)
            start = 0
            for block, members, _ in pieces:
                own = slice(start, start + len(members))
                start += len(members)
                energy[lanes[members]] += e[own]
                electrons[lanes[members]] += n[own]
                if len(members) == len(lanes):
                    self._operator.add_potential(block, derivative[own], lanes, sums)
                else:
                    part = sums[members]
                    self._operator.add_potential(block, derivative[own], lanes[members], part)
                    sums[members] = part
        potential = np.zeros(shape)
        potential[lanes, :, :nao, :nao] = sums
        return Totals(jnp.asarray(energy), jnp.asarray(electrons), jnp.asarray(potential))

    def _evaluate(
        self, components: list[np.ndarray], weights: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energy, electrons [block] and derivatives of some blocks, a fixed number in a call."""
        count = sum(len(c) for c in components)
        missing = -count % BLOCKS
        if missing:  # empty points
            components = [*components, np.zeros((missing, *components[0].shape[1:]), components[0].dtype)]
            weights = [*weights, np.zeros((missing, weights[0].shape[1]))]
        values, weight = np.concatenate(components), np.concatenate(weights)
        energy, electrons = np.empty(len(values)), np.empty(len(values))
        derivative = np.empty(values.shape, self._policy.dtype("functional"))
        for k in range(0, len(values), BLOCKS):
            part = slice(k, k + BLOCKS)
            energy[part], electrons[part], derivative[part] = _functional_on_blocks(
                self._functional, values[part], weight[part], dtype=self._policy.functional
            )
        return energy[:count], electrons[:count], derivative[:count]

    @property
    def operator(self) -> AbstractGridOperator:
        """Return the backend's operator, for what else it can do."""
        return self._operator

    def held_bytes(self) -> int:
        """Return the bytes of AO values held."""
        return self._operator.held_bytes()

    def close(self) -> None:
        """Free what the backend holds."""
        self._operator.close()
