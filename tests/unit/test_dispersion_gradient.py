"""Gradients of dispersion corrections: the libraries' own and wB97X-D's, against differences of their energies."""

from __future__ import annotations

import numpy as np
import pytest
from gradient_checks import difference, directions

import scfx
from scfx.abstract import AbstractDispersionCorrection

#: A water near a hydrogen chloride: pairs in the damped and in the free range.
PAIR = scfx.System.from_arrays(
    ["O", "H", "H", "Cl", "H"],
    [[0, 0, 0.2], [0, 1.43, -0.9], [0.1, -1.43, -0.9], [0.4, 0.3, 6.1], [0.2, 0.1, 3.7]],
    unit="bohr",
)
ION = scfx.System(PAIR.atomic_numbers, PAIR.positions, 1, 2)
OPTIONS = {
    "d3bj": {"name": "d3bj", "functional": "b3lyp"},
    "d3bj, three-body": {"name": "d3bj", "functional": "pbe0", "three_body": True},
    "d3zero": {"name": "d3zero", "functional": "pbe"},
    "d4": {"name": "d4", "functional": "pbe0"},
    "d4-gcp": {"name": "d4-gcp"},
    "d3bj-srb": {"name": "d3bj-srb"},
    "gcp": {
        "name": "gcp", "functional": "hybrid", "basis": "6-31g*",
        "dispersion": {"method": "d3bj", "functional": "b3lyp"},
    },
    "chg": {"name": "chg"},
}  # fmt: skip


@pytest.mark.parametrize("system", [PAIR, ION], ids=["neutral", "cation"])
@pytest.mark.parametrize("name", OPTIONS)
def test_gradient_is_the_energys_derivative(name, system, registry):
    correction = registry.dispersion(OPTIONS[name])
    found = correction.gradient(system)
    assert found.shape == (5, 3)
    for along in directions(system, 3):
        numeric = difference(correction.energy, system, along, 0.01)
        assert np.sum(found * along) == pytest.approx(numeric, abs=1e-10)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-14)
    assert np.abs(found).max() > 1e-5


@pytest.mark.parametrize("name", OPTIONS)
def test_an_atom_alone_feels_nothing(name, registry):
    atom = scfx.System.from_arrays(["He"], [[0.1, 0.2, 0.3]])
    np.testing.assert_allclose(
        registry.dispersion(OPTIONS[name]).gradient(atom), np.zeros((1, 3)), atol=1e-15
    )


@pytest.mark.parametrize(("name", "element"), [("d3bj", 103), ("d4", 92), ("chg", 86)])
def test_elements_without_parameters_are_refused_as_for_the_energy(name, element, registry):
    heavy = scfx.System.from_arrays([element, 1], [[0, 0, 0], [0, 0, 4]], multiplicity=None)
    with pytest.raises(scfx.InputError, match="elements up to"):
        registry.dispersion(OPTIONS[name]).gradient(heavy)


def test_a_correction_without_gradient_says_so_by_name():
    class EnergyOnly(AbstractDispersionCorrection):
        name = "energy-only"

        def energy(self, system: scfx.System) -> float:
            return -0.001

        def definition(self) -> dict[str, str]:
            return {"method": self.name}

    with pytest.raises(scfx.CapabilityError, match="'energy-only' has no nuclear gradient"):
        EnergyOnly().gradient(PAIR)
