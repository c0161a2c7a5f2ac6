"""Early iterations on a coarse grid that is corrected now and then to the grid of the labels.

Most of an iteration's time goes into the grid, and most iterations are far from convergence. With `E_c` and `V_c` from
a grid of some hundred points an atom, and a reference density D0 at which the full grid gave `E_f` and `V_f`, an entry
iterates with the corrected functional

    E(D) = E_c(D) + [E_f(D0) - E_c(D0)] + tr [V_f(D0) - V_c(D0)](D - D0),     V(D) = V_c(D) + V_f(D0) - V_c(D0),

which agrees with the full grid at D0 to first order: V is the derivative of E, and what is left is the difference of
the grids' responses to D - D0. Once the residual has fallen far enough for that difference to matter, the next Fock
matrix is built on the full grid, its density becomes D0, and the contribution says by how much the potential changed,
so that the DIIS history can be moved and goes on describing one functional. An entry converges on the full grid only.
The first Fock matrix of all is built there too: the guess is close enough for the errors at the nuclei to cancel from
then on.

Non-local correlation has no coarse grid: between two visits of the full grid its energy is taken to first order in
D - D0, with E_c = 0 and V_c = 0 above.

What an entry does depends on its own residuals alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.energy.exchange_correlation.portable import Totals
from scfx.energy.exchange_correlation.term import ExchangeCorrelation, contribution_of
from scfx.energy.term import Change, Contribution
from scfx.execution.lanes import COMPILER_OPTIONS, ActiveLanes, for_lanes, pad_lanes
from scfx.grid import GridSpec

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.energy.exchange_correlation.backend import BackendQuadrature
    from scfx.energy.exchange_correlation.portable import PortableQuadrature
    from scfx.energy.nonlocal_correlation import NonlocalCorrelation
    from scfx.grid.molecular import PointsAndWeights


class CoarseSpec(NamedTuple):
    """A coarse grid, and at which residuals (hartree) an entry goes back to the full one."""

    grid: GridSpec
    #: The first time, below this: nearer to the guess DIIS takes no steps worth a correction ...
    first: float
    #: ... and later below this share of what it was there the last time.
    share: float


#: Finest first: the better the coarse grid, the further an entry gets on it before its residual there says little about
#: that on the full one. docs/measurements/speed.md counts what the coarsest at every level cost.
COARSE = (
    CoarseSpec(GridSpec(atom_grid=(16, 50)), first=5e-3, share=0.03),
    CoarseSpec(GridSpec(atom_grid=(10, 26)), first=5e-3, share=0.03),
    CoarseSpec(GridSpec(atom_grid=(7, 14)), first=2e-2, share=0.1),
)
#: The full grid must be this many times larger (by the second period's numbers) than all but the coarsest ...
RATIO = 20
#: ... and this many times than that one, for the detour to pay.
LEAST_RATIO = 4
#: In the last phase: back to the full grid below this multiple of the threshold, which one more step of DIIS reaches.
NEAR = 2.0
#: At most this many iterations in a row on the coarse grid.
LONGEST = 12
#: An entry whose residual on the full grid did not fall below this share of the last one there stays there.
PROGRESS = 0.5


class Correction(NamedTuple):
    """What the coarse grid lacks at each entry's last density on the full grid."""

    potential: Float64[Array, "lane spin n n"]  # V_f(D0) - V_c(D0)
    energy: Float64[Array, "lane"]  # E_f(D0) - E_c(D0) - tr [V_f(D0) - V_c(D0)] D0


def coarse_spec(full: GridSpec) -> CoarseSpec | None:
    """Return the finest coarse grid that is small beside the grid of the labels; None where none is."""
    carbon = 6
    points = int(np.prod(full.counts(carbon)))
    for spec in COARSE:
        ratio = LEAST_RATIO if spec is COARSE[-1] else RATIO
        if points >= ratio * int(np.prod(spec.grid.counts(carbon))):
            return spec
    return None


