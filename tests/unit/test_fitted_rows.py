"""Three-index integrals in lanes of auxiliary shells, and fitted J and K from blocks of them, held or made again."""

from __future__ import annotations

import numpy as np
import pytest
from gradient_checks import random_symmetric
from molecules import molecule
from pyscf_oracle import pyscf_mole
from scfx_libcint.backend import LibcintBackend
from scfx_simd.backend import SimdBackend

import scfx
from scfx.energy.two_electron.density_fitting import DensityFitting
from scfx.energy.two_electron.fitted import FittedTwoElectron
from scfx.energy.two_electron.fitted_entry import FittedEntry, least_bytes
from scfx.energy.two_electron.fitted_rows import RowFittedTwoElectron, fitted_dtype
from scfx.errors import CapabilityError, InputError, ResourceError
from scfx.model.basis import BasisSet, Shell
from scfx.model.batch import Batch

FITTING = "def2-universal-jkfit"
ENOUGH = 2**31


def _batch(systems: list[scfx.System], basis: str, registry: scfx.Registry) -> Batch:
    numbers = {int(z) for system in systems for z in system.atomic_numbers}
    return Batch.from_systems(systems, BasisSet.from_source(registry.basis(basis), numbers))


def _auxiliary(registry: scfx.Registry, *elements: int) -> BasisSet:
    return BasisSet.from_source(registry.basis(FITTING), elements)


@pytest.fixture(scope="module")
def water_batch(registry):
    """Four geometries of water."""
    system = molecule("H2O")
    random = np.random.default_rng(3)
    systems = [system]
    for _ in range(3):
        there = system.positions + random.normal(scale=0.1, size=(3, 3))
        systems.append(scfx.System.from_arrays(system.atomic_numbers, there, unit="bohr"))
    return _batch(systems, "def2-svp", registry)


@pytest.mark.parametrize(("operator", "omega"), [("coulomb", 0.0), ("erf", 0.3)])
def test_integrals_are_pyscfs(operator, omega, registry):
    from pyscf import df

    system, basis = molecule("HF"), "def2-tzvp"
    batch, auxiliary = _batch([system], basis, registry), _auxiliary(registry, 1, 9)
    mole, fitting = pyscf_mole(system, basis, registry), pyscf_mole(system, FITTING, registry)
    with mole.with_range_coulomb(omega), fitting.with_range_coulomb(omega):
        triple = df.incore.aux_e2(mole, fitting, aosym="s2ij").T
        metric = fitting.intor("int2c2e")
    backend = SimdBackend()
    found = backend.three_index(batch, 0, auxiliary, operator, omega)
    np.testing.assert_allclose(found, triple, rtol=0, atol=1e-11)
    np.testing.assert_allclose(
        backend.two_index(batch, 0, auxiliary, operator, omega), metric, rtol=0, atol=1e-11
    )


def test_integrals_reach_every_angular_momentum_of_the_sets(registry):
    # Contracted and not, s to i, with f and Cartesian d on the other side: against libcint.
    batch = _batch([molecule("H2O")], "6-31g(2df,p)-qm9", registry)
    heavy = [Shell.normalised(l, [2.0, 0.7], [0.4, 0.8]) for l in range(7)]
    light = [Shell.normalised(l, [0.9], [1.0]) for l in (1, 4, 6)]
    auxiliary = BasisSet("s to i", {8: tuple(heavy), 1: tuple(light)})
    own, reference = SimdBackend(), LibcintBackend()
    for method in ("three_index", "two_index"):
        found, expected = (
            getattr(each, method)(batch, 0, auxiliary, "erf", 0.4) for each in (own, reference)
        )
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    shape = own.three_index(batch, 0, auxiliary).shape
    of_triples = np.random.default_rng(1).uniform(-1, 1, shape)
    of_metric = random_symmetric(2, shape[0], shape[0])
    for method, density in (("three_index_gradient", of_triples), ("two_index_gradient", of_metric)):
        found, expected = (getattr(each, method)(batch, 0, auxiliary, density) for each in (own, reference))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_functions_beyond_the_kernels_are_refused_by_name(registry):
    batch = _batch([molecule("H2")], "sto-3g", registry)
    for shell, message in (
        (
            Shell.normalised(7, [1.0], [1.0]),
            r"scf\.density_fitting: .*'odd' has l = 7; use backend = 'libcint'",
        ),
        (Shell.normalised(2, [1.0], [1.0], cartesian=True), r"scf\.density_fitting: .* 'odd' has Cartesian"),
    ):
        with pytest.raises(CapabilityError, match=message):
            SimdBackend().fitting_rows(batch, 0, BasisSet("odd", {1: (shell,)}))


def test_an_auxiliary_basis_without_an_element_is_refused_by_name(registry):
    unknown = scfx.System.from_arrays([118], [[0, 0, 0]])
    orbital = BasisSet("one s", {118: (Shell.normalised(0, [1.0], [1.0]),)})
    fitting = DensityFitting(registry.basis(FITTING))
    with pytest.raises(scfx.errors.ScfxError, match="'def2-universal-JKFIT' has no functions for Og"):
        fitting.basis(Batch.from_systems([unknown], orbital))


