"""Corners of gradients: single atoms, ions, ghosts, what has no gradient and why, what is refused before any SCF."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gradient_checks import STENCIL, difference, directions
from gradient_oracle import difference_along, pyscf_gradient
from molecules import distorted, molecule, moved

import scfx
from scfx.model.masses import standard_atomic_weights
from scfx.scf import recovery

OPTIONS = {"functional": "hf", "basis": "sto-3g", "backend": "libcint", "grid": 0, "threads": 1}


@pytest.fixture(scope="module")
def water():
    return distorted(molecule("H2O"), 1)[0]


def _solve(systems, **options):
    return scfx.solve(systems, **{**OPTIONS, "properties": "gradient", **options})


@pytest.mark.parametrize(("name", "functional"), [("He", "svwn"), ("H", "hf")])
def test_an_atom_alone_feels_no_force(name, functional):
    result = _solve(molecule(name), functional=functional).raise_for_status()
    assert result.gradient[0].shape == (1, 3)
    np.testing.assert_allclose(result.gradient[0], 0.0, atol=1e-12)
    np.testing.assert_allclose(result.properties["net_torque"][0], 0.0, atol=1e-12)


@pytest.mark.parametrize(("name", "charge", "backend"), [("NH4", 1, "libcint"), ("OH", -1, "simd")])
def test_the_gradient_of_an_ion_is_the_energys_derivative(name, charge, backend):
    (ion,) = distorted(molecule(name, charge), 1)
    found = _solve(ion, backend=backend).raise_for_status().gradient[0]
    (along,) = directions(ion, 1)
    (numeric,) = difference_along(ion, [along], **{**OPTIONS, "backend": backend})
    assert np.sum(found * along) == pytest.approx(numeric, abs=1e-7)
    np.testing.assert_allclose(found.sum(axis=0), 0.0, atol=1e-9)


@pytest.mark.parametrize("backend", ["simd", "libcint"])
def test_a_ghost_atom_is_pulled_by_its_functions(backend):
    # It has no charge, but its functions lower the energy where they are: a Pulay force, and no other.
    system = scfx.System.from_arrays("HFO", [[0, 0, 0], [0, 0, 0.92], [0.3, 0.4, 2.4]]).with_ghosts([2])
    found = _solve(system, backend=backend).raise_for_status().gradient[0]
    (along,) = directions(system, 1)

    def energy(at: scfx.System) -> float:
        there = replace(system, positions=at.positions)
        return float(scfx.solve(there, **{**OPTIONS, "backend": backend, "convergence": "tight"}).energy[0])

    assert np.sum(found * along) == pytest.approx(difference(energy, system, along), abs=1e-7)
    assert np.abs(found[2]).max() > 1e-4
    np.testing.assert_allclose(found.sum(axis=0), 0.0, atol=1e-9)


def test_functions_that_were_left_out_null_the_gradient_with_the_reason(water):
    result = _solve([water, water], basis="cc-pvdz", linear_dependence_threshold=0.05).raise_for_status()
    assert result.gradient == [None, None]
    for name in ("gradient", "net_force", "net_torque"):
        assert (
            "linearly dependent combinations of functions were left out" in result.property_reasons[name][0]
        )
    assert "scf.linear_dependence_threshold" in result.property_reasons["gradient"][1]


def test_what_did_not_converge_or_failed_has_no_gradient(water):
    unconverged = _solve(water, recovery=False, convergence={"max_iterations": 3})
    assert unconverged.status == [scfx.Status.NOT_CONVERGED]
    assert unconverged.gradient == [None]
    failed = _solve([water, molecule("H2")], linear_dependence_threshold=0.9)
    assert failed.status[0] is scfx.Status.FAILED
    assert failed.gradient[0] is None
    assert failed.properties["net_force"][0] is None


@pytest.mark.parametrize(("name", "multiplicity"), [("H2O", 1), ("NH2", 2)])
def test_direct_minimisation_gives_the_gradient_of_diis(monkeypatch, name, multiplicity):
    (system,) = distorted(molecule(name, 0, multiplicity), 1)
    by_diis = _solve(system).raise_for_status()
    never = lambda run, lanes, limit, damped=False: np.zeros(len(run.batch), dtype=bool)  # noqa: E731
    monkeypatch.setattr(recovery, "iterate", never)
    minimised = _solve(system).raise_for_status()
    assert minimised.rung == [recovery.MINIMISED]
    np.testing.assert_allclose(minimised.gradient[0], by_diis.gradient[0], rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "fitted", [None, {"basis": "def2-universal-jkfit", "fitted": "jk"}], ids=["exact", "fitted"]
)
def test_a_core_potential_moves_with_its_atom_with_exact_and_fitted_integrals(fitted):
    system = scfx.System.from_arrays("HI", [[0, 0, 0], [0.1, 0.2, 1.6]])
    options = {**OPTIONS, "basis": "def2-svp", "density_fitting": fitted}
    found = _solve(system, **options).raise_for_status().gradient[0]
    (along,) = directions(system, 1)
    (numeric,) = difference_along(system, [along], **options)
    assert np.sum(found * along) == pytest.approx(numeric, abs=1e-7)
    np.testing.assert_allclose(found.sum(axis=0), 0.0, atol=1e-9)


class SlaterExchange(scfx.AbstractFunctional):
    """A third party's functional: the energy at a point in JAX and nothing else (Dirac 1930)."""

    family = "lda"
    name = "slater-exchange"

    def energy_density(self, density):
        constant = 0.75 * (3.0 / np.pi) ** (1.0 / 3.0)
        return -0.5 * constant * sum((2.0 * rho) ** (4.0 / 3.0) for rho in (density.rho_a, density.rho_b))


