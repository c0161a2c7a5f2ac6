"""Slow, plain integrals over contracted Gaussians, for checking backends: McMurchie-Davidson in numpy.

Helgaker, Jorgensen, Olsen, Molecular Electronic-Structure Theory (2000), chapter 9; equation numbers refer to
it. Nothing here is shared with a backend but the AO layout of `scfx.model.batch`. Meant for a dozen shells, s to f.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.contracts.backend import OneElectron
from scfx.model.basis import cartesian_powers
from scfx.testing.hermite_pairs import (
    HermitePair,
    Primitives,
    expansion,
    hermite_coulomb,
    hermite_orders,
    hermite_pair,
    primitive_pairs,
    shells_of,
)

if TYPE_CHECKING:
    from scfx.model.batch import Batch, ShellLayout


def _assemble(
    layout: ShellLayout, entries: dict[tuple[int, int], np.ndarray], lead: tuple[int, ...] = ()
) -> np.ndarray:
    """Symmetric AO matrix (or stack of them) from Cartesian blocks of shell pairs a >= b."""
    offset = layout.cartesian_offset
    out = np.zeros((*lead, layout.ncart, layout.ncart))
    for (a, b), block in entries.items():
        rows, columns = slice(offset[a], offset[a + 1]), slice(offset[b], offset[b + 1])
        out[..., rows, columns] = block
        out[..., columns, rows] = np.swapaxes(block, -1, -2)
    return layout.cart_to_ao.T @ out @ layout.cart_to_ao


def one_electron(batch: Batch) -> OneElectron:
    """Return overlap, kinetic, nuclear and dipole matrices of every entry, hartree and bohr."""
    entries = [_one_electron(batch, entry) for entry in range(len(batch))]
    return OneElectron(*(np.stack(matrices) for matrices in zip(*entries, strict=True)))


def _one_electron(batch: Batch, entry: int) -> tuple[np.ndarray, ...]:
    shells = shells_of(batch, entry)
    blocks: tuple[dict, ...] = ({}, {}, {}, {})
    for a, first in enumerate(shells):
        for b, second in enumerate(shells[: a + 1]):
            overlap, kinetic, dipole = _moments(first, second)
            nuclear = _attraction(
                hermite_pair(first, second), batch.nuclear_charges[entry], batch.positions[entry]
            )
            for store, block in zip(blocks, (overlap, kinetic, nuclear, dipole), strict=True):
                store[a, b] = block
    layout = batch.layout
    overlap, kinetic, nuclear, dipole = blocks
    return (
        _assemble(layout, overlap),
        _assemble(layout, kinetic),
        _assemble(layout, nuclear),
        _assemble(layout, dipole, (3,)),
    )


def _moments(first: Primitives, second: Primitives) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlap (eq. 9.5.41), kinetic energy (9.3.36 in terms of overlaps) and dipole blocks of two shells."""
    a, b, weight = primitive_pairs(first, second)
    p = a + b
    la, lb = first.angular_momentum, second.angular_momentum
    root = np.sqrt(np.pi / p)
    zero = np.zeros_like(p)
    tables = [expansion(la, lb + 2, a, b, x) for x in first.centre - second.centre]
    centres = [(a * first.centre[d] + b * second.centre[d]) / p for d in range(3)]

    def overlap_1d(d: int, i: int, j: int) -> np.ndarray:
        return tables[d][i, j, 0] * root if j >= 0 else zero

    def kinetic_1d(d: int, i: int, j: int) -> np.ndarray:
        lowered = j * (j - 1) * overlap_1d(d, i, j - 2) if j > 1 else zero
        raised = 4 * b**2 * overlap_1d(d, i, j + 2) - 2 * b * (2 * j + 1) * overlap_1d(d, i, j)
        return -0.5 * (raised + lowered)

    def position_1d(d: int, i: int, j: int) -> np.ndarray:
        return (tables[d].get((i, j, 1), zero) + centres[d] * tables[d][i, j, 0]) * root

    shape = (len(cartesian_powers(la)), len(cartesian_powers(lb)))
    overlap, kinetic, dipole = np.zeros(shape), np.zeros(shape), np.zeros((3, *shape))
    for m, i in enumerate(cartesian_powers(la)):
        for n, j in enumerate(cartesian_powers(lb)):
            s = [overlap_1d(d, i[d], j[d]) for d in range(3)]
            t = [kinetic_1d(d, i[d], j[d]) for d in range(3)]
            r = [position_1d(d, i[d], j[d]) for d in range(3)]
            overlap[m, n] = weight @ (s[0] * s[1] * s[2])
            kinetic[m, n] = weight @ (t[0] * s[1] * s[2] + s[0] * t[1] * s[2] + s[0] * s[1] * t[2])
            dipole[:, m, n] = (
                weight @ (r[0] * s[1] * s[2]), weight @ (s[0] * r[1] * s[2]), weight @ (s[0] * s[1] * r[2]),
            )  # fmt: skip
    return overlap, kinetic, dipole


