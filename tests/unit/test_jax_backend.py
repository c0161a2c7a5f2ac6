"""The JAX backend's integrals against libcint, what it refuses, and that company changes no bit."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest
from molecules import molecule
from scfx_jax import straight_line
from scfx_jax.backend import JaxBackend
from scfx_jax.boys import boys_table
from scfx_jax.pairs import PairClass, Products, QuartetProgram
from scfx_jax.repulsion import quartets
from scfx_libcint.backend import LibcintBackend

import scfx
from scfx.config.precision import FLOAT64, PrecisionPolicy
from scfx.contracts.requests import TwoElectronRequest
from scfx.errors import CapabilityError, ConfigError, InputError, ResourceError
from scfx.model.basis import BasisSet, Shell
from scfx.model.batch import Batch
from scfx.model.system import System
from scfx.testing import check_backend
from scfx.testing.compare import symmetric_matrices

FLOAT32 = PrecisionPolicy("narrow", integrals="float32")
BUDGET = 2**31


def _errors(backend, batch, policy, request):
    density = symmetric_matrices(1, (len(batch), 2, batch.nao, batch.nao))
    with backend.two_electron_operator(batch, request, policy, BUDGET) as operator:
        found = operator.coulomb_exchange(density)
    if request.operator != "erfc":
        with LibcintBackend().two_electron_operator(batch, request, FLOAT64, BUDGET) as operator:
            right = operator.coulomb_exchange(density)
    else:
        parts = [
            LibcintBackend().two_electron_operator(batch, part, FLOAT64, BUDGET).coulomb_exchange(density)
            for part in (TwoElectronRequest(), TwoElectronRequest("erf", request.omega))
        ]
        right = [full - long for full, long in zip(*parts, strict=True)]
    return max(np.abs(a - b).max() for a, b in zip(found, right, strict=True))


def _one_electron_error(batch):
    found, right = JaxBackend().one_electron(batch), LibcintBackend().one_electron(batch)
    return max(np.abs(a - b).max() for a, b in zip(found, right, strict=True))


@pytest.fixture(scope="module")
def waters(registry):
    """Two waters in STO-3G, the second stretched and moved."""
    water = molecule("H2O")
    other = System(water.atomic_numbers, 1.07 * water.positions + 0.4)
    basis = BasisSet.from_source(registry.basis("sto-3g"), [1, 8])
    return Batch.from_systems([water, other], basis)


def test_integrals_of_water_are_those_of_libcint(waters):
    assert _one_electron_error(waters) < 1e-11
    for request in (TwoElectronRequest(), TwoElectronRequest("erf", 0.4), TwoElectronRequest("erfc", 0.4)):
        assert _errors(JaxBackend(), waters, FLOAT64, request) < 1e-11


def test_neither_company_nor_making_integrals_again_changes_a_bit(waters):
    density = symmetric_matrices(2, (2, 1, waters.nao, waters.nao))
    with JaxBackend(storage="stored").two_electron(waters, FLOAT64, BUDGET) as kept:
        together = kept.coulomb_exchange(density)
        only_exchange = kept.contract_wanted(density, np.array([1], dtype=np.int32), False, True)[1]
    # Making one block takes 2,021,888 bytes, keeping all 2,501,120: integrals are made again.
    with JaxBackend().two_electron(waters, FLOAT64, 2_100_000) as again:
        assert again.held_bytes() == 0
        remade = again.coulomb_exchange(density)
    with JaxBackend().two_electron(waters.take([1]), FLOAT64, BUDGET) as alone:
        single = alone.coulomb_exchange(density[1:])
    for a, b, c in zip(together, remade, single, strict=True):
        assert (a == b).all()
        assert (a[1:] == c).all()
    assert (together[1][1:] == only_exchange).all()


def test_what_does_not_fit_is_refused_with_numbers(waters):
    with pytest.raises(ResourceError, match=r"takes [\d,]+ bytes, the budget is 1;.*storage = \"direct\""):
        JaxBackend(storage="stored").two_electron(waters, FLOAT64, 1)
    with pytest.raises(ResourceError, match="one block of 1 entries of 7 functions takes"):
        JaxBackend().two_electron(waters, FLOAT64, 1)
    backend = JaxBackend()
    assert backend.max_batch(waters.layout, FLOAT64, 1) == 0
    many = backend.max_batch(waters.layout, FLOAT64, 2**30)
    assert many > 100
    assert backend.max_batch(waters.layout, FLOAT32, 2**30) == pytest.approx(2 * many, rel=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"storage": "disk"}, "storage: got 'disk'"), ({"tile": 0}, "tile: got 0, expected a number from 1")],
)
def test_options_that_mean_nothing_are_refused(options, message, without_shape_checks):
    with pytest.raises(InputError, match=message):
        JaxBackend(**options)


def test_shells_and_core_potentials_that_it_lacks_are_refused_before_any_work(registry):
    with pytest.raises(ConfigError, match=r"g shells are asked, it goes up to f"):
        scfx.Solver(basis="cc-pvqz", backend="jax", registry=registry, atomic_numbers=[6])
    with pytest.raises(InputError, match="effective core potentials"):
        scfx.Solver(basis="def2-svp", backend="jax", registry=registry, atomic_numbers=[53])
    high = BasisSet("made", {2: (Shell.normalised(4, [0.8], [1.0]),)})
    batch = Batch.from_systems([System(np.array([2], dtype=np.int32), np.zeros((1, 3)))], high)
    with pytest.raises(CapabilityError, match="angular momentum 4; use backend = 'libcint'"):
        JaxBackend().two_electron(batch, FLOAT64, BUDGET)


def _class_arguments(kind_x, kind_y, dtype):
    """Two classes of made-up products in tiles of 8 pairs, the last three of which are filling, for 2 molecules."""
    random, shape = np.random.default_rng(3), (2, 9, 8, 2)
    products = []
    for _ in range(2):
        values = random.uniform(0.3, 2.0, size=shape)
        values[:, 1] = 0.5 / values[:, 0]
        values[:, 2, 5:] = 0.0
        centre = random.normal(size=(2, 3, 8, 2))
        products.append(Products(values, centre, np.zeros((2, 0, 1, 8, 2))))
    items = np.array([[0, 2, 5, 1, 1, 5], [1, 1, 5, 0, 2, 5]], dtype=np.int32)
    table = boys_table(kind_x.order + kind_y.order, dtype)
    return *products, items, np.int32(2), np.float64(0.0), table


def test_blocks_of_a_gpu_make_the_integrals_of_one_large_block(monkeypatch):
    """A GPU's blocks have few pairs each; here, where the same kernel is read as JAX, both sizes are tried."""
    kind = PairClass((1, True), (0, True))
    made = []
    for most in (4096, 4):
        monkeypatch.setattr(straight_line, "_ON_CPU", most)
        arguments = _class_arguments(kind, kind, "float64")
        program = QuartetProgram(kind, kind, "float64", on_gpu=False)
        with jax.enable_x64(True):
            kernel = jax.jit(partial(straight_line.unrolled_quartets, program=program))
            made.append(np.asarray(kernel(*arguments)))
    assert made[0].shape == (2, 3, 3, 8, 8, 2)
    assert np.abs(made[0] - made[1]).max() < 1e-13 * np.abs(made[0]).max()
    assert made[0][..., :5, :5, :].all()
    assert not made[0][..., 5:, :].any()


