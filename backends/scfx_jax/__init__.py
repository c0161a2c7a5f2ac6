"""The JAX backend: integrals in portable JAX, for accelerators, and right on the CPU (docs/gpu.md).

Only the hook is here, so that listing plugins compiles nothing.
"""

from __future__ import annotations

import scfx


@scfx.hookimpl
def scfx_register_backends() -> list[scfx.Offer]:
    """Offer `jax`: float64 and float32 wherever XLA runs, s to f shells, Cartesian and spherical mixed."""
    return [
        scfx.Offer(
            "jax",
            "scfx_jax.backend:JaxBackend",
            summary="McMurchie-Davidson integrals in JAX, many molecules in one launch; never run on a GPU yet",
            capabilities=scfx.Capabilities(
                platforms=("cpu", "gpu"),
                dtypes=("float64", "float32"),
                max_angular_momentum=3,
                range_separation=True,
                # On a CPU the compiled backends are far faster, so `backend = "auto"` never takes it there.
                preference=0,
            ),
        )
    ]
