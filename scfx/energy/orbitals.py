"""AO values and gradients on points, for any shell structure, from run-time tables.

The structure (which shell a function belongs to, its powers of x, y, z) is data to the kernel, so that molecules of
one AO bucket share one compiled function whatever their formula.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from scfx.execution.lanes import COMPILER_OPTIONS, ao_bucket, for_lanes
from scfx.model.basis import angular_factor, cartesian_powers
from scfx.model.batch import Batch


class OrbitalTables(NamedTuple):
    """What `orbital_values` needs of a batch, padded. Per lane: `centre` [lane nshell 3], `exponent` and
    `coefficient` [lane nshell nprim]. Shared: `shell` [ncart] and `powers` [3 ncart] of each Cartesian component,
    `factor` [ncart], and `transform` [nao ncart] (or None when AOs are the Cartesian components themselves).
    """

    centre: Any
    exponent: Any
    coefficient: Any
    shell: Any
    powers: Any
    factor: Any
    transform: Any


def orbital_tables(batch: Batch, capacity: int) -> tuple[OrbitalTables, int]:
    """Return tables padded to `capacity` lanes and to the AO bucket; and the highest angular momentum."""
    layout = batch.layout
    nao = ao_bucket(layout.nao)
    nshell = ao_bucket(layout.n_shells)
    nprim = max(layout.n_primitives)
    centre = np.zeros((capacity, nshell, 3))
    exponent = np.zeros((capacity, nshell, nprim))
    coefficient = np.zeros((capacity, nshell, nprim))
    centre[: len(batch), : layout.n_shells] = batch.positions[:, list(layout.atom)]
    for s, count in enumerate(layout.n_primitives):
        start = layout.primitive_offset[s]
        exponent[: len(batch), s, :count] = batch.exponents[:, start : start + count]
        coefficient[: len(batch), s, :count] = batch.coefficients[:, start : start + count]
    ncart = nao if layout.all_cartesian else ao_bucket(layout.ncart)
    shell = np.zeros(ncart, dtype=np.int32)
    powers = np.zeros((3, ncart), dtype=np.int32)
    factor = np.zeros(ncart)
    row = 0
    for s, l in enumerate(layout.angular_momentum):
        for component in cartesian_powers(l):
            shell[row], powers[:, row], factor[row] = s, component, angular_factor(l)
            row += 1
    transform = None
    if not layout.all_cartesian:
        transform = np.zeros((nao, ncart))
        transform[: layout.nao, : layout.ncart] = layout.cart_to_ao.T
    tables = OrbitalTables(centre, exponent, coefficient, shell, powers, factor, transform)
    return tables, max(layout.angular_momentum)


def _orbitals_at(
    tables: OrbitalTables,
    centre: Float64[Array, "nshell 3"],
    exponent: Float64[Array, "nshell nprim"],
    coefficient: Float64[Array, "nshell nprim"],
    points: Float64[Array, "3 point"],
    lmax: int,
    derivatives: bool,
) -> Float64[Array, "component nao point"]:
    displacement = points[None] - centre[:, :, None]  # [nshell 3 point]
    r2 = jnp.sum(displacement**2, axis=1)
    radial = jnp.zeros_like(r2)
    slope = jnp.zeros_like(r2)  # (1/r) dR/dr of the Gaussian part
    for p in range(exponent.shape[1]):
        a, c = exponent[:, p, None], coefficient[:, p, None]
        value = c * jnp.exp(-a * r2)
        radial = radial + value
        if derivatives:
            slope = slope - 2.0 * a * value
    # x^n, n = -1 .. lmax+1 (the entry for -1 is zero: it only meets the factor n = 0)
    power = [jnp.zeros_like(displacement), jnp.ones_like(displacement)]
    for _ in range(lmax + 1):
        power.append(power[-1] * displacement)
    table = jnp.stack(power, axis=2)  # [nshell 3 lmax+3 point]
    shell, powers = tables.shell, tables.powers
    r = radial[shell] * tables.factor[:, None]
    monomial = [table[shell, x, powers[x] + 1] for x in range(3)]
    components = [r * monomial[0] * monomial[1] * monomial[2]]
    if derivatives:
        s = slope[shell] * tables.factor[:, None]
        for x in range(3):
            others = monomial[(x + 1) % 3] * monomial[(x + 2) % 3]
            lowered = table[shell, x, powers[x]] * powers[x].astype(r.dtype)[:, None]
            raised = table[shell, x, powers[x] + 2]
            components.append((lowered * r + raised * s) * others)
    out = jnp.stack(components)
    if tables.transform is not None:
        out = jnp.stack([tables.transform @ c for c in out])
    return out


@partial(jax.jit, static_argnames=("lmax", "derivatives", "dtype"), compiler_options=COMPILER_OPTIONS)
def orbital_values(
    tables: OrbitalTables,
    points: Float64[Array, "lane block 3 point"],
    lanes: Any,
    count: Any,
    *,
    lmax: int,
    derivatives: bool,
    dtype: str,
) -> Float[Array, "lane block component nao point"]:
    """Return AO values (and, with `derivatives`, ∂/∂x, y, z) of each lane at its own points; evaluated in float64, then
    cast.

    Components: value, x, y, z derivatives. Padded functions are zero.
    """
    capacity, blocks, _, npoint = points.shape
    nao = tables.shell.shape[0] if tables.transform is None else tables.transform.shape[0]
    shape = (capacity, blocks, 4 if derivatives else 1, nao, npoint)

    def lane(out: Any, centre: Any, exponent: Any, coefficient: Any, points: Any) -> Any:
        def block(b: Any, out: Any) -> Any:
            values = _orbitals_at(tables, centre, exponent, coefficient, points[b], lmax, derivatives)
            return out.at[b].set(values.astype(out.dtype))

        return jax.lax.fori_loop(0, blocks, block, out)

    return for_lanes(
        lane,
        lanes,
        count,
        jnp.zeros(shape, dtype),
        tables.centre,
        tables.exponent,
        tables.coefficient,
        points,
    )


def evaluate_orbitals(
    batch: Batch, points: Float64[np.ndarray, "batch npoint 3"], derivatives: bool = False
) -> Float64[np.ndarray, "batch component nao npoint"]:
    """Return AO values of a batch at given points (bohr), PySCF's order and normalisation. For tests and analysis."""
    with jax.enable_x64(True):
        tables, lmax = orbital_tables(batch, len(batch))
        values = orbital_values(
            tables,
            np.ascontiguousarray(np.swapaxes(points, 1, 2))[:, None],
            np.arange(len(batch), dtype=np.int32),
            len(batch),
            lmax=lmax,
            derivatives=derivatives,
            dtype="float64",
        )
    return np.asarray(values)[:, 0, :, : batch.nao]


