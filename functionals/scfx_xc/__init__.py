"""Native exchange-correlation functionals: energy densities in JAX, derivatives by JAX, agreeing with libxc 7.

Names are PySCF's. `lda` is Slater exchange alone, as there; `svwn` is `lda,vwn`, which means VWN5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.hookspecs import hookimpl
from scfx.offer import Capabilities, Offer

if TYPE_CHECKING:
    from scfx.abstract import AbstractFunctional
    from scfx.contracts.construction import ConstructionContext


def _offer(
    name: str,
    target: str,
    summary: str,
    family: str,
    aliases: tuple[str, ...] = (),
    module: str = "functionals",
) -> Offer:
    return Offer(
        name, f"scfx_xc.{module}:{target}", summary,
        aliases=aliases, capabilities=Capabilities(platforms=("cpu", "gpu"), families=(family,)),
    )  # fmt: skip


OFFERS = (
    _offer("hf", "HartreeFock", "Hartree-Fock: exact exchange, no correlation", "none"),
    _offer("lda", "Slater", "Slater exchange alone (PySCF's 'lda')", "lda", ("slater", "lda,", "slater,")),
    _offer(
        "svwn", "SVWN", "local density approximation, VWN5 correlation", "lda",
        ("svwn5", "lda,vwn", "lda,vwn5", "slater,vwn", "slater,vwn5"),
    ),
    _offer(
        "lda,vwn_rpa", "SVWNRPA", "local density approximation, VWN-RPA correlation", "lda",
        ("svwn3", "svwn_rpa", "lda,vwn3", "slater,vwn3", "slater,vwn_rpa"),
    ),
    _offer(
        "spw92", "SPW92", "local density approximation, Perdew-Wang correlation", "lda",
        ("lda,pw_mod", "slater,pw_mod"),
    ),
    _offer(
        "lda,pw", "SPW92AsPrinted", "local density approximation, Perdew-Wang as printed in 1992 (rounded parameters)",
        "lda", ("slater,pw",),
    ),
    _offer("blyp", "BLYP", "Becke 88 + Lee-Yang-Parr", "gga", ("b88,lyp",)),
    _offer("bp86", "BP86", "Becke 88 + Perdew 86", "gga", ("b88,p86",)),
    _offer("bpbe", "BPBE", "Becke 88 + PBE correlation", "gga", ("b88,pbe",)),
    _offer("pbe", "PBE", "Perdew-Burke-Ernzerhof", "gga", ("pbe,pbe",)),
    _offer("revpbe", "RevPBE", "PBE with Zhang and Yang's exchange", "gga"),
    _offer("rpbe", "RPBE", "PBE with Hammer, Hansen and Norskov's exchange", "gga", ("rpbe,pbe",)),
    _offer("pbesol", "PBESol", "PBE for solids", "gga"),
    _offer("pbe0", "PBE0", "PBE with 25 % exact exchange", "gga", ("pbe1pbe", "pbeh")),
    _offer("b3lyp", "B3LYP", "20 % exact exchange; VWN-RPA (Gaussian, PySCF >= 2.3)", "gga", ("b3lypg",)),
    _offer("b3lyp5", "B3LYP5", "20 % exact exchange; VWN5 (GAMESS, PySCF < 2.3, QM1B)", "gga"),
    _offer("b1lyp", "B1LYP", "BLYP with 25 % exact exchange", "gga"),
    _offer("bhandhlyp", "BHandHLYP", "BLYP with 50 % exact exchange", "gga"),
    _offer("hflyp", "HFLYP", "exact exchange + Lee-Yang-Parr", "gga", ("hf,lyp",)),
    _offer(
        "cam-b3lyp", "CAMB3LYP", "Coulomb-attenuated B3LYP", "gga", ("camb3lyp", "cam_b3lyp"), "range_separated"
    ),
    _offer("hse06", "HSE06", "screened hybrid, 25 % exact exchange at short range", "gga", (), "range_separated"),
    _offer("wb97", "WB97", "range-separated B97", "gga", (), "range_separated"),
    _offer("wb97x", "WB97X", "range-separated hybrid B97 (ANI-1)", "gga", (), "range_separated"),
    _offer("wb97x-d", "WB97XD", "wB97X refitted with empirical dispersion", "gga", ("wb97x_d",), "range_separated"),
    _offer("wb97x-d3", "WB97XD3", "wB97X refitted with D3 dispersion", "gga", ("wb97x_d3",), "range_separated"),
    _offer("wb97x-v", "WB97XV", "wB97X refitted with VV10 dispersion", "gga", ("wb97x_v",), "range_separated"),
    _offer("wb97x-d3bj", "WB97XD3BJ", "wB97X-V with D3(BJ) for VV10", "gga", (), "range_separated"),
    _offer(
        "wb97m-v", "WB97MV", "range-separated meta-GGA with VV10 (OMol25)", "mgga", ("wb97m_v",), "range_separated"
    ),
    _offer("wb97m-d3bj", "WB97MD3BJ", "wB97M-V with D3(BJ) for VV10 (SPICE)", "mgga", (), "range_separated"),
    _offer("tpss", "TPSS", "Tao-Perdew-Staroverov-Scuseria", "mgga", ("tpss,tpss",), "meta"),
    _offer("tpssh", "TPSSh", "TPSS with 10 % exact exchange", "mgga", (), "meta"),
    _offer("scan", "SCAN", "strongly constrained and appropriately normed", "mgga", ("scan,scan",), "meta"),
    _offer("scan0", "SCAN0", "SCAN with 25 % exact exchange", "mgga", (), "meta"),
    _offer("r2scan", "R2SCAN", "regularised, restored SCAN", "mgga", ("r2scan,r2scan",), "meta"),
    _offer("m06-l", "M06L", "Minnesota 06, local", "mgga", ("m06l", "m06_l"), "meta"),
    _offer("m06-2x", "M062X", "Minnesota 06 with 54 % exact exchange", "mgga", ("m062x", "m06_2x"), "meta"),
)  # fmt: skip


@hookimpl
def scfx_register_functionals() -> list[Offer]:
    """Offer the native functionals."""
    return list(OFFERS)


@hookimpl
def scfx_resolve_functional(name: str, context: ConstructionContext) -> AbstractFunctional | None:
    """Find other programs' names of the offers, `bare(...)` without its dispersion, and refusals of what is
    not here.
    """
    from scfx_xc.resolve import resolve

    known = {spelling for offer in OFFERS for spelling in (offer.name, *offer.aliases)}
    return resolve(name, known, context.registry)
