"""Arithmetic of each stage of a label, by formulas that follow the kernels' loops; roofline.py says what is left out.

An operation is an add or a multiply; a fused multiply-add counts as two, a reciprocal square root as `RSQRT`.
s and p shells only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scfx_simd.kernels import sp_partner
from scfx_simd.two_electron import PRIMITIVE_FRACTION
from throughput import mole

import scfx
from scfx.config.precision import PrecisionPolicy
from scfx.grid.partition import ATOM_BUCKET
from scfx.model.basis import BasisSet, radial_norm
from scfx.model.batch import Batch

#: What an exponential, power, logarithm or root counts as in a functional.
TRANSCENDENTAL = 20
#: Estimate and Newton steps.
RSQRT = 6


@dataclass(frozen=True)
class Operations:
    """By dtype of the arithmetic."""

    float32: float
    float64: float


# ---- pieces of an integral (backends/scfx_simd/src: boys.h, hermite.h, contract.h) ---------------------------------


def boys(order: int, single: bool, large: bool) -> int:
    """F_0..F_order: a polynomial and downward recursion, or beyond its range upward from the asymptotic form."""
    if large:
        return RSQRT + 2 + 2 * order
    degree, exp_degree = (5, 5) if single else (12, 11)
    out = 4 + 2 * degree
    if order:
        out += 2 * exp_degree + 2 + 1 + 3 * order + (2 * (order - 1) if single else 0)
    return out


def hermite(order: int) -> int:
    """R_tuv up to t + u + v = `order` from the F_m."""
    total = 0
    for auxiliary in range(order):
        for n in range(1, order - auxiliary + 1):
            for t in range(n + 1):
                for u in range(n - t + 1):
                    powers = (t, u, n - t - u)
                    if 1 in powers:
                        total += 1
                    else:
                        first = next(p for p in powers if p)
                        total += 2 if first == 2 else 3
    return total


def quartet(order: int) -> int:
    """Of one primitive quartet before and after its Boys functions: exponents, distance, scaling."""
    return 1 + 4 + RSQRT + 2 + 3 + 6 + 2 + 2 * order


def contraction(p_on_a: bool, p_on_b: bool) -> int:
    """One column and primitive of a pair of composites, each s or s with p."""
    out = 2
    if p_on_a or p_on_b:
        out += 1 + 3
        if p_on_b:
            out += 6 + 6
        if p_on_a:
            out += 12
        if p_on_a and p_on_b:
            out += 2 + 9 * 7 + 3
    return out


# ---- composite pairs and their bounds ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Two composites (s, or s and p of the same exponents) of one conformer and all their primitive pairs."""

    p_on_a: bool
    p_on_b: bool
    bound: float  # of the contracted pair, sqrt((ij|ij))
    primitive_bound: np.ndarray  # [primitive pair]
    exponent: np.ndarray  # [primitive pair]
    centre: np.ndarray  # [primitive pair, 3]
    composites: tuple[int, int] = (0, 0)  # where the two stand among `composites`

    @property
    def order(self) -> int:
        return int(self.p_on_a) + int(self.p_on_b)

    @property
    def n_hermite(self) -> int:
        return (1, 4, 10)[self.order]

    @property
    def rows(self) -> int:
        return 4**self.order

    @property
    def operations(self) -> int:
        return contraction(self.p_on_a, self.p_on_b)


def composites(batch: Batch, entry: int) -> list[tuple[int, ...]]:
    """Shells that share Boys functions, as the backend merges them: (s,) or (s, p); s alone first."""
    layout = batch.layout
    if max(layout.angular_momentum) > 1:
        raise SystemExit("roofline.py counts s and p shells only; choose a basis without d")
    partner = sp_partner(layout, batch.exponents[entry])
    merged = {int(p) for p in partner if p >= 0}
    out = [
        (s,) if partner[s] < 0 else (s, int(partner[s])) for s in range(layout.n_shells) if s not in merged
    ]
    if any(layout.angular_momentum[shells[0]] for shells in out):
        raise SystemExit(
            "roofline.py expects every p shell to share the exponents of an s shell, as in STO-3G"
        )
    return sorted(out, key=len)


