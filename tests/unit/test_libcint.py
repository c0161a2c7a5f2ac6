"""The libcint backend against PySCF's own matrices and against sums over the full tensor."""

from __future__ import annotations

import numpy as np
import pytest
from scfx_bse.qm9 import QM9Source
from scfx_bse.source import BasisSetExchangeSource
from scfx_libcint.backend import LibcintBackend
from scfx_libcint.blocks import BlockPlan, row_is_double, schwarz_roots
from scfx_libcint.environment import environment

from scfx.config.precision import FLOAT64, PrecisionPolicy
from scfx.errors import InputError, ResourceError
from scfx.model.basis import BasisSet, Shell
from scfx.model.batch import Batch
from scfx.model.system import System

FLOAT32 = PrecisionPolicy("narrow", integrals="float32", coulomb_exchange="float32")
BUDGET = 2**30
# Methanimine, CH2=NH, roughly its experimental structure (angstrom); every atom is off the axes.
SYMBOLS = ["C", "N", "H", "H", "H"]
ANGSTROM = np.array(
    [[0.06, 0.59, 0.10], [0.06, -0.69, -0.05], [-0.84, 1.21, 0.03], [0.99, 1.15, 0.0], [-0.90, -1.02, 0.2]]
)


def _source(name: str):
    return QM9Source() if name.endswith("qm9") else BasisSetExchangeSource(name)


def _batch(name: str, n: int = 2, atoms: slice = slice(None)) -> Batch:
    systems = [
        System.from_arrays(SYMBOLS[atoms], ANGSTROM[atoms] * (1.0 + 0.03 * i), multiplicity=None)
        for i in range(n)
    ]
    return Batch.from_systems(systems, BasisSet.from_source(_source(name), [1, 6, 7]))


def _mole(batch: Batch, entry: int, cart: bool):
    """The same molecule and numbers in a PySCF Mole, atoms in the batch's order."""
    from pyscf import gto

    system, order = batch.systems[entry], batch.atom_order[entry]
    symbols = [system.symbols[i] for i in order]
    basis = {
        symbol: [
            [momentum, *([a, c] for a, c in zip(exponents, coefficients, strict=True))]
            for momentum, exponents, coefficients in _published(batch.basis, int(system.atomic_numbers[i]))
        ]
        for symbol, i in zip(symbols, order, strict=True)
    }
    atoms = [(symbol, system.positions[i]) for symbol, i in zip(symbols, order, strict=True)]
    return gto.M(atom=atoms, unit="bohr", basis=basis, cart=cart, verbose=0)


def _published(basis: BasisSet, z: int):
    from scfx.model.basis import radial_norm

    for shell in basis.shells[z]:
        # Published coefficients refer to normalised primitives.
        yield (
            shell.angular_momentum,
            shell.exponents,
            shell.coefficients / radial_norm(shell.angular_momentum, shell.exponents),
        )


def _full_tensor(batch: Batch) -> np.ndarray:
    """(ij|kl) in the AO basis from PySCF's full Cartesian tensor, transformed index by index."""
    c = batch.layout.cart_to_ao
    out = []
    for entry in range(len(batch)):
        tensor = _mole(batch, entry, cart=True).intor("int2e_cart")
        for axis in range(4):
            tensor = np.moveaxis(np.tensordot(c, tensor, axes=(0, axis)), 0, axis)
        out.append(tensor)
    return np.stack(out)


def _random_symmetric(*shape: int) -> np.ndarray:
    matrix = np.random.default_rng(7).uniform(-1, 1, shape)
    return matrix + np.swapaxes(matrix, -1, -2)


@pytest.mark.parametrize(("name", "cart"), [("sto-3g", False), ("6-31g*", True), ("def2-svp", False)])
def test_one_electron_matrices_equal_pyscf_element_by_element(name, cart):
    batch = _batch(name)
    found = LibcintBackend().one_electron(batch)
    for entry in range(2):
        mole = _mole(batch, entry, cart)
        expected = [mole.intor(f"int1e_{kind}") for kind in ("ovlp", "kin", "nuc", "r")]
        for matrix, oracle in zip(found, expected, strict=True):
            np.testing.assert_allclose(matrix[entry], oracle, rtol=0, atol=1e-11)