@pytest.mark.parametrize("backend", ["simd", "libcint"])
def test_a_third_partys_functional_has_its_gradient_for_nothing(backend, water):
    options = {**OPTIONS, "functional": SlaterExchange(), "backend": backend}
    (along,) = directions(water, 1)
    displaced = [moved(water, water.positions + n * 0.005 * along) for n, _ in STENCIL]
    result = _solve([water, *displaced], **{**options, "convergence": "tight"}).raise_for_status()
    numeric = result.energy[1:] @ np.array([weight for _, weight in STENCIL]) / 0.005
    assert np.sum(result.gradient[0] * along) == pytest.approx(numeric, abs=1e-7)


def test_a_rule_that_bounds_no_residual_is_refused(water):
    with pytest.raises(scfx.ConfigError, match="bounds no residual") as caught:
        _solve(water, convergence="qm1b")
    assert caught.value.key == "scf.convergence"


def test_without_grid_response_it_is_pyscfs_default(water, registry):
    found = _solve(water, functional="svwn", grid_response=False).raise_for_status().gradient[0]
    expected = pyscf_gradient(water, "svwn", "sto-3g", 0, registry, grid_response=False)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
    assert np.abs(found.sum(axis=0)).max() > 1e-5  # what the response is there to remove


def test_net_torque_is_the_energys_derivative_on_rotation(water):
    # Of the coarsest grid, which does not turn with the molecule: on a fine one both are too small to compare.
    weights = standard_atomic_weights(water.atomic_numbers)
    centre = weights @ water.positions / weights.sum()
    axis = np.array([0.6, -0.48, 0.64])
    cross = np.cross(axis, np.eye(3))  # x @ cross is axis × x
    step = 0.01

    def turned(angle: float) -> scfx.System:
        matrix = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross  # Rodrigues
        return moved(water, centre + (water.positions - centre) @ matrix)

    systems = [water, *(turned(n * step) for n, _ in STENCIL)]
    result = _solve(systems, functional="svwn", convergence="tight").raise_for_status()
    numeric = result.energy[1:] @ np.array([weight for _, weight in STENCIL]) / step
    torque = result.properties["net_torque"][0]
    assert -torque @ axis == pytest.approx(numeric, abs=2e-8)
    assert abs(numeric) > 1e-6
    np.testing.assert_allclose(result.properties["net_force"][0], 0.0, atol=1e-9)