def test_the_kernel_of_four_p_shells_is_lowered_for_a_gpu_by_triton():
    kind = PairClass((1, True), (1, True))
    arguments = _class_arguments(kind, kind, "float32")
    with jax.enable_x64(True):
        traced = quartets.trace(*arguments, program=QuartetProgram(kind, kind, "float32", on_gpu=True))
        program = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert program.count("stablehlo.custom_call @__gpu$xla.gpu.triton") == 1


# ---- longer ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_energy_of_water_is_that_of_libcint(registry):
    options = {"functional": "hf", "basis": "sto-3g", "registry": registry, "convergence": "tight"}
    found, right = (
        scfx.solve([molecule("H2O")], backend=b, **options).raise_for_status() for b in ("jax", "libcint")
    )
    assert abs(found.energy - right.energy).max() < 1e-9
    assert abs(found.dipole - right.dipole).max() < 1e-7
    assert found.provenance["device"] == "cpu"


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [{"cartesian": False}, {"spherical": False}], ids=str)
def test_the_contract_is_kept(kinds, registry):
    check_backend(
        JaxBackend(storage="stored"),
        policies=(FLOAT64, FLOAT32),
        capabilities=registry.backend_record("jax").offer.capabilities,
        **kinds,
    )


@pytest.mark.slow
def test_the_contract_is_kept_where_integrals_are_made_again():
    check_backend(JaxBackend(storage="direct"), max_angular_momentum=1, keeps_integrals=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["HCN", "CH4", "H2CO"])
@pytest.mark.parametrize("basis", ["sto-3g", "6-31g*"])
def test_energies_are_those_of_libcint(name, basis, registry):
    for functional in ("hf", "b3lyp"):
        options = {
            "functional": functional,
            "basis": basis,
            "registry": registry,
            "grid": 0,
            "convergence": "tight",
        }
        found, right = (
            scfx.solve([molecule(name)], backend=b, **options).raise_for_status() for b in ("jax", "libcint")
        )
        assert abs(found.energy - right.energy).max() < 1e-9


@pytest.mark.slow
def test_d_shells_are_those_of_libcint():
    d = Shell.normalised(2, [1.2, 0.4], [0.6, 0.5])
    positions = np.array([[0.0, 0.1, -0.2], [1.1, -0.4, 0.9]])
    batch = Batch.from_systems(
        [System(np.array([2, 2], dtype=np.int32), positions)], BasisSet("made", {2: (d,)})
    )
    assert _errors(JaxBackend(tile=4), batch, FLOAT64, TwoElectronRequest()) < 1e-11
    assert _errors(JaxBackend(tile=4), batch, FLOAT64, TwoElectronRequest("erf", 0.4)) < 1e-11


@pytest.mark.slow
def test_f_shells_are_those_of_libcint():
    f = Shell.normalised(3, [0.9], [1.0])
    positions = np.array([[0.0, 0.1, -0.2], [1.1, -0.4, 0.9]])
    batch = Batch.from_systems(
        [System(np.array([2, 2], dtype=np.int32), positions)],
        BasisSet("made", {2: (f, Shell.normalised(3, [0.5], [1.0], cartesian=True))}),
    )
    assert _one_electron_error(batch) < 1e-11
    assert _errors(JaxBackend(tile=4), batch, FLOAT64, TwoElectronRequest()) < 1e-10
