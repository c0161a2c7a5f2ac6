"""Shells, basis sets and the atomic-orbital (AO) layout.

AO order and normalisation are PySCF's: atoms in order; on each atom shells sorted by angular momentum; within a shell
the components of `cartesian_powers` (xx, xy, xz, yy, yz, zz) or, for spherical shells, m = -l .. l, except p shells,
which are always x, y, z. A shell's radial part is normalised, ∫ r^(2l+2) R(r)² dr = 1, and Cartesian components carry
no further factor beyond `angular_factor`, so a Cartesian d_xx has the self-overlap 4π/5.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from math import factorial, pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from scfx.errors import BasisError, InputError
from scfx.model.elements import SYMBOLS, nucleus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scfx.contracts.basis import AbstractBasisSource
    from scfx.model.system import System

ANGULAR_LETTERS = "spdfghik"


@cache
def cartesian_powers(l: int) -> tuple[tuple[int, int, int], ...]:
    """Return the exponents (i, j, k) of x^i y^j z^k in PySCF's order: xx, xy, xz, yy, yz, zz for l = 2."""
    return tuple((i, j, l - i - j) for i in range(l, -1, -1) for j in range(l - i, -1, -1))


def angular_factor(l: int) -> float:
    """Return the factor of every Cartesian component: that of the real spherical harmonic for s and p, 1 above
    (libcint).
    """
    return {0: 1.0 / sqrt(4.0 * pi), 1: sqrt(3.0 / (4.0 * pi))}.get(l, 1.0)


