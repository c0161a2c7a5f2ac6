"""Derivatives by the positions of the nuclei, at fixed density, of one entry of a batch.

libcint differentiates a function by the electron's coordinates; moving the function's centre is minus that. What moves
with a nucleus as the centre of an operator follows from translation: the sum of all three derivatives is zero.
Formulas: Pople, Krishnan, Schlegel, Binkley, Int. J. Quantum Chem. Symp. 13, 225 (1979), eq. 21.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from scfx.errors import InputError
from scfx_libcint.environment import environment, function_offsets
from scfx_libcint.gradient_kernel import Quartets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scfx.contracts.derivatives import TwoElectronEnergy
    from scfx.model.batch import Batch


def one_electron_gradient(
    batch: Batch,
    entry: int,
    density: Float64[np.ndarray, "nao nao"],
    energy_weighted_density: Float64[np.ndarray, "nao nao"],
) -> Float64[np.ndarray, "natm 3"]:
    """Return Σ D ∂(T + V) - Σ W ∂S in hartree/bohr, for symmetric D (total) and W; core potentials are part of V."""
    molecule = environment(batch, entry)
    d, w = molecule.in_own_functions(density), molecule.in_own_functions(energy_weighted_density)
    # <∇i|j> with both orders of i and j: twice the row sums.
    rows = 2.0 * np.einsum("xij,ij->ix", molecule.bra_derivative("int1e_ipovlp"), w)
    for name in ("int1e_ipkin", "int1e_ipnuc"):
        rows -= 2.0 * np.einsum("xij,ij->ix", molecule.bra_derivative(name), d)
    if molecule.core_bas is not None:
        rows -= 2.0 * np.einsum("xij,ij->ix", molecule.bra_derivative("ECPscalar_ipnuc"), d)
    out = _by_atom(rows, batch)
    # A nucleus as the centre of its operator; one atom's matrices at a time.
    for atom, charge in enumerate(batch.nuclear_charges[entry]):
        if charge != 0.0:
            out[atom] -= 2.0 * charge * _trace(molecule.bra_derivative("int1e_iprinv", atom), d)
    for atom in () if molecule.core_bas is None else sorted({int(row[0]) for row in molecule.core_bas}):
        out[atom] += 2.0 * _trace(molecule.bra_derivative("ECPscalar_iprinv", atom), d)
    return out


def two_electron_gradient(
    batch: Batch,
    entry: int,
    density: Float64[np.ndarray, "nspin nao nao"],
    operators: Mapping[float, tuple[float, float]],
) -> Float64[np.ndarray, "natm 3"]:
    """Return the derivative of the energies `by_operator` at fixed symmetric densities, in hartree/bohr, float64."""
    out = np.zeros((batch.natm, 3))
    spin = 0.5 if len(density) == 1 else 1.0
    for omega, (coulomb, exchange) in operators.items():
        molecule = environment(batch, entry, omega)
        quartets = Quartets(molecule, function_offsets(batch.layout))
        out += quartets.derivative(molecule.in_own_functions(density), coulomb, spin * exchange)
    return out


def by_operator(energies: Iterable[TwoElectronEnergy]) -> dict[float, tuple[float, float]]:
    """Return (coulomb, exchange) factors by omega: 0 for the Coulomb operator, positive for erf(omega r)/r.

    erfc(omega r)/r is the difference of the two. Operators whose factors are zero or cancel are left out.
    """
    factors: dict[float, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for energy in energies:
        for omega, sign in _parts(energy):
            coulomb, exchange = factors[omega]
            factors[omega] = coulomb + sign * energy.coulomb, exchange + sign * energy.exchange
    return {omega: factors[omega] for omega in sorted(factors) if factors[omega] != (0.0, 0.0)}


def _parts(energy: TwoElectronEnergy) -> tuple[tuple[float, float], ...]:
    if energy.operator == "coulomb":
        if energy.omega != 0.0:
            raise InputError(f"omega: got {energy.omega!r} for the Coulomb operator, which has none")
        return ((0.0, 1.0),)
    if energy.operator not in ("erf", "erfc"):
        raise InputError(f"operator: got {energy.operator!r}, expected 'coulomb', 'erf' or 'erfc'")
    if not energy.omega > 0.0:
        raise InputError(
            f"omega: got {energy.omega!r}, expected a positive range-separation parameter in bohr^-1"
        )
    return ((energy.omega, 1.0),) if energy.operator == "erf" else ((0.0, 1.0), (energy.omega, -1.0))


def _by_atom(rows: Float64[np.ndarray, "n 3"], batch: Batch) -> Float64[np.ndarray, "natm 3"]:
    """Sums over the functions of each atom, from one row for each of libcint's functions."""
    out = np.zeros((batch.natm, 3))
    np.add.at(out, np.repeat(batch.layout.atom, np.diff(function_offsets(batch.layout))), rows)
    return out


def _trace(derivative: Float64[np.ndarray, "3 n n"], density: Float64[np.ndarray, "n n"]) -> np.ndarray:
    return np.einsum("xij,ij->x", derivative, density)
