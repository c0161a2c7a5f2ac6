"""Density and potential of VV10 on its own grid: by the backend's contractions, or in JAX.

Both take and give the points of an entry in the order of its grid, in float64.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float64, Int, Int32

from scfx.config.precision import FLOAT64
from scfx.contracts.derivatives import AbstractGridGradientOperator
from scfx.contracts.grid import AbstractGridBackend
from scfx.energy.exchange_correlation.portable import BLOCK, BLOCKS, grid_components, grid_potential
from scfx.energy.orbitals import orbital_tables, orbital_values
from scfx.execution.lanes import COMPILER_OPTIONS, ao_bucket, pad_lanes

if TYPE_CHECKING:
    from scfx.contracts.backend import AbstractIntegralBackend
    from scfx.energy.memory import MemoryBudget
    from scfx.grid.molecular import PointsAndWeights
    from scfx.model.batch import Batch


class OperatorContractions:
    """The contractions of a backend whose operator says in which order it keeps the points."""

    def __init__(self, operator: AbstractGridGradientOperator, counts: list[int], nao: int):
        self.operator = operator
        self._counts = counts
        self._nao = nao

    @staticmethod
    def if_offered(
        batch: Batch,
        backend: AbstractIntegralBackend | None,
        grids: list[PointsAndWeights],
        memory: MemoryBudget,
    ) -> OperatorContractions | None:
        """Return the contractions of `backend`, which take what is left of the memory budget; None if it has none."""
        if not isinstance(backend, AbstractGridBackend):
            return None
        points, weights = [p for p, _ in grids], [w for _, w in grids]
        operator = backend.grid_operator(batch, points, weights, "gga", FLOAT64, memory.left())
        if not isinstance(operator, AbstractGridGradientOperator):
            operator.close()
            return None
        return OperatorContractions(operator, [len(w) for w in weights], batch.nao)

    def _blocks(self, lane: int) -> list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Return the blocks with points of an entry: number, lane, where each point stands in the grid, if it does."""
        own = np.array([lane], dtype=np.int32)
        orders = [np.asarray(self.operator.order(block, own))[0] for block in range(self.operator.n_blocks)]
        return [(block, own, order, order >= 0) for block, order in enumerate(orders) if np.any(order >= 0)]

    def components(self, lane: int, density: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "4 point"]:
        """Return rho and its gradient from the total density matrix."""
        matrix = np.ascontiguousarray(density[: self._nao, : self._nao])[None, None]
        out = np.empty((4, self._counts[lane]))
        for block, own, order, filled in self._blocks(lane):
            out[:, order[filled]] = np.asarray(self.operator.density(block, matrix, own))[0, 0][:, filled]
        return out

    def potential(
        self, lane: int, derivative: Float64[np.ndarray, "4 point"], size: int
    ) -> Float64[np.ndarray, "n n"]:
        """Return the potential matrix [size, size] from the derivatives by the components, times the weights."""
        sums = np.zeros((1, 1, self._nao, self._nao))
        for block, own, order, filled in self._blocks(lane):
            self.operator.add_potential(block, _at(order, filled, derivative), own, sums)
        out = np.zeros((size, size))
        out[: self._nao, : self._nao] = sums[0, 0]
        return out

    def gradient(
        self,
        lane: int,
        density: Float64[np.ndarray, "nao nao"],
        derivative: Float64[np.ndarray, "4 point"],
        owner: Int[np.ndarray, "point"],
    ) -> tuple[Float64[np.ndarray, "natm 3"], Float64[np.ndarray, "natm 3"]]:
        """Return what moving functions and points add to the gradient, as `AbstractGridGradientOperator.gradient`."""
        matrix, functions, points = np.ascontiguousarray(density)[None, None], [], []
        for block, own, order, filled in self._blocks(lane):
            owners = np.where(filled, owner[order], 0).astype(np.int32)[None]
            parts = self.operator.gradient(block, matrix, _at(order, filled, derivative), own, owners)
            functions.append(np.asarray(parts[0])[0])
            points.append(np.asarray(parts[1])[0])
        return np.sum(functions, axis=0), np.sum(points, axis=0)

    def held_bytes(self) -> int:
        """Return the bytes of AO values held."""
        return self.operator.held_bytes()

    def close(self) -> None:
        """Free the AO values."""
        self.operator.close()


