"""Meta-GGA and range-separated functionals against libxc, and the special functions that they need."""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scfx_xc
from functional_at_points import evaluate
from pyscf import dft, gto, scf
from pyscf.dft import libxc
from scfx_xc.attenuation import attenuation
from scfx_xc.exponential_integral import (
    scaled_erfc,
    scaled_exponential_integral,
    scaled_exponential_integral_log,
)
from scipy import integrate, special

import scfx
from scfx.energy.exchange_correlation.functional_at_points import N_COMPONENTS
from scfx.testing import check_functional

OFFERS = {
    offer.name: offer
    for offer in scfx_xc.scfx_register_functionals()
    if not offer.target.startswith("scfx_xc.functionals:")
}
#: Enough to run most code quickly; the slow tests run every functional.
QUICK = ["wb97x", "wb97m-v", "tpss", "r2scan"]
NAMES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in OFFERS]
#: Relative agreement of energy densities, by functional: where libxc's own series or cancellation set a limit, or, for
#: TPSS, the digits of its parameters.
ROUNDING = {"hse06": 5e-11, "wb97": 2e-11, "wb97x": 2e-11, "wb97x-d3": 1e-11, "wb97m-v": 3e-11, "wb97m-d3bj": 3e-11,
            "tpss": 3e-11, "tpssh": 3e-11}  # fmt: skip


@cache
def functional(name: str) -> scfx.AbstractFunctional:
    module, _, attribute = OFFERS[name].target.partition(":")
    return getattr(import_module(module), attribute)()


def random_spin_density(n: int = 2000) -> np.ndarray:
    """Components [2, 5, point] over 1e-7 to 1e2 bohr⁻³, any polarisation, gradients and tau as in molecules."""
    rng = np.random.default_rng(2025)
    rho = 10 ** rng.uniform(-7, 2, n)
    zeta = rng.uniform(-0.98, 0.98, n)
    spins = 0.5 * rho * np.stack([1 + zeta, 1 - zeta])
    gradient = rng.normal(size=(3, 2, n)) * np.minimum(5 * spins ** (4 / 3), 3 * spins)
    # von Weizsäcker's bound, plus up to several times the uniform gas's
    tau = np.sum(gradient**2, 0) / (8 * spins) + rng.exponential(1.0, (2, n)) * 2.9 * spins ** (5 / 3)
    return np.concatenate([spins[:, None], gradient.transpose(1, 0, 2), tau[:, None]], axis=1)


