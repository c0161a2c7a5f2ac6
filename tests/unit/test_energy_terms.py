"""Promises of the energy functional: one memory budget, parts that add up, entries that fail alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from molecules import molecule
from scfx_libcint.backend import LibcintBackend

import scfx
import scfx.energy.hamiltonian as hamiltonian
from scfx.abstract import AbstractBasisSource, AbstractFunctional
from scfx.energy.memory import MemoryBudget
from scfx.energy.nonlocal_correlation import NonlocalCorrelation
from scfx.errors import ConfigError, ConvergenceError, ScfxError
from scfx.execution.lanes import ao_bucket
from scfx.execution.profile import Profile
from scfx.grid.spec import GridSpec
from scfx.model.basis import Shell
from scfx.model.system import System
from scfx.results import Status
from scfx.scf.batch_matrices import pad_matrices
from scfx.scf.batch_scf import BatchSCF
from scfx.scf.guess import AtomicGuess
from scfx.scf.recovery import solve_entries
from scfx.testing.backend_batches import sample_batch
from scfx.testing.compare import symmetric_matrices

BUDGET = 64 * 2**20


# ---- memory --------------------------------------------------------------------------------------------------------


class Recording(LibcintBackend):
    """Notes the memory that each batch's integrals are given."""

    def __init__(self):
        super().__init__(threads=1)
        self.given: list[int] = []

    def two_electron(self, batch, policy, memory_budget):
        self.given.append(memory_budget)
        return super().two_electron(batch, policy, memory_budget)


