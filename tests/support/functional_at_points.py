"""The driver's evaluation of functionals, at one number of points: a functional is compiled once for all tests."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import scfx
from scfx.energy.exchange_correlation.functional_at_points import (
    N_COMPONENTS,
    evaluate_closed_shell,
    evaluate_spin_resolved,
)

#: Enough for two atoms of the second period on a grid of level 0.
POINTS = 4096

closed_shell = jax.jit(evaluate_closed_shell, static_argnums=(0, 3))
spin_resolved = jax.jit(evaluate_spin_resolved, static_argnums=(0, 3))


def evaluate(
    f: scfx.AbstractFunctional, components: np.ndarray, weights: Any = None, functional_dtype: str = "float64"
) -> Any:
    """Energy, electrons and derivatives of components ([component, point], or [2, component, point] by spin).

    Weights are 1 unless given. Points of nothing fill up to `POINTS`. Components above the family are not used.
    """
    n = components.shape[-1]
    assert n <= POINTS, f"{n} points; make POINTS larger"
    components = components[..., : N_COMPONENTS[f.family], :]
    filled = np.pad(components, [(0, 0)] * (components.ndim - 1) + [(0, POINTS - n)])
    weights = np.pad(np.ones(n) if weights is None else weights, (0, POINTS - n))
    with jax.enable_x64(True):
        function = spin_resolved if components.ndim == 3 else closed_shell
        found = function(f, jnp.asarray(filled), jnp.asarray(weights), functional_dtype)
        return found._replace(
            energy=np.asarray(found.energy),
            electrons=np.asarray(found.electrons),
            derivative=np.asarray(found.derivative)[..., :n],
        )
