"""VV10 non-local correlation on a grid of its own, with the potential that it adds.

A double sum over the points (`vv10`), so the grid is a coarser one than the functional's (`scf.nonlocal_grid`). Always
in float64, whatever the precision policy.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.energy.exchange_correlation.portable import BLOCK, BLOCKS, grid_components, grid_potential
from scfx.energy.nonlocal_gradient import nonlocal_correlation_gradient
from scfx.energy.orbitals import orbital_tables, orbital_values
from scfx.energy.term import Contribution, Term
from scfx.energy.vv10 import vv10
from scfx.errors import CapabilityError
from scfx.execution.lanes import COMPILER_OPTIONS, ao_bucket
from scfx.grid import batch_grids, owned_grids

if TYPE_CHECKING:
    from scfx.energy.memory import MemoryBudget
    from scfx.grid import GridSpec
    from scfx.grid.molecular import PointsAndWeights
    from scfx.model.batch import Batch


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


class NonlocalCorrelation(Term):
    """The VV10 term of a batch, entry by entry; AO values are kept if they fit what is left of the memory budget."""

    name = "nonlocal_correlation"

    def __init__(
        self,
        batch: Batch,
        grid: GridSpec,
        parameters: tuple[float, float],
        memory: MemoryBudget,
        grid_response: bool = True,
    ):
        """`grid_response`: gradients follow the points and weights of this grid, too."""
        self._batch = batch
        self._grid_response = grid_response
        self._spec = grid
        self._parameters = parameters
        self._memory = memory
        self._grids: list[PointsAndWeights] | None = None
        self._tables: list[Any] = []
        self._chunks: list[np.ndarray] = []
        self._kept: dict[tuple[int, int], Any] | None = None
        self._size = 0

    def initialize(self) -> None:
        """Make the grid, and decide whether AO values are kept."""
        if self._grids is not None:
            return
        batch = self._batch
        self._grids = batch_grids(batch.atomic_numbers, batch.positions, self._spec)
        for entry in range(len(batch)):
            tables, self._lmax = orbital_tables(batch.take([entry]), 1)
            self._tables.append(jax.tree.map(jnp.asarray, tables))
        chunk = BLOCK * BLOCKS
        self._chunks = [self._in_blocks(points) for points, _ in self._grids]
        self._size = sum(len(c) for c in self._chunks) * chunk * 4 * ao_bucket(batch.nao) * 8
        self._kept = {} if self._size <= self._memory.left() else None

    @staticmethod
    def _in_blocks(
        points: Float64[np.ndarray, "npoint 3"],
    ) -> Float64[np.ndarray, "chunk lane block 3 point"]:
        chunk = BLOCK * BLOCKS
        count = -(-len(points) // chunk)
        # Padded points sit on the first one; what they give is cut off.
        padded = np.concatenate([points, np.repeat(points[:1], count * chunk - len(points), axis=0)])
        return padded.reshape(count, 1, BLOCKS, BLOCK, 3).swapaxes(-1, -2)

    def _orbitals(self, lane: int, chunk: int) -> Any:
        if self._kept is not None and (lane, chunk) in self._kept:
            return self._kept[lane, chunk]
        values = orbital_values(
            self._tables[lane],
            self._chunks[lane][chunk],
            np.zeros(1, dtype=np.int32),
            1,
            lmax=self._lmax,
            derivatives=True,
            dtype="float64",
        )
        if self._kept is not None:
            self._kept[lane, chunk] = values
        return values

    def evaluate(
        self, density: Float64[Array, "lane spin n n"], lanes: Int32[np.ndarray, "active"]
    ) -> Contribution:
        """Return VV10 energies and potential matrices; the potential is the same for either spin."""
        self.initialize()
        assert self._grids is not None
        energy = np.zeros(density.shape[0])
        potential = np.zeros((density.shape[0], *density.shape[2:]))
        for lane in map(int, lanes):
            total = jnp.sum(density[lane], axis=0)
            points, weights = self._grids[lane]
            n_chunks = len(self._chunks[lane])
            parts = [np.asarray(_density(self._orbitals(lane, c), total)) for c in range(n_chunks)]
            components = np.concatenate(parts).swapaxes(0, 1).reshape(4, -1)[:, : len(weights)]
            energy[lane], derivative = vv10(components, points, weights, self._parameters)
            padded = np.zeros((4, n_chunks * BLOCK * BLOCKS))
            padded[:, : len(weights)] = derivative
            blocks = padded.reshape(4, n_chunks, BLOCKS, BLOCK).transpose(1, 2, 0, 3)
            matrix = jnp.zeros(density.shape[2:])
            for c in range(n_chunks):
                matrix = _add_potential(matrix, self._orbitals(lane, c), blocks[c])
            potential[lane] = np.asarray(matrix + matrix.T)
        return Contribution(potential=potential[:, None], energy=energy, parts={self.name: energy[lanes]})

    def gradient(
        self,
        density: Float64[np.ndarray, "active spin nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return dE_VV10/dR; with the response of points and weights unless the specification leaves it out."""
        self.initialize()
        assert self._grids is not None
        return nonlocal_correlation_gradient(
            self._batch,
            owned_grids(self._batch.atomic_numbers, self._grids, self._spec),
            self._parameters,
            density,
            lanes,
            response=self._grid_response,
        )

    def response(
        self,
        density: Float64[Array, "lane spin n n"],
        change: Float64[np.ndarray, "batch spin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        opposite: bool = False,
    ) -> None:
        """Refuse: the response of VV10 to a change of the density is not built."""
        raise CapabilityError("scf.functional", "VV10 has no second derivative here")

    def held_bytes(self) -> int:
        """Return the bytes of AO values held at present."""
        return 0 if self._kept is None else self._size

    def close(self) -> None:
        """Free the AO values and the grid."""
        self._grids, self._kept, self._tables, self._chunks = None, None, [], []
