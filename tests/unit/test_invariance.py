"""What an energy may not depend on: where the molecule is, how it is turned, how its atoms are numbered."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import distorted, molecule, moved, rotation

import scfx

#: Standard deviations under random rotation of C6H5FN2O, B3LYP/STO-3G, by grid level, in hartree (docs/grids.md has
#: them in meV); methanol has fewer atoms, so its spread is smaller.
GRID_SPREAD = {0: 14.6e-3 / 27.2114, 1: 1.19e-3 / 27.2114}


def _solve(systems, registry, functional="hf", **options):
    options = {"basis": "sto-3g", "grid": 0, "convergence": "tight", "threads": 1, **options}
    result = scfx.solve(systems, functional=functional, backend="libcint", registry=registry, **options)
    return result.raise_for_status()


@pytest.fixture(scope="module")
def methanol():
    return distorted(molecule("CH3OH"), 1)[0]


@pytest.mark.parametrize("functional", ["hf", "b3lyp"])
def test_energy_is_invariant_under_translation(registry, methanol, functional):
    copies = [methanol, moved(methanol, methanol.positions + np.array([3.1, -7.3, 1.7]))]
    result = _solve(copies, registry, functional)
    assert result.energy[0] == pytest.approx(result.energy[1], abs=1e-9)
    assert result.gap[0] == pytest.approx(result.gap[1], abs=1e-8)
    # A neutral molecule's dipole has no origin.
    np.testing.assert_allclose(result.dipole[0], result.dipole[1], rtol=0, atol=1e-6)


def test_dipole_of_an_ion_moves_with_its_origin(registry):
    ion, shift = molecule("NH4", charge=1), np.array([0.5, -1.0, 2.0])
    result = _solve([ion, moved(ion, ion.positions + shift)], registry)
    np.testing.assert_allclose(result.dipole[1] - result.dipole[0], shift, rtol=0, atol=1e-6)


@pytest.mark.parametrize("functional", ["hf", "b3lyp"])
def test_energy_does_not_depend_on_the_order_of_the_atoms(registry, methanol, functional):
    order = [3, 0, 5, 1, 4, 2]
    other = scfx.System(methanol.atomic_numbers[order], methanol.positions[order])
    result = _solve([methanol, other], registry, functional)
    assert result.energy[0] == pytest.approx(result.energy[1], abs=1e-9)
    np.testing.assert_allclose(result.orbital_energies[0], result.orbital_energies[1], rtol=0, atol=1e-8)
    np.testing.assert_allclose(result.dipole[0], result.dipole[1], rtol=0, atol=1e-6)


def test_density_comes_back_in_the_order_of_the_systems_own_atoms(registry, methanol):
    order = [3, 0, 5, 1, 4, 2]
    other = scfx.System(methanol.atomic_numbers[order], methanol.positions[order])
    options = {"functional": "hf", "backend": "libcint", "threads": 1, "convergence": "tight"}
    result = scfx.solve([methanol, other], registry=registry, return_density=True, **options)
    assert result.density is not None
    first = {0: range(5), 1: range(5, 10), 2: [10], 3: [11], 4: [12], 5: [13]}  # AOs by atom of `methanol`
    columns = [ao for atom in order for ao in first[atom]]
    np.testing.assert_allclose(
        result.density[1][0], result.density[0][0][np.ix_(columns, columns)], atol=1e-6
    )


@pytest.mark.parametrize("basis", ["sto-3g", "6-31g*", "def2-svp"])
def test_hartree_fock_energy_is_invariant_under_rotation(registry, methanol, basis):
    # 6-31G* here has Cartesian d functions, def2-SVP spherical ones.
    turned = [moved(methanol, methanol.positions @ rotation(seed).T) for seed in (1, 2)]
    result = _solve([methanol, *turned], registry, basis=basis)
    np.testing.assert_allclose(result.energy[1:], result.energy[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.gap[1:], result.gap[0], rtol=0, atol=1e-8)
    lengths = np.linalg.norm(result.dipole, axis=1)
    np.testing.assert_allclose(lengths[1:], lengths[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("level", GRID_SPREAD)
def test_kohn_sham_energy_rotates_within_the_spread_of_the_grid(registry, methanol, level):
    turned = [moved(methanol, methanol.positions @ rotation(seed).T) for seed in range(6)]
    result = _solve(turned, registry, "b3lyp", grid=level, convergence="default")
    spread = float(np.std(result.energy))
    assert spread < GRID_SPREAD[level]
    # A grid is not rotated with the molecule: the noise that it makes is really there.
    assert spread > 1e-8


def test_reflection_leaves_the_energy_alone(registry, methanol):
    mirrored = moved(methanol, methanol.positions * np.array([1.0, 1.0, -1.0]))
    for functional in ("hf", "b3lyp"):  # Lebedev points are symmetric under reflection, so grids are too
        result = _solve([methanol, mirrored], registry, functional)
        assert result.energy[0] == pytest.approx(result.energy[1], abs=1e-9)
