"""The libxc family: every name and sum that PySCF understands, through jax-xc's kernels where a census found them
right, else through libxc itself on the host.

Only the hooks are here, so that listing plugins imports neither JAX nor PySCF.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import scfx

if TYPE_CHECKING:
    from scfx.abstract import AbstractFunctional

#: Without what it requires, TensorFlow Probability among it: scfx loads its formulas only.
_INSTALL = "pip install --no-deps jax-xc"


@scfx.hookimpl
def scfx_register_functionals() -> list[scfx.Offer]:
    """Offer both ways of evaluating the family, to be chosen by hand with the option `xc`."""
    families = ("none", "lda", "gga", "mgga")
    return [
        scfx.Offer(
            "libxc",
            "scfx_jax_xc.host:LibxcFunctional",
            summary='libxc on the host, by callback: { name = "libxc", xc = "0.2*hf + 0.8*slater, lyp" }',
            requires=("pyscf",),
            capabilities=scfx.Capabilities(platforms=("cpu",), families=families),
        ),
        scfx.Offer(
            "jax-xc",
            "scfx_jax_xc.kernels:KernelFunctional",
            summary='libxc\'s formulas as JAX kernels, by autodiff: { name = "jax-xc", xc = "gga_x_b86, lyp" }',
            requires=("jax_xc", "pyscf"),
            capabilities=scfx.Capabilities(platforms=("cpu", "gpu"), families=families),
        ),
    ]


@scfx.hookimpl
def scfx_report_header() -> str:
    """Say by what libxc's names are evaluated here: the host's way is slower, and nothing else says so beforehand."""
    if find_spec("pyscf") is None:
        return "libxc functionals  not available: pip install 'scfx[libcint]'"
    if find_spec("jax_xc") is None:
        return f"libxc functionals  libxc on the host, by callback; as JAX code, faster: {_INSTALL}"
    return "libxc functionals  as JAX code (jax-xc's formulas), but for those that docs/libxc.md lists"


@scfx.hookimpl(trylast=True)
def scfx_resolve_functional(name: str) -> AbstractFunctional | None:
    """Find any libxc name, or sum in PySCF's syntax (`"0.2*hf + 0.8*slater, lyp"`); None if it is neither.

    By JAX kernels if all its parts passed the census (docs/libxc.md), else by libxc on the host; `implementation` of
    what is returned says which, and why not the kernels.
    """
    if find_spec("pyscf") is None:
        return None
    from scfx_jax_xc.names import parse

    sum_of = parse(name)
    if sum_of is None:
        return None
    from scfx_jax_xc.census import passed
    from scfx_jax_xc.host import LibxcFunctional
    from scfx_jax_xc.kernels import KernelFunctional

    disagreeing = [part for part, _ in sum_of.parts if not passed(part)]
    if not disagreeing and find_spec("jax_xc") is not None:
        return KernelFunctional(name)
    functional = LibxcFunctional(name)
    why = (
        f"no JAX kernel of {disagreeing[0]} that agrees with libxc"
        if disagreeing
        else f"jax-xc is not installed: {_INSTALL}"
    )
    functional.implementation = f"libxc-host ({why})"
    return functional
