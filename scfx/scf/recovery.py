"""The recovery ladder: what is tried, in order, for entries that the plain procedure leaves unconverged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from scfx.scf.direct_minimisation import minimise
from scfx.scf.iterate import iterate

if TYPE_CHECKING:
    from scfx.scf.batch_scf import BatchSCF

#: Names of the rungs, as results report them; "" is the plain procedure.
PLAIN, DAMPED, MINIMISED, FLOAT64_SUFFIX = "", "damping+level-shift", "direct-minimisation", "float64"


def solve_entries(
    run: BatchSCF, initial: list[np.ndarray | None] | None = None
) -> tuple[Bool[np.ndarray, "batch"], list[str]]:
    """Converge every entry that can be; (converged, rung) by entry.

    `initial`: densities [spin, nao, nao] by entry, AOs in the order of the systems' own atoms, to begin with.
    """
    rung = run.rung
    every = np.arange(len(run.batch), dtype=np.int32)
    run.start(every, run.spec.guess)
    if initial is not None:
        run.begin_with(initial)
    converged = iterate(run, every, run.spec.convergence.max_iterations)
    if converged.all() or not run.spec.recovery or run.spec.convergence.rule == "qm1b":
        return converged, rung
    _climb(run, converged, rung, "")
    best = run.spec.integrals.two_electron(run.batch.layout).best_policy()
    if not converged.all() and run.spec.precision.definition() != best.definition():
        run.set_policy(best)
        lanes = np.flatnonzero(~converged).astype(np.int32)
        run.start(lanes, run.spec.guess)
        converged |= iterate(run, lanes, run.spec.convergence.max_iterations)
        for lane in lanes:
            rung[lane] = FLOAT64_SUFFIX
        _climb(run, converged, rung, f"{FLOAT64_SUFFIX}:")
    return converged, rung


def _climb(run: BatchSCF, converged: Bool[np.ndarray, "batch"], rung: list[str], prefix: str) -> None:
    lanes = np.flatnonzero(~converged).astype(np.int32)
    if len(lanes):
        run.start(lanes, run.spec.guess)
        for lane in lanes:
            rung[lane] = prefix + DAMPED
        converged |= iterate(run, lanes, 2 * run.spec.convergence.max_iterations, damped=True)
    for lane in np.flatnonzero(~converged):
        rung[lane] = prefix + MINIMISED
        run.start(np.array([lane], dtype=np.int32), run.spec.guess)
        converged[lane] = minimise(run, int(lane), 10 * run.spec.convergence.max_iterations)
        if converged[lane]:
            run.watch.settle(int(lane))
