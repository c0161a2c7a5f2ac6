"""Gradients of lane-vectorised integrals: against libcint (through PySCF), against differences of energies, in bits."""

from __future__ import annotations

import numpy as np
import pytest
from scfx_simd.backend import SimdBackend

import scfx
from scfx.config.precision import FLOAT64, PrecisionPolicy
from scfx.config.spec import SCFSpec
from scfx.contracts.derivatives import TwoElectronEnergy
from scfx.model.basis import BasisSet, Shell, cart_to_sph, radial_norm
from scfx.model.batch import Batch

COULOMB = TwoElectronEnergy(coulomb=1.0)
HYBRID = TwoElectronEnergy(coulomb=1.0, exchange=0.2)  # B3LYP's share of exchange
#: CAM-B3LYP's parameters (Yanai, Tew and Handy, Chem. Phys. Lett. 393, 51 (2004)): 0.19 + 0.46 erf(0.33 r).
LONG_RANGE = TwoElectronEnergy("erf", 0.33, coulomb=0.0, exchange=0.46)
FLOAT32 = PrecisionPolicy("narrow", integrals="float32")
MIXED = PrecisionPolicy("split", integrals="float32", schwarz_float64=1e-4)

#: Bohr; no symmetry.
WATER = (("O", 0.0, 0.0, 0.1), ("H", 1.4, 0.3, 1.1), ("H", -1.2, 0.5, 1.3))


def _system(atoms=WATER, shift: float = 0.0, **options) -> scfx.System:
    numbers = np.array([scfx.model.elements.atomic_number(a[0]) for a in atoms], dtype=np.int32)
    positions = np.array([a[1:] for a in atoms], dtype=np.float64)
    positions[-1] += shift * np.array([0.3, -0.2, 0.5])
    return scfx.System(numbers, positions, **options)


def _batch(registry, basis: str, systems) -> Batch:
    source = SCFSpec.create({"backend": "simd", "basis": basis}).resolve(registry).basis
    return Batch.from_systems(systems, BasisSet.from_source(source, {1, 6, 7, 8, 9}))


def _densities(batch: Batch, nspin: int = 1, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(len(batch), nspin, batch.nao, batch.nao))
    return x + np.swapaxes(x, -1, -2)


