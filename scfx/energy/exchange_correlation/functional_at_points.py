"""The exchange-correlation energy and potential at grid points, with vanishing densities kept away.

Components at a point are those of `AbstractGridOperator`: rho; for "gga" also ∂rho/∂x, y, z; for "mgga" also tau
(after the gradient). The functional is given floored densities and its results are masked afterwards, so that
neither a value nor a derivative can turn into NaN (the two `where`s that JAX's FAQ asks for: one before, one after).
Pure JAX; call inside `jax.enable_x64(True)`.

Derivatives are returned in the convention of `AbstractGridOperator.potential`,
V_ij = Σ_g Σ_c derivative_cg ∂(component c)/∂D_ij, where for the gradient components the chain rule through sigma is
already applied. In the closed-shell case D is the total density matrix, and V is the potential of each spin: with
D_a = D_b = D/2, dE/dD = (dE/dD_a + dE/dD_b)/2 = dE/dD_a.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float64

from scfx.contracts.functional import AbstractFunctional, ClosedShellDensity, Density

if TYPE_CHECKING:
    from scfx.contracts.functional import Family

#: Points whose total density (bohr⁻³) is below this contribute nothing, by the dtype that the density was computed in.
#: At 1e-12 a tail of 1000 bohr³ holds 1e-9 electrons; float32 densities below it are mostly rounding error.
DENSITY_THRESHOLD = {"float32": 1e-12, "float64": 1e-15}
#: What a vanishing spin density is replaced by, by the dtype of the functional. In float64 far below the threshold,
#: because the Slater potential of an empty spin channel at the floor is -1.24 floor^(1/3): 1e-9 hartree.
SPIN_DENSITY_FLOOR = {"float32": 1e-12, "float64": 1e-27}

N_COMPONENTS: dict[Family, int] = {"none": 1, "lda": 1, "gga": 4, "mgga": 5}


class FunctionalIntegrals(NamedTuple):
    """`energy` (hartree) and `electrons`, summed over points in float64; `derivative` includes the weights."""

    energy: Float64[Array, "..."]
    electrons: Float64[Array, "..."]
    derivative: Float[Array, "... component point"]


def evaluate_closed_shell(
    functional: AbstractFunctional,
    components: Float[Array, "*lane component point"],
    weights: Float64[Array, "*lane point"],
    functional_dtype: Any = "float64",
) -> FunctionalIntegrals:
    """Return energy, electrons and weighted derivatives from the components of the total density.

    `components` may hold more than the family needs (those derivatives are zero); `weights` in bohr³.
    `functional_dtype` is the dtype the functional is evaluated in and the derivative is returned in.
    """
    dtype = jnp.dtype(functional_dtype)
    threshold = _threshold(components, dtype)
    present = components[..., 0, :] >= jnp.asarray(threshold, components.dtype)
    values = components.astype(dtype)

    rho = jnp.where(present, values[..., 0, :], threshold)
    gradient = sigma = tau = None
    if functional.family in ("gga", "mgga"):
        gradient = values[..., 1:4, :]
        sigma = _floored_sigma(_dot(gradient, gradient), present, threshold)
    if functional.family == "mgga":
        tau = _floored_tau(values[..., 4, :], rho, sigma, present)

    density = ClosedShellDensity(rho, sigma, tau)
    energy_density, slopes = _value_and_slopes(functional, functional.closed_shell_energy_density, density)
    weight = jnp.where(present, weights.astype(dtype), 0.0)
    derivative = [_masked(present, slopes.rho) * weight]
    if gradient is not None:
        # ∂e/∂(∇ρ) = 2 (∂e/∂σ) ∇ρ
        factor = 2.0 * _masked(present, slopes.sigma) * weight
        derivative += [factor * gradient[..., axis, :] for axis in range(3)]
    if tau is not None:
        derivative.append(_masked(present, slopes.tau) * weight)
    return FunctionalIntegrals(
        _sum(_masked(present, energy_density), weights),
        _sum(components[..., 0, :], weights),
        _stack(derivative, components.shape[-2]),
    )


def evaluate_spin_resolved(
    functional: AbstractFunctional,
    components: Float[Array, "*lane 2 component point"],
    weights: Float64[Array, "*lane point"],
    functional_dtype: Any = "float64",
) -> FunctionalIntegrals:
    """Return what `evaluate_closed_shell` does, of the components of both spins; `derivative` has the spin axis too.

    Where only one spin vanishes the point counts: the empty channel keeps the derivatives with respect to its density
    and, through sigma_ab, to its gradient (the potential that its virtual orbitals feel), while its own gradient is
    taken to be zero. The derivative with respect to its tau, which diverges for exchange as ρ_s^(-1/3), is dropped.
    """
    dtype = jnp.dtype(functional_dtype)
    threshold = _threshold(components, dtype)
    cut = jnp.asarray(threshold, components.dtype)
    rho_in = components[..., 0, :]
    present = rho_in[..., 0, :] + rho_in[..., 1, :] >= cut
    spin_present = [jnp.logical_and(present, rho_in[..., s, :] >= cut) for s in (0, 1)]
    values = components.astype(dtype)
    floor = SPIN_DENSITY_FLOOR[dtype.name]

    # At a masked point both spins get the threshold; at a polarised one the empty spin gets the lower floor.
    replacement = jnp.where(present, floor, threshold)
    rho = [jnp.where(spin_present[s], values[..., s, 0, :], replacement) for s in (0, 1)]
    gradient = None
    sigma: list[Any] = [None, None, None]
    tau: list[Any] = [None, None]
    if functional.family in ("gga", "mgga"):
        gradient = [jnp.where(spin_present[s][..., None, :], values[..., s, 1:4, :], 0.0) for s in (0, 1)]
        sigma = [
            _floored_sigma(_dot(gradient[0], gradient[0]), spin_present[0], floor),
            _dot(gradient[0], gradient[1]),
            _floored_sigma(_dot(gradient[1], gradient[1]), spin_present[1], floor),
        ]
    if functional.family == "mgga":
        tau = [_floored_tau(values[..., s, 4, :], rho[s], sigma[2 * s], spin_present[s]) for s in (0, 1)]

    density = Density(*rho, *sigma, *tau)
    energy_density, slopes = _value_and_slopes(functional, functional.energy_density, density)
    weight = jnp.where(present, weights.astype(dtype), 0.0)
    derivative = []
    for s, (rho_slope, sigma_slope, tau_slope) in enumerate(
        ((slopes.rho_a, slopes.sigma_aa, slopes.tau_a), (slopes.rho_b, slopes.sigma_bb, slopes.tau_b))
    ):
        channel = [_masked(present, rho_slope) * weight]
        if gradient is not None:
            # ∂e/∂(∇ρ_s) = 2 (∂e/∂σ_ss) ∇ρ_s + (∂e/∂σ_ab) ∇ρ_t, t the other spin
            own = 2.0 * _masked(spin_present[s], sigma_slope) * weight
            cross = _masked(present, slopes.sigma_ab) * weight
            channel += [
                own * gradient[s][..., axis, :] + cross * gradient[1 - s][..., axis, :] for axis in range(3)
            ]
        if functional.family == "mgga":
            channel.append(_masked(spin_present[s], tau_slope) * weight)
        derivative.append(_stack(channel, components.shape[-2]))
    return FunctionalIntegrals(
        _sum(_masked(present, energy_density), weights),
        _sum(rho_in[..., 0, :].astype(jnp.float64) + rho_in[..., 1, :].astype(jnp.float64), weights),
        jnp.stack(derivative, axis=-3),
    )


def evaluate_each_point(
    functional: AbstractFunctional, components: Float[Array, "block spin component point"], dtype: str
) -> tuple[Any, Any, Any]:
    """Return the energy density, electron density [block, point], and derivatives by each component, all without
    weights.

    Every point is a lane of its own to `evaluate_closed_shell` or `evaluate_spin_resolved`, whose sums are then over
    one point: densities vanish here exactly where they do in the energy.
    """
    by_point = jnp.moveaxis(components, -1, 1)[..., None]  # [block point spin component 1]
    ones = jnp.ones((*by_point.shape[:2], 1))
    if components.shape[1] == 1:
        energy, electrons, derivative = evaluate_closed_shell(
            functional, by_point[:, :, 0], ones, jnp.dtype(dtype)
        )
        derivative = derivative[:, :, None]
    else:
        energy, electrons, derivative = evaluate_spin_resolved(functional, by_point, ones, jnp.dtype(dtype))
    return energy, electrons, jnp.moveaxis(derivative[..., 0], 1, -1)


def _threshold(components: Any, dtype: Any) -> float:
    return max(DENSITY_THRESHOLD[jnp.dtype(components.dtype).name], DENSITY_THRESHOLD[dtype.name])


def _value_and_slopes(functional: AbstractFunctional, energy_density: Any, density: Any) -> tuple[Any, Any]:
    """Energy density and its derivative with respect to each field; every point depends on itself alone."""
    if functional.family == "none":
        zero = jnp.zeros_like(density[0])
        return zero, type(density)(*(zero if field is not None else None for field in density))
    value, pullback = jax.vjp(energy_density, density)
    (slopes,) = pullback(jnp.ones_like(value))
    return value, slopes


def _floored_sigma(sigma: Any, present: Any, floor: float) -> Any:
    # Keeps the derivative of |∇ρ| = sigma^(1/2) finite: x = |∇ρ|/ρ^(4/3) is at least about 1 at the density floor.
    least = floor ** (8.0 / 3.0)
    return jnp.where(present, jnp.maximum(sigma, least), least)


def _floored_tau(tau: Any, rho: Any, sigma: Any, present: Any) -> Any:
    # von Weizsäcker's bound: tau >= |∇ρ|²/(8ρ), for one spin and for the total; rounding may break it.
    least = sigma / (8.0 * rho)
    return jnp.where(present, jnp.maximum(tau, least), least)


def _dot(left: Any, right: Any) -> Any:
    return (
        left[..., 0, :] * right[..., 0, :]
        + left[..., 1, :] * right[..., 1, :]
        + left[..., 2, :] * right[..., 2, :]
    )


def _masked(present: Any, values: Any) -> Any:
    return jnp.where(present, values, 0.0)


def _sum(values: Any, weights: Any) -> Any:
    return jnp.sum(values.astype(jnp.float64) * weights.astype(jnp.float64), axis=-1)


def _stack(derivative: list[Any], n_components: int) -> Any:
    zeros = [jnp.zeros_like(derivative[0])] * (n_components - len(derivative))
    return jnp.stack(derivative + zeros, axis=-2)
