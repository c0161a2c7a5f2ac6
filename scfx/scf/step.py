"""The jitted, hand-batched SCF step: Fock parts in, new density out, each lane on its own."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float64, Int

from scfx.energy.hamiltonian import FockParts
from scfx.execution.lanes import COMPILER_OPTIONS, for_lanes, in_lanes, with_mode
from scfx.scf.diis import DIISState, combined, remember
from scfx.scf.fock import fock_and_energy, roothaan, symmetrised
from scfx.scf.occupation import aufbau, density_matrix, frontier, orthonormalise
from scfx.scf.purification import lowest_projector


class Fixed(NamedTuple):
    """What does not change during the iterations, padded, leading with `lane`."""

    core: Float64[Array, "lane n n"]
    orthogonaliser: Float64[Array, "lane n n"]  # X, columns of dropped or padded orbitals are zero
    nuclear_repulsion: Float64[Array, "lane"]
    n_occupied: Int[Array, "lane spin"]
    n_orbitals: Int[Array, "lane"]


class SCFState(NamedTuple):
    """What an iteration carries, leading with `lane`. Matrices marked ' are in the orthonormal basis."""

    density: Float64[Array, "lane spin n n"]  # AO basis
    density_orth: Float64[Array, "lane spin n n"]  # D'
    fock_orth: Float64[Array, "lane spin n n"]  # F' of the density it was built from, before extrapolation
    previous_fock: Float64[Array, "lane spin n n"]  # F' that was last diagonalised (for damping)
    energy: Float64[Array, "lane"]
    energy_change: Float64[Array, "lane"]
    residual: Float64[Array, "lane"]  # max |[F', D'/f]|, f electrons per orbital
    diis: DIISState


class Control(NamedTuple):
    """Knobs of the recovery ladder, per lane: zero in the plain procedure."""

    level_shift: Float64[Array, "lane"]  # hartree, added to the virtual space
    damping: Float64[Array, "lane"]  # share of the previous Fock matrix
    use_diis: Bool[Array, "lane"]


def commutator(fock: Any, density: Any) -> Any:
    """Return [F', D'/f] of one lane: the DIIS error, whose largest element is the residual."""
    product = fock @ density
    return (product - jnp.swapaxes(product, -1, -2)) / (2.0 if density.shape[0] == 1 else 1.0)


def _pad_diagonal(fock: Any, n_orbitals: Any) -> Any:
    """Put padded and dropped orbitals above all others: a diagonal beyond the norm of the matrix."""
    n = fock.shape[-1]
    bound = 1.0 + jnp.max(jnp.sum(jnp.abs(fock), axis=-1))
    padded = (jnp.arange(n, dtype=jnp.int32) >= n_orbitals).astype(fock.dtype)
    return fock + jnp.diag(padded * bound)[None]


def _diagonalise(fock: Any, n_orbitals: Any, dtype: str) -> Any:
    return jnp.linalg.eigh(_pad_diagonal(fock, n_orbitals).astype(dtype))


@partial(jax.jit, static_argnames=("shared",), donate_argnums=(0,), compiler_options=COMPILER_OPTIONS)
def build(
    state: SCFState, fixed: Fixed, parts: FockParts, lanes: Any, count: Any, *, shared: bool
) -> SCFState:
    """Assemble Fock matrix, energy and residual of the present density; `shared`: both spins have the same orbitals."""

    def lane(s: SCFState, f: Fixed, p: FockParts) -> SCFState:
        fock, energy = fock_and_energy(
            f.core, s.density, p.coulomb, p.exchange, p.potential, p.energy, f.nuclear_repulsion
        )
        fock_orth = symmetrised(f.orthogonaliser.T @ fock @ f.orthogonaliser)
        if shared:
            fock_orth = roothaan(fock_orth, s.density_orth)
        new = s._replace(fock_orth=fock_orth, energy=energy, energy_change=jnp.abs(energy - s.energy))
        return new._replace(residual=jnp.max(jnp.abs(commutator(new.fock_orth, new.density_orth))))

    return for_lanes(lane, lanes, count, state, fixed, parts)


@partial(jax.jit, static_argnames=("shared",), donate_argnums=(0,), compiler_options=COMPILER_OPTIONS)
def shift_history(
    state: SCFState, fixed: Fixed, potential: Any, lanes: Any, count: Any, *, shared: bool
) -> SCFState:
    """Move the remembered Fock matrices by a change of the potential (AO basis), as if it had been there before."""

    def lane(s: SCFState, f: Fixed, potential: Any) -> SCFState:
        change = f.orthogonaliser.T @ potential @ f.orthogonaliser
        if shared:
            change = roothaan(change, s.density_orth)
        # Errors move by [ΔF', D'_k] of each density; all are taken for the present one, as D_k - D is of first order.
        moved = commutator(change, s.density_orth)
        return s._replace(
            diis=s.diis._replace(fock=s.diis.fock + change[None], error=s.diis.error + moved[None])
        )

    return for_lanes(lane, lanes, count, state, fixed, potential)