@pytest.mark.parametrize(("operator", "omega"), [("coulomb", 0.0), ("erf", 0.3)])
def test_contractions_are_those_of_all_integrals_at_once(water_batch, operator, omega, registry):
    # A density of high rank and either sign, of two spins.
    auxiliary = _auxiliary(registry, 1, 8)
    density = random_symmetric(5, 4, 2, water_batch.nao, water_batch.nao)
    what = water_batch, auxiliary, operator, omega, ENOUGH
    with (
        FittedTwoElectron(LibcintBackend(), *what) as whole,
        RowFittedTwoElectron(SimdBackend(), *what) as rows,
    ):
        for found, expected in zip(
            rows.coulomb_exchange(density), whole.coulomb_exchange(density), strict=True
        ):
            # erf's metric is near to singular: its smallest eigenvalues are rounding.
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 if operator == "coulomb" else 1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_depend_on_neither_budget_nor_company(water_batch, dtype, registry, monkeypatch):
    # Few orbitals at a time, so that several passes are made.
    monkeypatch.setattr("scfx.energy.two_electron.fitted_entry.MOST_ORBITALS", 8)
    auxiliary, backend = _auxiliary(registry, 1, 8), SimdBackend()
    density = random_symmetric(7, 4, 1, water_batch.nao, water_batch.nao)
    alone = water_batch.take([2])

    def contracted(batch: Batch, of: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray, int]:
        with RowFittedTwoElectron(backend, batch, auxiliary, "coulomb", 0.0, budget, dtype) as rows:
            return *rows.coulomb_exchange(of), rows.recomputed_blocks

    coulomb, exchange, none = contracted(water_batch, density, ENOUGH)
    assert none == 0
    rows = backend.fitting_rows(alone, 0, auxiliary)
    sizes = [block.columns.size * (block.stop - block.start) * rows.n_auxiliary for block in rows.blocks]
    width = np.dtype(dtype).itemsize
    least = least_bytes(alone.nao, rows.n_auxiliary, width * max(sizes), True)
    rows.close()
    for budget, made_again in ((ENOUGH, 0), (least + width * sizes[0], len(sizes) - 1), (least, len(sizes))):
        j, k, again = contracted(alone, density[[2]], budget)
        assert again == made_again
        assert (j[0] == coulomb[2]).all()
        assert (k[0] == exchange[2]).all()
    with pytest.raises(
        ResourceError, match=rf"scf\.memory_budget: .* {least:,} bytes at least, .* {least - 1:,};"
    ):
        contracted(alone, density[[2]], least - 1)


def test_dependent_auxiliary_functions_are_left_out(registry):
    # Twice the same shell: the metric is singular, and the second one adds nothing.
    plain = _auxiliary(registry, 1)
    twice = BasisSet("twice", {1: (*plain.shells[1], plain.shells[1][0])})
    batch = _batch([molecule("H2")], "def2-svp", registry)
    density = random_symmetric(5, 1, 1, batch.nao, batch.nao)
    found = []
    for auxiliary in (plain, twice):
        with RowFittedTwoElectron(SimdBackend(), batch, auxiliary, "coulomb", 0.0, ENOUGH) as rows:
            found.append(rows.coulomb_exchange(density))
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-8)


def test_what_was_made_for_coulomb_alone_gives_no_exchange(registry):
    batch = _batch([molecule("H2")], "sto-3g", registry)
    rows = SimdBackend().fitting_rows(batch, 0, _auxiliary(registry, 1))
    entry = FittedEntry(rows, batch.nao, ENOUGH, "float64", fits_exchange=False)
    with pytest.raises(InputError, match="for J alone"):
        entry.contract(np.eye(batch.nao)[None], coulomb=False, exchange=True)
    entry.close()


def test_the_policy_decides_how_fitted_integrals_are_kept(water_batch, registry):
    policies = {name: registry.precision(name) for name in ("float64", "mixed", "float32")}
    assert {name: fitted_dtype(policy) for name, policy in policies.items()} == {
        "float64": "float64", "mixed": "float64", "float32": "float32",
    }  # fmt: skip
    batch, auxiliary = water_batch.take([0]), _auxiliary(registry, 1, 8)
    density = random_symmetric(7, 1, 1, batch.nao, batch.nao)
    found, held = [], []
    for dtype in ("float64", "float32"):
        with RowFittedTwoElectron(SimdBackend(), batch, auxiliary, "coulomb", 0.0, ENOUGH, dtype) as rows:
            found.append(rows.coulomb_exchange(density))
            held.append(rows.held_bytes())
    assert held[1] * 2 == held[0]
    for single, double in zip(found[1], found[0], strict=True):
        # J is summed in float64, K an orbital at a time.
        assert 0 < np.abs(single - double).max() < 1e-6 * np.abs(double).max()
