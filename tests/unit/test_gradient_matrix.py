"""Gradients over the whole matrix: functional family, reference, backend, kind of basis functions, precision policy.

The oracle of every cell is independent of derivative integrals: five-point differences of the float64 energies of the
libcint backend along one random direction, solved together with the molecule itself, at 1e-6 hartree/bohr. They hold
for all cells, also for those whose gradient in PySCF is not the derivative of its energy (tests/support/
gradient_oracle.py; without `grid_response` none is). The same call gives libcint's whole gradient, and each cell is
held to that, on the mean over its components, within its policy's target.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
from gradient_checks import STENCIL, directions
from molecules import distorted, molecule, moved

import scfx
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

FUNCTIONALS = ("hf", "svwn", "pbe", "r2scan", "b3lyp", "wb97x", "wb97m-v", "b3lyp-d3bj", "pbe0-d4")
REFERENCES = ("restricted", "unrestricted", "restricted-open")
BACKENDS = ("simd", "libcint")
#: Cartesian d on the heavy atom; spherical d there and p on hydrogen.
BASES = ("6-31g*", "def2-svp")
POLICIES = ("float64", "mixed", "float32")
#: meV/angstrom in a hartree/bohr.
MEV = 1e3 * HARTREE_IN_EV / BOHR_IN_ANGSTROM
#: Mean absolute errors that the policies promise, hartree/bohr (docs/forces.md).
TARGETS = {"float64": 1e-7, "mixed": 0.02 / MEV, "float32": 1.0 / MEV}
STEP = 0.01

#: Each backend, reference, policy and kind of functions at least once, in few combinations of functional, basis and
#: reference, since what each of those compiles is what takes the time. STO-3G has s and p functions alone, which are
#: the same in both kinds; other functionals are in test_xc_gradient, test_density_fitting_gradient and the slow cells.
FAST = {
    ("hf", "restricted", "simd", "6-31g*", "float64"),
    ("hf", "restricted", "simd", "6-31g*", "mixed"),
    ("hf", "unrestricted", "simd", "6-31g*", "float64"),
    ("hf", "unrestricted", "simd", "6-31g*", "float32"),
    ("hf", "restricted-open", "simd", "6-31g*", "float64"),
    ("hf", "restricted-open", "libcint", "6-31g*", "mixed"),
    ("svwn", "restricted-open", "libcint", "sto-3g", "float64"),
    ("svwn", "restricted-open", "simd", "sto-3g", "mixed"),
    ("pbe", "restricted", "simd", "sto-3g", "float64"),
    ("wb97x", "restricted", "simd", "def2-svp", "float64"),
}
ALL = [cell for cell in product(FUNCTIONALS, REFERENCES, BACKENDS, BASES, POLICIES) if cell not in FAST]
CELLS = [*sorted(FAST), *(pytest.param(*cell, marks=pytest.mark.slow) for cell in ALL)]


def system_of(reference: str) -> scfx.System:
    name, multiplicity = ("H2O", 1) if reference == "restricted" else ("NH2", 2)
    return distorted(molecule(name, 0, multiplicity), 1)[0]


def options_of(functional: str, reference: str, basis: str) -> dict:
    # Of VV10, whose cost is the square of its points, the smallest grid that there is.
    return {
        "functional": functional, "basis": basis, "reference": reference, "grid": 0, "nonlocal_grid": 0,
        "threads": 1, "properties": "gradient",
    }  # fmt: skip


def stencil_of(system: scfx.System, direction: np.ndarray) -> list[scfx.System]:
    return [system, *(moved(system, system.positions + n * STEP * direction) for n, _ in STENCIL)]


def derivative(energies: np.ndarray) -> float:
    return float(energies @ np.array([weight for _, weight in STENCIL])) / STEP


@cache
def checked_gradient(functional: str, reference: str, basis: str) -> np.ndarray:
    """libcint's gradient in float64, held to differences of its energies: the oracle of the other cells."""
    system = system_of(reference)
    (along,) = directions(system, 1)
    options = options_of(functional, reference, basis) | {"convergence": "tight", "backend": "libcint"}
    result = scfx.solve(stencil_of(system, along), **options).raise_for_status()
    gradient = result.gradient[0]
    assert np.sum(gradient * along) == pytest.approx(derivative(result.energy[1:]), abs=1e-6)
    assert np.abs(gradient).max() > 1e-3
    return gradient


@pytest.mark.parametrize(("functional", "reference", "backend", "basis", "policy"), CELLS)
def test_the_gradient_is_the_energys_derivative_within_the_policys_target(
    functional, reference, backend, basis, policy
):
    expected = checked_gradient(functional, reference, basis)
    options = options_of(functional, reference, basis) | {"backend": backend, "precision": policy}
    found = scfx.solve(system_of(reference), **options).raise_for_status().gradient[0]
    assert np.abs(found - expected).mean() < TARGETS[policy]
    # Nothing is projected out, and in float64 nothing is left over.
    assert np.abs(found.sum(axis=0)).max() < (1e-9 if policy == "float64" else 10 * TARGETS[policy])
