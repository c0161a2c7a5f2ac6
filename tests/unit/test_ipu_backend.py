"""The IPU backend: J and K against libcint, SCF through a switched configuration, and clear refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from molecules import GEOMETRIES
from scfx_bse.source import BasisSetExchangeSource
from scfx_ipu.backend import IpuBackend
from scfx_ipu.cost_model import schedule
from scfx_ipu.library import Machine, built_for_hardware
from scfx_ipu.molecule import ShellStructure, molecule_table

import scfx
from scfx.config.precision import FLOAT64, PrecisionPolicy
from scfx.config.spec import SCFSpec
from scfx.errors import CapabilityError, ConfigError, InputError, PluginUnavailableError, ResourceError
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch
from scfx.model.system import HARTREE_IN_EV, System
from scfx.testing import check_backend

NARROW = PrecisionPolicy("narrow", integrals="float32")
BUDGET = 2**30


def _batch(name: str = "H2O", basis: str = "sto-3g", n: int = 1) -> Batch:
    symbols, positions = GEOMETRIES[name]
    scaled = [np.array(positions, dtype=float) * (1.0 + 0.02 * i) for i in range(n)]
    systems = [System.from_arrays(symbols, p, multiplicity=None) for p in scaled]
    source = BasisSetExchangeSource(basis)
    return Batch.from_systems(systems, BasisSet.from_source(source, systems[0].atomic_numbers))


def _density(n: int) -> np.ndarray:
    matrix = np.random.default_rng(5).uniform(-1.0, 1.0, (1, n, n))
    return matrix + np.swapaxes(matrix, -1, -2)


@pytest.mark.parametrize("strategy", ["store", "recompute"])
def test_it_keeps_the_contract_of_a_backend(strategy, registry):
    check_backend(
        registry.backend({"name": "ipu", "strategy": strategy, "tiles": 64}),
        policies=(NARROW,),
        max_angular_momentum=2,
        keeps_integrals=strategy == "store",
        capabilities=registry.backend_record("ipu").offer.capabilities,
    )


@pytest.mark.parametrize(
    "options",
    [{"strategy": "store"}, {"strategy": "recompute"}, {"ipus": 3, "tiles": 20}, {"tiles": 1}, {"tiles": 7}],
    ids=str,
)
def test_coulomb_and_exchange_are_libcints_however_the_work_is_split(options, registry):
    batch = _batch("H2CO", "6-31g*")
    density = _density(batch.nao)
    with registry.backend("libcint").two_electron(batch, FLOAT64, BUDGET) as operator:
        expected = operator.coulomb_exchange(density)
    with IpuBackend(**options).two_electron(batch, NARROW, BUDGET) as operator:
        found = operator.coulomb_exchange(density)
    for one, other in zip(found, expected, strict=True):
        # Some hundred integrals of up to 5 hartree, each off by up to 3e-7 of its size, meet in an element.
        np.testing.assert_allclose(one, other, atol=5e-5)


@pytest.mark.parametrize(
    "options",
    [{"strategy": "recompute"}, {"strategy": "recompute", "ipus": 3}, {"strategy": "store", "ipus": 2}],
    ids=str,
)
def test_strategies_and_ipus_give_one_result(options):
    batch = _batch("H2CO", "6-31g")
    density = _density(batch.nao)
    found = []
    both: list[dict[str, Any]] = [{"strategy": "store"}, options]
    for each in both:
        with IpuBackend(tiles=40, **each).two_electron(batch, NARROW, BUDGET) as operator:
            found.append(operator.coulomb_exchange(density))
    for one, other in zip(*found, strict=True):
        # The same integrals; only the order of sums differs, and these keep what float32 additions lose.
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_rounds_change_where_sums_are_made_but_not_their_value(registry):
    # Tiles too small for all the rectangles that theirs touch at once: the work is cut into rounds.
    basis = BasisSet.from_source(BasisSetExchangeSource("sto-3g"), [1, 6])
    batch = Batch.from_systems([System.from_smiles("CCCCCC", seed=1)], basis)
    structure = ShellStructure.from_layout(batch.layout)
    whole = schedule(structure, Machine(1, 3), True)
    needed = whole.numbers().needed
    sizes = [int(needed * (1.0 - 0.05 * step)) for step in range(1, 18)]
    plans = (schedule(structure, Machine(1, 3, tile_bytes=size), True) for size in sizes)
    small = next(plan for plan in plans if plan.numbers().rounds > 1)
    assert whole.numbers().rounds == 1
    density = _density(batch.layout.ncart)
    found = []
    for program in (whole, small):
        program.build()
        program.set_molecule(molecule_table(batch, 0))
        found.append(program.coulomb_exchange(density[0], True))
    with registry.backend("libcint").two_electron(batch, FLOAT64, BUDGET) as operator:
        expected = operator.coulomb_exchange(density)
    for one, other, exact in zip(*found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        np.testing.assert_allclose(one, exact[0], atol=5e-5)


@pytest.mark.parametrize("poison", [False, True])
def test_nothing_reads_what_nothing_wrote(poison):
    batch = _batch()
    for recompute in (False, True):
        program = schedule(ShellStructure.from_layout(batch.layout), Machine(2, 5), recompute)
        program.build(poison=poison)
        program.set_molecule(molecule_table(batch, 0))
        coulomb, _ = program.coulomb_exchange(_density(batch.nao)[0], True)
        assert np.isfinite(coulomb).all()


def test_switching_a_configuration_from_libcint_to_ipu_changes_nothing_else():
    symbols, positions = GEOMETRIES["H2O"]
    system = System.from_arrays(symbols, np.array(positions))
    same = {"functional": "b3lyp", "basis": "sto-3g", "precision": "float32", "grid": 0}
    reference = scfx.solve([system], backend="libcint", **same)
    result = scfx.solve([system], backend="ipu", **same)
    assert result.provenance["backend"] == "ipu"
    assert result.converged.all()
    # The paper's own mean absolute errors in float32 (Mathiasen et al. 2023): 6 meV, and 0.2 meV for the gap.
    assert abs(result.energy - reference.energy)[0] * HARTREE_IN_EV < 6e-3
    assert abs(result.gap - reference.gap)[0] * HARTREE_IN_EV < 0.2e-3


def test_results_say_that_the_host_ran():
    backend = IpuBackend(device="host")
    assert backend.device() == "ipu-host"
    assert backend.best_policy().integrals == "float32"


@pytest.mark.skipif(built_for_hardware(), reason="this build has Graphcore's SDK")
def test_hardware_without_the_sdk_says_what_to_install():
    with pytest.raises(PluginUnavailableError, match=r"scf.backend.device.*Poplar SDK.*POPLAR_SDK_ENABLED"):
        IpuBackend(device="hardware")


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_float64_integrals_are_refused_with_what_can_do_them(precision, registry):
    with pytest.raises(ConfigError, match="float64") as refused:
        SCFSpec.create({"backend": "ipu", "precision": precision}).resolve(registry)
    assert "libcint" in str(refused.value)
    with pytest.raises(CapabilityError, match=r"no float64.*float32.*libcint"):
        IpuBackend().two_electron(_batch(), FLOAT64, BUDGET)


def test_range_separated_functionals_are_refused(registry):
    with pytest.raises(ConfigError, match="attenuated"):
        SCFSpec.create({"backend": "ipu", "functional": "wb97x-d", "precision": "float32"}).resolve(registry)


def test_a_molecule_too_large_is_refused_with_numbers_before_any_work():
    with pytest.raises(ResourceError) as refused:
        IpuBackend(tiles=1, strategy="store").two_electron(_batch("H2CO", "6-31g*"), NARROW, BUDGET)
    text = str(refused.value)
    assert "638,976" in text  # 624 KiB
    assert "needs" in text
    assert "recompute" in text


def test_a_user_is_told_of_tiles_that_are_too_small_and_not_of_the_memory_budget():
    symbols, positions = GEOMETRIES["H2CO"]
    system = System.from_arrays(symbols, np.array(positions))
    small = {"name": "ipu", "tiles": 1, "strategy": "store"}
    with pytest.raises(ResourceError, match=r"do not fit 1 x 1 tiles.*638,976.*recompute"):
        scfx.solve([system], functional="hf", basis="6-31g*", backend=small, precision="float32", grid=0)


def test_automatic_storage_recomputes_what_does_not_fit():
    batch = _batch("H2CO", "6-31g*")
    with IpuBackend(tiles=1).two_electron(batch, NARROW, BUDGET) as operator:
        assert np.isfinite(operator.coulomb_exchange(_density(batch.nao))[0]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "device: got 'gpu'"),
        ({"strategy": "both"}, "strategy: got 'both'"),
        ({"tiles": 0}, "tiles: got 0"),
        ({"ipus": True}, "ipus: got True"),
    ],
)
def test_bad_options_are_refused_with_what_is_possible(options, message):
    with pytest.raises(InputError, match=message):
        IpuBackend(**options)


def test_a_closed_operator_gives_its_program_to_the_next_molecule():
    backend = IpuBackend(tiles=16)
    first = backend.two_electron(_batch(), NARROW, BUDGET)
    density = _density(7)
    before = first.coulomb_exchange(density)
    first.close()
    with pytest.raises(InputError, match="closed"):
        first.coulomb_exchange(density)
    with backend.two_electron(_batch("H2O", n=2).take([1]), NARROW, BUDGET) as other:
        assert np.abs(other.coulomb_exchange(density)[0] - before[0]).max() > 1e-3
    with backend.two_electron(_batch(), NARROW, BUDGET) as again:
        assert (again.coulomb_exchange(density)[0] == before[0]).all()
