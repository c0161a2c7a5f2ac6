"""The rules by which an entry has converged, and the paper's preset beside the proper one."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import distorted, molecule

import scfx
from scfx.model.system import HARTREE_IN_EV


def _solve(systems, registry, **options):
    options = {"functional": "b3lyp", "basis": "sto-3g", "grid": 0, "threads": 1, **options}
    return scfx.solve(systems, backend="libcint", registry=registry, **options)


@pytest.fixture(scope="module")
def molecules():
    return [*distorted(molecule("H2O"), 2), molecule("CH3OH")]


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_qm1b_makes_exactly_twenty_iterations(registry, molecules, precision):
    # Mathiasen et al. 2023 (arXiv 2311.01135): 20 fixed iterations, converged if the standard deviation of the last
    # five energies is below 0.01 eV.
    result = _solve(molecules, registry, convergence="qm1b", precision=precision)
    assert result.iterations.tolist() == [20, 20, 20]
    assert result.converged.all()
    assert result.history is not None
    for history in result.history:
        assert len(history) == 20
        assert np.std(history[-5:, 0]) * HARTREE_IN_EV < 0.01
    tight = _solve(molecules, registry, convergence="tight")
    np.testing.assert_allclose(result.energy * HARTREE_IN_EV, tight.energy * HARTREE_IN_EV, rtol=0, atol=0.01)
    np.testing.assert_allclose(result.gap * HARTREE_IN_EV, tight.gap * HARTREE_IN_EV, rtol=0, atol=0.01)


def test_qm1b_judges_by_the_spread_of_the_last_five_energies(registry, molecules):
    rule = {"rule": "qm1b", "max_iterations": 6}
    result = _solve(molecules[:1], registry, convergence=rule)
    assert result.history is not None
    spread = np.std(result.history[0][-5:, 0])
    assert result.converged[0] == (spread < 0.01 / HARTREE_IN_EV)
    assert not _solve(molecules[:1], registry, convergence={**rule, "energy": spread / 2}).converged[0]
    assert _solve(molecules[:1], registry, convergence={**rule, "energy": spread * 2}).converged[0]


def test_qm1b_never_climbs_the_ladder(registry, molecules):
    result = _solve(molecules[:1], registry, convergence={"rule": "qm1b", "max_iterations": 4})
    assert not result.converged[0]  # four energies, of five
    assert result.rung == [""]


@pytest.mark.parametrize("preset", ["loose", "default", "tight"])
def test_both_thresholds_hold_at_convergence(registry, molecules, preset):
    from scfx.config.convergence import CONVERGENCE_PRESETS

    result = _solve(molecules, registry, convergence=preset).raise_for_status()
    rule = CONVERGENCE_PRESETS[preset]
    assert (result.residual < rule.gradient).all()
    assert (result.energy_change < rule.energy).all()
    assert result.provenance["gradient_threshold"] == rule.gradient
    assert result.provenance["energy_threshold"] == rule.energy


def test_tighter_presets_need_more_iterations_and_agree(registry, molecules):
    loose, tight = (_solve(molecules, registry, convergence=p) for p in ("loose", "tight"))
    assert (loose.iterations < tight.iterations).all()
    np.testing.assert_allclose(loose.energy, tight.energy, rtol=0, atol=1e-6)


def test_every_guess_leads_to_one_energy(registry, molecules):
    atomic, core = (_solve(molecules, registry, guess=g).raise_for_status() for g in ("atomic", "core"))
    np.testing.assert_allclose(atomic.energy, core.energy, rtol=0, atol=1e-9)
    assert (atomic.iterations < core.iterations).all()


def test_unrestricted_equals_restricted_for_a_closed_shell(registry, molecules):
    closed = _solve(molecules[:1], registry, convergence="tight")
    open_ = _solve(molecules[:1], registry, convergence="tight", reference="unrestricted")
    assert open_.orbital_energies.shape == (1, 2, 7)
    assert open_.energy[0] == pytest.approx(closed.energy[0], abs=1e-10)
    np.testing.assert_allclose(
        open_.orbital_energies[0], np.stack([closed.orbital_energies[0]] * 2), atol=1e-8
    )
    assert open_.s_squared[0] == pytest.approx(0.0, abs=1e-10)


def test_profile_keeps_compiling_apart(registry, molecules):
    solver = scfx.Solver(functional="b3lyp", backend="libcint", grid=0, threads=1, registry=registry)
    solver.solve(molecules[:2])
    before = solver.profile
    solver.solve(molecules[:2])
    after = solver.profile
    assert after["compile"] == before["compile"]  # the second call compiles nothing
    assert {"one_electron", "two_electron", "exchange_correlation", "diagonalise", "guess", "grid"} <= set(
        after
    )
