"""The molecular quadrature against PySCF's points and weights, and against integrals known in closed form."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial import cKDTree

import scfx
from scfx.errors import InputError
from scfx.grid import GridSpec, batch_grids, molecular_grid, point_count
from scfx.grid.angular import LEBEDEV_ORDER_BY_COUNT, lebedev
from scfx.grid.pruning import angular_counts
from scfx.grid.radial import treutler_ahlrichs
from scfx.grid.tables import BRAGG_RADIUS_ANGSTROM, MAX_ATOMIC_NUMBER, TREUTLER_SCALE

# Geometries are made up (roughly right bond lengths, no symmetry): the grid must agree on any.
WATER = "O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692"
FLUOROFORMAMIDE = (
    "C 0.02 0.11 0; O 1.18 -0.05 0.03; N -0.85 1.05 0.1; F -0.61 -1.09 -0.05; H -1.8 0.9 0.2; H -0.5 2 0.3"
)
HETERO = "C 0 0 0; S 1.75 0.1 0.2; Cl -0.9 1.5 0; Br -0.8 -1.6 0.3; H 0.1 0.05 -1.08; H 2.0 1.4 0.1"
HEAVY = "Kr 0 0 0; Se 0 0 3; Fe 2.6 0.3 0.2; Li 0 2.9 -0.4"


def pyscf_molecule(atoms):
    gto = pytest.importorskip("pyscf.gto")
    return gto.M(atom=atoms, basis=[[0, (1.0, 1.0)]], spin=None, verbose=0)


def assert_grid_is_that_of_pyscf(atoms, level=3, atom_grid=None, prune=True):
    """One-to-one, each point to 1e-12 of its distance from its nucleus (plus 1e-14 bohr, the rounding of the
    nucleus' own coordinates), each weight to 1e-12 of the weight that the point has before space is partitioned."""
    from pyscf.dft import gen_grid

    mole = pyscf_molecule(atoms)
    reference = gen_grid.Grids(mole)
    reference.level, reference.alignment = level, 0
    if atom_grid is not None:
        reference.atom_grid = atom_grid
    if not prune:
        reference.prune = None
    reference.build(sort_grids=False)

    spec = GridSpec(level=level, atom_grid=atom_grid, prune=prune)
    points, weights = molecular_grid(scfx.System.from_pyscf(mole) if mole.natm > 1 else as_arrays(mole), spec)
    assert points.dtype == weights.dtype == np.float64
    assert weights.size == reference.weights.size == point_count(mole.atom_charges(), spec)
    start = 0
    for atom in range(mole.natm):
        own = np.flatnonzero(reference.atm_idx == atom)
        mine = slice(start, start + own.size)
        start += own.size
        centre = mole.atom_coord(atom)
        expected = reference.coords[own] - centre
        match = cKDTree(by_shell(expected)).query(by_shell(points[mine] - centre))[1]
        assert np.unique(match).size == own.size
        radii = np.linalg.norm(expected[match], axis=1)
        error = np.linalg.norm(points[mine] - reference.coords[own][match], axis=1)
        assert np.all(error <= 1e-12 * radii + 1e-14)
        scale = np.abs(reference.quadrature_weights[own][match])
        assert np.all(np.abs(weights[mine] - reference.weights[own][match]) <= 1e-12 * scale)


def by_shell(vectors):
    """Direction times log of the radius: keeps inner shells as far apart as outer ones, for matching points."""
    radii = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / radii * (np.log(radii) + 20.0)


def as_arrays(mole):
    return mole.atom_charges(), mole.atom_coords()


@pytest.mark.parametrize("level", range(10))
def test_water_grid_agrees_with_pyscf_at_every_level(level):
    assert_grid_is_that_of_pyscf(WATER, level)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("atoms", [FLUOROFORMAMIDE, HETERO, HEAVY], ids=["CNOFH", "S-Cl-Br", "Kr-Se-Fe-Li"])
def test_molecular_grid_agrees_with_pyscf(atoms, level):
    assert_grid_is_that_of_pyscf(atoms, level)


@pytest.mark.parametrize(
    "atom", ["H 0.3 0.2 0.1", "He 0 0 0", "C 0 0 0", "Ar 0 0 0", "Br 0 0 0", "I 1 0 0", "U 0 0 0"]
)
def test_grid_of_one_atom_agrees_with_pyscf(atom):
    assert_grid_is_that_of_pyscf(atom, 2)


@pytest.mark.parametrize("atom_grid", [(99, 590), (75, 302), (20, 50), (20, 74), (20, 38)])
@pytest.mark.parametrize("prune", [False, True], ids=["unpruned", "pruned"])
def test_explicit_atomic_grids_agree_with_pyscf(atom_grid, prune):
    assert_grid_is_that_of_pyscf(WATER, atom_grid=atom_grid, prune=prune)


def test_level_tables_agree_with_pyscf_for_every_element():
    gen_grid = pytest.importorskip("pyscf.dft.gen_grid")
    for level in range(10):
        for z in range(1, MAX_ATOMIC_NUMBER + 1):
            assert GridSpec(level).counts(z) == (
                gen_grid._default_rad(z, level),
                gen_grid._default_ang(z, level),
            )


def test_radial_shells_and_sizes_agree_with_pyscf_for_every_element():
    radi = pytest.importorskip("pyscf.dft.radi")
    from pyscf.dft.gen_grid import nwchem_prune

    assert len(TREUTLER_SCALE) == len(BRAGG_RADIUS_ANGSTROM) == MAX_ATOMIC_NUMBER + 1
    for z in range(1, MAX_ATOMIC_NUMBER + 1):
        radii, weights = treutler_ahlrichs(50, z)
        expected_radii, expected_weights = radi.treutler_ahlrichs(50, z)
        np.testing.assert_allclose(radii, expected_radii, rtol=1e-12)
        np.testing.assert_allclose(weights, expected_weights, rtol=1e-12)
        np.testing.assert_array_equal(angular_counts(z, radii, 302), nwchem_prune(z, radii, 302))
        bragg = BRAGG_RADIUS_ANGSTROM[z] / scfx.model.system.BOHR_IN_ANGSTROM
        assert bragg == pytest.approx(radi.BRAGG_RADII[z], rel=1e-14)


def test_every_lebedev_rule_agrees_with_pyscf():
    reference = pytest.importorskip("pyscf.dft.LebedevGrid")
    expected_orders = {n: order for order, n in reference.LEBEDEV_ORDER.items() if order > 0}
    assert expected_orders == LEBEDEV_ORDER_BY_COUNT
    for count in LEBEDEV_ORDER_BY_COUNT:
        directions, weights = lebedev(count)
        expected = reference.MakeAngularGrid(count)
        distance, match = cKDTree(expected[:, :3]).query(directions.T)
        assert np.unique(match).size == count
        assert distance.max() < 1e-14
        np.testing.assert_allclose(weights, expected[match, 3], rtol=1e-14)


@pytest.mark.parametrize("count", [50, 86, 302, 590])
def test_lebedev_rule_is_exact_to_its_degree(count):
    # Mean of z^(2n) over the unit sphere is 1/(2n + 1); the direction is tilted so that no symmetry helps.
    directions, weights = lebedev(count)
    z = np.array([0.36, 0.48, 0.8]) @ directions
    for power in range(0, LEBEDEV_ORDER_BY_COUNT[count], 2):
        assert weights @ z**power == pytest.approx(1 / (power + 1), rel=1e-12)


# Relative errors measured here: 1.7e-4, 3.2e-6, 2.7e-9, 9.0e-10, 2.8e-11. Each bound is about three times that.
@pytest.mark.parametrize(("level", "bound"), [(0, 5e-4), (1, 1e-5), (3, 1e-8), (5, 3e-9), (9, 1e-10)])
def test_normalised_gaussians_integrate_to_their_number(level, bound):
    mole = pyscf_molecule(FLUOROFORMAMIDE)
    numbers, centres = as_arrays(mole)
    points, weights = molecular_grid((numbers, centres), GridSpec(level))
    total = 0.0
    for z, centre in zip(numbers, centres, strict=True):
        squared = ((points - centre) ** 2).sum(axis=1)
        for exponent in (0.4, 2.0, 12.0):
            total += z / 3 * (weights @ ((exponent / np.pi) ** 1.5 * np.exp(-exponent * squared)))
    assert total == pytest.approx(numbers.sum(), rel=bound)


def test_moments_of_an_off_centre_gaussian_are_right():
    # ∫ g = 1, ∫ r g = centre, ∫ |r - centre|² g = 3/(2 exponent).
    mole = pyscf_molecule(WATER)
    points, weights = molecular_grid(as_arrays(mole), GridSpec(5))
    centre, exponent = mole.atom_coord(1) + np.array([0.1, 0.2, -0.1]), 0.8
    values = weights * (exponent / np.pi) ** 1.5 * np.exp(-exponent * ((points - centre) ** 2).sum(axis=1))
    assert values.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(values @ points, centre, atol=1e-6)
    assert values @ ((points - centre) ** 2).sum(axis=1) == pytest.approx(3 / (2 * exponent), abs=1e-5)


def test_cells_divide_space_completely():
    # The atoms' shares at one point add up to 1: give the same points to each atom in turn.
    from scfx.grid.partition import becke_fractions

    mole = pyscf_molecule(HETERO)
    numbers, centres = as_arrays(mole)
    points = molecular_grid((numbers, centres), GridSpec(0))[0].T
    shares = [
        becke_fractions(numbers, centres, points, np.full(points.shape[1], atom, dtype=np.int32))
        for atom in range(mole.natm)
    ]
    assert min(share.min() for share in shares) >= 0
    np.testing.assert_allclose(np.sum(shares, axis=0), 1.0, atol=1e-14)


def test_grid_moves_with_the_molecule_and_follows_the_order_of_atoms():
    mole = pyscf_molecule(FLUOROFORMAMIDE)
    numbers, centres = as_arrays(mole)
    points, weights = molecular_grid((numbers, centres), GridSpec(0))
    shifted_points, shifted_weights = molecular_grid((numbers, centres + 1.5), GridSpec(0))
    np.testing.assert_allclose(shifted_points, points + 1.5, atol=1e-13)
    np.testing.assert_allclose(shifted_weights, weights, rtol=1e-9, atol=1e-13)
    order = np.array([5, 1, 0, 2, 4, 3])
    starts = np.cumsum([0, *(point_count([z], GridSpec(0)) for z in numbers)])
    by_atom = np.concatenate([weights[starts[i] : starts[i + 1]] for i in order])
    permuted = molecular_grid((numbers[order], centres[order]), GridSpec(0))[1]
    np.testing.assert_allclose(permuted, by_atom, rtol=1e-9, atol=1e-13)


def test_entry_of_a_batch_is_bit_for_bit_the_molecule_alone():
    mole = pyscf_molecule(FLUOROFORMAMIDE)
    numbers, centres = as_arrays(mole)
    rng = np.random.default_rng(0)
    positions = np.stack([centres + 0.05 * rng.normal(size=centres.shape) for _ in range(4)])
    elements = np.stack([numbers] * 4)
    elements[2, 3] = 17
    together = batch_grids(elements, positions, GridSpec(0))
    assert together[2][1].size != together[0][1].size
    for entry in (3, 0, 2, 1):
        points, weights = molecular_grid((elements[entry], positions[entry]), GridSpec(0))
        np.testing.assert_array_equal(points, together[entry][0])
        np.testing.assert_array_equal(weights, together[entry][1])


HASH_OF_A_GRID = """
import hashlib, os, sys
if sys.argv[1] == "one":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
from scfx.grid import GridSpec, molecular_grid
rng = np.random.default_rng(3)
positions = np.arange(30.0).reshape(10, 3) * [0.9, 0.5, -0.7] + rng.normal(size=(10, 3))
points, weights = molecular_grid(([6, 1, 7, 8, 1, 6, 9, 1, 6, 1], positions), GridSpec(2))
print(hashlib.sha256(points.tobytes() + weights.tobytes()).hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processor affinity is Linux's")
def test_grid_has_the_same_bits_on_one_thread_and_on_all():
    hashes = {
        subprocess.run(
            [sys.executable, "-c", HASH_OF_A_GRID, threads], capture_output=True, text=True, check=True
        ).stdout
        for threads in ("one", "all")
    }
    assert len(hashes) == 1


def test_definition_is_plain_data_and_names_the_quadrature_not_the_spelling():
    definition = GridSpec(3).definition()
    assert json.loads(json.dumps(definition)) == definition
    assert definition != GridSpec(4).definition()
    assert definition != GridSpec(3, prune=False).definition()
    assert GridSpec(0, atom_grid=(99, 590)).definition() == GridSpec(5, atom_grid=(99, 590)).definition()
    assert GridSpec.from_config(3) == GridSpec.from_config({"level": 3}) == GridSpec()
    assert GridSpec.from_config({"atom_grid": [99, 590], "prune": False}) == GridSpec(
        atom_grid=(99, 590), prune=False
    )
    # Level 9 is the same (200, 1454) for every element.
    assert GridSpec(9).definition() == GridSpec(atom_grid=(200, 1454)).definition()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GridSpec(10), "0 to 9"),
        (lambda: GridSpec(-1), "0 to 9"),
        (lambda: GridSpec.from_config(2.5), "0 to 9"),
        (lambda: GridSpec.from_config(True), "0 to 9"),
        (lambda: GridSpec(atom_grid=(99, 41)), "degree of the rule with 590 points"),
        (lambda: GridSpec(atom_grid=(0, 590)), "at least 1"),
        (lambda: GridSpec.from_config({"atom_grid": [99]}), r"\(n_rad, n_ang\)"),
        (lambda: GridSpec.from_config({"prune": "sg1"}), "true or false"),
        (lambda: GridSpec.from_config({"levle": 3}), "levle; possible: level, atom_grid, prune"),
        (lambda: molecular_grid(([104], np.zeros((1, 3))), GridSpec()), r"104 \(Rf\)"),
        (lambda: molecular_grid(([0], np.zeros((1, 3))), GridSpec()), "atomic number 0"),
        (lambda: molecular_grid(([1, 1], np.zeros((2, 3))), GridSpec(0)), "coincide"),
        (lambda: molecular_grid(([1], np.full((1, 3), np.nan)), GridSpec(0)), "not finite"),
        (lambda: molecular_grid(([1], np.zeros(3)), GridSpec(0)), "shapes"),
        (lambda: batch_grids(np.array([[1], [104]]), np.zeros((2, 1, 3)), GridSpec(0)), "batch entry 1"),
    ],
)  # fmt: skip
def test_impossible_requests_say_what_is_possible(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_batch_with_a_row_too_many_is_refused():
    # By the shape types where the tests check them, by the function itself elsewhere.
    with pytest.raises((InputError, TypeError), match="positions"):
        batch_grids(np.array([[1]]), np.zeros((2, 1, 3)), GridSpec(0))


def test_importing_the_grid_imports_no_jax():
    code = "import sys, scfx.grid; sys.exit('jax' in sys.modules or 'scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_turned_grid_is_the_grid_of_the_molecule_turned_the_other_way():
    from scfx.grid.angular import rotation

    water = scfx.System.from_arrays("OHH", [[0, 0, 0.1], [0, 0.76, -0.5], [0, -0.76, -0.5]])
    matrix = rotation(3)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(matrix) == pytest.approx(1.0, abs=1e-14)
    back = scfx.System(water.atomic_numbers, water.positions @ matrix)  # rows times R = R^T applied to each
    points, weights = molecular_grid(water, GridSpec(0, turn=3))
    plain_points, plain_weights = molecular_grid(back, GridSpec(0))
    np.testing.assert_allclose(points, plain_points @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(weights, plain_weights, atol=1e-12)


def test_an_unturned_grid_has_the_definition_it_always_had():
    assert "turn" not in GridSpec(0).definition()
    assert GridSpec(0, turn=0).definition() != GridSpec(0, turn=1).definition()
    with pytest.raises(scfx.InputError, match=r"turn: got -1.*scf\.grid\.turn"):
        GridSpec(0, turn=-1)