def pairs(batch: Batch, basis: BasisSet, entry: int) -> list[Pair]:
    """All composite pairs in the order in which the backend takes them, with exact bounds from libcint."""
    layout, positions = batch.layout, batch.positions[entry]
    numbers, own = batch.atomic_numbers[entry], batch.systems[entry]
    molecule = mole(scfx.System(numbers, positions, charge=own.charge), basis)
    # The same shells primitive by primitive, each normalised; shell s starts at `start[s]`.
    single = molecule.copy()
    single._basis = {
        symbol: [[shell[0], [exponent, 1.0]] for shell in shells for exponent, _ in shell[1:]]
        for symbol, shells in molecule._basis.items()
    }
    single.build(False, False, basis=single._basis)
    offset = layout.primitive_offset
    exponents = batch.exponents[entry]
    momentum = np.array(layout.angular_momentum)
    weight = np.concatenate(
        [
            batch.coefficients[entry, offset[s] : offset[s + 1]]
            / radial_norm(int(momentum[s]), exponents[offset[s] : offset[s + 1]])
            for s in range(layout.n_shells)
        ]
    )
    if single.nbas != len(weight) or molecule.nbas != layout.n_shells:
        raise SystemExit("PySCF orders the shells of this basis in another way than scfx")

    def diagonal(of: object, i: int, j: int) -> float:
        block = of.intor_by_shell("int2e", (i, j, i, j))  # type: ignore[attr-defined]
        n = block.shape[0] * block.shape[1]
        return math.sqrt(float(np.abs(np.diagonal(block.reshape(n, n))).max()))

    found = composites(batch, entry)
    out = []
    for b in range(len(found)):
        for a in range(b + 1):
            first, second = found[a], found[b]
            bound = max(diagonal(molecule, i, j) for i in first for j in second)
            n, m = layout.n_primitives[first[0]], layout.n_primitives[second[0]]
            primitive = np.zeros((n, m))
            for i in first:
                for j in second:
                    for k in range(n):
                        for l in range(m):
                            x, y = int(offset[i]) + k, int(offset[j]) + l
                            value = abs(weight[x] * weight[y]) * diagonal(single, x, y)
                            primitive[k, l] = max(primitive[k, l], value)
            alpha = exponents[offset[first[0]] :][:n, None]
            beta = exponents[offset[second[0]] :][None, :m]
            total = alpha + beta
            centre = (
                alpha[..., None] * positions[layout.atom[first[0]]]
                + beta[..., None] * positions[layout.atom[second[0]]]
            ) / total[..., None]
            out.append(
                Pair(
                    len(first) == 2, len(second) == 2, bound, primitive.ravel(), total.ravel(),
                    centre.reshape(-1, 3), (a, b),
                )
            )  # fmt: skip
    return sorted(out, key=lambda pair: pair.order)


def thresholds(policy: PrecisionPolicy, screening: list[float]) -> tuple[float, float]:
    """Schwarz bounds from which an integral is made in float32 and in float64 (two_electron.py of the backend)."""
    in_double, in_single = screening
    if policy.integrals == "float64":
        return in_double, in_double
    split = policy.schwarz_float64
    return in_single, math.inf if split is None else max(split, in_single)


