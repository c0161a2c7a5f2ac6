"""VV10 non-local correlation on a grid of its own, with the potential that it adds.

    E = ∫ ρ(r) [β + ½ ∫ ρ(r') Φ(r, r') dr'] dr,   Φ = -3/(2 g g' (g + g')),   g = ω0 R² + κ

Vydrov, Van Voorhis, J. Chem. Phys. 133, 244103 (2010), eq. 4 to 19. A double sum over the points, so the grid is a
coarser one than the functional's (`scf.nonlocal_grid`). Always in float64, whatever the precision policy.
"""

from __future__ import annotations

from functools import partial
from math import pi
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.energy.exchange_correlation.portable import BLOCK, BLOCKS, grid_components, grid_potential
from scfx.energy.term import Contribution, Term
from scfx.errors import CapabilityError
from scfx.grid import batch_grids
from scfx.lanes import COMPILER_OPTIONS, ao_bucket
from scfx.orbitals import orbital_tables, orbital_values

if TYPE_CHECKING:
    from scfx.batch import Batch
    from scfx.energy.memory import MemoryBudget
    from scfx.grid import GridSpec
    from scfx.grid.molecular import PointsAndWeights

#: Points of lower density (bohr⁻³) are left out, as in other programs: their pairs are most of the work.
DENSITY_THRESHOLD = 1e-8
#: Points of the outer and of the inner sum that are worked on at once: 40 arrays of 64 KB stay in cache.
_OUTER, _INNER = 256, 32


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


@partial(jax.jit, compiler_options=COMPILER_OPTIONS)
def _pair_sums(points: Float64[Array, "6 npad"], count: Any) -> Float64[Array, "3 npad"]:
    """Σ_j T, Σ_j T (1/g + 1/(g+g')) and the same times R², with T = w_j ρ_j/(g g' (g+g')), at each of the points.

    `points` holds x, y, z, ω0, κ and wρ, padded with wρ = 0; only `count` points (rounded up to a block) are visited.
    """

    def outer(o: Any, out: Any) -> Any:
        own = jax.lax.dynamic_slice_in_dim(points, o * _OUTER, _OUTER, axis=1)
        x, y, z, omega, kappa, _ = own[:, None, :]

        def inner(i: Any, sums: Any) -> Any:
            other = jax.lax.dynamic_slice_in_dim(points, i * _INNER, _INNER, axis=1)[:, :, None]
            r2 = (other[0] - x) ** 2 + (other[1] - y) ** 2 + (other[2] - z) ** 2
            g, gp = r2 * omega + kappa, r2 * other[3] + other[4]
            gt = g + gp
            inverse = 1.0 / (g * gp * gt)  # the one division: 1/g + 1/(g+g') = inverse g' (g+g' + g)
            t = other[5] * inverse
            u = t * inverse * gp * (gt + g)
            f, uu, w = sums
            return f + jnp.sum(t, axis=0), uu + jnp.sum(u, axis=0), w + jnp.sum(u * r2, axis=0)

        zero = jnp.zeros(_OUTER)
        blocks = -(-count // _OUTER) * (_OUTER // _INNER)
        sums = jnp.stack(jax.lax.fori_loop(0, blocks, inner, (zero, zero, zero)))
        return jax.lax.dynamic_update_slice_in_dim(out, sums, o * _OUTER, axis=1)

    return jax.lax.fori_loop(0, -(-count // _OUTER), outer, jnp.zeros((3, points.shape[1])))


def vv10(
    components: Float64[np.ndarray, "4 point"],
    positions: Float64[np.ndarray, "point 3"],
    weights: Float64[np.ndarray, "point"],
    parameters: tuple[float, float],
) -> tuple[float, Float64[np.ndarray, "4 point"]]:
    """Energy (hartree) and its derivatives by rho and ∂rho, times the weights, on one grid.

    `parameters`: (b, C). Call inside `jax.enable_x64(True)`.
    """
    b, c = parameters
    derivative = np.zeros_like(components)
    chosen = np.flatnonzero(components[0] >= DENSITY_THRESHOLD)
    if not len(chosen):
        return 0.0, derivative
    rho, gradient, weight = components[0, chosen], components[1:, chosen], weights[chosen]
    sigma = np.sum(gradient**2, axis=0)
    omega = np.sqrt(c * (sigma / rho**2) ** 2 + 4.0 * pi / 3.0 * rho)
    kappa = b * 1.5 * pi * (rho / (9.0 * pi)) ** (1.0 / 6.0)
    # Padded to a length that is a function of the grid alone, so that one row compiles one shape.
    padded = np.ones((6, -(-len(weights) // 4096) * 4096))
    padded[5] = 0.0
    padded[:, : len(chosen)] = [*positions[chosen].T, omega, kappa, weight * rho]
    f, u, w = np.asarray(_pair_sums(padded, len(chosen)))[:, : len(chosen)]
    beta = (3.0 / b**2) ** 0.75 / 32.0
    kernel = -1.5 * f
    energy = float(np.sum(weight * rho * (beta + 0.5 * kernel)))
    omega_by_rho = (4.0 * pi / 3.0 - 4.0 * c * sigma**2 / rho**5) / (2.0 * omega)
    omega_by_sigma = c * sigma / (rho**4 * omega)
    by_rho = beta + kernel + 1.5 * (u * kappa / 6.0 + w * rho * omega_by_rho)
    by_sigma = 1.5 * w * rho * omega_by_sigma
    derivative[0, chosen] = weight * by_rho
    derivative[1:, chosen] = 2.0 * weight * by_sigma * gradient
    return energy, derivative


class NonlocalCorrelation(Term):
    """The VV10 term of a batch, entry by entry; AO values are kept if they fit what is left of the memory budget."""

    name = "nonlocal_correlation"

    def __init__(self, batch: Batch, grid: GridSpec, parameters: tuple[float, float], memory: MemoryBudget):
        self._batch = batch
        self._spec = grid
        self._parameters = parameters
        self._memory = memory
        self._grids: list[PointsAndWeights] | None = None
        self._tables: list[Any] = []
        self._chunks: list[np.ndarray] = []
        self._kept: dict[tuple[int, int], Any] | None = None
        self._size = 0

    def prepare(self) -> None:
        """See `Term.prepare`: makes the grid, and decides whether AO values are kept."""
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
        """See `Term.evaluate`; the potential is the same for either spin."""
        self.prepare()
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

    def response(
        self,
        density: Float64[Array, "lane spin n n"],
        change: Float64[np.ndarray, "batch spin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        opposite: bool = False,
    ) -> None:
        """See `Term.response`: not there."""
        raise CapabilityError("scf.functional", "VV10 has no second derivative here")

    def held_bytes(self) -> int:
        """See `Term.held_bytes`."""
        return 0 if self._kept is None else self._size

    def close(self) -> None:
        """See `Term.close`."""
        self._grids, self._kept, self._tables, self._chunks = None, None, [], []
