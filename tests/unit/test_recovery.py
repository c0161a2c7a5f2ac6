"""The recovery ladder: what plain DIIS leaves is converged by a later rung, or said not to have converged."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import distorted, molecule, moved
from pyscf_oracle import pyscf_solved

import scfx
from scfx.scf import recovery


def _solve(systems, registry, **options):
    options = {"functional": "hf", "basis": "sto-3g", "grid": 0, "threads": 1, **options}
    return scfx.solve(systems, backend="libcint", registry=registry, **options)


@pytest.fixture(scope="module")
def waters():
    return distorted(molecule("H2O"), 3)


def test_plain_procedure_reports_no_rung(registry, waters):
    result = _solve(waters, registry).raise_for_status()
    assert result.rung == ["", "", ""]
    assert result.status == [scfx.Status.CONVERGED] * 3
    assert result.reason == ["", "", ""]


@pytest.mark.parametrize("functional", ["hf", "b3lyp"])
def test_rungs_converge_to_the_energy_of_the_plain_procedure(registry, waters, functional):
    plain = _solve(waters, registry, functional=functional).raise_for_status()
    # Too few iterations for plain DIIS; the damped rung gets twice, direct minimisation ten times as many.
    limit = int(plain.iterations.min()) - 2
    rescued = _solve(waters, registry, functional=functional, convergence={"max_iterations": limit})
    rescued.raise_for_status()
    assert all(rescued.rung)
    assert set(rescued.rung) <= {recovery.DAMPED, recovery.MINIMISED}
    np.testing.assert_allclose(rescued.energy, plain.energy, rtol=0, atol=2e-9)
    np.testing.assert_allclose(rescued.gap, plain.gap, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("name", "multiplicity"), [("H2O", 1), ("CH3", 2)])
def test_direct_minimisation_alone_reaches_the_energy_of_diis(registry, monkeypatch, name, multiplicity):
    system = molecule(name, 0, multiplicity)
    by_diis = _solve(system, registry, functional="b3lyp").raise_for_status()
    never = lambda run, lanes, limit, damped=False: np.zeros(len(run.batch), dtype=bool)  # noqa: E731
    monkeypatch.setattr(recovery, "iterate", never)
    minimised = _solve(system, registry, functional="b3lyp").raise_for_status()
    assert minimised.rung == [recovery.MINIMISED]
    assert minimised.energy[0] == pytest.approx(by_diis.energy[0], abs=2e-9)
    np.testing.assert_allclose(minimised.orbital_energies, by_diis.orbital_energies, rtol=0, atol=1e-5)


def test_an_entry_that_recovers_leaves_its_neighbours_alone(registry, waters):
    # Bonds drawn out threefold: a small gap, many iterations.
    hard = moved(waters[0], waters[0].positions * 3.0)
    alone, together = (
        _solve(waters, registry),
        _solve([*waters, hard], registry, convergence={"max_iterations": 14}),
    )
    assert together.rung[:3] == ["", "", ""]
    np.testing.assert_array_equal(together.energy[:3], alone.energy)


def test_without_recovery_a_result_says_that_it_did_not_converge(registry, waters):
    result = _solve(waters, registry, recovery=False, convergence={"max_iterations": 3})
    assert not result.converged.any()
    assert result.status == [scfx.Status.NOT_CONVERGED] * 3
    assert all("after 3 iterations" in reason for reason in result.reason)
    assert result.rung == ["", "", ""]
    with pytest.raises(scfx.ConvergenceError, match="3 of 3 entries did not converge"):
        result.raise_for_status()
    assert "max_iterations" in scfx.Status.NOT_CONVERGED.explain()


def test_one_iteration_is_never_called_converged(registry, waters):
    # There is no energy change to judge by; H2's orbital gradient vanishes by symmetry from the start.
    for system in (waters[0], molecule("H2"), molecule("He")):
        result = _solve(system, registry, recovery=False, convergence={"max_iterations": 1})
        assert not result.converged[0]


def test_values_that_are_not_finite_are_never_called_converged(registry, waters, monkeypatch):
    from scfx.scf.batch_scf import BatchSCF

    build = BatchSCF.build

    def broken(self, lanes, phase, coarse=None):
        build(self, lanes, phase, coarse)
        poisoned = self.state.fock_orth.at[0].set(np.nan)
        self.state = self.state._replace(
            fock_orth=poisoned,
            residual=self.state.residual.at[0].set(np.nan),
            energy=self.state.energy.at[0].set(np.nan),
        )

    monkeypatch.setattr(BatchSCF, "build", broken)
    result = _solve(waters, registry)
    assert result.converged.tolist() == [False, True, True]
    assert result.status[0] is scfx.Status.NOT_CONVERGED
    assert "not finite" in result.reason[0]
    assert np.isnan(result.energy[0])


def test_float32_that_does_not_settle_ends_in_float64(registry, waters, monkeypatch):
    from scfx.scf import iterate as plain

    def only_in_float64(run, lanes, limit, damped=False):
        if run.phases[-1].policy.integrals != "float64":
            return np.zeros(len(run.batch), dtype=bool)
        return plain.iterate(run, lanes, limit, damped)

    monkeypatch.setattr(recovery, "iterate", only_in_float64)
    monkeypatch.setattr(recovery, "minimise", lambda *_: False)
    result = _solve(waters, registry, precision="float32").raise_for_status()
    assert result.rung == ["float64"] * 3
    reference = _solve(waters, registry, precision="float64")
    np.testing.assert_allclose(result.energy, reference.energy, rtol=0, atol=1e-10)


# Charge transfer at long distance, and an open shell with two low-lying states: both defeat plain DIIS at times.


def test_stretched_lithium_fluoride_converges(registry):
    positions = [[0, 0, 0], [0, 0, 3.5]]
    system = scfx.System.from_arrays(["Li", "F"], positions)
    ours = _solve(system, registry, functional="b3lyp", basis="6-31g").raise_for_status()
    theirs = pyscf_solved(system, "b3lyp", "6-31g", 0, registry)
    # DIIS may stop at a saddle point: never above PySCF's energy.
    assert ours.energy[0] < theirs.e_tot + 1e-7


def test_cyanide_radical_converges_to_its_ground_state(registry):
    system = molecule("CN", 0, 2)
    ours = _solve(system, registry, functional="hf", basis="6-31g").raise_for_status()
    theirs = pyscf_solved(system, "hf", "6-31g", 0, registry, conv_tol_grad=1e-5)
    assert ours.energy[0] < theirs.e_tot + 1e-7
