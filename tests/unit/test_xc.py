"""The native functionals against libxc, and the driver's evaluation at vanishing densities."""

from __future__ import annotations

import json
from functools import cache, partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scfx_xc
from functional_at_points import closed_shell, evaluate
from pyscf import dft, gto, scf
from pyscf.dft import libxc

import scfx
from scfx.testing import check_functional

#: Local and gradient-corrected functionals and their full-range hybrids; test_xc_beyond_gga.py has the others.
OFFERS = {
    offer.name: offer
    for offer in scfx_xc.scfx_register_functionals()
    if offer.target.startswith("scfx_xc.functionals:")
}
#: All but Hartree-Fock have an energy density to compare.
NAMES = [name for name in OFFERS if name != "hf"]
#: Every component once; used where all nineteen functionals would only repeat the same code.
COMPONENT_COVER = ["hf", "svwn", "b3lyp", "b3lyp5", "pbe0", "bp86", "rpbe"]
#: Spellings that other programs use and PySCF does not know.
NOT_IN_PYSCF = {"svwn5", "svwn3", "svwn_rpa"}


@cache
def functional(name: str) -> scfx.AbstractFunctional:
    module, _, attribute = OFFERS[name].target.partition(":")
    return getattr(import_module(module), attribute)()


def _components(molecule: gto.Mole, density_matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    grid = dft.gen_grid.Grids(molecule)
    grid.level = 0
    grid.build()
    ao = dft.numint.eval_ao(molecule, grid.coords, deriv=1)
    matrices = density_matrix.reshape(-1, *density_matrix.shape[-2:])
    rho = [dft.numint.eval_rho(molecule, ao, d, xctype="GGA") for d in matrices]
    return np.stack(rho), grid.weights


@cache
def closed_shell_density() -> tuple[np.ndarray, np.ndarray]:
    """Components [4, point] of the total density of water (Hartree-Fock, def2-SVP), and weights."""
    geometry = "O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692"
    molecule = gto.M(atom=geometry, basis="def2-svp", verbose=0)
    rho, weights = _components(molecule, scf.RHF(molecule).run().make_rdm1())
    return rho[0], weights


@cache
def open_shell_density(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Components [2, 4, point] of each spin's density (unrestricted Hartree-Fock, 6-31G), and weights."""
    geometry, spin = {
        "NO": ("N 0 0 0; O 0 0 1.15", 1),
        "O2": ("O 0 0 0; O 0 0 1.21", 2),
        "H": ("H 0 0 0", 1),
    }[name]
    molecule = gto.M(atom=geometry, basis="6-31g", spin=spin, verbose=0)
    return _components(molecule, scf.UHF(molecule).run().make_rdm1())


def random_spin_density(n: int = 3000) -> np.ndarray:
    """Components [2, 4, point] over 1e-7 to 1e2 bohr⁻³, any polarisation, reduced gradients as in molecules."""
    rng = np.random.default_rng(2024)
    rho = 10 ** rng.uniform(-7, 2, n)
    zeta = rng.uniform(-0.98, 0.98, n)
    spins = 0.5 * rho * np.stack([1 + zeta, 1 - zeta])
    gradient = rng.normal(size=(3, 2, n)) * np.minimum(5 * spins ** (4 / 3), 3 * spins)
    return np.concatenate([spins[:, None], gradient.transpose(1, 0, 2)], axis=1)


def libxc_reference(name: str, components: np.ndarray, family: str) -> tuple[np.ndarray, np.ndarray, Any]:
    """Energy density, vrho and vsigma; components [4, point] or [2, 4, point] as PySCF passes them to libxc."""
    used = components if family == "gga" else components[..., 0, :]
    spin = int(components.ndim == 3)
    exc, vxc = libxc.eval_xc(name, tuple(used) if spin else used, spin=spin, deriv=1)[:2]
    rho = components[..., 0, :].reshape(spin + 1, -1).sum(axis=0)
    return exc * rho, vxc[0], vxc[1] if family == "gga" else None


def libxc_evaluates(components: np.ndarray) -> np.ndarray:
    """Points where no spin density is in the range, below 1e-13, where libxc cuts some functionals to zero."""
    rho = components[..., 0, :].reshape(-1, components.shape[-1])
    return ((rho > 1e-13) | (rho == 0)).all(axis=0)


def n_components(family: str) -> int:
    return 4 if family == "gga" else 1


@partial(jax.jit, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0})
def value_and_slopes(function: Any, density: Any) -> Any:
    value, pullback = jax.vjp(function, density)
    return value, pullback(jnp.ones_like(value))[0]


def energy_and_slopes(f: scfx.AbstractFunctional, components: np.ndarray) -> Any:
    """Energy density and its derivatives, straight from the functional: [point] and a Density of [point]."""
    with jax.enable_x64(True):
        a, b = jnp.asarray(components)
        sigma = [jnp.sum(s[1:] * t[1:], axis=0) for s, t in ((a, a), (a, b), (b, b))]
        density = scfx.Density(a[0], b[0], *(sigma if f.family == "gga" else ()))
        return value_and_slopes(f.energy_density, density), sigma


@pytest.mark.parametrize("name", NAMES)
def test_random_spin_densities_agree_with_libxc(name: str) -> None:
    f = functional(name)
    components = random_spin_density()
    energy, vrho, vsigma = libxc_reference(name, components, f.family)
    (value, slopes), sigma = energy_and_slopes(f, components)
    np.testing.assert_allclose(value, energy, rtol=1e-12)
    np.testing.assert_allclose(np.stack([slopes.rho_a, slopes.rho_b], 1), vrho, rtol=0, atol=1e-12)
    if f.family == "gga":
        ours = np.stack([slopes.sigma_aa, slopes.sigma_ab, slopes.sigma_bb], 1)
        # A derivative by sigma has no scale of its own: compare what it adds to the energy density.
        error = np.abs((ours - vsigma) * np.stack(sigma, 1)) / np.abs(energy)[:, None]
        assert error.max() < 1e-12
        np.testing.assert_allclose(ours, vsigma, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_water_energy_and_potential_agree_with_libxc(name: str) -> None:
    f = functional(name)
    components, weights = closed_shell_density()
    energy, vrho, vsigma = libxc_reference(name, components, f.family)
    nc = n_components(f.family)
    result = evaluate(f, components, weights)
    assert result.electrons == pytest.approx(weights @ components[0], rel=1e-14)
    assert abs(result.energy - weights @ energy) / 10 < 1e-10
    unweighted = evaluate(f, components).derivative
    expected = np.stack([vrho] if nc == 1 else [vrho, *(2 * vsigma * components[1:])])
    kept = libxc_evaluates(components)
    assert weights[kept] @ components[0][kept] > (1 - 1e-9) * (weights @ components[0])
    np.testing.assert_allclose(unweighted[:, kept], expected[:, kept], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.derivative, unweighted * weights, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("molecule", "electrons"), [("NO", 15), ("O2", 16), ("H", 1)])
def test_open_shell_energy_and_potential_agree_with_libxc(name: str, molecule: str, electrons: int) -> None:
    f = functional(name)
    components, weights = open_shell_density(molecule)
    energy, vrho, vsigma = libxc_reference(name, components, f.family)
    nc = n_components(f.family)
    result = evaluate(f, components, weights)
    tolerance = 1e-10
    if molecule == "H" and "pbe_correlation" in json.dumps(f.definition()):
        # libxc puts 1e-12 into the empty channel, which changes (1 - ζ)^(2/3) by about 1e-8 times an energy.
        tolerance = 1e-8
    assert abs(result.energy - weights @ energy) / electrons < tolerance
    unweighted = evaluate(f, components).derivative
    expected = vrho.T[:, None]
    if nc == 4:
        aa, ab, bb = vsigma.T
        a, b = components[:, 1:]
        expected = np.concatenate([expected, np.stack([2 * aa * a + ab * b, 2 * bb * b + ab * a])], axis=1)
    kept = libxc_evaluates(components)
    assert kept.sum() > 500
    np.testing.assert_allclose(unweighted[0, ..., kept], expected[0, ..., kept], rtol=0, atol=1e-8)
    if molecule != "H":
        np.testing.assert_allclose(unweighted[1, ..., kept], expected[1, ..., kept], rtol=0, atol=1e-8)
    elif "pbe_correlation" not in json.dumps(f.definition()):
        # libxc puts 1e-15 into the empty channel, so its f'(ζ) is off by (1e-15)^(1/3) = 1e-5 times an energy.
        np.testing.assert_allclose(unweighted[1, ..., kept], expected[1, ..., kept], rtol=0, atol=2e-5)
    # PBE's potential of an empty channel diverges as ((1 - ζ)/2)^(-1/3), and is whatever floor a program chose.


@pytest.mark.parametrize("name", NAMES)
def test_closed_shell_form_equals_the_spin_resolved_one(name: str) -> None:
    f = functional(name)
    components, weights = closed_shell_density()
    nc = n_components(f.family)
    total = components[:nc]
    closed = evaluate(f, total, weights)
    open_ = evaluate(f, np.stack([total / 2, total / 2]), weights)
    assert closed.energy == pytest.approx(open_.energy, rel=1e-14)
    # The potential of each spin is that of the total density (the module's docstring).
    for spin in (0, 1):
        scale = np.abs(weights)
        error = np.abs(closed.derivative - open_.derivative[spin])[:, scale > 0] / scale[scale > 0]
        assert error.max() < 1e-10
    with jax.enable_x64(True):
        rho = jnp.asarray(10 ** np.random.default_rng(5).uniform(-7, 2, 2000))
        sigma = (2 * rho ** (4 / 3)) ** 2
        density = scfx.ClosedShellDensity(rho, sigma if nc == 4 else None)
        cheap = f.closed_shell_energy_density(density)
        general = f.energy_density(density.spin_resolved())
        np.testing.assert_allclose(cheap, general, rtol=2e-14)


@pytest.mark.parametrize("name", OFFERS)
def test_every_name_and_alias_means_what_pyscf_means(name: str) -> None:
    f = functional(name)
    components = closed_shell_density()[0][:, ::500]
    for spelling in (name, *OFFERS[name].aliases):
        if spelling in NOT_IN_PYSCF:
            continue
        assert libxc.hybrid_coeff(spelling) == pytest.approx(f.exact_exchange, abs=1e-12)
        if f.family != "none":
            energy = libxc_reference(spelling, components, f.family)[0]
            assert evaluate(f, components).energy == pytest.approx(energy.sum(), rel=1e-12)


def test_definitions_identify_the_mathematics() -> None:
    definitions = {name: json.dumps(functional(name).definition(), sort_keys=True) for name in OFFERS}
    assert len(set(definitions.values())) == len(OFFERS)
    assert "vwn_rpa" in definitions["b3lyp"]
    assert "vwn5" in definitions["b3lyp5"]
    names = [spelling for offer in OFFERS.values() for spelling in (offer.name, *offer.aliases)]
    assert len(set(names)) == len(names)
    assert all(spelling == spelling.lower() for spelling in names)


@pytest.mark.parametrize(
    "name", [n if n in COMPONENT_COVER else pytest.param(n, marks=pytest.mark.slow) for n in OFFERS]
)
def test_offered_functionals_pass_the_conformance_suite(name: str) -> None:
    check_functional(functional(name))


# ---- vanishing densities -----------------------------------------------------------------------------------------


def _hard_points() -> np.ndarray:
    """Total-density components [4, point]: nothing, noise of either sign, tails, nuclei."""
    rho = np.array(
        [0.0, -1e-9, -1e-18, 1e-40, 1e-20, 1e-16, 1e-15, 2e-15, 1e-13, 2e-12, 1e-10, 1e-5, 0.3, 1e4]
    )
    gradient = np.stack([2 * rho, np.zeros_like(rho), -rho])
    gradient[:, :5] = 1e-10
    flat = np.concatenate([rho[None], 0 * gradient])
    return np.concatenate([np.concatenate([rho[None], gradient]), flat], axis=1)


@pytest.mark.parametrize("name", COMPONENT_COVER)
@pytest.mark.parametrize(
    ("input_dtype", "functional_dtype"),
    [("float64", "float64"), ("float32", "float64"), ("float32", "float32")],
)
def test_vanishing_densities_give_finite_values_and_zero_where_nothing_is(
    name: str, input_dtype: str, functional_dtype: str
) -> None:
    _check_vanishing(functional(name), input_dtype, functional_dtype)


def test_densities_may_be_narrowed_for_the_functional() -> None:
    # No policy does so: once for all functionals.
    _check_vanishing(functional("b3lyp"), "float64", "float32")


def _check_vanishing(f: scfx.AbstractFunctional, input_dtype: str, functional_dtype: str) -> None:
    total = _hard_points()[: n_components(f.family)].astype(input_dtype)
    threshold = 1e-15 if (input_dtype, functional_dtype) == ("float64", "float64") else 1e-12
    absent = total[0] < np.asarray(threshold, input_dtype)
    for components in (
        total,
        np.stack([total, total]),
        np.stack([total, 0 * total]),
        np.stack([0 * total, total]),
    ):
        result = evaluate(f, components, functional_dtype=functional_dtype)
        assert np.isfinite(result.derivative).all()
        assert result.derivative.dtype == functional_dtype
        assert result.energy.dtype == result.electrons.dtype == np.float64
        gone = components[..., 0, :].reshape(-1, total.shape[1]).sum(0) < np.asarray(threshold, input_dtype)
        assert (result.derivative[..., gone] == 0).all()
        assert np.abs(result.derivative).max() < 100
    nothing = evaluate(f, np.where(absent, total, 0.0).astype(input_dtype), functional_dtype=functional_dtype)
    assert nothing.energy == 0.0


@pytest.mark.parametrize("name", ["b3lyp", "pbe", "svwn"])
def test_hydrogen_atom_has_a_finite_potential_in_its_empty_spin_channel(name: str) -> None:
    f = functional(name)
    components, weights = open_shell_density("H")
    assert (components[1] == 0).all()
    derivative = evaluate(f, components[:, : n_components(f.family)], weights).derivative
    assert np.isfinite(derivative).all()
    potential = derivative[1, 0] / np.where(weights == 0, 1.0, weights)
    assert potential.min() < -1e-3  # correlation attracts the missing electron
    assert np.abs(potential).max() < 10


def test_float32_densities_in_the_float64_functional_cost_little() -> None:
    # shared measurement on another molecule: at most 2.5e-8 hartree per functional; here with room.
    f = functional("b3lyp")
    components, weights = closed_shell_density()
    exact = evaluate(f, components, weights).energy
    rounded = evaluate(f, components.astype(np.float32), weights).energy
    assert abs(rounded - exact) < 1e-7


def test_leading_axes_do_not_change_a_lane() -> None:
    f = functional("b3lyp")
    components, weights = closed_shell_density()
    single = evaluate(f, components, weights)
    with jax.enable_x64(True):
        lanes = jnp.stack([jnp.asarray(components), 0.5 * jnp.asarray(components)])
        both = closed_shell(f, lanes, jnp.stack([jnp.asarray(weights)] * 2), "float64")
        assert both.energy.shape == (2,)
        np.testing.assert_allclose(both.energy[0], single.energy, rtol=1e-13)
        np.testing.assert_allclose(both.derivative[0], single.derivative, rtol=1e-10, atol=1e-14)


def test_unused_components_get_zero_derivatives() -> None:
    components, weights = closed_shell_density()
    with jax.enable_x64(True):
        found = closed_shell(functional("svwn"), jnp.asarray(components), jnp.asarray(weights))
        derivative = np.asarray(found.derivative)
    assert derivative.shape == components.shape
    assert (derivative[1:] == 0).all()


def test_hartree_fock_has_no_exchange_correlation_energy() -> None:
    components, weights = closed_shell_density()
    result = evaluate(functional("hf"), components[:1], weights)
    assert result.energy == 0.0
    assert (result.derivative == 0).all()
    assert result.electrons == pytest.approx(10, abs=1e-2)


# ---- a functional of the meta-GGA family, and what the conformance suite rejects ---------------------------------


class VonWeizsaeckerMix(scfx.AbstractFunctional):
    """A made-up meta-GGA: -Σ_s ρ_s^(4/3) / (1 + z_s), z_s = σ_ss/(8 ρ_s τ_s) in [0, 1]."""

    family = "mgga"

    def energy_density(self, density: scfx.Density) -> Any:
        a = density.rho_a ** (4 / 3) / (1 + density.sigma_aa / (8 * density.rho_a * density.tau_a))
        b = density.rho_b ** (4 / 3) / (1 + density.sigma_bb / (8 * density.rho_b * density.tau_b))
        return -(a + b)


class Slater(scfx.AbstractFunctional):
    family = "lda"

    def energy_density(self, density: scfx.Density) -> Any:
        return -0.9305257363490993 * (density.rho_a ** (4 / 3) + density.rho_b ** (4 / 3))


class NotFinite(Slater):
    def energy_density(self, density: scfx.Density) -> Any:
        return super().energy_density(density) + jnp.sqrt(density.rho_a - density.rho_b) ** 2


class NotFiniteWhenPolarised(Slater):
    def energy_density(self, density: scfx.Density) -> Any:
        zeta = (density.rho_a - density.rho_b) / (density.rho_a + density.rho_b)
        return super().energy_density(density) * ((1 + zeta) ** (2 / 3) + (1 - zeta) ** (2 / 3))


class SpinAsymmetric(Slater):
    def energy_density(self, density: scfx.Density) -> Any:
        return -(density.rho_a ** (4 / 3))


class WrongClosedShell(Slater):
    def closed_shell_energy_density(self, density: scfx.ClosedShellDensity) -> Any:
        return -0.7 * density.rho ** (4 / 3)


class UsesSigma(Slater):
    def energy_density(self, density: scfx.Density) -> Any:
        extra = 0.0 if density.sigma_aa is None else density.sigma_aa + density.sigma_bb
        return super().energy_density(density) + extra


class WrongDerivative(Slater):
    def energy_density(self, density: scfx.Density) -> Any:
        return super().energy_density(density) * jax.lax.stop_gradient(density.rho_a + density.rho_b)


class SumsOverPoints(Slater):
    def energy_density(self, density: scfx.Density) -> Any:
        return jnp.sum(super().energy_density(density))


class Couples(Slater):
    def energy_density(self, density: scfx.Density) -> Any:
        return super().energy_density(density) * jnp.max(density.rho_a + density.rho_b)


class ImpossibleHybrid(Slater):
    exact_exchange = 0.5
    long_range_exchange = 0.7
    omega = 0.3


class OmegaWithoutExchange(Slater):
    omega = 0.3


class OpaqueDefinition(Slater):
    def definition(self) -> Any:
        return {"parameters": np.array([1.0])}


class DefaultFloat(Slater):
    def energy_density(self, density: scfx.Density) -> Any:
        return super().energy_density(density).astype(jnp.float64)


def test_simple_functionals_pass_the_conformance_suite() -> None:
    check_functional(Slater())
    # sigma / (rho tau) underflows in float32 at the density threshold, as in most meta-GGAs.
    check_functional(VonWeizsaeckerMix(), dtypes=("float64",))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (NotFinite, "not finite"),
        (NotFiniteWhenPolarised, "full polarisation"),
        (SpinAsymmetric, "spins are exchanged"),
        (WrongClosedShell, "closed_shell_energy_density differs"),
        (UsesSigma, "fields above it"),
        (WrongDerivative, "not the slope"),
        (SumsOverPoints, "one value per point"),
        (Couples, "depends on the other points|differs under jax.vmap|not the slope"),
        (ImpossibleHybrid, "fraction at long range"),
        (OmegaWithoutExchange, "both or neither"),
        (OpaqueDefinition, "plain data"),
        (DefaultFloat, "returned float64 for float32"),
    ],
)
def test_conformance_suite_says_what_is_wrong(bad: type, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_functional(bad())


def test_meta_gga_potential_is_the_slope_of_the_energy() -> None:
    f = VonWeizsaeckerMix()
    rng = np.random.default_rng(3)
    rho = 10 ** rng.uniform(-4, 1, (2, 1, 50))
    gradient = rng.normal(size=(2, 3, 50)) * rho
    tau = np.sum(gradient**2, 1, keepdims=True) / (8 * rho) + rho ** (5 / 3)
    components = np.concatenate([rho, gradient, tau], axis=1)
    direction = rng.normal(size=components.shape) * np.abs(components)
    step = 1e-5
    derivative = evaluate(f, components).derivative
    slope = (
        evaluate(f, components + step * direction).energy - evaluate(f, components - step * direction).energy
    )
    assert np.sum(derivative * direction) == pytest.approx(slope / (2 * step), rel=1e-7)
    # The same for the total density.
    total, along = components.sum(0), direction.sum(0)
    slope = evaluate(f, total + step * along).energy - evaluate(f, total - step * along).energy
    assert np.sum(evaluate(f, total).derivative * along) == pytest.approx(slope / (2 * step), rel=1e-7)
