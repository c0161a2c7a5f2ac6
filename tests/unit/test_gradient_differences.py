"""Gradients by differences of energies, asked for by name; and gradients that are forced from loose densities."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from gradient_oracle import difference_along, every_component
from molecules import distorted, molecule

# QCElemental, when imported, announces where its models will move.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import qcengine

    import scfx.qcengine

import scfx
import scfx.ase
from scfx.contracts.backend import AbstractIntegralBackend
from scfx.contracts.property import PropertyError
from scfx.properties.gradient_differences import STENCIL, _derivative

FIVE_POINT = {"name": "gradient", "method": "five_point"}
OPTIONS = {"functional": "hf", "basis": "sto-3g", "grid": 0, "threads": 1}


class WithoutDerivatives(AbstractIntegralBackend):
    """A third party's: the integrals of another backend and nothing else that it can do."""

    name = "without-derivatives"

    def __init__(self, registry):
        self._of = registry.backend("simd")

    def one_electron(self, batch):
        return self._of.one_electron(batch)

    def two_electron(self, batch, policy, memory_budget):
        return self._of.two_electron(batch, policy, memory_budget)


@pytest.fixture(scope="module")
def backend(registry):
    return WithoutDerivatives(registry)


@pytest.fixture(scope="module")
def waters():
    # The hydrogens come first, so that the batch's own order of atoms differs from the system's.
    return distorted(scfx.System.from_arrays("HOH", [[0, 0.757, 0.587], [0, 0, 0], [0, -0.757, 0.587]]), 3)


@pytest.fixture(scope="module")
def analytic(waters):
    return scfx.solve(waters, backend="simd", properties="gradient", **OPTIONS).raise_for_status()


def test_five_point_differences_give_the_analytic_gradient_where_no_derivative_integrals_are(
    backend, waters, analytic
):
    found = scfx.solve(waters[:2], backend=backend, properties=[FIVE_POINT], **OPTIONS).raise_for_status()
    for mine, exact in zip(found.gradient, analytic.gradient, strict=False):
        np.testing.assert_allclose(mine, exact, rtol=0, atol=2e-8)
    np.testing.assert_array_equal(found.energy, analytic.energy[:2])
    assert found.provenance["properties"] == {"gradient": {"method": "five_point", "step_bohr": 0.01}}
    assert "properties" not in analytic.provenance
    # What says how good a gradient is comes along, and no value depends on what else is solved.
    assert np.abs(found.properties["net_force"]).max() < 1e-7
    assert found.properties["orbital_gradient"][0] < 1e-8
    others = scfx.solve([waters[2], waters[0]], backend=backend, properties=[FIVE_POINT], **OPTIONS)
    np.testing.assert_array_equal(others.gradient[1], found.gradient[0])


def test_labels_by_another_method_or_step_have_another_hash(registry):
    def hashed(*properties):
        return scfx.Solver(backend="simd", properties=properties, registry=registry, **OPTIONS).spec_hash

    assert len({hashed("gradient"), hashed(FIVE_POINT), hashed({**FIVE_POINT, "step_bohr": 0.02})}) == 3
    assert hashed(FIVE_POINT) == hashed({**FIVE_POINT, "step_bohr": 0.01})


def test_a_backend_without_derivatives_is_refused_with_the_remedy(backend, registry):
    with pytest.raises(scfx.CapabilityError, match="method = 'five_point'") as caught:
        scfx.Solver(backend=backend, properties="gradient", registry=registry, **OPTIONS)
    assert caught.value.key == "scf.backend"


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        ({"properties": [{**FIVE_POINT, "step_bohr": 0.5}]}, "scf.properties", r"0\.0001 to 0\.1"),
        ({"properties": [{"name": "gradient", "method": "numeric"}]}, "scf.properties", "'five_point'"),
        ({"properties": [{"name": "gradient", "step_bohr": 0.01}]}, "scf.properties", "leave it out"),
        ({"properties": [{"name": "gradient", "any_residual": 1}]}, "scf.properties", "true or false"),
        ({"grid_response": False}, "scf.grid_response", "what differences of the energy contain"),
        ({"convergence": "qm1b"}, "scf.convergence", "bounds no residual"),
        (
            {"convergence": "qm1b", "properties": [{**FIVE_POINT, "any_residual": True}]},
            "scf.convergence",
            r"0\.01 eV",
        ),
        ({"precision": "float32"}, "scf.precision", "integrals = 'float32'"),
    ],
)
def test_what_differences_cannot_do_is_refused_before_any_scf(options, key, message, registry):
    with pytest.raises(scfx.ConfigError, match=message) as caught:
        scfx.Solver(backend="simd", registry=registry, **{**OPTIONS, "properties": [FIVE_POINT], **options})
    assert caught.value.key == key


def test_displaced_geometries_that_give_no_derivative_null_the_gradient_with_the_reason():
    def entries(**change):
        energies = np.array([0.01 * n * 0.3 for _ in range(3) for n, _ in STENCIL])
        out = [SimpleNamespace(converged=True, n_orbitals=2, energy=e) for e in energies]
        for name, value in change.items():
            setattr(out[5], name, value)
        return out

    np.testing.assert_allclose(_derivative(entries(), 0.01, 2), [[0.3, 0.3, 0.3]], rtol=1e-12)
    for change, reason in (
        ({"converged": False}, "1 of 12 displaced geometries did not converge"),
        ({"n_orbitals": 1}, "linearly dependent functions"),
        ({"energy": 0.002}, "different electronic states"),
    ):
        found = _derivative(entries(**change), 0.01, 2)
        assert isinstance(found, PropertyError)
        assert reason in str(found)


def test_differences_follow_functions_that_are_left_out(registry):
    # The analytic formula would be wrong there, and gives none (test_gradient_corners).
    hydrogen = scfx.System.from_arrays("HH", [[0, 0, 0], [0.1, 0.2, 0.8]])
    options = {
        **OPTIONS,
        "basis": "6-31g",
        "backend": "simd",
        "linear_dependence_threshold": 0.15,
        "registry": registry,
    }
    result = scfx.solve([hydrogen] * 2, properties=[FIVE_POINT], **options).raise_for_status()
    assert result.n_orbitals[0] < result.nao[0]
    numeric = difference_along(hydrogen, every_component(2), step=0.01, **options).reshape(2, 3)
    np.testing.assert_allclose(result.gradient[0], numeric, rtol=0, atol=1e-8)
    assert np.abs(result.gradient[0]).max() > 1e-2


def test_a_gradient_is_forced_from_a_loose_density_by_name_alone(analytic, waters):
    options = {**OPTIONS, "backend": "simd", "convergence": "qm1b"}
    result = scfx.solve(waters, properties=[{"name": "gradient", "any_residual": True}], **options)
    for mine, exact in zip(result.gradient, analytic.gradient, strict=True):
        np.testing.assert_allclose(mine, exact, rtol=0, atol=1e-4)
    # The residual, which bounds the error, stands beside it.
    assert len(result.properties["orbital_gradient"]) == len(waters)


def test_doors_that_ask_for_forces_keep_the_method_that_is_asked_for(registry):
    scf = {"functional": "hf", "basis": "sto-3g", "backend": "simd", "properties": (FIVE_POINT,)}
    config = qcengine.get_config(task_config={"ncores": 1, "memory": 1})
    for solver in (
        scfx.ase._solver(scf, True, (1,), registry),
        scfx.qcengine._solver(scf, True, molecule("H2"), config),
    ):
        assert solver.provenance()["properties"]["gradient"]["method"] == "five_point"