@pytest.mark.parametrize("storage", ["stored", "direct"])
@pytest.mark.parametrize("name", ["sto-3g", "def2-svp", "6-31g*", "6-31g(2df,p)-qm9"])
def test_coulomb_and_exchange_are_sums_over_the_full_tensor(name, storage):
    # N-H alone in the larger basis sets: the tensor of the whole molecule would take minutes to sum over.
    batch = _batch(name) if name == "sto-3g" else _batch(name, 2, slice(1, None, 3))
    tensor = _full_tensor(batch)
    density = _random_symmetric(len(batch), 2, batch.nao, batch.nao)
    with LibcintBackend(storage=storage).two_electron(batch, FLOAT64, BUDGET) as operator:
        coulomb, exchange = operator.coulomb_exchange(density)
    expected = np.einsum("bijkl,bskl->bsij", tensor, density, optimize=True)
    np.testing.assert_allclose(coulomb, expected, rtol=0, atol=2e-12 * np.abs(expected).max())
    expected = np.einsum("bijkl,bsjl->bsik", tensor, density, optimize=True)
    np.testing.assert_allclose(exchange, expected, rtol=0, atol=2e-12 * np.abs(expected).max())


def test_stored_and_direct_operation_agree_bit_for_bit():
    batch = _batch("6-31g*")
    density = _random_symmetric(2, 1, batch.nao, batch.nao)
    results = [
        LibcintBackend(storage=storage).two_electron(batch, FLOAT64, BUDGET).coulomb_exchange(density)
        for storage in ("stored", "direct")
    ]
    for one, two in zip(*results, strict=True):
        assert (one == two).all()


def test_bits_do_not_depend_on_the_number_of_threads():
    batch = _batch("sto-3g", 5)
    density = _random_symmetric(5, 2, batch.nao, batch.nao)
    results = [
        LibcintBackend(threads=threads).two_electron(batch, FLOAT64, BUDGET).coulomb_exchange(density)
        for threads in (1, 2, 5)
    ]
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert (one == two).all()


@pytest.mark.parametrize("policy", [FLOAT64, FLOAT32], ids=lambda p: p.name)
def test_an_entrys_bits_do_not_depend_on_the_other_entries(policy):
    batch = _batch("sto-3g", 3)
    density = _random_symmetric(3, batch.nao, batch.nao)
    backend = LibcintBackend(storage="stored")
    together = backend.two_electron(batch, policy, BUDGET).coulomb_exchange(density)
    for entries in ([2], [2, 0, 1]):
        alone = backend.two_electron(batch.take(entries), policy, BUDGET).coulomb_exchange(density[entries])
        for one, two in zip(together, alone, strict=True):
            assert (one[entries] == two).all()


def test_left_out_lanes_change_no_bit_of_the_others():
    batch = _batch("sto-3g", 4)
    density = _random_symmetric(4, 2, batch.nao, batch.nao)
    lanes = np.array([1, 3], dtype=np.int32)
    with LibcintBackend().two_electron(batch, FLOAT64, BUDGET) as operator:
        coulomb, exchange = operator.coulomb_exchange(density)
        some = operator.coulomb_exchange_lanes(density, lanes, True)
        only_coulomb, nothing = operator.coulomb_exchange_lanes(density, lanes, False)
    assert nothing is None
    assert (some[0] == coulomb[lanes]).all()
    assert (some[1] == exchange[lanes]).all()
    assert (only_coulomb == coulomb[lanes]).all()


def test_float32_rows_err_by_no_more_than_their_rounding():
    batch = _batch("6-31g*", 1)
    density = _random_symmetric(1, batch.nao, batch.nao)
    exact = LibcintBackend().two_electron(batch, FLOAT64, BUDGET).coulomb_exchange(density)
    rounded = LibcintBackend().two_electron(batch, FLOAT32, BUDGET).coulomb_exchange(density)
    # Each integral is off by at most half a float32 unit in its last place, 2^-24 of itself; sums are in float64.
    tensor = np.abs(_full_tensor(batch)) * 2.0**-24
    bounds = (
        np.einsum("bijkl,bkl->bij", tensor, np.abs(density)),
        np.einsum("bijkl,bjl->bik", tensor, np.abs(density)),
    )
    for one, two, bound in zip(exact, rounded, bounds, strict=True):
        assert (np.abs(one - two) <= bound + 1e-12).all()
        assert np.abs(one - two).max() > 1e-12, "rows were not stored in float32"


