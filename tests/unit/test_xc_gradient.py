"""The exchange-correlation gradient against differences of the energy that it is the derivative of.

At a fixed density matrix functions, points and weights of the quadrature all move with the atoms, so five-point
differences of the energy on the grid are an oracle for the whole formula, at any level and for any functional.
"""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scfx_bse.source import BasisSetExchangeSource
from scfx_simd.backend import SimdBackend

from scfx.config.precision import FLOAT64, PrecisionPolicy
from scfx.energy.exchange_correlation.functional_at_points import (
    evaluate_closed_shell,
    evaluate_each_point,
    evaluate_spin_resolved,
)
from scfx.energy.exchange_correlation.gradient import exchange_correlation_gradient
from scfx.energy.exchange_correlation.portable import PortableQuadrature
from scfx.energy.memory import MemoryBudget
from scfx.energy.nonlocal_correlation import NonlocalCorrelation
from scfx.energy.nonlocal_gradient import nonlocal_correlation_gradient
from scfx.errors import InputError
from scfx.execution.lanes import ao_bucket
from scfx.grid import GridSpec, batch_grids, owned_grids
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch
from scfx.model.elements import SYMBOLS
from scfx.model.system import System

SPEC = GridSpec(0)
LANE = np.zeros(1, dtype=np.int32)
#: Bohr, without symmetry.
MOLECULES = {
    "H2O": ([8, 1, 1], [[0, 0, 0.22], [0, 1.43, -0.88], [0.1, -1.43, -0.88]]),
    "OH": ([8, 1], [[0.1, 0, 0.2], [0.3, -0.2, 1.95]]),
}


def batch_of(numbers, positions, basis="sto-3g") -> Batch:
    system = System(
        np.array(numbers, dtype=np.int32), np.asarray(positions), multiplicity=1 + sum(numbers) % 2
    )
    return Batch.from_systems([system], BasisSet.from_source(BasisSetExchangeSource(basis), numbers))


def grids_of(batch: Batch, spec: GridSpec = SPEC):
    return owned_grids(batch.atomic_numbers, batch_grids(batch.atomic_numbers, batch.positions, spec), spec)


@cache
def density_of(name: str, basis: str = "sto-3g") -> np.ndarray:
    """[1, spin, nao, nao] of Hartree-Fock: that of a molecule, to be held fixed."""
    from pyscf import gto, scf

    numbers, positions = MOLECULES[name]
    atoms = [(SYMBOLS[z], r) for z, r in zip(numbers, positions, strict=True)]
    mole = gto.M(
        atom=atoms, unit="bohr", basis=basis, spin=sum(numbers) % 2, cart=basis == "6-31g*", verbose=0
    )
    density = np.asarray((scf.UHF if mole.spin else scf.RHF)(mole).run().make_rdm1())
    return density.reshape(1, -1, mole.nao, mole.nao)


def energy(batch: Batch, functional, density: np.ndarray) -> tuple[float, float]:
    """Energy and electrons by the quadrature of the self-consistent field."""
    grids = batch_grids(batch.atomic_numbers, batch.positions, SPEC)
    n = ao_bucket(batch.nao)
    padded = np.zeros((1, density.shape[1], n, n))
    padded[..., : batch.nao, : batch.nao] = density
    totals = PortableQuadrature(batch, grids, functional, FLOAT64, 1, 2**28).evaluate(
        jnp.asarray(padded), LANE
    )
    return float(totals.energy[0]), float(totals.electrons[0])


def differences(function, positions: np.ndarray, coordinates, step: float) -> np.ndarray:
    """Five-point derivatives by some (atom, axis); the error is of the fourth order in the step (bohr)."""
    out = []
    for atom, axis in coordinates:
        move = np.zeros_like(positions)
        move[atom, axis] = step
        near, far = (function(positions + k * move) - function(positions - k * move) for k in (1, 2))
        out.append((8 * near - far) / (12 * step))
    return np.array(out)