@pytest.mark.parametrize(
    ("names", "threads", "share"),
    [
        (["H2"], 4, 1),
        (["H2", "H2"], 4, 1),
        (["H2", "LiF"], 4, 2),
        (["H2", "LiF", "HF"], 2, 2),
        (["H2"], 1, 1),
    ],
    ids=str,
)
def test_the_memory_budget_is_divided_by_the_batches_that_run_side_by_side(names, threads, share):
    backend = Recording()
    systems = [molecule(name) for name in names]
    scfx.solve(
        systems, "hf", backend=backend, guess="core", threads=threads, memory_budget=BUDGET
    ).raise_for_status()
    assert set(backend.given) == {BUDGET // share}


class Holding:
    """Something that holds so many bytes."""

    def __init__(self, held):
        self.held = held

    def held_bytes(self):
        return self.held


def test_vv10_takes_what_the_others_leave_of_the_one_budget():
    batch = sample_batch(1).take([0])

    def vv10(left):
        memory = MemoryBudget(BUDGET)
        memory.add(Holding(BUDGET - left))
        term = NonlocalCorrelation(batch, GridSpec.from_config(0), (5.9, 0.0093), memory)
        memory.add(term)
        term.initialize()
        assert memory.held() <= BUDGET
        return term

    with jax.enable_x64(True):
        own = symmetric_matrices(0, (batch.nao, batch.nao))
        size = ao_bucket(batch.nao)
        density = jnp.asarray(pad_matrices((own @ own)[None, None], 1, size))
        lanes = np.zeros(1, dtype=np.int32)
        roomy = vv10(BUDGET)
        needed = roomy.held_bytes()
        assert 0 < needed < BUDGET
        kept = roomy.evaluate(density, lanes)
        tight = vv10(needed - 1)
        assert tight.held_bytes() == 0
        found = tight.evaluate(density, lanes)
        assert vv10(needed).held_bytes() == needed
    assert float(kept.energy[0]) != 0.0
    np.testing.assert_array_equal(found.energy, kept.energy)
    np.testing.assert_array_equal(found.potential, kept.potential)


@pytest.mark.parametrize("backend", ["simd", "libcint"])
def test_a_run_holds_no_more_than_its_budget_and_its_bits_do_not_depend_on_it(backend, registry):
    solver = scfx.Solver(
        functional="wb97m-v", backend=backend, grid=0, nonlocal_grid=0, registry=registry, atomic_numbers=[1]
    )
    batch = scfx.Batch.from_systems([molecule("H2")], scfx.BasisSet.from_source(solver.resolved.basis, [1]))

    def energy(budget):
        guess = AtomicGuess(solver.resolved.integrals, budget)
        with jax.enable_x64(True), BatchSCF(solver.resolved, batch, guess, Profile(), 1, budget) as run:
            solve_entries(run)
            held = run.held_bytes()
            assert held <= budget
            return held, float(np.asarray(run.state.energy)[0])

    everything, most = energy(BUDGET)
    assert everything > 0
    held, least = energy(everything // 3)
    assert held < everything
    assert least == most


# ---- parts of the energy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "functional", "expected"),
    [
        ("H2O", "hf", set()),
        ("NH2", "hf", set()),
        ("H2O", "b3lyp-d3bj", {"exchange_correlation", "dispersion"}),
        ("H2O", "wb97m-v", {"exchange_correlation", "nonlocal_correlation"}),
        ("NH2", "wb97m-v", {"exchange_correlation", "nonlocal_correlation"}),
    ],
)
def test_the_parts_of_the_energy_add_up_to_it(name, functional, expected):
    system = molecule(name)
    result = scfx.solve(system, functional, grid=1, nonlocal_grid=0).raise_for_status()
    assert result.energy_components is not None
    (parts,) = result.energy_components
    always = {"kinetic", "nuclear_attraction", "coulomb", "exchange", "nuclear_repulsion"}
    assert set(parts) == always | expected
    assert sum(parts.values()) == pytest.approx(result.energy[0], rel=0, abs=1e-10)
    assert parts["kinetic"] > 0 > parts["nuclear_attraction"]
    assert parts["coulomb"] > 0 > parts["exchange"]
    i, j = np.triu_indices(system.natm, 1)
    away = np.linalg.norm(system.positions[i] - system.positions[j], axis=1)
    numbers = system.atomic_numbers
    assert parts["nuclear_repulsion"] == pytest.approx(np.sum(numbers[i] * numbers[j] / away), rel=1e-13)
    assert result.electrons_on_grid is not None
    if functional == "hf":
        assert np.isnan(result.electrons_on_grid[0])
        # Virial theorem: at a geometry near the minimum, in a basis that is not scaled, a few percent.
        assert result.energy[0] == pytest.approx(-parts["kinetic"], rel=0.02)
    else:
        assert result.electrons_on_grid[0] == pytest.approx(system.n_electrons, abs=3e-3)


def test_the_grid_integrates_to_the_electrons_the_better_the_finer_it_is():
    errors = []
    for level in (0, 3):
        result = scfx.solve(molecule("H2O"), "lda", grid=level).raise_for_status()
        assert result.electrons_on_grid is not None
        errors.append(abs(result.electrons_on_grid[0] - 10))
    assert 1e-12 < errors[1] < 1e-4 < errors[0] < 1e-2


# ---- entries that fail ---------------------------------------------------------------------------------------------


class Refuses(LibcintBackend):
    """Cannot make the integrals of molecules stretched beyond two bohr."""

    def two_electron(self, batch, policy, memory_budget):
        if np.linalg.norm(batch.positions[:, 1:] - batch.positions[:, :1], axis=-1).max(initial=0.0) > 2.0:
            raise ScfxError("these atoms are too far apart for me")
        return super().two_electron(batch, policy, memory_budget)


def test_a_bad_entry_among_good_ones_fails_alone_and_changes_no_bit_of_them():
    systems = [System.from_arrays(["H", "H"], [[0, 0, 0], [0, 0, r]]) for r in (0.7, 1.3, 0.8)]
    result = scfx.solve(systems, "b3lyp", backend=Refuses(), grid=0, return_density=True)
    assert list(result.status) == [Status.CONVERGED, Status.FAILED, Status.CONVERGED]
    assert list(result.converged) == [True, False, True]
    assert result.reason[1] == "these atoms are too far apart for me"
    assert np.isnan(result.energy[1])
    assert np.isnan(result.dipole[1]).all()
    assert np.isnan(result.orbital_energies[1]).all()
    alone = scfx.solve([systems[0], systems[2]], "b3lyp", backend=Refuses(), grid=0)
    for field in ("energy", "homo", "lumo", "dipole", "orbital_energies", "iterations"):
        np.testing.assert_array_equal(getattr(result, field)[[0, 2]], getattr(alone, field))
    with pytest.raises(ConvergenceError, match=r"entry 1 .*too far apart"):
        result.raise_for_status()


class WithoutP(AbstractBasisSource):
    """Two s functions and a d shell on every atom: the molecules have room for their electrons, carbon has not."""

    name = "without p"

    def shells(self, atomic_number):
        s = [Shell.normalised(0, [exponent], [1.0]) for exponent in (9.0, 0.5)]
        return [*s, Shell.normalised(2, [0.8], [1.0])]

    def definition(self):
        return {"name": self.name}


def test_an_atomic_guess_that_fails_fails_the_entries_that_need_it():
    systems = [molecule("H2"), molecule("CO"), molecule("H2")]
    result = scfx.solve(systems, "hf", WithoutP(), backend="libcint")
    assert list(result.status) == [Status.CONVERGED, Status.FAILED, Status.CONVERGED]
    assert "guess = 'core'" in result.reason[1]
    again = scfx.solve(systems[1], "hf", WithoutP(), backend="libcint", guess="core", recovery=False)
    assert again.status[0] is not Status.FAILED


@pytest.mark.parametrize("error", [ConfigError("scf.backend", "no"), scfx.ResourceError("no room")])
def test_what_concerns_the_whole_calculation_is_raised(error):
    class Fails(LibcintBackend):
        def two_electron(self, batch, policy, memory_budget):
            raise error

    with pytest.raises(type(error)):
        scfx.solve([molecule("H2")] * 2, "hf", backend=Fails(), guess="core")


# ---- functionals with parameters -----------------------------------------------------------------------------------


class Scaled(AbstractFunctional):
    """Slater exchange times a number, with the contract's own definition()."""

    family = "lda"
    name = "scaled"

    def __init__(self, scale):
        self.scale = scale

    def energy_density(self, density):
        factor = -1.5 * (3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
        return self.scale * factor * (density.rho_a ** (4.0 / 3.0) + density.rho_b ** (4.0 / 3.0))


def test_parameters_of_a_functional_tell_hashes_and_kernels_apart():
    found = {}
    for scale in (1.0, 0.5, 0.0, 1.0):
        result = scfx.solve(molecule("H2"), Scaled(scale), grid=0).raise_for_status()
        assert result.energy_components is not None
        exchange = result.energy_components[0]["exchange_correlation"]
        if scale in found:
            assert (exchange, result.provenance["spec_hash"]) == found[scale]
        found[scale] = exchange, result.provenance["spec_hash"]
    assert len({digest for _, digest in found.values()}) == 3
    assert found[0.0][0] == 0.0
    # The density relaxes, so half the functional is about half the energy.
    assert found[0.5][0] == pytest.approx(0.5 * found[1.0][0], rel=0.1)
    assert found[1.0][0] < -0.3


# ---- device --------------------------------------------------------------------------------------------------------


def test_nothing_runs_on_an_accelerator_unasked(monkeypatch):
    """Every array of every Fock build lies on a CPU, and an accelerator is refused by its key."""
    seen = set()
    original = hamiltonian.Hamiltonian.evaluate

    def evaluate(self, density, lanes, coarse=None):
        found = original(self, density, lanes, coarse)
        for array in (density, *found.parts):
            seen.update(device.platform for device in array.devices())
        seen.add(jax.config.jax_default_device.platform)
        return found

    monkeypatch.setattr(hamiltonian.Hamiltonian, "evaluate", evaluate)
    result = scfx.solve(molecule("H2"), "pbe", grid=0).raise_for_status()
    assert seen == {"cpu"}
    assert result.provenance["device"] == "cpu"
    assert scfx.SCFSpec().device == "cpu"
    with pytest.raises(ConfigError, match=r"scf\.device"):
        scfx.Solver(device="gpu")