def test_schwarz_split_keeps_every_integral_with_a_larger_bound_in_float64():
    batch = _batch("sto-3g", 1)
    threshold = 1e-2
    policy = PrecisionPolicy("split", integrals="float32", schwarz_float64=threshold)
    plan, molecule = BlockPlan.from_layout(batch.layout), environment(batch, 0)
    root = schwarz_roots(molecule, plan)
    tensor = _full_tensor(batch)[0]
    i, j = np.tril_indices(batch.nao)
    np.testing.assert_allclose(root, np.sqrt(tensor[i, j, i, j]), rtol=0, atol=1e-12)
    kept = row_is_double(molecule, plan, policy)
    assert 0 < kept.sum() < kept.size
    bound = np.tril(np.outer(root, root))
    assert (bound[kept == 0] <= threshold).all()
    assert (bound[kept == 1].max(axis=1) > threshold).all()


def test_schwarz_split_bounds_the_error_by_the_threshold():
    batch = _batch("sto-3g", 1)
    density = _random_symmetric(1, batch.nao, batch.nao)
    exact = LibcintBackend().two_electron(batch, FLOAT64, BUDGET)
    errors, sizes = [], []
    for threshold in (None, 1e-1, 1e-2, 0.0):
        policy = PrecisionPolicy("split", integrals="float32", schwarz_float64=threshold)
        operator = LibcintBackend(storage="stored").two_electron(batch, policy, BUDGET)
        difference = operator.coulomb_exchange(density)[0] - exact.coulomb_exchange(density)[0]
        errors.append(np.abs(difference).max())
        sizes.append(operator.nbytes)
        if threshold is not None:
            # At most nao² integrals meet in an element, each below the threshold and rounded by 2^-24 of itself.
            assert errors[-1] <= batch.nao**2 * threshold * 2.0**-24 * np.abs(density).max() + 1e-12
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1] < sizes[-1]
    assert errors[-1] == 0.0 < errors[0]


def test_attenuated_integrals_equal_pyscfs():
    batch = _batch("def2-svp", 1)
    density = _random_symmetric(1, batch.nao, batch.nao)
    omega = 0.3  # of wB97X: Chai and Head-Gordon, J. Chem. Phys. 128, 084106 (2008)
    mole = _mole(batch, 0, False)
    with mole.with_range_coulomb(omega):
        tensor = mole.intor("int2e")
    with LibcintBackend().attenuated_two_electron(batch, omega, FLOAT64, BUDGET) as operator:
        coulomb, exchange = operator.coulomb_exchange(density)
    np.testing.assert_allclose(coulomb[0], np.einsum("ijkl,kl->ij", tensor, density[0]), rtol=0, atol=1e-10)
    np.testing.assert_allclose(exchange[0], np.einsum("ijkl,jl->ik", tensor, density[0]), rtol=0, atol=1e-10)


def test_attenuation_without_a_positive_omega_is_refused():
    with pytest.raises(InputError, match="positive range-separation"):
        LibcintBackend().attenuated_two_electron(_batch("sto-3g", 1), 0.0, FLOAT64, BUDGET)


def test_cross_overlap_of_two_basis_sets_equals_pyscfs():
    from pyscf import gto

    bra, ket = _batch("6-31g*"), _batch("sto-3g")
    found = LibcintBackend().cross_overlap(bra, ket)
    for entry in range(2):
        expected = gto.intor_cross("int1e_ovlp", _mole(bra, entry, True), _mole(ket, entry, True))
        np.testing.assert_allclose(found[entry], expected, rtol=0, atol=1e-12)


def test_cross_overlap_of_a_basis_with_itself_is_the_overlap():
    batch = _batch("6-31g(2df,p)-qm9")
    backend = LibcintBackend()
    overlap = backend.one_electron(batch).overlap
    np.testing.assert_allclose(backend.cross_overlap(batch, batch), overlap, rtol=0, atol=1e-12)


