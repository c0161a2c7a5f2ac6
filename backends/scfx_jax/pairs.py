"""Pairs of shells, cut into tiles of one width, and their products of primitives in Hermite Gaussians.

A class of pairs is what its two shells are: angular momenta, Cartesian or spherical. The pairs of a class are sorted by
their number of primitive products and cut into tiles of `width`; a tile with n products is n consecutive *slabs*, each
one product of every pair of the tile. Pairs and slabs that only fill up have coefficient zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.execution.lanes import COMPILER_OPTIONS
from scfx.model.basis import angular_factor, cart_to_sph, cartesian_powers
from scfx.model.batch import Batch, ShellLayout
from scfx_jax.hermite import expansion_1d, expansion_tables, hermite_indices


class PairClass(NamedTuple):
    """Angular momenta of two shells and whether each is Cartesian; the first is not the lesser."""

    first: tuple[int, bool]
    second: tuple[int, bool]

    @property
    def order(self) -> int:
        """Return the highest Hermite Gaussian of a product."""
        return self.first[0] + self.second[0]

    @property
    def transform(self) -> Float64[np.ndarray, "function cartesian"]:
        """Return the functions of a pair in terms of the products of Cartesian components, with all angular factors."""
        return np.kron(_functions(*self.first), _functions(*self.second))

    @property
    def n_functions(self) -> int:
        """Return the number of products of functions of one pair."""
        return len(_functions(*self.first)) * len(_functions(*self.second))


@cache
def _functions(l: int, cartesian: bool) -> Float64[np.ndarray, "function cartesian"]:
    matrix = np.eye(len(cartesian_powers(l))) if cartesian or l < 2 else cart_to_sph(l).T
    return matrix * angular_factor(l)


@dataclass(frozen=True, eq=False)
class PairTables:
    """The pairs of one class in one shell structure: plain indices, the same for every molecule of the structure.

    `tile_start`, `tile_count` [tile]: slabs of each tile. `primitive`, `atom` [2, slab, width]: of both shells;
    -1: filling. `slab_tile` [slab]. `ao` [2, tile, width, function]: the AOs of each product; -1: filling.
    """

    kind: PairClass
    tile_start: Int32[np.ndarray, "tile"]
    tile_count: Int32[np.ndarray, "tile"]
    slab_tile: Int32[np.ndarray, "slab"]
    primitive: Int32[np.ndarray, "2 slab width"]
    atom: Int32[np.ndarray, "2 slab width"]
    ao: Int32[np.ndarray, "2 tile width function"]

    @property
    def n_tiles(self) -> int:
        """Return the number of tiles."""
        return len(self.tile_start)

    def slabs(self, tile: int) -> tuple[int, int, int]:
        """Return first slab, slabs and pairs of a tile."""
        pairs = int((self.ao[0, tile, :, 0] >= 0).sum())
        return int(self.tile_start[tile]), int(self.tile_count[tile]), pairs


def power_of_two(count: int, least: int = 1) -> int:
    """Return the power of two that is not below `count`, nor below `least`: so that few shapes are compiled."""
    size = least
    while size < count:
        size *= 2
    return size


@lru_cache(maxsize=64)
def pair_tables(layout: ShellLayout, width: int) -> tuple[PairTables, ...]:
    """Return the pairs of a shell structure by class, in tiles of `width`."""
    kinds = [
        (l, cartesian or l < 2)
        for l, cartesian in zip(layout.angular_momentum, layout.cartesian, strict=True)
    ]
    by_class: dict[PairClass, list[tuple[int, int]]] = {}
    for a in range(layout.n_shells):
        for b in range(a + 1):
            first, second = (a, b) if kinds[a] >= kinds[b] else (b, a)
            by_class.setdefault(PairClass(kinds[first], kinds[second]), []).append((first, second))
    return tuple(_tables(layout, width, kind, by_class[kind]) for kind in sorted(by_class))


def _tables(layout: ShellLayout, width: int, kind: PairClass, pairs: list[tuple[int, int]]) -> PairTables:
    def products(pair: tuple[int, int]) -> list[tuple[int, int]]:
        ranges = [range(layout.primitive_offset[s], layout.primitive_offset[s + 1]) for s in pair]
        return [(i, j) for i in ranges[0] for j in ranges[1]]

    # Stable, so the order of sums depends on the structure alone.
    pairs = sorted(pairs, key=lambda pair: -len(products(pair)))
    tiles = [pairs[start : start + width] for start in range(0, len(pairs), width)]
    counts = [len(products(tile[0])) for tile in tiles]
    starts = np.cumsum([0, *counts])
    slabs = power_of_two(int(starts[-1]), 4)
    primitive = np.full((2, slabs, width), -1, dtype=np.int32)
    atom = np.zeros((2, slabs, width), dtype=np.int32)
    slab_tile = np.full(slabs, -1, dtype=np.int32)
    ao = np.full((2, len(tiles), width, kind.n_functions), -1, dtype=np.int32)
    for number, tile in enumerate(tiles):
        slab_tile[starts[number] : starts[number + 1]] = number
        for column, pair in enumerate(tile):
            own = products(pair)
            rows = slice(starts[number], starts[number] + len(own))
            primitive[:, rows, column] = np.array(own).T
            atom[:, starts[number] : starts[number + 1], column] = [[layout.atom[s]] for s in pair]
            ranges = [np.arange(layout.ao_offset[s], layout.ao_offset[s + 1]) for s in pair]
            ao[0, number, column] = np.repeat(ranges[0], len(ranges[1]))
            ao[1, number, column] = np.tile(ranges[1], len(ranges[0]))
    return PairTables(
        kind, starts[:-1].astype(np.int32), np.array(counts, dtype=np.int32), slab_tile, primitive, atom, ao
    )


class Products(NamedTuple):
    """Products of primitives of one class, by slab, in float64.

    `values`: exponent p, 1/2p, a factor, P - A and P - B. The factor is contraction coefficients and exp(-mu R_AB²),
    times sqrt(2) π^(5/4) / p. `expansion` in Hermite Gaussians, without the factor, but with angular ones; it has no
    functions where nothing asks for it.
    """

    values: Any  # [slab, 9, width, lane]
    centre: Any  # [slab, 3, width, lane]
    expansion: Any  # [slab function hermite width lane]


class QuartetProgram(NamedTuple):
    """What a program of repulsion integrals is compiled for: classes of bra and ket, dtype, and a GPU or not."""

    kind_x: PairClass
    kind_y: PairClass
    dtype: str
    on_gpu: bool

    @property
    def order(self) -> int:
        """Return the sum of the four angular momenta."""
        return self.kind_x.order + self.kind_y.order


#: sqrt(2) π^(5/4): two of them are the constant of a repulsion integral.
REPULSION_ROOT = float(np.sqrt(2.0) * np.pi**1.25)


class MoleculeArrays(NamedTuple):
    """Exponents and coefficients [lane, primitive], centres [lane, atom, 3] and charges of lanes, padded.

    The last primitive has exponent one and coefficient zero: it is what filling points to.
    """

    exponent: Any
    coefficient: Any
    position: Any
    charge: Any


def molecules_of(batch: Batch, start: int, lanes: int) -> MoleculeArrays:
    """Return `lanes` entries of a batch from `start` on; past its end the last is repeated, its results dropped."""
    rows = np.minimum(np.arange(start, start + lanes), len(batch) - 1)
    primitives = power_of_two(batch.exponents.shape[1] + 1, 16)
    atoms = power_of_two(batch.natm, 4)
    exponent, coefficient = np.ones((lanes, primitives)), np.zeros((lanes, primitives))
    exponent[:, : batch.exponents.shape[1]] = batch.exponents[rows]
    coefficient[:, : batch.exponents.shape[1]] = batch.coefficients[rows]
    position, charge = np.zeros((lanes, atoms, 3)), np.zeros((lanes, atoms))
    # Differences of centres lose fewer digits near the origin.
    centre = batch.positions[rows].mean(axis=1, keepdims=True)
    position[:, : batch.natm] = batch.positions[rows] - centre
    charge[:, : batch.natm] = batch.nuclear_charges[rows]
    return MoleculeArrays(exponent, coefficient, position, charge)


class Moments(NamedTuple):
    """One-electron integrals of a class, summed over primitives: [function, tile, width, lane] each, `position` about
    the origin of `MoleculeArrays` with x, y, z before.
    """

    overlap: Any
    kinetic: Any
    position: Any


@partial(jax.jit, static_argnames=("kind", "expanded"), compiler_options=COMPILER_OPTIONS)
def products_of(
    molecules: MoleculeArrays,
    primitive: Int32[Array, "2 slab width"],
    atom: Int32[Array, "2 slab width"],
    slabs: Float64[Array, "tile slab"],
    *,
    kind: PairClass,
    expanded: bool,
) -> tuple[Products, Moments]:
    """Return the products of a class and their one-electron integrals, in float64.

    `slabs`: 1 where a tile has a slab. `expanded`: with the expansion.
    """
    (la, _), (lb, _) = kind
    # [2, slab, width, lane], from [lane, ...] rows
    exponents = jnp.moveaxis(molecules.exponent[:, primitive], 0, -1)
    coefficients = jnp.moveaxis(molecules.coefficient[:, primitive], 0, -1)
    centres = jnp.moveaxis(molecules.position[:, atom], (0, 4), (4, 1))
    a, b = exponents[0], exponents[1]
    p = a + b
    centre = (a[None] * centres[0] + b[None] * centres[1]) / p[None]
    distance = jnp.sum((centres[0] - centres[1]) ** 2, axis=0)
    factor = coefficients[0] * coefficients[1] * jnp.exp(-(a * b / p) * distance)
    one_dimensional = expansion_1d(la, lb + 2, p, centre - centres[0], centre - centres[1])
    transform = jnp.asarray(kind.transform)
    expansion = jnp.zeros((0, 1, *p.shape))
    if expanded:
        keys, table = expansion_tables(la, lb, hermite_indices(kind.order))
        e = jnp.stack([*(one_dimensional[key] for key in keys), jnp.zeros_like(centre)])
        cartesian = (
            e[table[0], 0] * e[table[1], 1] * e[table[2], 2]
        )  # [cartesian, hermite, slab, width, lane]
        expansion = jnp.tensordot(transform, cartesian, axes=1)
    values = jnp.stack(
        [p, 0.5 / p, factor * (REPULSION_ROOT / p), *(centre - centres[0]), *(centre - centres[1])]
    )
    simple = jnp.tensordot(transform, _moments(one_dimensional, b, centre, kind), axes=((1,), (1,)))
    weighted = simple * (factor * (np.pi / p) ** 1.5)[None, None]
    summed = jnp.einsum("ts,fmswl->mftwl", slabs, weighted)
    products = Products(*(jnp.moveaxis(a, axis, 0) for a, axis in ((values, 1), (centre, 1), (expansion, 2))))
    return products, Moments(summed[0], summed[1], summed[2:])


def _moments(e: Any, b: Any, centre: Any, kind: PairClass) -> Any:
    """Return overlap, kinetic energy, x, y, z of Cartesian components, less the factor that two s functions have."""
    (la, _), (lb, _) = kind

    def kinetic(i: int, j: int) -> Any:
        # -1/2 d²/dx² of x^j exp(-b x²): Helgaker et al., eq. 9.3.40
        value = b[None] * (2.0 * j + 1.0) * e[i, j, 0] - 2.0 * b[None] ** 2 * e[i, j + 2, 0]
        return value - e[i, j - 2, 0] * (0.5 * j * (j - 1)) if j > 1 else value

    def position(i: int, j: int) -> Any:
        return centre * e[i, j, 0] + e[i, j, 1] if i + j else centre * e[i, j, 0]

    powers = [(i, j) for i in range(la + 1) for j in range(lb + 1)]
    place = {power: n for n, power in enumerate(powers)}
    s = jnp.stack([e[i, j, 0] for i, j in powers])
    t, r = (jnp.stack([f(i, j) for i, j in powers]) for f in (kinetic, position))
    rows = np.array(
        [[place[m[x], n[x]] for m in cartesian_powers(la) for n in cartesian_powers(lb)] for x in range(3)]
    )
    s, t, r = ([f[rows[x], x] for x in range(3)] for f in (s, t, r))
    one_axis = [(r if x == y else s)[x] for y in range(3) for x in range(3)]
    kinetic_energy = t[0] * s[1] * s[2] + s[0] * t[1] * s[2] + s[0] * s[1] * t[2]
    positions = [one_axis[3 * y] * one_axis[3 * y + 1] * one_axis[3 * y + 2] for y in range(3)]
    return jnp.stack([s[0] * s[1] * s[2], kinetic_energy, *positions])


def products_of_class(
    molecules: MoleculeArrays, tables: PairTables, expanded: bool
) -> tuple[Products, Moments]:
    """Return products and one-electron integrals of a class, for which `tables` has the indices."""
    slabs = np.zeros((power_of_two(tables.n_tiles), len(tables.slab_tile)))
    real = np.flatnonzero(tables.slab_tile >= 0)
    slabs[tables.slab_tile[real], real] = 1.0
    return products_of(molecules, tables.primitive, tables.atom, slabs, kind=tables.kind, expanded=expanded)