def second_moment(
    batch: Batch, origins: Float64[np.ndarray, "batch 3"]
) -> Float64[np.ndarray, "batch 3 3 nao nao"]:
    """Return <i| (r - o)(r - o) |j> of every entry about its origin, from eq. 9.5.1 with ∫ x² Λ_t dx."""
    out = []
    for entry, origin in enumerate(origins):
        shells, blocks = shells_of(batch, entry), {}
        for a, first in enumerate(shells):
            for b, second in enumerate(shells[: a + 1]):
                blocks[a, b] = _second_moments(first, second, origin)
        out.append(_assemble(batch.layout, blocks, (3, 3)))
    return np.stack(out)


def _second_moments(first: Primitives, second: Primitives, origin: np.ndarray) -> np.ndarray:
    a, b, weight = primitive_pairs(first, second)
    p = a + b
    la, lb = first.angular_momentum, second.angular_momentum
    tables = [expansion(la, lb, a, b, x) for x in first.centre - second.centre]
    zero = np.zeros_like(p)

    def along(d: int, i: int, j: int, order: int) -> np.ndarray:
        """∫ (x - o)^order of a pair: Λ_t has the moments 0, 1, 2 about its centre only for t up to the order."""
        away = (a * first.centre[d] + b * second.centre[d]) / p - origin[d]
        e = [tables[d].get((i, j, t), zero) for t in range(3)]
        moments = (e[0], e[1] + away * e[0], 2 * e[2] + 2 * away * e[1] + (away**2 + 0.5 / p) * e[0])
        return moments[order] * np.sqrt(np.pi / p)

    out = np.zeros((3, 3, len(cartesian_powers(la)), len(cartesian_powers(lb))))
    for m, i in enumerate(cartesian_powers(la)):
        for n, j in enumerate(cartesian_powers(lb)):
            for x in range(3):
                for y in range(3):
                    parts = [along(d, i[d], j[d], (d == x) + (d == y)) for d in range(3)]
                    out[x, y, m, n] = weight @ (parts[0] * parts[1] * parts[2])
    return out


