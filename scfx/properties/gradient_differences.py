"""The nuclear gradient by five-point differences of the energy, for backends without derivative integrals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32

from scfx.contracts.property import PropertyError
from scfx.execution.watch import Stopped

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.model.system import System
    from scfx.scf.batch_scf import BatchSCF
    from scfx.scf.system_entries import Entry

#: Weights of the derivative by displacement in steps (Abramowitz and Stegun, 25.3.6).
STENCIL = ((-2, 1.0 / 12.0), (-1, -8.0 / 12.0), (1, 8.0 / 12.0), (2, -1.0 / 12.0))
#: Derivatives of one and of two steps differ by the third derivative times half the square of the step, some 1e-4
#: hartree/bohr; energies of two electronic states, a millihartree apart, make it this much and more.
_ONE_SURFACE = 0.02


def default_step(policy: PrecisionPolicy) -> float:
    """Return the step in bohr. The rule's own error grows with the fourth power of it, that of rounding with its
    inverse.

    Energies from integrals that are stored in float32 alone scatter by some 1e-7 hartree.
    """
    return 0.01 if policy.integrals == "float64" or policy.schwarz_float64 is not None else 0.05


def gradients_by_differences(
    run: BatchSCF, lanes: Int32[np.ndarray, "active"], step: float
) -> list[Float64[np.ndarray, "natm 3"] | PropertyError]:
    """Return gradients of some converged entries by differences, in hartree/bohr, atoms in the system's own order;
    `step` in bohr.

    Displaced molecules begin with the entry's own density, so that they stay on its electronic state; grids move with
    the atoms. Each value depends on its own entry alone.
    """
    assert run.displaced is not None
    densities = {int(lane): _own_density(run, int(lane)) for lane in lanes}
    kept = {int(lane): int(run.matrices.n_orbitals[lane]) for lane in lanes}
    run.set_policy(run.phases[-1].policy)  # frees integrals, whose memory the displaced molecules need
    out: list[np.ndarray | PropertyError] = []
    for lane, density in densities.items():
        displaced = [
            _moved(run.batch.systems[lane], atom, axis, n * step)
            for atom in range(run.batch.natm)
            for axis in range(3)
            for n, _ in STENCIL
        ]
        try:
            entries = run.displaced(displaced, [density] * len(displaced))
        except Stopped:
            out.append(PropertyError("interrupted"))
            continue
        out.append(_derivative(entries, step, kept[lane]))
    return out


def _derivative(
    entries: list[Entry], step: float, n_orbitals: int
) -> Float64[np.ndarray, "natm 3"] | PropertyError:
    lost = sum(not entry.converged for entry in entries)
    if lost:
        return PropertyError(
            f"{lost} of {len(entries)} displaced geometries did not converge; raise scf.convergence.max_iterations"
        )
    if any(entry.n_orbitals != n_orbitals for entry in entries):
        return PropertyError(
            "the number of linearly dependent functions left out (scf.linear_dependence_threshold) changes between "
            "displaced geometries, and the energy jumps; use another threshold"
        )
    energies = np.array([entry.energy for entry in entries]).reshape(-1, 3, len(STENCIL))
    two_back, back, forward, two_forward = np.moveaxis(energies, -1, 0)
    gap = np.abs((forward - back) / (2.0 * step) - (two_forward - two_back) / (4.0 * step)).max()
    if gap > _ONE_SURFACE:
        return PropertyError(
            f"differences of one and of two steps are {gap:.2g} hartree/bohr apart: displaced geometries converge to "
            "different electronic states, or step_bohr is too large"
        )
    return energies @ np.array([weight for _, weight in STENCIL]) / step


def _own_density(run: BatchSCF, lane: int) -> Float64[np.ndarray, "spin nao nao"]:
    """The entry's density, AOs in the order of the system's own atoms."""
    n, owner = run.batch.nao, run.batch.layout.ao_atom
    own = np.concatenate([np.flatnonzero(owner == place) for place in np.argsort(run.batch.atom_order[lane])])
    return np.asarray(run.state.density)[lane, :, :n, :n][:, own[:, None], own]


def _moved(system: System, atom: int, axis: int, by: float) -> System:
    positions = system.positions.copy()
    positions[atom, axis] += by
    return replace(system, positions=positions)