class PortableContractions:
    """The contractions in JAX; AO values of all entries are kept if they fit what is left of the memory budget."""

    def __init__(self, batch: Batch, grids: list[PointsAndWeights], memory: MemoryBudget):
        self._counts = [len(weights) for _, weights in grids]
        self._tables = []
        for entry in range(len(batch)):
            tables, self._lmax = orbital_tables(batch.take([entry]), 1)
            self._tables.append(jax.tree.map(jnp.asarray, tables))
        chunk = BLOCK * BLOCKS
        self._chunks = [_in_blocks(points) for points, _ in grids]
        self._size = sum(len(c) for c in self._chunks) * chunk * 4 * ao_bucket(batch.nao) * 8
        self._kept: dict[tuple[int, int], Any] | None = {} if self._size <= memory.left() else None

    def components(self, lane: int, density: Float64[Any, "n n"]) -> Float64[np.ndarray, "4 point"]:
        """Return rho and its gradient [4 point] from the total density matrix, which is padded."""
        matrix = jnp.asarray(density)
        parts = [
            np.asarray(_density(self._orbitals(lane, c), matrix)) for c in range(len(self._chunks[lane]))
        ]
        return np.concatenate(parts).swapaxes(0, 1).reshape(4, -1)[:, : self._counts[lane]]

    def potential(
        self, lane: int, derivative: Float64[np.ndarray, "4 point"], size: int
    ) -> Float64[np.ndarray, "n n"]:
        """Return the potential matrix [size, size] from the derivatives by the components, times the weights."""
        n_chunks = len(self._chunks[lane])
        padded = np.zeros((4, n_chunks * BLOCK * BLOCKS))
        padded[:, : self._counts[lane]] = derivative
        blocks = padded.reshape(4, n_chunks, BLOCKS, BLOCK).transpose(1, 2, 0, 3)
        matrix = jnp.zeros((size, size))
        for c in range(n_chunks):
            matrix = _add_potential(matrix, self._orbitals(lane, c), blocks[c])
        return np.asarray(matrix + matrix.T)

    def held_bytes(self) -> int:
        """Return the bytes of AO values held, or to be held."""
        return 0 if self._kept is None else self._size

    def close(self) -> None:
        """Free the AO values."""
        self._kept, self._tables, self._chunks = None, [], []

    def _orbitals(self, lane: int, chunk: int) -> Any:
        if self._kept is not None and (lane, chunk) in self._kept:
            return self._kept[lane, chunk]
        values = orbital_values(
            self._tables[lane],
            self._chunks[lane][chunk],
            pad_lanes(np.zeros(1, dtype=np.int32), 1),
            1,
            lmax=self._lmax,
            derivatives=True,
            dtype="float64",
        )
        if self._kept is not None:
            self._kept[lane, chunk] = values
        return values


def _at(
    order: Int32[np.ndarray, "point"], filled: Bool[np.ndarray, "point"], values: Float64[np.ndarray, "4 all"]
) -> Float64[np.ndarray, "1 1 4 point"]:
    """Values at the points of a block, zero where it is filled up."""
    return np.where(filled, values[:, order], 0.0)[None, None]


def _in_blocks(points: Float64[np.ndarray, "npoint 3"]) -> Float64[np.ndarray, "chunk lane block 3 point"]:
    chunk = BLOCK * BLOCKS
    count = -(-len(points) // chunk)
    # Padded points sit on the first one; what they give is cut off.
    padded = np.concatenate([points, np.repeat(points[:1], count * chunk - len(points), axis=0)])
    return padded.reshape(count, 1, BLOCKS, BLOCK, 3).swapaxes(-1, -2)


@partial(jax.jit, compiler_options=COMPILER_OPTIONS)
def _density(values: Float64[Array, "lane block c n point"], density: Float64[Array, "n n"]) -> Any:
    return jax.lax.map(lambda block: grid_components(block, density, "gga"), values[0])


@partial(jax.jit, donate_argnums=(0,), compiler_options=COMPILER_OPTIONS)
def _add_potential(
    out: Float64[Array, "n n"],
    values: Float64[Array, "lane block c n point"],
    derivative: Float64[Array, "block c point"],
) -> Any:
    def one(b: Any, out: Any) -> Any:
        return out + grid_potential(values[0, b], derivative[b], "gga")

    return jax.lax.fori_loop(0, values.shape[1], one, out)