@cache
def _cart_to_sph(l: int) -> np.ndarray:
    """Cartesian components -> real solid harmonics, [ncart, 2l+1], columns m = -l..l (p: x, y, z).

    Schlegel and Frisch, Int. J. Quantum Chem. 54, 83 (1995), eq. 15, for components with the factor `angular_factor`.
    """
    powers = cartesian_powers(l)
    if l < 2:
        return np.eye(len(powers))
    out = np.zeros((len(powers), 2 * l + 1))
    for row, (lx, ly, _lz) in enumerate(powers):
        for m in range(l + 1):
            j, odd = divmod(lx + ly - m, 2)
            if j < 0 or odd:
                continue
            prefactor = sqrt(
                (2 * l + 1) / (4 * pi) * factorial(l - m) / factorial(l + m) * (2 if m else 1)
            ) / (2**l * factorial(l))
            radial = sum(
                _binomial(l, i)
                * _binomial(i, j)
                * (-1) ** i
                * factorial(2 * l - 2 * i)
                / factorial(l - m - 2 * i)
                for i in range((l - m) // 2 + 1)
            )
            real = imaginary = 0.0
            for k in range(j + 1):
                value = _binomial(j, k) * _binomial(m, lx - 2 * k)
                phase = (m - lx + 2 * k) % 4
                real += value * (1, 0, -1, 0)[phase]
                imaginary += value * (0, 1, 0, -1)[phase]
            out[row, l + m] = prefactor * radial * real
            if m:
                out[row, l - m] = prefactor * radial * imaginary
    return out


def _binomial(n: int, k: int) -> int:
    return factorial(n) // (factorial(k) * factorial(n - k)) if 0 <= k <= n else 0


def cart_to_sph(l: int) -> Float64[np.ndarray, "ncart nsph"]:
    """Return the matrix whose columns are normalised real solid harmonics in Cartesian components; identity for s and
    p.
    """
    return _cart_to_sph(l).copy()


def radial_norm(l: int, exponent: Any) -> Any:
    """Return the factor that makes ∫ r^(2l+2) exp(-2 a r²) dr = 1; Helgaker, Jorgensen, Olsen (2000), eq. 6.6.14."""
    n = 2 * l + 2
    # ∫_0^∞ r^n exp(-2 a r²) dr = Γ((n+1)/2) / (2 (2a)^((n+1)/2)), n even
    double_factorial = factorial(n) / (2 ** (n // 2) * factorial(n // 2))  # (n-1)!!
    integral = double_factorial * sqrt(pi) / 2 ** (n // 2 + 1) / (2.0 * np.asarray(exponent)) ** ((n + 1) / 2)
    return 1.0 / np.sqrt(integral)


@dataclass(frozen=True, eq=False)
class Shell:
    """A contracted shell: R(r) = r^l Σ_p c_p exp(-a_p r²), with `coefficients` c_p that include all normalisation.

    Use `Shell.normalised` to build one from published coefficients (which refer to normalised primitives).
    `exponents` in bohr⁻². `cartesian` chooses (l+1)(l+2)/2 components instead of 2l+1.
    """

    angular_momentum: int
    exponents: Float64[np.ndarray, "nprim"]
    coefficients: Float64[np.ndarray, "nprim"]
    cartesian: bool = False

    @classmethod
    def normalised(
        cls, angular_momentum: int, exponents: Any, coefficients: Any, cartesian: bool = False
    ) -> Shell:
        """Make a shell of published (exponent, coefficient) pairs, scaled so that the contracted shell is
        normalised.
        """
        l = angular_momentum
        a = np.asarray(exponents, dtype=np.float64)
        c = np.asarray(coefficients, dtype=np.float64)
        if a.ndim != 1 or a.shape != c.shape or a.size == 0:
            raise BasisError(f"a shell needs as many coefficients as exponents, got {c.shape} and {a.shape}")
        if not (a > 0).all() or not np.isfinite(c).all():
            raise BasisError(
                f"exponents must be positive and coefficients finite, got {a.tolist()}, {c.tolist()}"
            )
        # Descending exponents, as PySCF keeps them: the order fixes the rounding of every sum over primitives.
        order = np.argsort(-a, kind="stable")
        a, c = a[order], c[order]
        c = c * radial_norm(l, a)
        mean = 0.5 * (a[:, None] + a[None, :])
        self_overlap = c @ (radial_norm(l, mean) ** -2) @ c
        return cls(l, a, c / np.sqrt(self_overlap), bool(cartesian) and l > 1)

    @property
    def nfunc(self) -> int:
        """Return the number of functions of the shell."""
        l = self.angular_momentum
        return (l + 1) * (l + 2) // 2 if self.cartesian else 2 * l + 1

    @property
    def signature(self) -> tuple[int, int, bool]:
        """Return what must agree for two shells to share a lane: angular momentum, number of primitives, cart/sph."""
        return self.angular_momentum, int(self.exponents.size), self.cartesian


@dataclass(frozen=True)
class CorePotential:
    """A scalar effective core potential in the place of `n_core` electrons of an atom.

    U(r) = U_local(r) + Σ_l [U_l(r)] P_l with P_l the projector on angular momentum l about the nucleus, and every U a
    sum of `terms` (l, n, a, c): c r^(n-2) exp(-a r²) in hartree, with l = -1 for the local part and the other parts
    given as differences from it (Kahn, Baybutt, Truhlar, J. Chem. Phys. 65, 3826 (1976); the NWChem convention for n).
    """

    n_core: int
    terms: tuple[tuple[int, int, float, float], ...]


@dataclass(frozen=True, eq=False)
class BasisSet:
    """Shells by atomic number. `name` is for people; `definition` (plain data) is what enters the spec hash.

    `core_potentials` holds the elements whose inner electrons a potential replaces. `labelled` holds what single atoms
    have in place of their element's, by their label ("O1"); `of_atoms` says what each atom of a molecule has.
    """

    name: str
    shells: Mapping[int, tuple[Shell, ...]]
    definition: Mapping[str, Any] = field(default_factory=dict)
    core_potentials: Mapping[int, CorePotential] = field(default_factory=dict)
    labelled: Mapping[str, BasisSet] = field(default_factory=dict)

    @classmethod
    def from_source(cls, source: AbstractBasisSource, atomic_numbers: Iterable[int]) -> BasisSet:
        """Ask a basis plugin for each element; `BasisError` where it has none. Shells are sorted by l, stably."""
        shells, potentials = {}, {}
        for z in sorted({int(z) for z in atomic_numbers}):
            found = source.shells(z)
            if not found:
                raise BasisError(f"basis {source.name!r} has no functions for {SYMBOLS[z]}")
            shells[z] = tuple(sorted(found, key=lambda shell: shell.angular_momentum))
            potential = source.core_potential(z)
            if potential is not None:
                potentials[z] = potential
        labelled = {
            label: cls.from_source(own, [nucleus(label)[0]]) for label, own in source.labelled().items()
        }
        return cls(source.name, shells, source.definition(), potentials, labelled)

    def of_atoms(self, system: System) -> list[BasisSet]:
        """Return the basis set of each atom: this one without its labels, or that of the atom's label.

        Raises `InputError` for a molecule without an atom that this basis set names.
        """
        if not self.labelled:
            return [self] * system.natm
        names = system.symbols if system.labels is None else system.labels
        missing = sorted(set(self.labelled) - set(names))
        if missing:
            numbered = sorted(set(names) - set(system.symbols))
            has = f"its labels are {', '.join(numbered)}" if numbered else "its atoms have no labels"
            raise InputError(
                f"scf.basis.{missing[0]}: {system!r} has no atom {missing[0]!r}; {has}. Labels are symbols with a "
                "number in the xyz file or the list of symbols ('O1'), or those of System.with_labels"
            )
        others = replace(self, labelled={})
        return [self.labelled.get(name, others) for name in names]

    def n_core(self, z: int) -> int:
        """Return the number of electrons of an element that a core potential replaces."""
        potential = self.core_potentials.get(int(z))
        return 0 if potential is None else potential.n_core

    def signature(self, z: int) -> tuple[tuple[int, int, bool], ...]:
        """Return the shell structure of an element: what must agree, atom by atom, for two molecules to share
        a batch.
        """
        return self._signatures[int(z)]

    @cached_property
    def _signatures(self) -> dict[int, tuple[tuple[int, int, bool], ...]]:
        return {z: tuple(shell.signature for shell in shells) for z, shells in self.shells.items()}

    def nao(self, z: int) -> int:
        """Return the number of AOs of these atoms."""
        return sum(shell.nfunc for shell in self.shells[int(z)])
