"""`LibxcFunctional`: libxc itself, called back from JAX on the host, with its own first derivatives."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scfx.abstract import ClosedShellDensity, Density
from scfx_jax_xc.abstract import AbstractLibxcSum
from scfx_jax_xc.library import functional


class LibxcFunctional(AbstractLibxcSum):
    """A sum of libxc functionals, evaluated by libxc on the host in float64; derivatives are libxc's, not autodiff's.

    Slower than a native functional (one callback for every block of points), and not for accelerators, but as
    complete as libxc.
    """

    evaluator = "libxc"
    twice_differentiable = False
    implementation = "libxc-host"

    def energy_density(self, density: Density) -> Float[Array, "..."]:
        """Return the exchange-correlation energy per volume, hartree/bohr³."""
        return _energy_density(self.sum.parts, True, _fields(density))

    def closed_shell_energy_density(self, density: ClosedShellDensity) -> Float[Array, "..."]:
        """Return the energy per volume from libxc's unpolarised form, hartree/bohr³."""
        return _energy_density(self.sum.parts, False, _fields(density))


def _fields(density: Any) -> tuple[Any, ...]:
    return tuple(field for field in density if field is not None)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _energy_density(parts: Any, polarised: bool, fields: tuple[Any, ...]) -> Any:
    return _call(parts, polarised, fields)[0]


def _forward(parts: Any, polarised: bool, fields: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    value, *slopes = _call(parts, polarised, fields)
    return value, tuple(slopes)


def _backward(parts: Any, polarised: bool, slopes: tuple[Any, ...], cotangent: Any) -> tuple[Any]:
    return (tuple(slope * cotangent for slope in slopes),)


_energy_density.defvjp(_forward, _backward)


def _call(parts: Any, polarised: bool, fields: tuple[Any, ...]) -> list[Any]:
    # XLA calls back from a thread of its own, where the scope of `enable_x64` does not reach and JAX would narrow
    # float64 to float32 both ways. Pairs of 32-bit words pass unchanged.
    words = [jax.lax.bitcast_convert_type(field.astype(jnp.float64), jnp.uint32) for field in fields]
    shape = jax.ShapeDtypeStruct(jnp.shape(words[0]), jnp.uint32)
    found = jax.pure_callback(
        partial(_evaluate, parts, polarised), [shape] * (1 + len(fields)), *words, vmap_method="expand_dims"
    )
    return [jax.lax.bitcast_convert_type(f, jnp.float64).astype(fields[0].dtype) for f in found]


def _evaluate(parts: Any, polarised: bool, *words: Any) -> list[np.ndarray]:
    """Value and derivative by each field, summed over the parts; float64 numbers as pairs of words."""
    given = [np.ascontiguousarray(word).view(np.float64)[..., 0] for word in words]
    n_rho, n_sigma = (2, 3) if polarised else (1, 1)
    flat = np.stack([field.ravel() for field in given], axis=1)
    rho = flat[:, :n_rho]
    rest = flat[:, n_rho:]
    sigma = rest[:, :n_sigma] if rest.shape[1] else np.zeros((len(flat), n_sigma))
    tau = rest[:, n_sigma:] if rest.shape[1] > n_sigma else np.zeros((len(flat), n_rho))
    value, slopes = np.zeros(len(flat)), np.zeros((len(flat), n_rho + n_sigma + n_rho))
    for name, weight in parts:
        energy, *derivatives = functional(name, polarised).evaluate(rho, sigma, tau)
        value += weight * energy
        slopes += weight * np.concatenate(derivatives, axis=1)
    columns = [value, *slopes.T[: len(given)]]
    return [np.ascontiguousarray(c).view(np.uint32).reshape(words[0].shape) for c in columns]