def test_integrals_of_high_angular_momentum_are_symmetric_and_positive():
    # An i shell: the highest that the backend declares. (ij|ij) is the self-repulsion of a charge distribution.
    shells = (Shell.normalised(6, [1.1], [1.0]), Shell.normalised(0, [0.7], [1.0]))
    batch = Batch.from_systems(
        [System(np.array([2], dtype=np.int32), np.zeros((1, 3)))], BasisSet("i", {2: shells[::-1]})
    )
    plan = BlockPlan.from_layout(batch.layout)
    assert (schwarz_roots(environment(batch, 0), plan) > 0).all()
    overlap = LibcintBackend().one_electron(batch).overlap[0]
    np.testing.assert_allclose(overlap, np.eye(14), rtol=0, atol=1e-12)


def test_stored_integrals_that_do_not_fit_are_refused_with_the_numbers():
    batch = _batch("sto-3g", 3)
    plan = BlockPlan.from_layout(batch.layout)
    one = 8 * plan.n_integrals
    backend = LibcintBackend(storage="stored")
    assert backend.max_batch(batch.layout, FLOAT64, 2 * one) == 2
    assert backend.max_batch(batch.layout, FLOAT32, 2 * one) == 4
    assert backend.max_batch(batch.layout, FLOAT64, one - 1) == 0
    with pytest.raises(ResourceError, match=f"takes {3 * one:,} bytes.*{2 * one:,}.*2 entries fit"):
        backend.two_electron(batch, FLOAT64, 2 * one)


def test_automatic_storage_goes_direct_when_integrals_do_not_fit():
    batch = _batch("6-31g*", 1)
    plan = BlockPlan.from_layout(batch.layout)
    density = _random_symmetric(1, batch.nao, batch.nao)
    backend = LibcintBackend()
    small = 8 * plan.buffer_size
    assert small < 8 * plan.n_integrals
    direct, kept = (backend.two_electron(batch, FLOAT64, budget) for budget in (small, BUDGET))
    assert direct.nbytes == 0 < kept.nbytes
    for one, two in zip(direct.coulomb_exchange(density), kept.coulomb_exchange(density), strict=True):
        assert (one == two).all()
    with pytest.raises(ResourceError, match="one block of integrals"):
        backend.two_electron(batch, FLOAT64, small - 1)


def test_a_block_never_exceeds_the_planned_buffer():
    plan = BlockPlan.from_layout(_batch("def2-svp", 1).layout)
    sizes = [int(np.prod(plan.shape(block))) for block in plan.blocks]
    assert max(sizes) <= plan.buffer_size
    rows = [
        (i, j)
        for shell, start, stop in plan.blocks
        for i in range(plan.offsets[shell], plan.offsets[shell + 1])
        for j in range(plan.offsets[start], min(plan.offsets[stop], i + 1))
    ]
    assert sorted(rows) == [(i, j) for i in range(plan.n) for j in range(i + 1)]


def test_a_closed_operator_answers_no_more():
    batch = _batch("sto-3g", 1)
    operator = LibcintBackend().two_electron(batch, FLOAT64, BUDGET)
    operator.close()
    with pytest.raises(InputError, match="closed"):
        operator.coulomb_exchange(np.zeros((1, batch.nao, batch.nao)))


def test_a_density_of_another_shape_is_refused(without_shape_checks):
    batch = _batch("sto-3g", 2)
    with LibcintBackend().two_electron(batch, FLOAT64, BUDGET) as operator:
        with pytest.raises(InputError, match=r"expected \(2, 13, 13\)"):
            operator.coulomb_exchange(np.zeros((1, 13, 13)))
        with pytest.raises(InputError, match="not all entries"):
            operator.coulomb_exchange_lanes(np.zeros((2, 1, 13, 13)), np.array([2], dtype=np.int32), True)


@pytest.mark.parametrize("options", [{"storage": "disk"}, {"threads": 0}, {"threads": 1.5}])
def test_options_that_mean_nothing_are_refused(options, without_shape_checks):
    with pytest.raises(InputError, match=f"scf.backend.{next(iter(options))}: got"):
        LibcintBackend(**options)