def _with_new_density(
    small: SCFState,
    lane: Any,
    s: SCFState,
    f: Fixed,
    c: Control,
    fock: Any,
    from_guess: Any,
    dtype: str,
    shared: bool,
    purify: bool,
) -> tuple[SCFState, Any]:
    """Damp and shift one lane's Fock matrix and put its density in place, by orbitals in `dtype`, or by purification in
    float64; return too whether that was found.
    """
    per_orbital = 2.0 if s.density.shape[0] == 1 else 1.0
    damping = jnp.where(from_guess, 0.0, c.damping)
    fock = (1.0 - damping) * fock + damping * s.previous_fock
    # F' + b (1 - D'/f): the virtual space goes up by b (Saunders and Hillier 1973).
    filled = jnp.mean(s.density_orth, axis=0, keepdims=True) if shared else s.density_orth
    fock = symmetrised(fock - c.level_shift * filled / per_orbital)
    small = small._replace(previous_fock=small.previous_fock.at[lane].set(fock))
    if purify:
        projector, found = lowest_projector(fock, f.n_occupied, f.n_orbitals)
        return _with_density(small, lane, f, per_orbital * projector), found
    return _with_diagonalised(small, lane, f, fock, dtype), jnp.array(True)


def _with_diagonalised(small: SCFState, lane: Any, f: Fixed, fock: Any, dtype: str) -> SCFState:
    """Put the density of the lowest orbitals of a Fock matrix in place."""
    per_orbital = 2.0 if fock.shape[0] == 1 else 1.0
    _, orbitals = _diagonalise(fock, f.n_orbitals, dtype)
    occupation = aufbau(f.n_occupied, fock.shape[-1])
    return _with_density(small, lane, f, density_matrix(orthonormalise(orbitals), occupation, per_orbital))


def _with_density(small: SCFState, lane: Any, f: Fixed, density_orth: Any) -> SCFState:
    density = symmetrised(f.orthogonaliser @ density_orth @ f.orthogonaliser.T)
    return small._replace(
        density=small.density.at[lane].set(density),
        density_orth=small.density_orth.at[lane].set(density_orth),
    )


def _purifies(lanes: Any) -> bool:
    """Return whether densities are purified: where all lanes are worked on at once, as on an accelerator."""
    return with_mode(lanes).batched


def _diagonalised_where(
    missed: Any, state: SCFState, fixed: Fixed, lanes: Any, count: Any, dtype: str
) -> SCFState:
    """Diagonalise after all if any lane has no gap that purification could tell, and take it for those lanes."""

    def one(lane: Any, state: SCFState, fixed: Fixed, missed: Any) -> SCFState:
        f: Fixed = jax.tree.map(lambda a: a[lane], fixed)
        made = _with_diagonalised(state, lane, f, state.previous_fock[lane], dtype)
        return jax.tree.map(lambda new, old: jnp.where(missed[lane], new, old), made, state)

    def again(state: SCFState) -> SCFState:
        return in_lanes(one, lanes, count, state, fixed, missed)

    diis = state.diis
    small = state._replace(
        diis=DIISState(diis.count, diis.count, diis.count)
    )  # nothing of the history is touched
    return jax.lax.cond(jnp.any(missed), again, lambda state: state, small)._replace(diis=diis)


@partial(jax.jit, static_argnames=("dtype", "shared"), donate_argnums=(0,), compiler_options=COMPILER_OPTIONS)
def advance(
    state: SCFState, fixed: Fixed, control: Control, lanes: Any, count: Any, *, dtype: str, shared: bool
) -> SCFState:
    """Extrapolate, diagonalise in `dtype`, and put the new density in place.

    Where lanes are worked on at once, the density is purified in float64; only lanes without a gap are diagonalised.
    """
    purify, diis = _purifies(lanes), state.diis
    missed = jnp.zeros(state.energy.shape, bool)
    # The history lives outside the loop's per-lane slices, so that only the slot written is touched.
    small = state._replace(diis=DIISState(diis.count, diis.count, diis.count))

    def one(
        lane: Any, carry: tuple[SCFState, DIISState, Any], fixed: Fixed, control: Control
    ) -> tuple[SCFState, DIISState, Any]:
        small, diis, missed = carry
        s: SCFState = jax.tree.map(lambda a: a[lane], small)
        f: Fixed = jax.tree.map(lambda a: a[lane], fixed)
        c: Control = jax.tree.map(lambda a: a[lane], control)
        diis = remember(diis, lane, s.fock_orth, commutator(s.fock_orth, s.density_orth))
        fock = jnp.where(c.use_diis, combined(diis, lane), s.fock_orth)
        # The Fock matrix of the guess stays out of the history: its density is not idempotent, which the commutator
        # does not see. In H2, or an atom, it commutes by symmetry, and DIIS would take it for converged.
        from_guess = ~jnp.isfinite(s.energy_change)
        diis = diis._replace(count=diis.count.at[lane].set(jnp.where(from_guess, 0, diis.count[lane])))
        small, found = _with_new_density(small, lane, s, f, c, fock, from_guess, dtype, shared, purify)
        return small, diis, missed.at[lane].set(~found)

    small, diis, missed = in_lanes(one, lanes, count, (small, diis, missed), fixed, control)
    new = small._replace(diis=diis)
    return _diagonalised_where(missed, new, fixed, lanes, count, dtype) if purify else new