def _cartesian(batch: Batch, entry: int):
    """The molecule in PySCF with Cartesian functions only, and the matrix [Cartesian, AO] of the batch's functions."""
    from pyscf import gto

    layout, system = batch.layout, batch.systems[entry]
    symbols = [f"{system.symbols[i]}@{i}" for i in batch.atom_order[entry]]
    basis: dict[str, list] = {symbol: [] for symbol in symbols}
    offset, blocks, order = layout.primitive_offset, [], []
    for shell in range(layout.n_shells):
        l, part = layout.angular_momentum[shell], slice(offset[shell], offset[shell + 1])
        exponents = batch.exponents[entry, part]
        weights = batch.coefficients[entry, part] / radial_norm(l, exponents)
        basis[symbols[layout.atom[shell]]].append([l, *map(list, zip(exponents, weights, strict=True))])
        blocks.append(np.eye((l + 1) * (l + 2) // 2) if layout.cartesian[shell] or l < 2 else cart_to_sph(l))
        order.append((layout.atom[shell], l, shell))
    mole = gto.M(
        atom=list(zip(symbols, batch.positions[entry], strict=True)),
        unit="bohr",
        basis=basis,
        cart=True,
        spin=None,
        verbose=0,
    )
    transform = np.zeros((mole.nao, batch.nao))
    row = 0
    for _, _, shell in sorted(order):  # PySCF's order: by atom, then angular momentum, then as given
        block, first = blocks[shell], layout.ao_offset[shell]
        transform[row : row + len(block), first : first + block.shape[1]] = block
        row += len(block)
    return mole, transform


def _two_electron_reference(mole, densities, energy: TwoElectronEnergy) -> np.ndarray:
    """-4 Σ over functions of each atom of (∇i j|kl) contracted; PySCF's `int2e_ip1` has the electron's gradient."""

    def integrals(omega: float) -> np.ndarray:
        with mole.with_range_coulomb(omega):
            return mole.intor("int2e_ip1").reshape(3, *(mole.nao,) * 4)

    of = {
        "coulomb": lambda: integrals(0.0),
        "erf": lambda: integrals(energy.omega),
        "erfc": lambda: integrals(0.0) - integrals(energy.omega),
    }[energy.operator]()
    total, kind = densities.sum(0), 0.5 if len(densities) == 1 else 1.0
    by_function = energy.coulomb * np.einsum("xijkl,ij,kl->xi", of, total, total, optimize=True)
    for d in densities:
        by_function -= energy.exchange * kind * np.einsum("xijkl,ik,jl->xi", of, d, d, optimize=True)
    return np.array([-2.0 * by_function[:, a:b].sum(1) for *_, a, b in mole.aoslice_by_atom()])


def _one_electron_reference(mole, density, weighted) -> np.ndarray:
    field = mole.intor("int1e_ipkin") + mole.intor("int1e_ipnuc")
    by_function = np.einsum("xij,ij->xi", field, density)
    by_function -= np.einsum("xij,ij->xi", mole.intor("int1e_ipovlp"), weighted)
    out = np.array([-2.0 * by_function[:, a:b].sum(1) for *_, a, b in mole.aoslice_by_atom()])
    for atom in range(mole.natm):
        with mole.with_rinv_at_nucleus(atom):
            pull = -mole.atom_charge(atom) * mole.intor("int1e_iprinv")
        out[atom] += 2.0 * np.einsum("xij,ij->x", pull, density)
    return out


def _even_tempered(momenta, depth: int, top: float, seed: int, cartesian: bool) -> list[Shell]:
    rng = np.random.default_rng(seed)
    return [
        Shell.normalised(
            l, top / 3.0**l / 3.5 ** np.arange(depth), rng.uniform(0.2, 1.0, depth), cartesian and l > 1
        )
        for l in momenta
    ]


def _mixed_functions() -> BasisSet:
    # Cartesian d and spherical f on oxygen as in QM9's 6-31G(2df,p), spherical d and Cartesian f on hydrogen.
    oxygen = _even_tempered((0, 1), 2, 9.0, 1, False) + _even_tempered((2,), 2, 9.0, 2, True)
    oxygen += _even_tempered((3,), 1, 20.0, 3, False)
    hydrogen = _even_tempered((0,), 2, 2.0, 4, False) + _even_tempered((2,), 1, 7.0, 5, False)
    hydrogen += _even_tempered((3,), 1, 15.0, 6, True)
    return BasisSet("mixed functions", {1: tuple(hydrogen), 8: tuple(oxygen)})


def _general_contraction() -> BasisSet:
    # Two s and two p shells over the same primitives.
    exponents = np.array([12.0, 2.5, 0.6])
    shells = [
        Shell.normalised(l, exponents, np.array(c), False)
        for l, c in ((0, [0.9, 0.3, 0.1]), (0, [0.1, 0.4, 0.8]), (1, [0.7, 0.2, 0.1]), (1, [0.1, 0.3, 0.9]))
    ]
    return BasisSet("general contraction", {1: tuple(shells[:3]), 8: tuple(shells)})


SETS = ("sto-3g", "6-31g*", "mixed functions", "general contraction")


def _batch_of(registry, name: str) -> Batch:
    systems = [_system(), _system(shift=0.4)]
    if name == "mixed functions":
        return Batch.from_systems(systems, _mixed_functions())
    if name == "general contraction":
        return Batch.from_systems(systems, _general_contraction())
    return _batch(registry, name, systems)


@pytest.mark.parametrize("name", SETS)
def test_one_electron_gradient_is_libcints(registry, name):
    batch = _batch_of(registry, name)
    density, weighted = _densities(batch)[:, 0], _densities(batch, seed=1)[:, 0]
    lanes = np.array([1, 0], dtype=np.int32)
    found = SimdBackend().one_electron_gradient(batch, lanes, density[lanes], weighted[lanes])
    for row, entry in enumerate(lanes):
        mole, c = _cartesian(batch, entry)
        expected = _one_electron_reference(mole, c @ density[entry] @ c.T, c @ weighted[entry] @ c.T)
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", SETS)
def test_two_electron_gradient_is_libcints(registry, name):
    batch = _batch_of(registry, name)
    lanes = np.array([1], dtype=np.int32)
    energies = [HYBRID] if name == "mixed functions" else [HYBRID, LONG_RANGE]
    for nspin in (1, 2):
        density = _densities(batch, nspin)[lanes]
        found = SimdBackend().two_electron_gradient(batch, lanes, density, energies, FLOAT64)
        mole, c = _cartesian(batch, 1)
        expected = sum(_two_electron_reference(mole, c @ density[0] @ c.T, energy) for energy in energies)
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-10)
        assert np.abs(found).max() > 1.0


@pytest.mark.parametrize(
    "energy",
    [
        COULOMB,
        TwoElectronEnergy(coulomb=0.0, exchange=1.0),
        TwoElectronEnergy("erf", 0.4, 0.7, 0.3),
        TwoElectronEnergy("erfc", 0.4, 0.7, 0.3),
    ],
    ids=lambda e: f"{e.operator}-{e.coulomb:g}-{e.exchange:g}",
)
def test_each_operator_and_each_part_is_libcints(registry, energy):
    batch = _batch_of(registry, "sto-3g")
    lanes, density = np.array([0], dtype=np.int32), _densities(batch)[:1]
    found = SimdBackend().two_electron_gradient(batch, lanes, density, [energy], FLOAT64)
    mole, _ = _cartesian(batch, 0)
    np.testing.assert_allclose(
        found[0], _two_electron_reference(mole, density[0], energy), rtol=0, atol=1e-10
    )


def _energy(batch: Batch, density: np.ndarray, weighted: np.ndarray) -> np.ndarray:
    """The energy expression of the contract, from the backend's own matrices, by entry."""
    backend = SimdBackend()
    one = backend.one_electron(batch)
    total = density.sum(1)
    out = np.einsum("bij,bij->b", total, one.kinetic + one.nuclear) - np.einsum(
        "bij,bij->b", weighted, one.overlap
    )
    with backend.two_electron(batch, FLOAT64, 2**30) as operator:
        coulomb, exchange = operator.coulomb_exchange(density)
    out += 0.5 * HYBRID.coulomb * np.einsum("bij,bij->b", total, coulomb.sum(1))
    with backend.attenuated_two_electron(batch, LONG_RANGE.omega, FLOAT64, 2**30) as operator:
        _, attenuated = operator.coulomb_exchange(density)
    kind = 0.5 if density.shape[1] == 1 else 1.0
    for share, k in ((HYBRID.exchange, exchange), (LONG_RANGE.exchange, attenuated)):
        out -= 0.5 * kind * share * np.einsum("bsij,bsij->b", density, k)
    return out


def test_gradient_is_the_derivative_of_the_energy_at_fixed_density(registry):
    # Five points 0.01 bohr apart: the formula's error is of order h⁴, 1e-8 of the fifth derivative; all in one batch.
    step, system = 0.01, _system(multiplicity=1)
    displaced = []
    for atom in range(3):
        for axis in range(3):
            for factor in (-2, -1, 1, 2):
                positions = system.positions.copy()
                positions[atom, axis] += factor * step
                displaced.append(scfx.System(system.atomic_numbers, positions))
    batch = _batch(registry, "6-31g*", [system, *displaced])
    density, weighted = _densities(batch, 2)[:1], _densities(batch, seed=1)[:1, 0]
    energies = _energy(batch, np.repeat(density, len(batch), 0), np.repeat(weighted, len(batch), 0))[
        1:
    ].reshape(3, 3, 4)
    expected = energies @ np.array([1.0, -8.0, 8.0, -1.0]) / (12 * step)
    lanes, backend = np.zeros(1, dtype=np.int32), SimdBackend()
    found = backend.one_electron_gradient(batch, lanes, density.sum(1), weighted)
    found += backend.two_electron_gradient(batch, lanes, density, [HYBRID, LONG_RANGE], FLOAT64)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=2e-6)


