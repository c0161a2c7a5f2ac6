"""`check_optimizer`: the conformance suite of an optimiser of geometries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.contracts.optimizer import AbstractOptimizer, Constraint, Criteria
from scfx.model.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Gaussian's default thresholds.
_GAU = Criteria("gau", 4.5e-4, 3.0e-4, 1.8e-3, 1.2e-3)
_MOST_STEPS = 400
#: Water, bohr; springs of 0.5 hartree/bohr² between all pairs of atoms want these distances.
_REST = {(0, 1): 1.81, (0, 2): 1.81, (1, 2): 2.86}
_START = [[0.1, 0.0, 0.2], [0.0, 1.6, -0.9], [0.0, -1.2, -1.1]]


def _springs(positions: np.ndarray) -> tuple[float, np.ndarray]:
    energy, gradient = 0.0, np.zeros_like(positions)
    for (i, j), rest in _REST.items():
        apart = positions[i] - positions[j]
        distance = float(np.linalg.norm(apart))
        energy += 0.25 * (distance - rest) ** 2
        push = 0.5 * (distance - rest) / distance * apart
        gradient[i] += push
        gradient[j] -= push
    return energy, gradient


def check_optimizer(optimizer: type[AbstractOptimizer]) -> None:
    """Ask a class all that `scfx_register_optimizers` promises; `AssertionError` says what it does not hold.

    On water with springs: it reaches the minimum; it changes nothing that it is given; two that are fed alike do the
    same to the bit, also while others are at work between; one that keeps constraints keeps an atom and a distance.
    """
    assert isinstance(optimizer, type), "pass the class"
    assert issubclass(optimizer, AbstractOptimizer), "it is no scfx.AbstractOptimizer"
    for name in ("name", "summary", "distributions"):
        assert getattr(optimizer, name, None), f"it has no {name}"
    system = System.from_arrays("OHH", _START, "bohr")
    alone = _path(optimizer, system, ())
    end = alone[-1]
    for (i, j), rest in _REST.items():
        found = float(np.linalg.norm(end[i] - end[j]))
        assert abs(found - rest) < 5e-3, f"distance {i}-{j} ends as {found:.4f} bohr, expected {rest}"
    moved = System.from_arrays("OHH", np.array(_START) * 1.1, "bohr")
    side_by_side = _paths(optimizer, [system, moved, system], ())
    for each in (side_by_side[0], side_by_side[2]):
        assert len(each) == len(alone), "it depends on what others do beside it: another number of steps"
        for ours, theirs in zip(each, alone, strict=True):
            assert np.array_equal(ours, theirs), "it depends on what others do beside it"
    if optimizer.constrains:
        end = _path(optimizer, system, [Constraint(keep="atoms", atoms=(0,))])[-1]
        drift = float(np.abs(end[0] - system.positions[0]).max())
        assert drift < 1e-6, f"a kept atom moved by {drift:.1e} bohr"
        end = _path(optimizer, system, [Constraint(keep="distance", atoms=(0, 1))])[-1]
        before, after = (float(np.linalg.norm(x[0] - x[1])) for x in (system.positions, end))
        assert abs(before - after) < 1e-3, f"a kept distance went from {before:.4f} to {after:.4f} bohr"
        assert abs(np.linalg.norm(end[0] - end[2]) - 1.81) < 5e-2, "what is not kept did not relax"


def _path(
    optimizer: type[AbstractOptimizer], system: System, constraints: Sequence[Constraint]
) -> list[np.ndarray]:
    return _paths(optimizer, [system], constraints)[0]


def _paths(
    optimizer: type[AbstractOptimizer],
    systems: Sequence[System],
    constraints: Sequence[Constraint],
    surface: Callable[[np.ndarray], tuple[float, Any]] = _springs,
) -> list[list[np.ndarray]]:
    """All positions at which each was evaluated, in lock step."""
    made = [optimizer(system, _GAU, constraints) for system in systems]
    paths = [[np.array(system.positions)] for system in systems]
    active = set(range(len(systems)))
    for _ in range(_MOST_STEPS):
        for index in sorted(active):
            positions = paths[index][-1]
            energy, gradient = surface(positions)
            given = positions.copy(), gradient.copy()
            following = made[index].advance(given[0], energy, given[1])
            assert np.array_equal(given[0], positions), "it changes the positions that it is given"
            assert np.array_equal(given[1], gradient), "it changes the gradient that it is given"
            if following is None:
                made[index].close()
                active.discard(index)
                continue
            assert np.shape(following) == positions.shape, "positions have another shape than the molecule"
            assert np.isfinite(following).all(), "positions that are not finite"
            paths[index].append(np.array(following))
        if not active:
            return paths
    for index in active:
        made[index].close()
    raise AssertionError(f"no minimum of three springs after {_MOST_STEPS} steps")
