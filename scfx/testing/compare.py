"""What the parts of `check_backend` share: comparison with a message, densities, differences along a direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.model.batch import Batch

#: Bytes that every part gives a backend: more than the samples need.
BUDGET = 2**31
#: Displacement of five-point differences in bohr: their error falls with its fourth power, that of rounding grows with
#: its inverse; the tightest function of the samples is a tenth of a bohr wide.
STEP = 2e-3


def assert_close(found: Any, expected: np.ndarray, tolerance: float, what: str, hint: str = "") -> None:
    """Raise `AssertionError` with the worst element unless `found` has the shape of `expected` and is within
    `tolerance`.
    """
    array = np.asarray(found)
    assert array.shape == expected.shape, f"{what} has shape {array.shape}, expected {expected.shape}"
    if not array.size:
        return
    error = np.abs(array - expected)
    worst = np.unravel_index(int(np.argmax(np.nan_to_num(error, nan=np.inf))), error.shape)
    # A comparison with NaN is false, so this refuses NaN as well.
    assert error[worst] <= tolerance, (
        f"{what} is {array[worst]:.12g} at {tuple(int(x) for x in worst)}, expected {expected[worst]:.12g} "
        f"(error {error[worst]:.2g}, allowed {tolerance:.0e}). {hint}".strip()
    )


def same_bits(one: Any, two: Any) -> bool:
    """Return whether two arrays have one shape and equal elements."""
    return np.shape(one) == np.shape(two) and bool((np.asarray(one) == np.asarray(two)).all())


def symmetric_matrices(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return random symmetric matrices with elements up to one, read-only: nobody may write into a density."""
    matrices = np.random.default_rng(seed).uniform(-1.0, 1.0, shape)
    matrices = 0.5 * (matrices + np.swapaxes(matrices, -1, -2))
    matrices.setflags(write=False)
    return matrices


def weakest(policy: PrecisionPolicy) -> str:
    """Return the narrowest dtype that two-electron integrals, J and K have under a policy."""
    return "float32" if "float32" in (policy.integrals, policy.coulomb_exchange) else "float64"


def displaced(batch: Batch, by: Float64[np.ndarray, "batch natm 3"]) -> Batch:
    """Return the batch with its atoms, in its own order, and the functions on them moved by so many bohr."""
    return replace(batch, positions=batch.positions + by)


def directions(batch: Batch, seed: int) -> Float64[np.ndarray, "batch natm 3"]:
    """Return a direction of each entry in the space of its atoms' positions, no component of it small."""
    random = np.random.default_rng(seed)
    size = random.uniform(0.4, 1.0, batch.positions.shape)
    return size * random.choice([-1.0, 1.0], batch.positions.shape)


def along(function: Callable[[float], np.ndarray], h: float = STEP) -> np.ndarray:
    """Return the derivative of a function of a displacement (bohr) at zero, by five-point differences `h` apart."""
    return (function(-2 * h) - 8 * function(-h) + 8 * function(h) - function(2 * h)) / (12 * h)
