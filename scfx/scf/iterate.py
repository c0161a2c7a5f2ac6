"""The plain procedure and the damped one: when an entry has converged, and what each iteration does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int32

from scfx.execution.device import to_device
from scfx.scf.step import Control

if TYPE_CHECKING:
    from scfx.energy.exchange_correlation.coarse_grid import CoarseGrid
    from scfx.scf.batch_scf import BatchSCF

#: Above this residual (hartree) the damped procedure damps and shifts; below it, it is plain DIIS again.
_DAMP_ABOVE = 3e-2
_DAMPING = 0.6
_LEVEL_SHIFT = 0.3


def _control(run: BatchSCF, residual: np.ndarray, damped: bool) -> Control:
    far = residual > _DAMP_ABOVE if damped else np.zeros(run.capacity, dtype=bool)
    return Control(
        level_shift=to_device(np.where(far, _LEVEL_SHIFT, 0.0)),
        damping=to_device(np.where(far, _DAMPING, 0.0)),
        use_diis=to_device(~far),
    )


def iterate(
    run: BatchSCF, lanes: Int32[np.ndarray, "active"], max_iterations: int, damped: bool = False
) -> Bool[np.ndarray, "batch"]:
    """Iterate some entries until each has converged or `max_iterations` are spent; which of the batch converged.

    Every entry goes through the precision phases at its own pace: an iteration works on each phase's entries apart.
    """
    coarse = None if damped or run.spec.convergence.rule == "qm1b" else run.coarse_grid()
    try:
        return _iterate(run, lanes, max_iterations, damped, coarse)
    finally:
        run.drop_coarse_grid(coarse)


def _iterate(
    run: BatchSCF,
    lanes: Int32[np.ndarray, "active"],
    max_iterations: int,
    damped: bool,
    coarse: CoarseGrid | None,
) -> Bool[np.ndarray, "batch"]:
    convergence = run.spec.convergence
    converged = np.zeros(len(run.batch), dtype=bool)
    phase_of = np.zeros(len(run.batch), dtype=np.int64)
    last_phase = len(run.phases) - 1
    active = np.asarray(lanes, dtype=np.int32)
    plain = None if damped else _control(run, np.zeros(run.capacity), damped)
    for iteration in range(max_iterations):
        if not len(active):
            break
        run.watch.check()
        for number, phase in enumerate(run.phases):
            members = active[phase_of[active] == number]
            if len(members):
                run.build(members, phase, coarse)
        _, change, residual = run.record(active)
        still = []
        for lane in active:
            phase = run.phases[int(phase_of[lane])]
            if convergence.rule == "qm1b":
                still.append(lane)
                if phase_of[lane] < last_phase and iteration >= max_iterations - 4:
                    phase_of[lane] += 1
                continue
            before = run.history[lane][-2][1] if len(run.history[lane]) > 1 else np.inf
            settled = phase.settled(float(residual[lane]), before, float(change[lane]))
            exact = coarse is None or coarse.on_full_grid(lane)
            if coarse is not None:
                coarse.judge(lane, float(residual[lane]), phase.gradient, phase_of[lane] == last_phase)
            if phase_of[lane] < last_phase:
                # The refined phase rebuilds the Fock matrix of the density it is given, after one more step.
                phase_of[lane] += int(settled)
                if settled and coarse is not None:
                    coarse.restart(lane)
                still.append(lane)
            elif settled and exact:
                converged[lane] = True
                run.watch.settle(int(lane))
            elif np.isfinite(residual[lane]):
                still.append(lane)
        active = np.array(still, dtype=np.int32)
        for number in range(int(phase_of[active].min(initial=last_phase))):
            run.phases[number].hamiltonian.rest()
        if iteration == max_iterations - 1:
            break
        for number, phase in enumerate(run.phases):
            members = active[phase_of[active] == number]
            if len(members):
                run.advance(members, phase, plain or _control(run, residual, damped))
    if convergence.rule == "qm1b":
        for lane in lanes:
            recent = [energy for energy, _ in run.history[lane][-5:]]
            converged[lane] = len(recent) == 5 and bool(np.std(recent) < convergence.energy)
    return converged