@cache
def molecular_density(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Components [5, point], or [2, 5, point] of an open shell (Hartree-Fock, 6-31G), and weights."""
    geometry, spin = {
        "H2O": ("O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692", 0),
        "NO": ("N 0 0 0; O 0 0 1.15", 1),
        "O2": ("O 0 0 0; O 0 0 1.21", 2),
        "H": ("H 0 0 0", 1),
    }[name]
    molecule = gto.M(atom=geometry, basis="6-31g", spin=spin, verbose=0)
    density = (scf.UHF if spin else scf.RHF)(molecule).run().make_rdm1()
    grid = dft.gen_grid.Grids(molecule)
    grid.level = 0
    grid.build()
    ao = dft.numint.eval_ao(molecule, grid.coords, deriv=1)
    matrices = np.asarray(density).reshape(-1, *density.shape[-2:])
    rho = [dft.numint.eval_rho(molecule, ao, d, xctype="MGGA", with_lapl=False) for d in matrices]
    return (np.stack(rho) if spin else rho[0]), grid.weights


def libxc_reference(name: str, components: np.ndarray, family: str) -> tuple[np.ndarray, Any]:
    """Energy density and (vrho, vsigma, ..., vtau)."""
    used = components[..., : N_COMPONENTS[family], :]
    if family == "mgga":
        used = np.insert(used, 4, 0.0, axis=-2)  # the Laplacian, which none of these uses
    spin = int(components.ndim == 3)
    name = {"wb97x-d3": "wb97x_d3"}.get(name, name)  # the only spelling of it that PySCF takes
    exc, vxc = libxc.eval_xc(name, tuple(used) if spin else used, spin=spin, deriv=1)[:2]
    return exc * components[..., 0, :].reshape(spin + 1, -1).sum(axis=0), vxc


@pytest.mark.parametrize("name", NAMES)
def test_random_spin_densities_agree_with_libxc(name: str) -> None:
    f = functional(name)
    components = random_spin_density()
    energy, vxc = libxc_reference(name, components, f.family)

    def value_and_slopes(density: Any) -> Any:
        value, pullback = jax.vjp(f.energy_density, density)
        return value, pullback(jnp.ones_like(value))[0]

    with jax.enable_x64(True):
        a, b = jnp.asarray(components)
        sigma = [jnp.sum(s[1:4] * t[1:4], axis=0) for s, t in ((a, a), (a, b), (b, b))]
        tau = (a[4], b[4]) if f.family == "mgga" else ()
        compiled = jax.jit(value_and_slopes, compiler_options={"xla_backend_optimization_level": 0})
        value, slopes = compiled(scfx.Density(a[0], b[0], *sigma, *tau))
    tolerance = ROUNDING.get(name, 1e-12)
    np.testing.assert_allclose(value, energy, rtol=tolerance)
    np.testing.assert_allclose(np.stack([slopes.rho_a, slopes.rho_b], 1), vxc[0], rtol=0, atol=1e-10)
    # A derivative by sigma or tau has no scale of its own: compare what it adds to the energy density.
    scale = np.abs(energy)[:, None]
    ours = np.stack([slopes.sigma_aa, slopes.sigma_ab, slopes.sigma_bb], 1)
    assert (np.abs(ours - vxc[1]) * np.abs(np.stack(sigma, 1)) / scale).max() < 10 * tolerance
    if f.family == "mgga":
        ours = np.stack([slopes.tau_a, slopes.tau_b], 1)
        assert (np.abs(ours - vxc[3]) * components[:, 4].T / scale).max() < 10 * tolerance


@pytest.mark.parametrize("name", NAMES)
def test_water_energy_and_potential_agree_with_libxc(name: str) -> None:
    f = functional(name)
    components, weights = molecular_density("H2O")
    energy, vxc = libxc_reference(name, components, f.family)
    assert abs(evaluate(f, components, weights).energy - weights @ energy) / 10 < 1e-10
    unweighted = evaluate(f, components).derivative
    kept = components[0] > 1e-8  # libxc cuts tails at places of its own
    np.testing.assert_allclose(unweighted[0, kept], vxc[0][kept], rtol=0, atol=1e-9)
    expected = 2 * vxc[1] * components[1:4]
    np.testing.assert_allclose(unweighted[1:4, kept], expected[:, kept], rtol=1e-7, atol=1e-8)
    if f.family == "mgga":
        np.testing.assert_allclose(unweighted[4, kept], vxc[3][kept], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("molecule", "electrons"), [("NO", 15), ("H", 1)])
def test_open_shell_energies_agree_with_libxc(name: str, molecule: str, electrons: int) -> None:
    f = functional(name)
    components, weights = molecular_density(molecule)
    energy, vxc = libxc_reference(name, components, f.family)
    result = evaluate(f, components, weights)
    # An empty channel holds whatever floor a program chose, which (1 - ζ)^(2/3) sees; one electron has no correlation
    # in some of these.
    assert abs(result.energy - weights @ energy) / electrons < (1e-8 if molecule == "H" else 1e-9)
    kept = components[:, 0].min(axis=0) > 1e-7
    if kept.any():
        unweighted = evaluate(f, components).derivative[:, 0]
        np.testing.assert_allclose(unweighted[:, kept].T, vxc[0][kept], rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_closed_shell_form_equals_the_spin_resolved_one(name: str) -> None:
    f = functional(name)
    components, weights = molecular_density("H2O")
    closed = evaluate(f, components, weights)
    open_ = evaluate(f, np.stack([components / 2, components / 2]), weights)
    assert closed.energy == pytest.approx(open_.energy, rel=1e-13)
    kept = (components[0] > 1e-10) & (weights > 0.0)  # Becke's partition leaves some points without weight
    for spin in (0, 1):
        np.testing.assert_allclose(
            closed.derivative[:, kept] / weights[kept],
            open_.derivative[spin][:, kept] / weights[kept],
            atol=1e-8,
        )


@pytest.mark.parametrize("name", OFFERS)
def test_every_name_and_alias_means_what_pyscf_means(name: str) -> None:
    f = functional(name)
    for spelling in (name, *OFFERS[name].aliases):
        if spelling == "wb97x-d3":
            continue  # PySCF refuses this spelling, for want of the dispersion; it has wb97x_d3 in libxc
        omega, long_range, short_minus_long = libxc.rsh_coeff(spelling)
        full = libxc.hybrid_coeff(spelling) if omega == 0 else long_range + short_minus_long
        assert f.omega == pytest.approx(omega, abs=1e-12)
        assert f.exact_exchange == pytest.approx(full, abs=1e-12)
        assert f.long_range_exchange == pytest.approx(-short_minus_long if omega else 0.0, abs=1e-12)
        if f.vv10 is not None:
            ((parameters, factor),) = libxc.nlc_coeff(spelling)
            assert (f.vv10, factor) == (parameters, 1)


def test_definitions_identify_the_mathematics() -> None:
    offers = scfx_xc.scfx_register_functionals()
    definitions = {}
    for offer in offers:
        module, _, attribute = offer.target.partition(":")
        definitions[offer.name] = json.dumps(getattr(import_module(module), attribute)().definition())
    assert len(set(definitions.values())) == len(offers)
    names = [spelling for offer in offers for spelling in (offer.name, *offer.aliases)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "name", [n if n == "wb97m-v" else pytest.param(n, marks=pytest.mark.slow) for n in OFFERS]
)
def test_offered_functionals_pass_the_conformance_suite(name: str) -> None:
    # These forms lose too much in float32, which is why every policy evaluates functionals in float64.
    check_functional(functional(name), dtypes=("float64",))


def test_attenuation_is_the_short_range_share_of_the_uniform_gas() -> None:
    # Exchange of the uniform gas with erfc(ωr)/r: the exchange hole 9/2 (j1(k r)/(k r))² integrated, Gill et al. 1996.
    def share(u: float) -> float:
        def integrand(y: float) -> float:
            return (special.spherical_jn(1, y) / y) ** 2 * y * special.erfc(y / u)

        # The full-range integral ∫ j1(y)²/y dy is 1/4.
        return 4.0 * integrate.quad(integrand, 0.0, 8.0 * u, limit=400)[0]

    values = np.array([0.05, 0.3, 0.9, 0.999, 1.001, 1.5, 4.0])
    with jax.enable_x64(True):
        ours = np.asarray(attenuation(jnp.asarray(values)))
        # Both branches meet, with their slopes, at 1.
        slopes = np.asarray(jax.vmap(jax.grad(attenuation))(jnp.array([1 - 1e-9, 1 + 1e-9])))
    np.testing.assert_allclose(ours, [share(u) for u in values], rtol=1e-9)
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-7)


def test_scaled_exponential_integrals_and_their_derivatives() -> None:
    x = np.concatenate([10.0 ** np.linspace(-8, 2, 60), [1.999999, 2.000001, 49.99, 50.01, 500.0]])
    with jax.enable_x64(True):
        points = jnp.asarray(x)
        np.testing.assert_allclose(
            scaled_exponential_integral(points), special.exp1(x) * np.exp(x), rtol=1e-13
        )
        np.testing.assert_allclose(
            scaled_exponential_integral_log(points),
            special.exp1(x) * np.exp(x) + np.log(x),
            rtol=1e-13,
            atol=2e-14,
        )
        np.testing.assert_allclose(scaled_erfc(points), np.pi * special.erfcx(np.sqrt(x)), rtol=1e-13)
        slope = jax.vmap(jax.grad(scaled_exponential_integral_log))(points)
        np.testing.assert_allclose(slope, special.exp1(x) * np.exp(x), rtol=1e-13)
        slope = jax.vmap(jax.grad(scaled_erfc))(points)
        expected = np.pi * special.erfcx(np.sqrt(x)) - np.sqrt(np.pi / x)
        np.testing.assert_allclose(slope, expected, rtol=1e-9, atol=1e-12)