def integrals(batch: Batch, basis: BasisSet, entry: int, bounds: tuple[float, float]) -> Operations:
    """Electron-repulsion integrals of one entry (eri.cpp: `eri_block`)."""
    single_from, double_from = bounds
    found = pairs(batch, basis, entry)
    least = single_from * PRIMITIVE_FRACTION
    total = {True: 0.0, False: 0.0}
    # Kets of one order, in the order of the pairs, so that those before a bra are a slice.
    orders = np.array([pair.order for pair in found])
    for order in (0, 1, 2):
        kets = [pair for pair in found if pair.order == order]
        if not kets:
            continue
        start = int(np.searchsorted(orders, order))
        n_primitive = np.array([len(k.exponent) for k in kets])
        owner = np.repeat(np.arange(len(kets)), n_primitive)
        bound = np.concatenate([k.primitive_bound for k in kets])
        exponent = np.concatenate([k.exponent for k in kets])
        centre = np.concatenate([k.centre for k in kets])
        contracted = np.array([k.bound for k in kets])
        for index, bra in enumerate(found):
            n_kets = min(len(kets), index + 1 - start)
            if n_kets <= 0:
                continue
            schwarz = bra.bound * contracted[:n_kets]
            for single in (True, False):
                wanted = (
                    (schwarz >= single_from) & (schwarz < double_from) if single else schwarz >= double_from
                )
                if not wanted.any():
                    continue
                some = wanted[owner[: n_primitive[:n_kets].sum()]]
                q, c, ket_bound = (
                    exponent[: len(some)][some],
                    centre[: len(some)][some],
                    bound[: len(some)][some],
                )
                kept = bra.primitive_bound[:, None] * ket_bound >= least
                reduced = bra.exponent[:, None] * q / (bra.exponent[:, None] + q)
                distance = ((bra.centre[:, None] - c) ** 2).sum(axis=-1)
                large = reduced * distance >= (16.0 if single else 32.0)
                top = bra.order + order
                every = quartet(top) + hermite(top) + bra.n_hermite * kets[0].operations
                n_large, n = int((kept & large).sum()), int(kept.sum())
                total[single] += n * every
                total[single] += n_large * boys(top, single, True) + (n - n_large) * boys(top, single, False)
                # The bra is contracted once for each of its primitives and each row of the ket.
                total[single] += len(bra.exponent) * int(wanted.sum()) * kets[0].rows * bra.operations
    return Operations(total[True], total[False])


# ---- the other stages ----------------------------------------------------------------------------------------------


def one_electron(batch: Batch) -> Operations:
    """Overlap, kinetic, dipole (Obara-Saika) and nuclear attraction (Hermite) of one entry."""
    found = composites(batch, 0)
    per_primitive = 0.0
    for b, second in enumerate(found):
        for first in found[: b + 1]:
            la, lb = len(first) - 1, len(second) - 1
            order = la + lb
            n = batch.layout.n_primitives[first[0]] * batch.layout.n_primitives[second[0]]
            n_hermite = (1, 4, 10)[order]
            attraction = 3 + 6 + boys(order, False, False) + 3 * (order + 1) + hermite(order) + n_hermite
            # 1-d overlaps one order up on A and two on B, kinetic and dipole from them, then S, T and D.
            multipoles = 3 * ((la + 2) * (lb + 3) * 5 + (la + 1) * (lb + 1) * 7) + 4**order * 35
            per_primitive += n * (batch.natm * attraction + multipoles + contraction(bool(la), bool(lb)))
    return Operations(0.0, per_primitive)


def becke(natm: int, points: int) -> Operations:
    """Cell functions of all atoms at all points (scfx/grid/partition.py): 20 operations for each pair of atoms."""
    padded = -(-natm // ATOM_BUCKET) * ATOM_BUCKET
    return Operations(0.0, 20.0 * points * padded * natm)


def ao_values(batch: Batch, entry: int, points: np.ndarray) -> Operations:
    """Values and gradients at points, exponentials below exp(-80) left out (grid_orbitals.cpp)."""
    layout = batch.layout
    total = 8.0 * batch.natm * len(points)
    squared = ((points[:, None] - batch.positions[entry]) ** 2).sum(axis=-1)
    for shells in composites(batch, entry):
        atom, offset = layout.atom[shells[0]], layout.primitive_offset[shells[0]]
        for exponent in batch.exponents[entry, offset : offset + layout.n_primitives[shells[0]]]:
            evaluated = int((exponent * squared[:, atom] <= 80.0).sum())
            total += evaluated * (34 + 4 * len(shells))  # the exponential, then sums of each shell
        total += len(points) * (8 + (23 if len(shells) == 2 else 0))
    return Operations(0.0, total)


def step(n: int, history: int, dtype: str) -> Operations:
    """Extrapolation, diagonalisation and new density of matrices padded to n (scfx/scf/step.py: `advance`)."""
    eigenvectors = 22 / 3 * n**3
    # Commutator 2, orthonormalisation 4, density 2, back to AOs 4; DIIS overlaps and combination.
    double = 12.0 * n**3 + 2.0 * history * (history + 1) * n**2
    return Operations(eigenvectors, double) if dtype == "float32" else Operations(0.0, double + eigenvectors)