def orbital_derivatives(
    tables: OrbitalTables,
    centre: Float64[Array, "nshell 3"],
    exponent: Float64[Array, "nshell nprim"],
    coefficient: Float64[Array, "nshell nprim"],
    points: Float64[Array, "3 point"],
    lmax: int,
    order: int,
) -> Float64[Array, "component nao point"]:
    """Return AO values and their derivatives up to first or second `order` of one lane (bohr), for nuclear gradients.

    Components: value, x, y, z, and in second order xx, xy, xz, yy, yz, zz. Pure JAX; padded functions are zero.
    """
    displacement = points[None] - centre[:, :, None]  # [nshell 3 point]
    r2 = jnp.sum(displacement**2, axis=1)
    # The contracted Gaussian and its derivatives by r²/2, each -2a times the one before.
    radial = [jnp.zeros_like(r2) for _ in range(order + 1)]
    for p in range(exponent.shape[1]):
        a = exponent[:, p, None]
        term = coefficient[:, p, None] * jnp.exp(-a * r2)
        for k in range(order + 1):
            radial[k] = radial[k] + term
            term = -2.0 * a * term
    # x^n, n = -2 .. lmax (the entries below zero only meet factors that are zero).
    power = [jnp.zeros_like(displacement), jnp.zeros_like(displacement), jnp.ones_like(displacement)]
    for _ in range(lmax):
        power.append(power[-1] * displacement)
    table = jnp.stack(power, axis=2)  # [nshell 3 lmax+3 point]
    shell, powers = tables.shell, tables.powers
    g = [values[shell] * tables.factor[:, None] for values in radial]
    d = [displacement[shell, x] for x in range(3)]
    monomial = []  # x^n and its first two derivatives
    for x in range(3):
        n = powers[x].astype(r2.dtype)[:, None]
        lowered = [table[shell, x, powers[x] + 2 - k] for k in range(order + 1)]
        monomial.append([lowered[0], n * lowered[1], *(n * (n - 1.0) * last for last in lowered[2:])])

    def derivative(axes: tuple[int, ...]) -> Any:
        i, j, k = (axes.count(x) for x in range(3))
        return monomial[0][i] * monomial[1][j] * monomial[2][k]

    value, first = derivative(()), [derivative((x,)) for x in range(3)]
    components = [value * g[0]]
    components += [first[x] * g[0] + value * d[x] * g[1] for x in range(3)]
    if order == 2:
        for x in range(3):
            for y in range(x, 3):
                mixed = first[x] * d[y] + first[y] * d[x]
                if x == y:
                    mixed = mixed + value
                components.append(derivative((x, y)) * g[0] + mixed * g[1] + value * d[x] * d[y] * g[2])
    out = jnp.stack(components)
    if tables.transform is not None:
        out = jnp.stack([tables.transform @ c for c in out])
    return out
