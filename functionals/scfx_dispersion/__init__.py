"""Dispersion corrections: D3 and D4 through simple-dftd3 and dftd4, and the empirical one of wB97X-D.

Also what composite methods have in place of them: D4 with gCP (r2SCAN-3c), D3 with a bond correction (B97-3c).

Functionals that carry a correction (`wb97m-d3bj`) name the method; any other functional takes one by a suffix
(`b3lyp-d3bj`, `PBE0-D4`), which `grammar` reads.
"""

from __future__ import annotations

import scfx


@scfx.hookimpl
def scfx_register_dispersion_corrections() -> list[scfx.Offer]:
    """Offer the dispersion corrections D3, D4 and kin."""
    return [
        scfx.Offer(
            "d3bj", "scfx_dispersion.d3:RationalD3", "D3 with Becke-Johnson damping (simple-dftd3)",
            requires=("dftd3",), aliases=("d3(bj)",),
        ),
        scfx.Offer(
            "d3zero", "scfx_dispersion.d3:ZeroD3", "D3 with zero damping (simple-dftd3)",
            requires=("dftd3",), aliases=("d3(0)",),
        ),
        scfx.Offer("d4", "scfx_dispersion.d4:D4", "D4, charge-dependent (dftd4)", requires=("dftd4",)),
        scfx.Offer(
            "d4-gcp", "scfx_dispersion.composites:D4WithCounterpoise", "D4 and gCP of r2SCAN-3c (dftd4, simple-dftd3)",
            requires=("dftd3", "dftd4"),
        ),
        scfx.Offer(
            "d3bj-srb", "scfx_dispersion.composites:D3WithBondCorrection",
            "D3(BJ) and bond correction of B97-3c (simple-dftd3)", requires=("dftd3",),
        ),
        scfx.Offer(
            "gcp", "scfx_dispersion.gcp:GeometricCounterpoise",
            "geometric counterpoise correction of a basis set, with or without D3 or D4 (simple-dftd3)",
            requires=("dftd3",),
        ),
        scfx.Offer("chg", "scfx_dispersion.chg:ChaiHeadGordon", "empirical dispersion of wB97X-D"),
    ]  # fmt: skip


@scfx.hookimpl
def scfx_register_functionals() -> list[scfx.Offer]:
    """Offer the functionals that need a correction of this package."""
    return [
        scfx.Offer(
            "r2scan-d4-gcp", "scfx_dispersion.composites:r2scan_3c", "r2SCAN with D4 and gCP of r2SCAN-3c",
            requires=("dftd3", "dftd4"),
        ),
        scfx.Offer(
            "wb97x-d4-3c", "scfx_dispersion.composites:wb97x_3c", "wB97X-V's functional with D4 of wB97X-3c",
            requires=("dftd3", "dftd4"),
        ),
        scfx.Offer(
            "b97-d3-srb", "scfx_dispersion.composites:b97_3c", "B97-3c's GGA with its D3 and bond correction",
            requires=("dftd3", "dftd4", "jax_xc"),
        ),
    ]  # fmt: skip


@scfx.hookimpl
def scfx_resolve_functional(name: str, context: scfx.ConstructionContext) -> scfx.AbstractFunctional | None:
    """Take `<functional>-d3bj`, `-D3(0)`, `_d4`..., and `<functional>-gcp(<basis set>)`."""
    from scfx_dispersion import gcp, grammar

    return gcp.read(name, context.registry) or grammar.read(name, context.registry)
