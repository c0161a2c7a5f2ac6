"""Exchange-correlation energy and potential of a batch on its grids, in blocks of points: portable, whole in JAX.

`scfx.energy.exchange_correlation.backend` has the other way behind the same interface.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int32

from scfx.config.precision import PrecisionPolicy
from scfx.contracts.functional import AbstractFunctional
from scfx.energy.exchange_correlation.functional_at_points import (
    evaluate_closed_shell,
    evaluate_spin_resolved,
)
from scfx.energy.orbitals import OrbitalTables, orbital_tables, orbital_values
from scfx.execution.lanes import COMPILER_OPTIONS, ActiveLanes, ao_bucket, for_lanes, pad_lanes, with_mode
from scfx.model.batch import Batch

#: Points of a block: AO values of 56 functions in float64 then take 229 KB and stay in cache through both products.
BLOCK = 512
#: Blocks of one dispatched call.
BLOCKS = 4


class StaticFunctional:
    """A functional as a static argument of `jit`: equal when class and definition are, so kernels are shared."""

    def __init__(self, functional: AbstractFunctional):
        self.functional = functional
        self._key = (type(functional), json.dumps(functional.definition(), sort_keys=True, default=str))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StaticFunctional) and self._key == other._key


class Totals(NamedTuple):
    """Sums over the grid so far, leading with `lane`; float64."""

    energy: Float64[Array, "lane"]
    electrons: Float64[Array, "lane"]
    potential: Float64[Array, "lane spin n n"]


def _evaluate(functional: Any, components: Any, weights: Any, dtype: str) -> Any:
    """The functional on one block; `components` [spin component point]. Derivatives keep that shape."""
    if components.shape[0] == 1:
        energy, electrons, derivative = evaluate_closed_shell(
            functional, components[0], weights, jnp.dtype(dtype)
        )
        return energy, electrons, derivative[None]
    return evaluate_spin_resolved(functional, components, weights, jnp.dtype(dtype))


def grid_components(
    orbitals: Float[Array, "derivative n point"], density: Float[Array, "n n"], family: str
) -> Any:
    """Return rho, ∇rho, tau of one symmetric density matrix; rho = Σ_ij D_ij φ_i φ_j."""
    product = density @ orbitals[0]
    # One sum for all components: a GPU then reads the orbitals once for it.
    sums = jnp.sum(product[None] * (orbitals[:1] if family == "lda" else orbitals), axis=1)
    out: list[Any] = [sums[0]]
    if family != "lda":
        out += [2.0 * sums[c] for c in (1, 2, 3)]
    if family == "mgga":
        out.append(0.5 * sum(jnp.sum((density @ orbitals[c]) * orbitals[c], axis=0) for c in (1, 2, 3)))
    return jnp.stack(out)


def grid_potential(
    orbitals: Float[Array, "derivative n point"], v: Float[Array, "component point"], family: str
) -> Any:
    """Return Σ_g Σ_c v_c ∂(component c)/∂D_ij, without the final symmetrisation."""
    v = v[:, None, :]
    left = 0.5 * v[0] * orbitals[0]
    if family != "lda":
        left = left + v[1] * orbitals[1] + v[2] * orbitals[2] + v[3] * orbitals[3]
    out = left @ orbitals[0].T
    if family == "mgga":
        out = out + sum((0.25 * v[4] * orbitals[c]) @ orbitals[c].T for c in (1, 2, 3))
    return out


@partial(
    jax.jit,
    static_argnames=("functional", "dtype"),
    donate_argnames=("totals",),
    compiler_options=COMPILER_OPTIONS,
)
def _quadrature_blocks(
    functional: StaticFunctional,
    totals: Totals,
    orbitals: Float[Array, "lane block component n point"],
    weights: Float64[Array, "lane block point"],
    density: Float64[Array, "lane spin n n"],
    lanes: ActiveLanes,
    count: Any,
    *,
    dtype: str,
) -> Totals:
    family = functional.functional.family
    working = orbitals.dtype

    def lane(t: Totals, orbitals: Any, weights: Any, density: Any) -> Totals:
        d = density.astype(working)

        def block(values: Any, weights: Any, d: Any) -> Totals:
            components = jnp.stack([grid_components(values, d[s], family) for s in range(d.shape[0])])
            # The barriers keep XLA from fusing (and repeating) the functional into the products over functions.
            components = jax.lax.optimization_barrier(components)
            energy, electrons, v = _evaluate(functional.functional, components, weights, dtype)
            v = jax.lax.optimization_barrier(v.astype(working))
            potential = jnp.stack([grid_potential(values, v[s], family) for s in range(d.shape[0])])
            return Totals(*(part.astype(jnp.float64) for part in (energy, electrons, potential)))

        if with_mode(lanes).batched:  # all blocks at once, as all lanes
            # A density for each block: products of one density with all would want the orbitals in another order.
            each = jnp.broadcast_to(d[None], (len(orbitals), *d.shape))
            made = jax.vmap(block)(orbitals, weights, each)
            return jax.tree.map(lambda t, parts: t + jnp.sum(parts, axis=0), t, made)
        return jax.lax.fori_loop(
            0,
            orbitals.shape[0],
            lambda b, t: jax.tree.map(jnp.add, t, block(orbitals[b], weights[b], d)),
            t,
        )

    return for_lanes(lane, lanes, count, totals, orbitals, weights, density)


class PortableQuadrature:
    """The portable quadrature: AO values in JAX, kept between iterations if they fit the memory budget."""

    def __init__(
        self,
        batch: Batch,
        grids: list[tuple[np.ndarray, np.ndarray]],
        functional: AbstractFunctional,
        policy: PrecisionPolicy,
        capacity: int,
        memory_budget: int,
    ):
        self._functional = StaticFunctional(functional)
        self._policy = policy
        self._capacity = capacity
        self._derivatives = functional.family != "lda"
        tables, self._lmax = orbital_tables(batch, capacity)
        self._tables = jax.tree.map(jnp.asarray, tables)
        self._n = ao_bucket(batch.nao)
        chunk = BLOCK * BLOCKS
        self._lane_chunks = np.array([-(-len(w) // chunk) for _, w in grids], dtype=np.int64)
        nchunk = int(self._lane_chunks.max())
        points = np.zeros((nchunk, capacity, BLOCKS, 3, BLOCK))
        weights = np.zeros((nchunk, capacity, BLOCKS, BLOCK))
        for lane, (r, w) in enumerate(grids):
            if not len(w):
                continue
            own = int(self._lane_chunks[lane])
            flat, flat_weights = np.empty((3, own * chunk)), np.zeros(own * chunk)
            flat[:, : len(w)], flat_weights[: len(w)] = r.T, w
            # Padded points sit on the first point of the chunk, with zero weight.
            flat[:, len(w) :] = r[(own - 1) * chunk][:, None]
            points[:own, lane] = flat.reshape(3, own, BLOCKS, BLOCK).transpose(1, 2, 0, 3)
            weights[:own, lane] = flat_weights.reshape(own, BLOCKS, BLOCK)
        self._points, self._weights = points, weights
        components = 4 if self._derivatives else 1
        size = capacity * chunk * components * self._n * policy.dtype("orbitals").itemsize * nchunk
        self._cache: list[Any] | None = [None] * nchunk if size <= memory_budget else None
        self._size = size

    def _orbitals(self, chunk: int, capacity: int) -> Any:
        if self._cache is not None and self._cache[chunk] is not None:
            return self._cache[chunk]
        every = np.flatnonzero(self._lane_chunks > chunk).astype(np.int32)
        values = orbital_values(
            self._tables,
            self._points[chunk],
            pad_lanes(every, capacity),
            len(every),
            lmax=self._lmax,
            derivatives=self._derivatives,
            dtype=self._policy.orbitals,
        )
        if self._cache is not None:
            self._cache[chunk] = values
        return values

    def evaluate(
        self, density: Float64[Array, "lane spin n n"], lanes: Int32[np.ndarray, "active"]
    ) -> Totals:
        """Return energy, number of electrons and potential matrices of the given lanes (others: zero)."""
        shape = density.shape
        totals = Totals(jnp.zeros(shape[0]), jnp.zeros(shape[0]), jnp.zeros(shape))
        for chunk in range(len(self._points)):
            active = lanes[self._lane_chunks[lanes] > chunk]
            if not len(active):
                break
            totals = _quadrature_blocks(
                self._functional,
                totals,
                self._orbitals(chunk, self._capacity),
                self._weights[chunk],
                density,
                pad_lanes(active, self._capacity),
                len(active),
                dtype=self._policy.functional,
            )
        potential = totals.potential
        return totals._replace(potential=potential + jnp.swapaxes(potential, -1, -2))

    def held_bytes(self) -> int:
        """Return the bytes of AO values that are kept from one iteration to the next."""
        return 0 if self._cache is None else self._size

    def close(self) -> None:
        """Drop the AO values."""
        self._cache = None


__all__ = ["OrbitalTables", "PortableQuadrature", "StaticFunctional", "Totals"]