@partial(jax.jit, static_argnames=("dtype", "shared"), donate_argnums=(0,), compiler_options=COMPILER_OPTIONS)
def advance_with(
    state: SCFState,
    fixed: Fixed,
    control: Control,
    given: Float64[Array, "lane spin n n"],
    share: Float64[Array, "lane"],
    lanes: Any,
    count: Any,
    *,
    dtype: str,
    shared: bool,
) -> SCFState:
    """Do what `advance` does, with `share` of a `given` Fock matrix (orthonormal basis) in place of so much of what
    DIIS makes.
    """

    def one(
        lane: Any, carry: tuple[SCFState, Any], fixed: Fixed, control: Control, given: Any, share: Any
    ) -> tuple[SCFState, Any]:
        state, missed = carry
        s, f, c = (jax.tree.map(lambda a: a[lane], tree) for tree in (state, fixed, control))
        diis = remember(state.diis, lane, s.fock_orth, commutator(s.fock_orth, s.density_orth))
        fock = share[lane] * given[lane] + (1.0 - share[lane]) * combined(diis, lane)
        from_guess = ~jnp.isfinite(s.energy_change)
        diis = diis._replace(count=diis.count.at[lane].set(jnp.where(from_guess, 0, diis.count[lane])))
        state = state._replace(diis=diis)
        state, found = _with_new_density(
            state, lane, s, f, c, fock, from_guess, dtype, shared, _purifies(lanes)
        )
        return state, missed.at[lane].set(~found)

    carry = (state, jnp.zeros(state.energy.shape, bool))
    new, missed = in_lanes(one, lanes, count, carry, fixed, control, given, share)
    return _diagonalised_where(missed, new, fixed, lanes, count, dtype) if _purifies(lanes) else new


class Orbitals(NamedTuple):
    """Canonical orbitals of the last Fock matrix, float64."""

    energies: Float64[Array, "lane spin n"]
    coefficients: Float64[Array, "lane spin n n"]  # AO basis
    homo: Float64[Array, "lane"]
    lumo: Float64[Array, "lane"]


@partial(jax.jit, compiler_options=COMPILER_OPTIONS)
def canonical_orbitals(
    state: SCFState, fixed: Fixed, lanes: Any, count: Any, extrapolated: Any, shared: Any
) -> Orbitals:
    """Return the canonical orbitals at the present density, always in float64.

    `extrapolated` (True or False): of the Fock matrix that DIIS makes of the last ones, which the next iteration
    would diagonalise and whose orbital energies are an order closer to self-consistency, or of the last one itself.
    `shared` (True or False): an orbital with one electron is occupied, and not the LUMO of the other spin.
    """
    capacity, nspin, n, _ = state.fock_orth.shape
    empty = Orbitals(
        jnp.zeros((capacity, nspin, n)),
        jnp.zeros((capacity, nspin, n, n)),
        jnp.zeros(capacity),
        jnp.zeros(capacity),
    )

    def one(lane: Any, out: Orbitals, state: SCFState, fixed: Fixed) -> Orbitals:
        fock_orth = state.fock_orth[lane]
        error = commutator(fock_orth, state.density_orth[lane])
        mixed = combined(remember(state.diis, lane, fock_orth, error), lane)
        fock = jnp.where(extrapolated & (state.diis.count[lane] > 0), symmetrised(mixed), fock_orth)
        energies, orbitals = _diagonalise(fock, fixed.n_orbitals[lane], "float64")
        n_occupied = fixed.n_occupied[lane]
        n_occupied = jnp.where(shared, jnp.max(n_occupied), n_occupied)
        homo, lumo = frontier(energies, n_occupied, fixed.n_orbitals[lane])
        found = Orbitals(energies, fixed.orthogonaliser[lane] @ orbitals, homo, lumo)
        return jax.tree.map(lambda o, v: o.at[lane].set(v), out, found)

    return in_lanes(one, lanes, count, empty, state, fixed)
