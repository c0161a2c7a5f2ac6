"""The built-in precision policies: float64, float32 and mixed."""

from __future__ import annotations

from scfx.hookspecs import hookimpl
from scfx.offer import Offer

OFFERS = (
    Offer(
        "float64", "scfx_precision.policies:FLOAT64", "every stage in float64", aliases=("fp64", "double")
    ),
    Offer(
        "float32", "scfx_precision.policies:FLOAT32", "working arrays in float32, totals and functional in float64",
        aliases=("fp32", "single"),
    ),
    Offer(
        "mixed", "scfx_precision.policies:MIXED", "float64-quality labels: large integrals, last iterations in float64"
    ),
)  # fmt: skip


@hookimpl
def scfx_register_precision_policies() -> list[Offer]:
    """Offer `float64`, `float32` and `mixed`."""
    return list(OFFERS)