def test_nothing_pulls_the_molecule_as_a_whole(registry):
    batch = _batch_of(registry, "6-31g*")
    lanes, density, backend = np.arange(2, dtype=np.int32), _densities(batch), SimdBackend()
    for policy in (FLOAT64, FLOAT32):
        net = backend.two_electron_gradient(batch, lanes, density, [HYBRID], policy).sum(1)
        np.testing.assert_allclose(net, 0.0, atol=1e-11)
    net = backend.one_electron_gradient(batch, lanes, density[:, 0], density[:, 0]).sum(1)
    np.testing.assert_allclose(net, 0.0, atol=1e-10)


@pytest.mark.parametrize("name", ["sto-3g", "6-31g*"])
def test_single_precision_errors_are_within_the_targets_of_forces(registry, name):
    # Mean errors of 0.02 and 1 meV/angstrom, the targets of `mixed` and `float32`: 3.9e-7 and 1.9e-5 hartree/bohr.
    # Densities are idempotent and of the size of a molecule's.
    batch = _batch_of(registry, name)
    lanes, backend = np.arange(2, dtype=np.int32), SimdBackend()
    one = backend.one_electron(batch)
    values, vectors = np.linalg.eigh(one.overlap)
    half = np.einsum("bij,bj,bkj->bik", vectors, values**-0.5, vectors)
    orbitals = half @ np.linalg.eigh(half @ (one.kinetic + one.nuclear) @ half)[1][:, :, :5]
    density = 2.0 * np.einsum("bio,bjo->bij", orbitals, orbitals)[:, None]
    exact = backend.two_electron_gradient(batch, lanes, density, [HYBRID], FLOAT64)
    for policy, target in ((MIXED, 3.9e-7), (FLOAT32, 1.9e-5)):
        error = np.abs(backend.two_electron_gradient(batch, lanes, density, [HYBRID], policy) - exact)
        assert 0.0 < error.mean() < 0.1 * target
        assert error.max() < target