@pytest.mark.parametrize(
    ("name", "functional"),
    [
        ("H2O", "svwn"),
        ("H2O", "tpss"),
        ("OH", "pbe"),
        pytest.param("H2O", "pbe", marks=pytest.mark.slow),
        pytest.param("OH", "svwn", marks=pytest.mark.slow),
        pytest.param("OH", "r2scan", marks=pytest.mark.slow),
    ],
)
def test_gradient_equals_differences_of_the_energy_on_the_grid(registry, name, functional):
    functional = registry.functional(functional)
    numbers, positions = MOLECULES[name][0], np.array(MOLECULES[name][1])
    density = density_of(name)
    coordinates = [(0, 0), (0, 2), (1, 1), (1, 2)]
    with jax.enable_x64(True):
        batch = batch_of(numbers, positions)
        assert batch.atom_order[0].tolist() == list(range(len(numbers)))
        found = exchange_correlation_gradient(batch, grids_of(batch), functional, FLOAT64, density, LANE)
        expected = differences(
            lambda r: energy(batch_of(numbers, r), functional, density)[0], positions, coordinates, 2e-3
        )
        totals = energy(batch, functional, density)
    assert np.abs([found.gradient[0][c] for c in coordinates] - expected).max() < 1e-9
    assert np.abs(found.gradient[0].sum(axis=0)).max() < 1e-13
    np.testing.assert_allclose([found.energy[0], found.electrons[0]], totals, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "functional", "basis"),
    [
        ("H2O", "tpss", "sto-3g"),
        ("H2O", "svwn", "cc-pvtz"),  # spherical f
        ("OH", "pbe", "6-31g*"),  # Cartesian d
        pytest.param("H2O", "tpss", "cc-pvtz", marks=pytest.mark.slow),
        pytest.param("OH", "svwn", "cc-pvdz", marks=pytest.mark.slow),
        pytest.param("OH", "r2scan", "sto-3g", marks=pytest.mark.slow),
    ],
)
def test_simd_route_gives_the_portable_gradient(registry, name, functional, basis):
    functional = registry.functional(functional)
    density = density_of(name, basis)
    with jax.enable_x64(True):
        batch = batch_of(*MOLECULES[name], basis)
        grids = grids_of(batch)
        expected, expected_functions = (
            exchange_correlation_gradient(batch, grids, functional, FLOAT64, density, LANE, response=response)
            for response in (True, False)
        )
        # In float32 an atom's functions at its own points cancel in float64: with response the error is that of the
        # tails (measured: below 6e-8 hartree/bohr), without it that of the whole.
        for dtype, error, alone in (("float64", 1e-12, 1e-12), ("float32", 1e-7, 4e-6)):
            policy = PrecisionPolicy("test", orbitals=dtype)
            points, weights = [g.points for g in grids], [g.weights for g in grids]
            operator = SimdBackend().grid_operator(batch, points, weights, functional.family, policy, 2**28)
            found, functions = (
                exchange_correlation_gradient(
                    batch, grids, functional, policy, density, LANE, response=response, operator=operator
                )
                for response in (True, False)
            )
            operator.close()
            assert np.abs(found.gradient - expected.gradient).max() < error
            assert np.abs(functions.gradient - expected_functions.gradient).max() < alone
            assert np.abs(found.gradient.sum(axis=1)).max() < 1e-12
            assert abs(found.electrons[0] - expected.electrons[0]) < 1e3 * error
        if functional.family == "gga":
            found = exchange_correlation_gradient(batch, grids, functional, policy, density, LANE)
            assert np.abs(found.gradient - expected.gradient).max() < 1e-7


