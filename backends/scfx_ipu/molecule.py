"""A batch as the codelets see it: Cartesian shells, float32 tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Int32

from scfx.model.basis import angular_factor, radial_norm

if TYPE_CHECKING:
    from scfx.model.batch import Batch, ShellLayout

#: Every integral carries 2 π^(5/2); its fourth root goes into each coefficient, in float64, before rounding.
_PREFACTOR = (2.0 * np.pi**2.5) ** 0.25


@dataclass(frozen=True)
class ShellStructure:
    """What a schedule depends on. `shells` [nshell, 4]: atom, angular momentum, primitives, first primitive."""

    atoms: int
    shells: tuple[tuple[int, int, int, int], ...]

    @classmethod
    def from_layout(cls, layout: ShellLayout) -> ShellStructure:
        """Return the structure of a layout."""
        columns = (
            layout.atom,
            layout.angular_momentum,
            layout.n_primitives,
            layout.primitive_offset[:-1].tolist(),
        )
        return cls(max(layout.atom) + 1, tuple(zip(*columns, strict=True)))

    def table(self) -> Int32[np.ndarray, "nshell 4"]:
        """Return `shells` as the C interface wants it."""
        return np.array(self.shells, dtype=np.int32)

    @property
    def n_functions(self) -> int:
        """Return the number of Cartesian functions."""
        return sum((l + 1) * (l + 2) // 2 for _, l, _, _ in self.shells)

    @property
    def max_momentum(self) -> int:
        """Return the highest angular momentum of the shells."""
        return max(l for _, l, _, _ in self.shells)


def molecule_table(batch: Batch, entry: int) -> Float32[np.ndarray, "size"]:
    """Return atoms (x, y, z in bohr, rounded, then what the rounding left), exponents and coefficients of one entry.

    The rests keep in differences of positions what float32 coordinates would lose: at 10 bohr half a unit is 5e-7
    bohr, which moves a nucleus in the field of the electrons but not in the float64 one-electron integrals.
    """
    layout = batch.layout
    positions = batch.positions[entry]
    rounded = positions.astype(np.float32)
    rest = (positions - rounded).astype(np.float32)
    factors = [angular_factor(l) * _PREFACTOR for l in layout.angular_momentum]
    coefficients = batch.coefficients[entry] * np.repeat(factors, layout.n_primitives)
    for shell, l in enumerate(layout.angular_momentum):
        own = slice(layout.primitive_offset[shell], layout.primitive_offset[shell + 1])
        coefficients[own] = _rounded(l, tuple(batch.exponents[entry, own]), tuple(coefficients[own]))
    atoms = np.concatenate([rounded, rest], axis=1).ravel()
    return np.concatenate([atoms, batch.exponents[entry], coefficients]).astype(np.float32)


#: Up to so many primitives every way of rounding their coefficients up or down is tried.
_MOST_TRIED = 8


@lru_cache(maxsize=4096)
def _rounded(l: int, exponents: tuple[float, ...], coefficients: tuple[float, ...]) -> tuple[float, ...]:
    """Coefficients in float32, each rounded up or down so that the shell's norm is kept best.

    A shell whose norm is off by 3e-8 has that share of charge too much in every molecule, which at 800 hartree of
    electron repulsion is a systematic 1 meV; rounding that keeps the norm leaves errors of either sign.
    """
    exact, narrow = np.array(coefficients), np.array(exponents, dtype=np.float32).astype(np.float64)

    def norm(c: np.ndarray, a: np.ndarray) -> float:
        return float(c @ (radial_norm(l, 0.5 * (a[:, None] + a[None, :])) ** -2) @ c)

    nearest = exact.astype(np.float32)
    if len(exact) > _MOST_TRIED:
        return tuple(nearest.tolist())
    other = np.where(
        nearest > exact, np.nextafter(nearest, np.float32(-np.inf)), np.nextafter(nearest, np.float32(np.inf))
    )
    target = norm(exact, np.array(exponents))
    ways = [np.array(way, dtype=np.float64) for way in product(*zip(nearest, other, strict=True))]
    best = min(ways, key=lambda c: abs(norm(c, narrow) - target))
    return tuple(best.tolist())