def test_what_screening_leaves_out_does_not_matter(registry):
    # Two molecules 40 bohr apart: the products of functions of both are negligible, the repulsion between both is not.
    far = (*WATER, *((s, x + 40.0, y - 0.3, z) for s, x, y, z in WATER))
    batch = _batch(registry, "sto-3g", [_system(far)])
    lanes, density = np.zeros(1, dtype=np.int32), _densities(batch)
    loose = SimdBackend().two_electron_gradient(batch, lanes, density, [HYBRID], FLOAT64)
    tight = SimdBackend(screening=1e-30).two_electron_gradient(batch, lanes, density, [HYBRID], FLOAT64)
    assert loose.tobytes() != tight.tobytes()
    np.testing.assert_allclose(loose, tight, rtol=0, atol=1e-11)


COUNT = 17  # one more than a batch of SIMD vectors


@pytest.fixture(scope="module")
def company(registry):
    """Three atoms H-X-Y of three compounds in one structure, all geometries different, the hydrogen leaving."""
    systems = []
    for i in range(COUNT):
        x, y = (("C", "N"), ("N", "O"), ("O", "F"))[i % 3]
        far = 1.9 + 0.2 * i
        atoms = (("H", far, 0.1 * i, -0.5), (x, 0.0, 0.0, 0.0), (y, 0.0, 0.02 * i, 2.3))
        systems.append(_system(atoms))
    return _batch(registry, "sto-3g", systems)


@pytest.mark.parametrize("policy", [FLOAT64, FLOAT32, MIXED], ids=lambda p: p.name)
@pytest.mark.parametrize("nspin", [1, 2])
def test_bits_depend_on_the_entry_alone(company, policy, nspin):
    density, weighted = _densities(company, nspin), _densities(company, seed=1)[:, 0]
    energies = [HYBRID, LONG_RANGE]

    def bits(batch, lanes, backend) -> list[bytes]:
        indices = np.array(lanes, dtype=np.int32)
        mine = np.array([known[batch.systems[i].positions.tobytes()] for i in lanes])
        two = backend.two_electron_gradient(batch, indices, density[mine], energies, policy)
        one = backend.one_electron_gradient(batch, indices, density[mine].sum(1), weighted[mine])
        return [a.tobytes() + b.tobytes() for a, b in zip(two, one, strict=True)]

    known = {system.positions.tobytes(): i for i, system in enumerate(company.systems)}
    whole = bits(company, range(COUNT), SimdBackend())
    assert len(set(whole)) == COUNT
    for lanes in ([0], [16], [7, 3, 11], list(range(COUNT))[::-1]):
        assert bits(company, lanes, SimdBackend(threads=2)) == [whole[i] for i in lanes]
    assert bits(company.take([16]), [0], SimdBackend()) == [whole[16]]


def test_entries_that_differ_in_their_sp_pairs_share_a_call(registry):
    # A made-up set whose carbon shares exponents between s and p and whose nitrogen does not.
    exponents = np.array([3.0, 0.5])
    shells = {
        z: tuple(
            Shell.normalised(l, exponents * (1.0 + l * off), np.array([0.4, 0.7]), False) for l in (0, 1)
        )
        for z, off in ((6, 0.0), (7, 0.1))
    }
    atoms = [((a, 0.0, 0.0, 0.0), (b, 0.3, 0.2, 2.1)) for a, b in (("C", "C"), ("N", "N"), ("C", "C"))]
    batch = Batch.from_systems(
        [_system(x, 0.1 * i) for i, x in enumerate(atoms)], BasisSet("made up", shells)
    )
    lanes, density = np.arange(3, dtype=np.int32), _densities(batch)
    found = SimdBackend().two_electron_gradient(batch, lanes, density, [HYBRID], FLOAT64)
    for entry in range(3):
        mole, _ = _cartesian(batch, entry)
        expected = _two_electron_reference(mole, density[entry], HYBRID)
        np.testing.assert_allclose(found[entry], expected, rtol=0, atol=1e-10)


def test_the_offer_says_that_there_are_derivatives(registry):
    assert registry.backend_record("simd").offer.capabilities.derivatives == 1
