"""Initial densities: superposed spherical atoms, or none (the core Hamiltonian).

Each atom is a spin-restricted Hartree-Fock calculation in the molecule's own basis with its ground-state electrons
spread evenly over the components of each subshell (van Lenthe et al., J. Comput. Chem. 27, 926 (2006)). The density
depends on element and basis only, so it is computed once and any row that uses it stays independent of the others.
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg
from jaxtyping import Float64

from scfx.errors import ScfxError
from scfx.model.basis import cart_to_sph, cartesian_powers
from scfx.model.batch import Batch
from scfx.model.elements import SYMBOLS, core_electrons_by_angular_momentum, electrons_by_angular_momentum
from scfx.model.system import System

if TYPE_CHECKING:
    from scfx.energy.integral_sources import IntegralSources
    from scfx.model.basis import BasisSet

_MAX_ITERATIONS = 200


class AtomicGuess:
    """Superposition of atomic densities; atoms are solved when first met and kept."""

    def __init__(self, sources: IntegralSources, memory_budget: int):
        self._sources = sources
        self._memory_budget = memory_budget
        self._atoms: dict[tuple[int, int], tuple[Any, np.ndarray]] = {}

    def density(self, batch: Batch) -> Float64[np.ndarray, "batch nao nao"]:
        """Return the total density matrix of each entry: block-diagonal by atom, scaled to the entry's number of
        electrons.
        """
        out = np.zeros((len(batch), batch.nao, batch.nao))
        owner = batch.layout.ao_atom
        for entry, numbers in enumerate(batch.atomic_numbers):
            for atom, z in enumerate(numbers):
                if batch.nuclear_charges[entry, atom] == 0:  # a ghost atom brings no electrons
                    continue
                rows = np.flatnonzero(owner == atom)
                out[entry, rows[0] : rows[-1] + 1, rows[0] : rows[-1] + 1] = self.atom(
                    int(z), batch.atom_basis[entry][atom]
                )
            electrons = int(batch.n_alpha[entry] + batch.n_beta[entry])
            out[entry] *= electrons / float(batch.nuclear_charges[entry].sum())
        return out

    def atom(self, z: int, basis: BasisSet) -> Float64[np.ndarray, "n n"]:
        """Return the density matrix of one neutral, spherical atom over its own functions."""
        key = (z, id(basis.shells[z]))
        if key not in self._atoms:
            # The shells are kept beside the density so that their id stays theirs.
            self._atoms[key] = (basis.shells[z], atomic_density(z, basis, self._sources, self._memory_budget))
        return self._atoms[key][1]


def atomic_density(
    z: int, basis: BasisSet, sources: IntegralSources, memory_budget: int
) -> Float64[np.ndarray, "nao nao"]:
    """Return the density matrix of the spherically averaged neutral atom, from a molecule's integrals at their best."""
    multiplicity = 1 + z % 2
    core_electrons = core_electrons_by_angular_momentum(basis.n_core(z))
    batch = Batch.from_systems(
        [System(np.array([z], dtype=np.int32), np.zeros((1, 3)), multiplicity=multiplicity)], basis
    )
    labels, symmetry = _spherical_functions(batch)
    one = sources.one_electron(batch)
    core = symmetry.T @ (one.kinetic[0] + one.nuclear[0]) @ symmetry
    overlap = symmetry.T @ one.overlap[0] @ symmetry
    electrons = [n - c for n, c in zip(electrons_by_angular_momentum(z), core_electrons, strict=True)]
    blocks = []
    for l in sorted({l for l, _ in labels}):
        # index[m, k]: k-th radial function of component m
        index = np.array([[i for i, label in enumerate(labels) if label == (l, m)] for m in range(2 * l + 1)])
        blocks.append((l, index, electrons[l] if l < len(electrons) else 0))
    _check_room(z, basis, blocks, sum(electrons))
    density = np.zeros_like(core)
    fock, energy = core, np.inf
    focks: list[np.ndarray] = []
    errors: list[np.ndarray] = []
    backend = sources.two_electron(batch.layout)
    with backend.two_electron(batch, backend.best_policy(), memory_budget) as operator:
        for _ in range(_MAX_ITERATIONS):
            density = _aufbau(fock, overlap, blocks)
            ao = symmetry @ density @ symmetry.T
            coulomb, exchange = (
                np.asarray(m, dtype=np.float64)[0] for m in operator.coulomb_exchange(ao[None])
            )
            built = core + symmetry.T @ (coulomb - 0.5 * exchange) @ symmetry
            new = 0.5 * float(np.sum(density * (core + built)))
            error = built @ density @ overlap
            error = error - error.T
            change, energy = abs(new - energy), new
            # The guess need not be better than this; the molecule's own iterations take over.
            if np.abs(error).max() < 1e-6 and change < 1e-8:
                break
            focks, errors = [*focks, built][-8:], [*errors, error][-8:]
            fock = _pulay(focks, errors)
    return symmetry @ density @ symmetry.T


