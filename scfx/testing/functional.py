"""`check_functional`: what every exchange-correlation functional must satisfy, for plugin authors to run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scfx.contracts.functional import AbstractFunctional, ClosedShellDensity, Density, Family
from scfx.energy.exchange_correlation.functional_at_points import (
    N_COMPONENTS,
    evaluate_closed_shell,
    evaluate_spin_resolved,
)

FAMILIES = tuple(N_COMPONENTS)
#: Fields of `Density` that each family uses.
_FIELDS = {"none": 2, "lda": 2, "gga": 5, "mgga": 7}
#: Relative agreement asked of two ways to compute one energy density, by dtype.
_ROUNDING = {"float32": 2e-4, "float64": 1e-11}
#: Compiling takes longer than all else here. Where rounding decides whether a value is finite, the driver's way counts.
_QUICKLY_COMPILED: Any = {"xla_backend_optimization_level": 0}


def check_functional(
    functional: AbstractFunctional,
    *,
    dtypes: Sequence[str] = ("float32", "float64"),
    n_points: int = 128,
    seed: int = 0,
) -> None:
    """Raise `AssertionError`, saying what is wrong and how to mend it, unless `functional` keeps the contract.

    Checked: declared data (family, hybrid fractions, a JSON-serialisable definition); shape and dtype of the energy
    density for each of `dtypes`; finite values and derivatives at ordinary, vanishing, gradient-free and fully
    polarised densities; symmetry under exchange of the spins; closed-shell form equal to the spin-resolved one;
    no use of fields above the family; derivatives equal to finite differences; it can be compiled (`jit`), mapped
    (`vmap`), and treats every point on its own. The built-in precision policies evaluate functionals in float64, so
    one that only holds there may be checked with `dtypes=("float64",)`.
    """
    label = type(functional).__name__
    assert isinstance(functional, AbstractFunctional), (
        f"{functional!r} is not an instance of scfx.AbstractFunctional (pass an instance, not the class)"
    )
    _check_declarations(functional, label)
    with jax.enable_x64(True):
        for dtype in dtypes:
            assert dtype in _ROUNDING, f"dtypes holds {dtype!r}; possible: {', '.join(_ROUNDING)}"
            sample = _sample(functional, n_points, seed, dtype)
            _check_shape_and_dtype(functional, label, sample, dtype)
            _check_symmetries(functional, label, sample, dtype)
            _check_vanishing_densities(functional, label, dtype)
        if "float64" in dtypes:
            sample = _sample(functional, n_points, seed, "float64")
            _check_derivative(functional, label, sample)
            _check_points(functional, label, sample)


def _check_declarations(functional: AbstractFunctional, label: str) -> None:
    assert functional.family in FAMILIES, f"{label}.family is {functional.family!r}; possible: {FAMILIES}"
    for name in ("exact_exchange", "long_range_exchange", "omega"):
        value = getattr(functional, name)
        assert isinstance(value, int | float), f"{label}.{name} is {value!r}, expected a number"
        assert np.isfinite(value), f"{label}.{name} is {value!r}, expected a finite number"
    short, extra, omega = functional.exact_exchange, functional.long_range_exchange, functional.omega
    assert 0.0 <= short <= 1.0, f"{label}.exact_exchange is {short}; a fraction is between 0 and 1"
    assert 0.0 <= short + extra <= 1.0 + 1e-12, (
        f"{label}: exact_exchange + long_range_exchange is {short + extra}, the fraction at long range; it must be "
        "between 0 and 1. `long_range_exchange` is what is added to `exact_exchange`, not the total"
    )
    assert omega >= 0.0, f"{label}.omega is {omega}; it must not be negative"
    assert (omega > 0.0) == (extra != 0.0), (
        f"{label}: omega is {omega} and long_range_exchange {extra}; both or neither must be zero"
    )
    definition = functional.definition()
    try:
        text = json.dumps(definition, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(
            f"{label}.definition() must be plain data (str, int, float, bool, list, dict): {error}"
        ) from error
    again = json.dumps(functional.definition(), sort_keys=True)
    assert text == again, f"{label}.definition() differs between two calls; it enters the spec hash"


def _sample(functional: AbstractFunctional, n_points: int, seed: int, dtype: str) -> Density:
    """Densities as molecules have them: 1e-6 to 1e2 bohr⁻³, reduced gradients up to about 10, any polarisation."""
    rng = np.random.default_rng(seed)
    rho = 10.0 ** rng.uniform(-6, 2, (1, n_points))
    polarisation = rng.uniform(-0.9, 0.9, n_points)
    spins = 0.5 * rho * np.stack([1 + polarisation, 1 - polarisation])
    gradient = rng.normal(size=(3, 2, n_points)) * np.minimum(spins ** (4 / 3) * 5, spins * 3)
    sigma = [np.sum(gradient[:, s] * gradient[:, t], 0) for s, t in ((0, 0), (0, 1), (1, 1))]
    tau = [
        sigma[2 * s] / (8 * spins[s]) + rng.uniform(0.5, 2, n_points) * 2.9 * spins[s] ** (5 / 3)
        for s in (0, 1)
    ]
    fields = [*spins, *sigma, *tau]
    used = _FIELDS[functional.family]
    return Density(*(jnp.asarray(f, dtype) if i < used else None for i, f in enumerate(fields)))


def _check_shape_and_dtype(functional: AbstractFunctional, label: str, sample: Density, dtype: str) -> None:
    for shape in (sample.rho_a.shape, (2, sample.rho_a.size // 2)):
        value = jax.eval_shape(functional.energy_density, _map(lambda x, s=shape: x.reshape(s), sample))
        assert getattr(value, "shape", None) == shape, (
            f"{label}.energy_density returned shape {getattr(value, 'shape', None)} for densities of shape {shape}; "
            "it must return one value per point, whatever the leading axes"
        )
        assert value.dtype == jnp.dtype(dtype), (
            f"{label}.energy_density returned {value.dtype} for {dtype} densities; use Python floats for constants "
            "and make no arrays of a fixed dtype"
        )
    value, slopes = _value_and_slopes(functional.energy_density, sample)
    _assert_finite(label, f"energy density at ordinary densities in {dtype}", value)
    for name, slope in slopes._asdict().items():
        if slope is not None:
            _assert_finite(label, f"derivative by {name} at ordinary densities in {dtype}", slope)


def _check_symmetries(functional: AbstractFunctional, label: str, sample: Density, dtype: str) -> None:
    tolerance = _ROUNDING[dtype]
    value, _ = _value_and_slopes(functional.energy_density, sample)
    swapped = Density(
        sample.rho_b,
        sample.rho_a,
        sample.sigma_bb,
        sample.sigma_ab,
        sample.sigma_aa,
        sample.tau_b,
        sample.tau_a,
    )
    _assert_close(
        _value_and_slopes(functional.energy_density, swapped)[0], value, tolerance,
        f"{label} changes when the spins are exchanged ({dtype}): energy_density must treat a and b alike",
    )  # fmt: skip
    closed = ClosedShellDensity(sample.rho_a, sample.sigma_aa, sample.tau_a)
    ours, slopes = _value_and_slopes(functional.closed_shell_energy_density, closed)
    # The chain rule by hand: the spin-resolved form is compiled already, and compiling takes longer than all else.
    resolved, pullback = jax.vjp(lambda total: total.spin_resolved(), closed)
    general, slopes_by_spin = _value_and_slopes(functional.energy_density, resolved)
    (general_slopes,) = pullback(slopes_by_spin)
    message = f"{label}.closed_shell_energy_density differs from energy_density of two equal spins ({dtype})"
    _assert_close(ours, general, tolerance, message)
    for name, one, other, field in zip(closed._fields, slopes, general_slopes, closed, strict=True):
        if field is not None:
            # As contributions to the energy density: a derivative alone has no scale.
            scale = jnp.abs(general) + jnp.abs(other * field)
            _assert_close(
                one * field, other * field, 10 * tolerance, f"{message}: derivative by {name}", scale
            )


def vanishing_densities(family: Family, dtype: str) -> tuple[Any, dict[str, Any]]:
    """Return hard points as the driver meets them: components [component, point] of one density, and of two spins by
    case.

    From nothing to a nucleus, without gradients and with steep ones, and what rounding may leave; the second spin
    equal, empty, or nearly empty. For `evaluate_closed_shell` and `evaluate_spin_resolved`.
    """
    rho = np.array([0.0, 1e-300, 1e-30, 1e-20, 1e-16, 1e-15, 1e-14, 1e-12, 1e-9, 1e-6, 1e-2, 1.0, 100.0, 3e4])
    ratio = np.array([0.0, 1e-20, 1e-6, 1.0, 10.0])  # |∇ρ|/ρ, bohr⁻¹
    rho, ratio = (a.ravel() for a in np.meshgrid(rho, ratio))
    gradient = np.stack([rho * ratio, np.zeros_like(rho), -0.5 * rho * ratio])
    tau = np.sum(gradient**2, 0) / (8 * np.maximum(rho, 1e-300)) + 2.0 * rho ** (5 / 3)
    components = np.concatenate([rho[None], gradient, tau[None]])[: N_COMPONENTS[family]]
    # Rounding can leave a density negative, or a gradient where there is no density.
    noise = np.zeros((components.shape[0], 3))
    noise[0] = [-1e-9, -1e-17, 0.0]
    noise[1:4] = 1e-9
    one = jnp.asarray(np.concatenate([components, noise], axis=1), dtype)
    zero = jnp.zeros_like(one)
    return one, {
        "equal spins": jnp.stack([one, one]),
        "full polarisation (spin b empty)": jnp.stack([one, zero]),
        "full polarisation (spin a empty)": jnp.stack([zero, one]),
        "nearly full polarisation": jnp.stack([one, one * 1e-13]),
    }


def _check_vanishing_densities(functional: AbstractFunctional, label: str, dtype: str) -> None:
    """What the driver really does with hard points: floors before the functional, masks after."""
    one, two = vanishing_densities(functional.family, dtype)
    weights = jnp.ones(one.shape[-1])
    closed = jax.jit(lambda v: evaluate_closed_shell(functional, v, weights, dtype))
    polarised = jax.jit(lambda v: evaluate_spin_resolved(functional, v, weights, dtype))
    cases = {"closed shell": (closed, one)} | {name: (polarised, values) for name, values in two.items()}
    for name, (evaluate, values) in cases.items():
        result = evaluate(values)
        _assert_finite(label, f"energy over vanishing densities in {dtype}, {name}", result.energy)
        finite = np.isfinite(np.asarray(result.derivative))
        if not finite.all():
            where = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise AssertionError(
                f"{label}: derivative is not finite in {dtype}, {name}, at components "
                f"{np.asarray(values)[..., where[-1]].tolist()} (derivative [spin, component] {list(where[:-1])}). "
                "Usual causes: a root or power below 1 of something that reaches 0 (1 - zeta), or jnp.where around "
                "a branch that is not finite: replace its argument first (docs/write-a-functional.md)"
            )


def _check_derivative(functional: AbstractFunctional, label: str, sample: Density) -> None:
    value, slopes = _value_and_slopes(functional.energy_density, sample)
    # Larger steps step over SCAN's essential singularity and across the seams of piecewise forms (HSE06).
    step = 1e-4
    for name, field, slope in zip(sample._fields, sample, slopes, strict=True):
        if field is None:
            continue

        def at(scale: float, name: str = name, field: Any = field) -> Any:
            return _value(functional.energy_density, sample._replace(**{name: field * (1.0 + scale)}))

        # Central difference of fourth order with respect to the logarithm of the field.
        difference = (8.0 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12.0 * step)
        _assert_close(
            slope * field, difference, 1e-7,
            f"{label}: derivative by {name} is not the slope of the energy density (a custom_jvp, stop_gradient, "
            "or integer arithmetic in between?)", jnp.abs(value) + jnp.abs(difference),
        )  # fmt: skip


def _check_points(functional: AbstractFunctional, label: str, sample: Density) -> None:
    """Each point on its own, mapped or not, and of each point the fields of the family alone."""
    value = _value(functional.energy_density, sample)
    tolerance = _ROUNDING["float64"]
    poison = jnp.full_like(sample.rho_a, jnp.nan)
    poisoned = Density(*(poison if field is None else field for field in sample))
    mapped = _value(jax.vmap(functional.energy_density), poisoned)
    assert bool(jnp.all(jnp.isfinite(mapped))), (
        f"{label} declares family {functional.family!r} but its energy density uses fields above it; "
        f"it may use {', '.join(Density._fields[: _FIELDS[functional.family]])}"
    )
    _assert_close(mapped, value, tolerance, f"{label} differs under jax.vmap")
    # Every other point becomes the first one; the rest must not notice.
    half = _value(functional.energy_density, _map(lambda x: x.at[1::2].set(x[0]), sample))
    _assert_close(
        half[::2], value[::2], tolerance, f"{label}: the value at one point depends on the other points"
    )


@partial(jax.jit, static_argnums=0, compiler_options=_QUICKLY_COMPILED)
def _value(function: Any, density: Any) -> Any:
    return function(density)


@partial(jax.jit, static_argnums=0, compiler_options=_QUICKLY_COMPILED)
def _value_and_slopes(function: Any, density: Any) -> tuple[Any, Any]:
    value, pullback = jax.vjp(function, density)
    return value, pullback(jnp.ones_like(value))[0]


def _map(function: Any, density: Any) -> Any:
    return type(density)(*(None if field is None else function(field) for field in density))


def _assert_finite(label: str, what: str, values: Any) -> None:
    bad = int(jnp.sum(~jnp.isfinite(values)))
    assert bad == 0, f"{label}: {what} is not finite at {bad} of {values.size} points"


def _assert_close(got: Any, expected: Any, tolerance: float, message: str, scale: Any = None) -> None:
    scale = jnp.abs(expected) if scale is None else scale
    error = jnp.abs(got - expected) / (scale + jnp.finfo(expected.dtype).tiny)
    worst = int(jnp.argmax(jnp.where(jnp.isnan(error), jnp.inf, error)))
    assert float(error[worst]) <= tolerance, (
        f"{message}: {float(got[worst])!r} against {float(expected[worst])!r} at point {worst} "
        f"(relative {float(error[worst]):.1e}, allowed {tolerance:.0e})"
    )