def test_gradient_without_response_is_pyscfs_default(registry):
    from pyscf import dft, gto
    from pyscf.grad import rks

    numbers, positions = MOLECULES["H2O"]
    density = density_of("H2O")
    mole = gto.M(atom=list(zip("OHH", positions, strict=True)), unit="bohr", basis="sto-3g", verbose=0)
    grids = dft.gen_grid.Grids(mole)
    grids.level, grids.alignment = 0, 0
    grids.build()
    _, potential = rks.get_vxc(dft.numint.NumInt(), mole, grids, "pbe,pbe", density[0, 0])
    pulled = np.einsum("xij,ij->ix", potential, density[0, 0]) * 2
    slices = mole.aoslice_by_atom()
    expected = np.array([pulled[first:last].sum(axis=0) for _, _, first, last in slices])
    with jax.enable_x64(True):
        batch = batch_of(numbers, positions)
        functional = registry.functional("pbe")
        found = exchange_correlation_gradient(
            batch, grids_of(batch), functional, FLOAT64, density, LANE, response=False
        )
    assert np.abs(found.gradient[0] - expected).max() < 1e-10


@pytest.mark.parametrize("spins", [1, 2])
def test_functional_at_each_point_sums_to_that_of_all(registry, spins):
    rng = np.random.default_rng(3)
    components = rng.normal(size=(2, spins, 4, 64))
    components[:, :, 0] = 10.0 ** rng.uniform(-18, 1, (2, spins, 64))  # some of them vanish
    components[:, :, 1:] *= components[:, :, :1]
    weights = rng.uniform(size=(2, 64))
    functional = registry.functional("pbe")

    def both(values, weights):
        each = evaluate_each_point(functional, values, "float64")
        if spins == 1:
            return *each, *evaluate_closed_shell(functional, values[:, 0], weights)
        return *each, *evaluate_spin_resolved(functional, values, weights)

    with jax.enable_x64(True):
        e, rho, v, energy, electrons, derivative = map(np.asarray, jax.jit(both)(components, weights))
    assert (components[:, :, 0].sum(axis=1) < 1e-15).any()
    np.testing.assert_allclose(np.sum(e * weights, axis=1), energy, rtol=1e-12)
    np.testing.assert_allclose(np.sum(rho * weights, axis=1), electrons, rtol=1e-12)
    weighted = v * weights[:, None, None]
    np.testing.assert_allclose(weighted, derivative.reshape(v.shape), rtol=1e-10, atol=1e-13)


def test_an_operator_on_another_grid_is_refused(registry):
    functional = registry.functional("svwn")
    with jax.enable_x64(True):
        batch = batch_of(*MOLECULES["OH"])
        other = grids_of(batch, GridSpec(1))
        operator = SimdBackend().grid_operator(
            batch, [other[0].points], [other[0].weights], "lda", FLOAT64, 2**28
        )
        with pytest.raises(InputError, match="points of entry 0"):
            exchange_correlation_gradient(
                batch, grids_of(batch), functional, FLOAT64, density_of("OH"), LANE, operator=operator
            )
        operator.close()


def test_vv10_gradient_equals_differences_of_its_energy():
    numbers, positions = MOLECULES["H2O"][0], np.array(MOLECULES["H2O"][1])
    density, parameters, spec = density_of("H2O"), (5.9, 0.0093), GridSpec(atom_grid=(20, 26))
    padded = np.zeros((1, 1, 8, 8))
    padded[..., :7, :7] = density

    def nonlocal_energy(r: np.ndarray) -> float:
        term = NonlocalCorrelation(batch_of(numbers, r), spec, parameters, MemoryBudget(2**28))
        return term.evaluate(jnp.asarray(padded), LANE).energy[0]

    coordinates = [(0, 2), (1, 1), (2, 0)]
    with jax.enable_x64(True):
        batch = batch_of(numbers, positions)
        found = nonlocal_correlation_gradient(batch, grids_of(batch, spec), parameters, density, LANE)[0]
        alone = nonlocal_correlation_gradient(
            batch, grids_of(batch, spec), parameters, density, LANE, response=False
        )[0]
        expected = differences(nonlocal_energy, positions, coordinates, 3e-3)
    # Of 1e-3 hartree/bohr. Points that cross the threshold of vanishing densities would show as noise.
    assert np.abs([found[c] for c in coordinates] - expected).max() < 1e-11
    assert np.abs(found.sum(axis=0)).max() < 1e-15
    assert np.abs(alone - found).max() > 1e-5
