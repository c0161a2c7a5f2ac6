"""How the weights of a grid, AO values and the simd backend's contractions change as atoms move."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from molecules import distorted, molecule
from pyscf_oracle import pyscf_mole
from scfx_simd.backend import SimdBackend
from scfx_simd.grid import POINTS_PER_BLOCK

import scfx
from scfx.config.precision import PrecisionPolicy
from scfx.energy.orbitals import orbital_derivatives, orbital_tables
from scfx.errors import InputError
from scfx.grid import GridSpec, molecular_grid, owned_grid
from scfx.grid.weight_gradient import weight_gradient
from scfx.model.basis import BasisSet

SPEC = GridSpec(0)
#: Made up, with sizes far apart; and exactly linear, with points on the axis, where cells have zeros and no slope.
BENT = (
    np.array([6, 8, 17, 1, 1]),
    np.array([[0, 0, 0], [1.6, 1.5, 0.2], [-2, 2, 1], [0.3, -2, 0.4], [0.1, 0.3, -2.1]]),
)
LINEAR = (np.array([6, 8, 8]), np.array([[0, 0, 0], [0, 0, 2.2], [0, 0, -2.2]]))


def five_point(function, positions, atom, axis, step):
    """Derivative by one coordinate; its error is of the fourth order in the step (bohr)."""
    move = np.zeros_like(positions)
    move[atom, axis] = step
    near, far = (function(positions + k * move) - function(positions - k * move) for k in (1, 2))
    return (8 * near - far) / (12 * step)


def grid_of(atoms, spec=SPEC):
    return owned_grid(atoms[0], molecular_grid(atoms, spec), spec)


@pytest.mark.parametrize("atoms", [BENT, LINEAR], ids=["bent", "linear"])
def test_weight_gradient_equals_differences_of_the_weights(atoms):
    numbers, positions = atoms
    grid = grid_of(atoms)
    values = np.random.default_rng(1).normal(size=len(grid.weights))
    found = weight_gradient(numbers, positions, grid, values)
    expected = np.array(
        [
            [
                five_point(lambda r: molecular_grid((numbers, r), SPEC)[1] @ values, positions, i, x, 1e-3)
                for x in range(3)
            ]
            for i in range(len(numbers))
        ]
    )
    assert np.abs(found - expected).max() < 1e-10 * np.abs(expected).max()
    assert np.abs(found.sum(axis=0)).max() < 1e-12 * np.abs(expected).max()


def test_weight_gradient_agrees_with_pyscf():
    from pyscf import gto
    from pyscf.grad.rks import grids_response_cc

    numbers, positions = BENT
    symbols = [scfx.model.elements.SYMBOLS[z] for z in numbers]
    mole = gto.M(
        atom=list(zip(symbols, positions, strict=True)), unit="bohr", basis="sto-3g", spin=None, verbose=0
    )
    from pyscf.dft import gen_grid

    grids = gen_grid.Grids(mole)
    grids.level = 0
    # Its angular points have an order of their own: contract with a smooth function of the point's place instead.
    centre = np.array([0.3, -0.2, 0.1])

    def values(points):
        return np.exp(-0.3 * np.sum((points - centre) ** 2, axis=1))

    expected = sum(np.einsum("acg,g->ac", slopes, values(r)) for r, _, slopes in grids_response_cc(grids))
    grid = grid_of(BENT)
    found = weight_gradient(numbers, positions, grid, values(grid.points))
    assert np.abs(found - expected).max() < 1e-12 * np.abs(expected).max()


def test_weight_gradient_of_one_atom_is_zero_and_values_must_fit():
    atoms = np.array([8]), np.zeros((1, 3))
    grid = grid_of(atoms)
    assert not weight_gradient(*atoms, grid, np.ones(len(grid.weights))).any()
    with pytest.raises(InputError, match="values"):
        weight_gradient(*BENT, grid_of(BENT), np.ones(3))
    with pytest.raises(InputError, match="another grid"):
        owned_grid(BENT[0], molecular_grid(BENT, GridSpec(1)), SPEC)


def test_points_belong_to_the_nearest_shells_of_their_owner():
    numbers, positions = BENT
    grid = grid_of(BENT)
    for atom in range(len(numbers)):
        alone = molecular_grid((numbers[atom : atom + 1], positions[atom : atom + 1]), SPEC)
        own = grid.owner == atom
        assert np.array_equal(grid.points[own], alone[0])
        assert np.array_equal(grid.atomic_weights[own], alone[1])


@pytest.mark.parametrize("basis", ["6-31g*", "cc-pvtz"])  # Cartesian d; spherical f
@pytest.mark.parametrize("order", [1, 2])
def test_second_derivatives_of_orbitals_equal_pyscf(registry, basis, order):
    systems = distorted(molecule("H2CO"), 2)
    batch = scfx.Batch.from_systems(systems, BasisSet.from_source(registry.basis(basis), [1, 6, 8]))
    points = np.random.default_rng(3).normal(scale=2.5, size=(100, 3))
    with jax.enable_x64(True):
        tables, lmax = orbital_tables(batch, 2)
        kernel = jax.jit(orbital_derivatives, static_argnums=(5, 6))
        own = tables.centre[1], tables.exponent[1], tables.coefficient[1]
        found = np.asarray(kernel(tables, *own, points.T.copy(), lmax, order))[:, : batch.nao]
    mole = pyscf_mole(systems[1], basis, registry)
    kind = f"GTOval_{'cart' if mole.cart else 'sph'}_deriv{order}"
    expected = np.swapaxes(mole.eval_gto(kind, points), 1, 2)
    scale = np.abs(expected).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=5e-14)


def simd_operator(batch, grids, family, dtype="float64", memory=2**28):
    policy = PrecisionPolicy("test", orbitals=dtype)
    return SimdBackend().grid_operator(
        batch, [g.points for g in grids], [g.weights for g in grids], family, policy, memory
    )


@pytest.fixture(scope="module")
def hydrides(registry):
    systems = distorted(molecule("H2O"), 3)
    batch = scfx.Batch.from_systems(systems, BasisSet.from_source(registry.basis("6-31g"), [1, 8]))
    grids = [grid_of((batch.atomic_numbers[b], batch.positions[b])) for b in range(3)]
    return batch, grids


def test_simd_cells_move_as_the_portable_ones(hydrides):
    batch, grids = hydrides
    operator = simd_operator(batch, grids, "lda", memory=0)
    for lane, grid in enumerate(grids):
        atoms = batch.atomic_numbers[lane], batch.positions[lane]
        values = np.random.default_rng(lane).normal(size=len(grid.weights))
        expected = weight_gradient(*atoms, grid, values)
        found = operator.weight_gradient(lane, *atoms, grid, values)
        assert np.abs(found - expected).max() < 1e-13 * np.abs(expected).max()
    with pytest.raises(InputError, match="points"):
        operator.weight_gradient(0, *atoms, grids[0], values[:-1])
    operator.close()


@pytest.mark.parametrize(("family", "dtype"), [("lda", "float64"), ("mgga", "float64"), ("gga", "float32")])
def test_an_entrys_gradient_bits_do_not_depend_on_the_batch_or_the_budget(hydrides, family, dtype):
    batch, grids = hydrides
    rng = np.random.default_rng(7)
    density = rng.normal(size=(3, 2, batch.nao, batch.nao))
    density = density + density.swapaxes(-1, -2)
    results = []
    for entries, memory in (([0, 1, 2], 2**28), ([2, 0], 0)):
        operator = simd_operator(batch.take(entries), [grids[i] for i in entries], family, dtype, memory)
        lanes = np.arange(len(entries), dtype=np.int32)
        order = operator.order(1, lanes)
        owners = np.stack([grids[e].owner[o] for e, o in zip(entries, order, strict=True)])
        rho = operator.density(1, density[entries], lanes).astype(np.float64)
        assert order.shape[1] == POINTS_PER_BLOCK
        functions, points = operator.gradient(1, density[entries], rho, lanes, owners)
        assert np.abs((functions + points).sum(axis=1)).max() < 1e-12 * np.abs(functions).max()
        results.append((order, functions, points))
        operator.close()
    for many, few in zip(*results, strict=True):
        assert np.array_equal(many[[2, 0]], few)


def test_owners_must_be_atoms(hydrides, without_shape_checks):
    batch, grids = hydrides
    operator = simd_operator(batch, grids, "lda")
    lanes = np.zeros(1, dtype=np.int32)
    density, v = np.eye(batch.nao)[None, None], np.zeros((1, 1, 1, POINTS_PER_BLOCK))
    owners = np.full((1, POINTS_PER_BLOCK), batch.natm, dtype=np.int32)
    with pytest.raises(InputError, match="owners"):
        operator.gradient(0, density, v, lanes, owners)
    with pytest.raises(InputError, match="derivative"):
        operator.gradient(0, density, v[..., :-1], lanes, owners)
    operator.close()