class CoarseGrid:
    """The coarse quadrature of one batch, and which grid each of its entries is on."""

    def __init__(self, spec: CoarseSpec, grids: list[PointsAndWeights], shape: tuple[int, int, int, int]):
        """`grids`: points and weights of `spec` by entry. `shape`: of the padded densities."""
        entries = len(grids)
        self._spec = spec
        self._grids = grids
        self._capacity = shape[0]
        # By precision policy, which is the full grid's. Made when first needed: integrals and AO values on the full
        # grid come first in the memory budget.
        self._quadratures: dict[PrecisionPolicy, PortableQuadrature | BackendQuadrature] = {}
        self._correction = Correction(jnp.zeros(shape), jnp.zeros(shape[0]))
        # Of non-local correlation, whose potential is the same for either spin: [lane n n], and [lane].
        self._nonlocal_potential = np.zeros((0, 0, 0))
        self._nonlocal_energy = np.zeros(shape[0])
        self._wants_full = np.ones(entries, dtype=bool)
        self._stays_full = np.zeros(entries, dtype=bool)
        self._reference = np.full(entries, np.inf)  # residual on the full grid, the last time
        self._since = np.zeros(entries, dtype=np.int32)

    def on_full_grid(self, lane: int) -> bool:
        """Return whether the entry's next (or, before `judge`, its present) Fock matrix is from the full grid."""
        return bool(self._wants_full[lane] or self._stays_full[lane])

    def evaluate(
        self,
        full: ExchangeCorrelation,
        density: Float64[Array, "lane spin n n"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Contribution:
        """Return the contribution of each entry on the grid that it is on; `full` is the term on the grid of the
        labels.
        """
        full.initialize()
        if full.policy not in self._quadratures:
            self._quadratures[full.policy] = full.on_grids(self._grids, full.policy)
        staying = self._stays_full[lanes]
        moving = self._wants_full[lanes] & ~staying
        totals = self._quadratures[full.policy].evaluate(density, lanes[~staying])
        change = None
        if corrected := self._active(lanes[~(staying | moving)]):
            totals = _corrected(totals, self._correction, density, *corrected)
        if (staying | moving).any():
            exact = full.totals(density, lanes[staying | moving])
            if moved := self._active(lanes[moving]):
                self._correction, potential, totals = _moved(
                    self._correction, jnp.zeros(density.shape), totals, exact, density, *moved
                )
                change = Change(potential, lanes[moving])
            if replaced := self._active(lanes[staying]):
                totals = _replaced(totals, exact, *replaced)
        totals.energy.block_until_ready()
        return contribution_of(totals, lanes)._replace(change=change)

    def evaluate_nonlocal(
        self,
        term: NonlocalCorrelation,
        density: Float64[Array, "lane spin n n"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Contribution:
        """Return the contribution of the non-local term, which is asked where an entry is on the full grid."""
        if not self._nonlocal_potential.size:
            self._nonlocal_potential = np.zeros((len(density), *density.shape[2:]))
        on_full = np.array([self.on_full_grid(lane) for lane in lanes], dtype=bool)
        energy, change = np.zeros(len(density)), None
        if on_full.any():
            found = term.evaluate(density, lanes[on_full])
            moving = lanes[on_full & ~self._stays_full[lanes]]
            moves = np.zeros(density.shape)
            for lane in lanes[on_full]:
                potential = np.asarray(found.potential)[lane, 0]
                if lane in moving:
                    moves[lane] = potential - self._nonlocal_potential[lane]
                self._nonlocal_potential[lane] = potential
                energy[lane] = found.energy[lane]
                self._nonlocal_energy[lane] = energy[lane] - self._nonlocal_slope(density, lane)
            change = Change(jnp.asarray(moves), moving) if len(moving) else None
        for lane in lanes[~on_full]:
            energy[lane] = self._nonlocal_energy[lane] + self._nonlocal_slope(density, lane)
        return Contribution(
            potential=self._nonlocal_potential[:, None].copy(),
            energy=energy,
            parts={term.name: energy[lanes]},
            change=change,
        )

    def _nonlocal_slope(self, density: Float64[Array, "lane spin n n"], lane: int) -> float:
        return float(np.sum(self._nonlocal_potential[lane] * np.sum(np.asarray(density[lane]), axis=0)))

    def judge(self, lane: int, residual: float, threshold: float, last: bool) -> None:
        """Decide, after a Fock matrix, which grid the entry's next one is built on.

        `threshold`: the residual with which the entry has done with its precision phase. `last`: that phase is the last
        one, in which it converges on the full grid; the others need not see their end there.
        """
        if self.on_full_grid(lane):
            progress = residual < PROGRESS * self._reference[lane]
            self._stays_full[lane] |= not progress
            self._reference[lane] = residual
            self._since[lane] = 0
            # Below the threshold only the energy may still be changing.
            self._wants_full[lane] = residual < threshold
            return
        self._since[lane] += 1
        target = min(self._spec.share * self._reference[lane], self._spec.first)
        if last:
            target = max(target, NEAR * threshold)
        self._wants_full[lane] = residual < target or self._since[lane] >= LONGEST

    def restart(self, lane: int) -> None:
        """Take the next Fock matrix of the entry to be from another full grid (or in another precision)."""
        self._wants_full[lane], self._reference[lane] = True, np.inf

    def held_bytes(self) -> int:
        """Return the bytes of AO values held."""
        return sum(quadrature.held_bytes() for quadrature in self._quadratures.values())

    def close(self) -> None:
        """Free AO values."""
        for quadrature in self._quadratures.values():
            quadrature.close()
        self._quadratures = {}

    def _active(self, lanes: np.ndarray) -> tuple[ActiveLanes, int] | None:
        return (pad_lanes(lanes, self._capacity), len(lanes)) if len(lanes) else None


@partial(jax.jit, donate_argnums=(0,), compiler_options=COMPILER_OPTIONS)
def _corrected(totals: Totals, correction: Correction, density: Any, lanes: Any, count: Any) -> Totals:
    def lane(t: Totals, c: Correction, density: Any) -> Totals:
        return t._replace(
            energy=t.energy + c.energy + jnp.sum(c.potential * density), potential=t.potential + c.potential
        )

    return for_lanes(lane, lanes, count, totals, correction, density)


@partial(jax.jit, donate_argnums=(0,), compiler_options=COMPILER_OPTIONS)
def _replaced(totals: Totals, full: Totals, lanes: Any, count: Any) -> Totals:
    return for_lanes(lambda _, full: full, lanes, count, totals, full)


@partial(jax.jit, donate_argnums=(0, 1, 2), compiler_options=COMPILER_OPTIONS)
def _moved(
    correction: Correction,
    change: Any,
    coarse: Totals,
    full: Totals,
    density: Any,
    lanes: Any,
    count: Any,
) -> tuple[Correction, Any, Totals]:
    """Take the present density as the reference: new corrections, and by how much the potential changed with them."""

    def lane(out: Any, full: Totals, density: Any) -> Any:
        old, _, coarse = out
        potential = full.potential - coarse.potential
        new = Correction(potential, full.energy - coarse.energy - jnp.sum(potential * density))
        return new, potential - old.potential, full

    return for_lanes(lane, lanes, count, (correction, change, coarse), full, density)