def _attraction(pair: HermitePair, charges: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Eq. 9.9.32, summed over nuclei."""
    vector = pair.centre[:, None, :] - positions
    table = hermite_coulomb(pair.order, np.broadcast_to(pair.exponent[:, None], vector.shape[:2]), vector)
    coulomb = np.stack([table[order] @ -charges for order in hermite_orders(pair.order)], axis=-1)
    return np.einsum("p,pabh,ph->ab", pair.weight * 2 * np.pi / pair.exponent, pair.hermite, coulomb)


def cross_overlap(bra: Batch, ket: Batch) -> Float64[np.ndarray, "batch nao_bra nao_ket"]:
    """Return <μ_bra|ν_ket> for batches of the same systems in the same order."""
    out = []
    for entry in range(len(bra)):
        rows = [
            np.hstack([_moments(first, second)[0] for second in shells_of(ket, entry)])
            for first in shells_of(bra, entry)
        ]
        out.append(bra.layout.cart_to_ao.T @ np.vstack(rows) @ ket.layout.cart_to_ao)
    return np.stack(out)


def repulsion(batch: Batch, omega: float = 0.0) -> Float64[np.ndarray, "batch nao nao nao nao"]:
    """Return (ij|kl) of every entry, full tensor, hartree; `omega` > 0 for the operator erf(omega r12)/r12."""
    return np.stack([_repulsion(batch, entry, omega) for entry in range(len(batch))])


def _repulsion(batch: Batch, entry: int, omega: float) -> np.ndarray:
    layout = batch.layout
    shells = shells_of(batch, entry)
    offset = layout.cartesian_offset
    span = [slice(offset[s], offset[s + 1]) for s in range(layout.n_shells)]
    pairs = [(a, b, hermite_pair(shells[a], shells[b])) for a in range(len(shells)) for b in range(a + 1)]
    groups = _groups([pair for _, _, pair in pairs])
    out = np.zeros((layout.ncart,) * 4)
    for index, (a, b, bra) in enumerate(pairs):
        for members, kets in groups:
            chosen = [member for member in members if member <= index]
            if not chosen:
                continue
            blocks = _repulsion_blocks(bra, kets[: len(chosen)], omega)
            for member, block in zip(chosen, blocks, strict=True):
                c, d, _ = pairs[member]
                for first, second, ab in ((a, b, block), (b, a, block.transpose(1, 0, 2, 3))):
                    for third, fourth, abcd in ((c, d, ab), (d, c, ab.transpose(0, 1, 3, 2))):
                        out[span[first], span[second], span[third], span[fourth]] = abcd
                        out[span[third], span[fourth], span[first], span[second]] = abcd.transpose(2, 3, 0, 1)
    for axis in range(4):
        out = np.moveaxis(np.tensordot(layout.cart_to_ao, out, axes=(0, axis)), 0, axis)
    return out


def _groups(pairs: list[HermitePair]) -> list[tuple[list[int], list[HermitePair]]]:
    """Pairs of the same functions, which are worked on at once: their places, ascending, and they."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, pair in enumerate(pairs):
        places.setdefault(pair.hermite.shape[1:], []).append(place)
    return [(members, [pairs[member] for member in members]) for members in places.values()]


def three_index(batch: Batch, auxiliary: Batch, omega: float = 0.0) -> Float64[np.ndarray, "naux npair"]:
    """Return (P|ij) of the one entry of both batches, for pairs j <= i of AOs, hartree; `omega` as in `repulsion`."""
    layout, offset = batch.layout, batch.layout.cartesian_offset
    shells, singles = shells_of(batch, 0), _single_shells(auxiliary)
    span = [slice(offset[s], offset[s + 1]) for s in range(layout.n_shells)]
    pairs = [(a, b, hermite_pair(shells[a], shells[b])) for a in range(len(shells)) for b in range(a + 1)]
    groups = _groups([pair for _, _, pair in pairs])
    out = np.zeros((auxiliary.layout.ncart, layout.ncart, layout.ncart))
    for rows, single in singles:
        for members, kets in groups:
            for member, block in zip(members, _repulsion_blocks(single, kets, omega), strict=True):
                a, b, _ = pairs[member]
                out[rows, span[a], span[b]] = block[:, 0]
                out[rows, span[b], span[a]] = np.swapaxes(block[:, 0], 1, 2)
    to_ao, lower = layout.cart_to_ao, np.tril_indices(layout.nao)
    return auxiliary.layout.cart_to_ao.T @ (to_ao.T @ out @ to_ao)[:, lower[0], lower[1]]


def two_index(auxiliary: Batch, omega: float = 0.0) -> Float64[np.ndarray, "naux naux"]:
    """Return (P|Q) of the one entry of a batch of auxiliary functions, hartree; `omega` as in `repulsion`."""
    out = np.zeros((auxiliary.layout.ncart,) * 2)
    for rows, first in _single_shells(auxiliary):
        for columns, second in _single_shells(auxiliary):
            out[rows, columns] = _repulsion_blocks(first, [second], omega)[0, :, 0, :, 0]
    return auxiliary.layout.cart_to_ao.T @ out @ auxiliary.layout.cart_to_ao


def _single_shells(batch: Batch) -> list[tuple[slice, HermitePair]]:
    """Each shell of the first entry as a charge distribution: its product with the function that is one everywhere."""
    offset = batch.layout.cartesian_offset
    out = []
    for index, shell in enumerate(shells_of(batch, 0)):
        one = Primitives(0, shell.centre, np.zeros(1), np.ones(1))
        out.append((slice(offset[index], offset[index + 1]), hermite_pair(shell, one)))
    return out


@cache
def _combined_orders(bra: int, ket: int) -> tuple[np.ndarray, np.ndarray]:
    """Where R_(t+t', u+u', v+v') lies among `hermite_orders(bra + ket)`, [bra, ket], and its sign (-1)^(t'+u'+v')."""
    position = {order: index for index, order in enumerate(hermite_orders(bra + ket))}
    index = [
        [position[t[0] + u[0], t[1] + u[1], t[2] + u[2]] for u in hermite_orders(ket)]
        for t in hermite_orders(bra)
    ]
    return np.array(index), np.array([-1.0 if sum(u) % 2 else 1.0 for u in hermite_orders(ket)])


def _repulsion_blocks(bra: HermitePair, kets: list[HermitePair], omega: float) -> np.ndarray:
    """Eq. 9.9.33 for pairs of the same functions, [ket, a, b, c, d]; the attenuated operator scales the exponent (Gill
    and Adamson, Chem. Phys. Lett. 261, 105 (1996)).
    """
    exponent, centre, weights, hermite = (
        np.concatenate([getattr(ket, field) for ket in kets])
        for field in ("exponent", "centre", "weight", "hermite")
    )
    p, q = bra.exponent[:, None], exponent[None, :]
    alpha = p * q / (p + q)
    weight = bra.weight[:, None] * weights * 2 * np.pi**2.5 / (p * q * np.sqrt(p + q))
    if omega > 0.0:
        attenuation = omega**2 / (omega**2 + alpha)
        weight = weight * np.sqrt(attenuation)
        alpha = alpha * attenuation
    order = kets[0].order
    table = hermite_coulomb(bra.order + order, alpha, bra.centre[:, None] - centre)
    values = np.stack([table[each] for each in hermite_orders(bra.order + order)], axis=-1)
    index, sign = _combined_orders(bra.order, order)
    coulomb = values[:, :, index] * sign * weight[:, :, None, None]
    # Products of matrices: [a b, p g] [p g, q h], and for each q [a b, h] [h, c d].
    ab, cd = bra.hermite.shape[1:3], hermite.shape[1:3]
    left = (
        bra.hermite.reshape(bra.weight.size, -1, len(index))
        .transpose(1, 0, 2)
        .reshape(-1, index.shape[0] * bra.weight.size)
    )
    half = left @ coulomb.transpose(0, 2, 1, 3).reshape(left.shape[1], -1)
    half = half.reshape(len(left), len(exponent), -1).transpose(1, 0, 2)
    products = half @ hermite.reshape(len(exponent), -1, index.shape[1]).transpose(0, 2, 1)
    first = np.cumsum([0, *(ket.weight.size for ket in kets[:-1])])
    return np.add.reduceat(products, first, axis=0).reshape(len(kets), *ab, *cd)