def _check_room(z: int, basis: BasisSet, blocks: list[tuple[int, np.ndarray, int]], asked: int) -> None:
    room = sum(2 * index.size for l, index, n in blocks if n)
    if room < asked:
        raise ScfxError(
            f"the atomic guess cannot place the {asked} electrons of {SYMBOLS[z]} in basis {basis.name!r} "
            f"(room for {room} in its occupied angular momenta); use guess = 'core'"
        )


def _aufbau(fock: np.ndarray, overlap: np.ndarray, blocks: list[tuple[int, np.ndarray, int]]) -> np.ndarray:
    density = np.zeros_like(fock)
    for l, index, electrons in blocks:
        if not electrons:
            continue
        mean_fock = np.mean([fock[np.ix_(i, i)] for i in index], axis=0)
        mean_overlap = np.mean([overlap[np.ix_(i, i)] for i in index], axis=0)
        _, orbitals = scipy.linalg.eigh(mean_fock, mean_overlap)
        capacity = 2 * (2 * l + 1)
        filling = np.clip(electrons - capacity * np.arange(orbitals.shape[1]), 0, capacity) / (2 * l + 1)
        block = (orbitals * filling) @ orbitals.T
        for i in index:
            density[np.ix_(i, i)] = block
    return density


def _pulay(focks: list[np.ndarray], errors: list[np.ndarray]) -> np.ndarray:
    count = len(focks)
    system = np.zeros((count + 1, count + 1))
    system[0, 1:] = system[1:, 0] = 1.0
    flat = np.stack([e.ravel() for e in errors])
    overlaps = flat @ flat.T
    system[1:, 1:] = overlaps / max(np.diag(overlaps).min(), 1e-30)
    right = np.zeros(count + 1)
    right[0] = 1.0
    coefficients = np.linalg.lstsq(system, right, rcond=1e-14)[0][1:]
    return np.einsum("i,ijk->jk", coefficients, np.stack(focks))


def _spherical_functions(batch: Batch) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Labels (l, m) and matrix [nao, nfunction] of spherical functions that span the AOs of an atom.

    Spherical shells give themselves. A Cartesian shell of momentum L spans r^(2k) times the solid harmonics of
    l = L - 2k, which belong to l.
    """
    layout = batch.layout
    labels: list[tuple[int, int]] = []
    columns: list[np.ndarray] = []
    for s, (big_l, cartesian) in enumerate(zip(layout.angular_momentum, layout.cartesian, strict=True)):
        rows = slice(layout.ao_offset[s], layout.ao_offset[s + 1])
        for l in range(big_l, -1, -2) if cartesian else (big_l,):
            matrix = _harmonics_times_r2(l, (big_l - l) // 2) if cartesian else np.eye(2 * l + 1)
            for m in range(2 * l + 1):
                column = np.zeros(layout.nao)
                column[rows] = matrix[:, m]
                labels.append((l, m))
                columns.append(column)
    return labels, np.stack(columns, axis=1)


def _harmonics_times_r2(l: int, k: int) -> np.ndarray:
    """Solid harmonics of l times (x²+y²+z²)^k, as combinations of the Cartesian components of l + 2k."""
    harmonics = cart_to_sph(l)
    target = {powers: i for i, powers in enumerate(cartesian_powers(l + 2 * k))}
    out = np.zeros((len(target), 2 * l + 1))
    for row, (i, j, n) in enumerate(cartesian_powers(l)):
        for a in range(k + 1):
            for b in range(k - a + 1):
                weight = comb(k, a) * comb(k - a, b)
                out[target[(i + 2 * a, j + 2 * b, n + 2 * (k - a - b))]] += weight * harmonics[row]
    return out
