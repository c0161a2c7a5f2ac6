"""Early iterations on the coarse grid: cheaper, and none of the results'."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scfx_precision.policies import FLOAT32, MIXED

import scfx
from scfx.driver import Solver
from scfx.energy.exchange_correlation import coarse_grid
from scfx.energy.exchange_correlation.backend import BackendQuadrature
from scfx.energy.exchange_correlation.coarse_grid import CoarseGrid, Correction, _corrected
from scfx.energy.exchange_correlation.portable import Totals
from scfx.energy.nonlocal_correlation import NonlocalCorrelation
from scfx.grid import GridSpec
from scfx.scf.precision_phases import PrecisionPhase

FORMAMIDE = "NC=O"


def _solver(policy, **options) -> Solver:
    spec = {"functional": "pbe", "basis": "sto-3g", "backend": "simd", "grid": 1, "threads": 1}
    return Solver(**{**spec, "precision": policy, **options})


@pytest.fixture(scope="module")
def systems() -> list[scfx.System]:
    return [scfx.System.from_smiles(FORMAMIDE, seed=seed) for seed in (1, 2)]


@pytest.mark.parametrize("policy", [FLOAT32, MIXED], ids=lambda policy: policy.name)
def test_results_are_those_of_the_full_grid(policy, systems):
    stepped = _solver(policy).solve(systems)
    whole = _solver(dataclasses.replace(policy, early_grid=None)).solve(systems)
    assert stepped.converged.all()
    assert whole.converged.all()
    # Both stop where the energy changes by less than the threshold in force: 1e-9 hartree, or float32's floor.
    tolerance = stepped.provenance["energy_threshold"]
    np.testing.assert_allclose(stepped.energy, whole.energy, rtol=0, atol=tolerance)
    np.testing.assert_allclose(stepped.gap, whole.gap, rtol=0, atol=10 * max(policy.gradient_floor, 5e-7))
    assert stepped.residual.max() < stepped.provenance["gradient_threshold"]
    assert list(stepped.n_grid) == list(whole.n_grid)


def test_non_local_correlation_to_first_order_between_visits_is_none_of_the_results(monkeypatch):
    water = scfx.System.from_smiles("O", seed=1)
    visits = []
    evaluate = NonlocalCorrelation.evaluate

    def counted(self, density, lanes):
        visits.append(len(lanes))
        return evaluate(self, density, lanes)

    monkeypatch.setattr(NonlocalCorrelation, "evaluate", counted)
    options = {"functional": "b97m-v", "nonlocal_grid": 0}
    stepped = _solver(MIXED, **options).solve(water).raise_for_status()
    # The guess's, and the one that converges, at the least.
    assert 2 <= len(visits) < 2 * stepped.iterations[0] / 3
    whole = _solver(dataclasses.replace(MIXED, early_grid=None), **options).solve(water).raise_for_status()
    tolerance = stepped.provenance["energy_threshold"]
    np.testing.assert_allclose(stepped.energy, whole.energy, rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        stepped.energy_components[0]["nonlocal_correlation"],
        whole.energy_components[0]["nonlocal_correlation"],
        rtol=0,
        atol=1e-6,
    )


def test_most_iterations_stay_off_the_full_grid(systems, monkeypatch):
    points = []
    evaluate = BackendQuadrature.evaluate

    def counted(self, density, lanes):
        points.extend([sum(int(np.count_nonzero(w[lane])) for w in self._weights) for lane in lanes])
        return evaluate(self, density, lanes)

    monkeypatch.setattr(BackendQuadrature, "evaluate", counted)
    result = _solver(FLOAT32).solve(systems)
    full = sum(n > max(points) // 2 for n in points)
    # Two at the least: the guess's, and the one that converges.
    assert 2 * len(systems) <= full < result.iterations.sum() / 2


def test_hartree_fock_and_small_grids_take_no_coarse_grid(systems, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a coarse grid was made")

    monkeypatch.setattr(CoarseGrid, "__init__", refuse)
    assert (
        Solver(functional="hf", basis="sto-3g", backend="simd", precision="mixed").solve(systems[0]).converged
    )
    assert _solver("mixed", grid={"atom_grid": [20, 14]}).solve(systems[0]).converged
    assert _solver("float64").solve(systems[0]).converged
    with pytest.raises(AssertionError, match="was made"):
        _solver("mixed").solve(systems[0])


def _judged() -> CoarseGrid:
    lanes = CoarseGrid.__new__(CoarseGrid)
    lanes._spec = coarse_grid.COARSE[-1]
    lanes._wants_full, lanes._stays_full = np.ones(1, bool), np.zeros(1, bool)
    lanes._reference, lanes._since = np.full(1, np.inf), np.zeros(1, np.int32)
    return lanes


def test_an_entry_without_progress_stays_on_the_full_grid():
    lanes = _judged()
    threshold = 5e-6
    lanes.judge(0, 0.7, threshold, True)  # of the guess
    assert not lanes.on_full_grid(0)
    lanes.judge(0, 0.1, threshold, True)
    assert not lanes.on_full_grid(0)
    lanes.judge(0, 0.9 * lanes._spec.first, threshold, True)
    assert lanes.on_full_grid(0)
    lanes.judge(0, 1e-3, threshold, True)
    for _ in range(coarse_grid.LONGEST):
        assert not lanes.on_full_grid(0)
        lanes.judge(0, 9e-4, threshold, True)
    assert lanes.on_full_grid(0)
    lanes.judge(0, 8e-4, threshold, True)  # no better than the last time there
    for residual in (7e-4, 1e-5, 1e-3):
        assert lanes.on_full_grid(0)
        lanes.judge(0, residual, threshold, True)


@pytest.mark.parametrize("last", [True, False])
def test_only_the_last_phase_ends_on_the_full_grid(last):
    lanes = _judged()
    for residual in (0.7, 1e-3, 1e-4):  # guess, coarse, full
        lanes.judge(0, residual, 1e-5, last)
    assert not lanes.on_full_grid(0)
    lanes.judge(0, 1.5e-5, 1e-5, last)
    assert lanes.on_full_grid(0) == last


@pytest.mark.parametrize(("level", "shells"), [(0, 7), (1, 10), (2, 16), (3, 16), (5, 16)])
def test_the_coarse_grid_grows_with_the_grid_of_the_labels(level, shells):
    spec = coarse_grid.coarse_spec(GridSpec(level=level))
    assert spec.grid.counts(6)[0] == shells


def test_a_phase_that_no_longer_halves_its_residual_hands_over_a_little_earlier():
    phase = PrecisionPhase(None, 1e-5, np.inf, stalled=3.0)  # type: ignore[arg-type]
    assert phase.settled(9e-6, 1e-3, 1.0)
    assert not phase.settled(2e-5, 1e-4, 1.0)
    assert phase.settled(2e-5, 3e-5, 1.0)
    assert not phase.settled(4e-5, 5e-5, 1.0)


def test_corrected_energy_and_potential_are_those_of_the_full_grid_at_the_reference():
    rng = np.random.default_rng(4)

    def matrices():
        m = rng.normal(size=(1, 1, 3, 3))
        return m + np.swapaxes(m, -1, -2)

    with jax.enable_x64(True):
        reference, v_full, v_coarse = map(jnp.asarray, (matrices(), matrices(), matrices()))
        e_full, e_coarse = jnp.array([-1.5]), jnp.array([-1.4])
        potential = v_full - v_coarse
        correction = Correction(potential, e_full - e_coarse - jnp.sum(potential * reference))
        coarse = Totals(e_coarse, jnp.zeros(1), v_coarse)
        found = _corrected(coarse, correction, reference, np.zeros(1, np.int32), 1)
    np.testing.assert_allclose(found.potential, v_full, rtol=0, atol=1e-14)
    np.testing.assert_allclose(found.energy, e_full, rtol=0, atol=1e-14)
