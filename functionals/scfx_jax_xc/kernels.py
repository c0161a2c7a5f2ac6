"""`KernelFunctional`: libxc's formulas as jax-xc's JAX kernels (MPL-2.0), fed the parameters of parameters.json.

jax-xc 0.0.11's own way to the parameters is silently wrong beside numpy 2 (its compiled part repeats the first
element of every array), and importing it fails on current JAX; its generated formulas are right. So neither its
package nor its library is imported: a kernel's file is loaded by itself, with `support` in the place of the helpers
that it expects.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scfx.abstract import ClosedShellDensity, Density
from scfx.errors import InputError, PluginUnavailableError
from scfx_jax_xc import support
from scfx_jax_xc.abstract import AbstractLibxcSum

#: Below this density (bohr^-3) the formulas lose their derivatives to underflow; a tail of 1000 bohr^3 there holds
#: 1e-10 electrons. libxc itself cuts off at thresholds of 1e-15 to 1e-10.
_LEAST_DENSITY = 1e-13
#: Of the total density, what a spin density is raised by: enough for 1 - zeta to be a number, 1e-14 of the energy.
_LEAST_SHARE = 1e-14
#: And at least by this (bohr^-3): below it derivatives of the formulas, which hold high powers of a spin's density,
#: overflow. 1000 bohr^3 of it hold 1e-15 electrons.
_LEAST_SPIN_DENSITY = 1e-18
_PACKAGE = "scfx_jax_xc._formulas"


class KernelFunctional(AbstractLibxcSum):
    """A sum of libxc functionals in JAX, differentiated by JAX. Offered by name only for parts in the census."""

    evaluator = "jax-xc"
    implementation = "jax (jax-xc's formulas)"

    def __init__(self, xc: str):
        super().__init__(xc)
        for name, _ in self.sum.parts:
            if name not in parameters():
                raise InputError(
                    f"functional {xc!r}: jax-xc has no kernel for {name}; use "
                    f'{{ name = "libxc", xc = "{xc}" }}'
                )

    def energy_density(self, density: Density) -> Float[Array, "..."]:
        """Return the exchange-correlation energy per volume, hartree/bohr³."""
        wide = _wide(density)
        d, empty = _filled(wide, wide.rho_a + wide.rho_b)
        # A spin without electrons would put 1 - zeta at 0, where its cube root has no derivative. Added, not clipped:
        # the empty spin keeps its derivative, the potential that its virtual orbitals feel. What is added has the
        # reduced gradient 1 and von Weizsaecker's tau, as the densities that the driver puts in the place of nothing.
        all_electrons = jax.lax.stop_gradient(d.rho_a + d.rho_b)
        least = jnp.maximum(_LEAST_SHARE * all_electrons, _LEAST_SPIN_DENSITY)
        rho = (d.rho_a + least, d.rho_b + least)
        sigma, tau = (d.sigma_aa, d.sigma_ab, d.sigma_bb), (d.tau_a, d.tau_b)
        if d.sigma_aa is not None:
            square = least ** (8.0 / 3.0)
            sigma = (d.sigma_aa + square, d.sigma_ab, d.sigma_bb + square)
        if d.tau_a is not None:
            tau = (d.tau_a + least ** (5.0 / 3.0) / 8.0, d.tau_b + least ** (5.0 / 3.0) / 8.0)
        total = sum(w * per_particle(parameters()[n], True, rho, sigma, tau) for n, w in self.sum.parts)
        return jnp.where(empty, 0.0, (d.rho_a + d.rho_b) * total).astype(density.rho_a.dtype)

    def closed_shell_energy_density(self, density: ClosedShellDensity) -> Float[Array, "..."]:
        """Return the energy per volume from the kernels' unpolarised form, hartree/bohr³."""
        wide = _wide(density)
        d, empty = _filled(wide, wide.rho)
        total = sum(
            w * per_particle(parameters()[n], False, d.rho, d.sigma, d.tau) for n, w in self.sum.parts
        )
        return jnp.where(empty, 0.0, d.rho * total).astype(density.rho.dtype)


def _filled(density: Any, total: Any) -> tuple[Any, Any]:
    """The density with ones where there is next to nothing, and where that is."""
    empty = total < _LEAST_DENSITY
    return type(density)(
        *(None if field is None else jnp.where(empty, 1.0, field) for field in density)
    ), empty


def _wide(density: Any) -> Any:
    # libxc's formulas are written for float64: in float32 their thresholds vanish and many are not finite.
    return type(density)(*(None if field is None else field.astype(jnp.float64) for field in density))


def per_particle(record: dict[str, Any], polarised: bool, rho: Any, sigma: Any, tau: Any) -> Any:
    """Return the energy per particle of one libxc functional; mixtures are summed over what they mix."""
    if record["maple_name"] == "DEORBITALIZE":
        raise InputError("deorbitalised functionals need the Laplacian of the density")
    if not record["maple_name"] and "Fermi_D_cnst" not in record["params"]:
        return sum(
            weight * per_particle(part, polarised, rho, sigma, tau)
            for weight, part in zip(record["mix_coef"], record["func_aux"], strict=True)
        )
    # The Minnesota correlation functionals of 2006 and later share a formula whose name jax-xc lost.
    kernel = formula(record["maple_name"] or "mgga_c_m06l")
    settings = _namespace(record)
    if polarised:
        return kernel.pol(settings, rho, sigma, (None, None), tau)
    return kernel.unpol(settings, rho, sigma, None, tau)


@lru_cache(maxsize=1)
def parameters() -> dict[str, dict[str, Any]]:
    """Return libxc's parameters by functional, as extract_parameters.py read them."""
    with (Path(__file__).parent / "parameters.json").open(encoding="utf-8") as file:
        return json.load(file)


def _namespace(record: dict[str, Any]) -> SimpleNamespace:
    settings = {k: v for k, v in record.items() if k not in ("params", "func_aux")}
    values = {("lambda_" if k == "lambda" else k): v for k, v in record["params"].items()}
    return SimpleNamespace(**settings, params=SimpleNamespace(**values))


@lru_cache(maxsize=512)
def formula(maple_name: str) -> ModuleType:
    """Return jax-xc's module of one formula, loaded without importing its package."""
    spec = importlib.util.find_spec("jax_xc")
    if spec is None or not spec.submodule_search_locations:
        raise PluginUnavailableError("scf.functional", "jax-xc is missing: pip install --no-deps jax-xc")
    path = Path(next(iter(spec.submodule_search_locations))) / "impl" / f"{maple_name}.py"
    if not path.is_file():
        raise InputError(f"jax-xc has no formula {maple_name!r}")
    if _PACKAGE not in sys.modules:
        package = ModuleType(_PACKAGE)
        package.__path__ = []
        sys.modules[_PACKAGE] = package
        sys.modules[f"{_PACKAGE}.utils"] = support
    name = f"{_PACKAGE}.{path.stem}"
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    # The formulas make a few constants when they are read: in the precision that they are used in.
    with jax.enable_x64(True):
        found.loader.exec_module(module)
    return module
