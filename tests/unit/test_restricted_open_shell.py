"""`reference = "restricted-open"`: one set of orbitals for both spins, against PySCF's ROHF and ROKS."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import distorted, molecule
from pyscf_oracle import frontier, orbital_energies, pyscf_solved

import scfx
from scfx.scf import recovery

CASES = [
    ("O2", 0, 3, "hf", "6-31g"),
    ("CH2", 0, 3, "b3lyp", "6-31g*"),
    ("CH3", 0, 2, "pbe", "def2-svp"),
    ("NH2", 0, 2, "hf", "6-31g*"),
    ("H2O", 1, 2, "wb97x", "6-31g"),
    ("HCO", 0, 2, "r2scan", "6-31g"),
]


def _solve(systems, registry, functional="hf", basis="6-31g", **options):
    options = {"backend": "libcint", "grid": 0, "threads": 1, "reference": "restricted-open", **options}
    return scfx.solve(systems, functional, basis, registry=registry, **options).raise_for_status()


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[2]}-{c[3]}-{c[4]}")
def test_energy_and_orbitals_equal_pyscf(case, registry):
    name, charge, multiplicity, functional, basis = case
    system = molecule(name, charge, multiplicity)
    ours = _solve(system, registry, functional, basis)
    theirs = pyscf_solved(system, functional, basis, 0, registry, restricted_open=True)
    assert ours.energy[0] == pytest.approx(theirs.e_tot, abs=1e-7)
    for of_spin in ours.orbital_energies[0]:
        np.testing.assert_allclose(of_spin, orbital_energies(theirs), rtol=0, atol=1e-5)
    assert (ours.homo[0], ours.lumo[0]) == pytest.approx(frontier(theirs), abs=1e-5)
    np.testing.assert_allclose(ours.dipole[0], theirs.dip_moment(unit="AU", verbose=0), rtol=0, atol=1e-5)
    spin = (multiplicity - 1) / 2
    assert ours.s_squared[0] == pytest.approx(spin * (spin + 1), abs=1e-10)


def test_both_spins_have_the_same_orbitals_and_lie_above_unrestricted_ones(registry):
    radical = molecule("HCO", 0, 2)
    shared = _solve(radical, registry, return_density=True)
    free = _solve(radical, registry, reference="unrestricted")
    alpha, beta = shared.orbital_coefficients[0]
    np.testing.assert_array_equal(alpha, beta)
    assert free.energy[0] < shared.energy[0] - 1e-4
    assert free.s_squared[0] > shared.s_squared[0] + 1e-3


def test_a_singlet_is_the_restricted_one(registry):
    water = molecule("H2O")
    assert _solve(water, registry).energy == scfx.solve(
        water, "hf", "6-31g", "libcint", grid=0, threads=1, registry=registry
    ).energy  # fmt: skip


def test_lanes_of_unlike_spin_share_a_batch(registry):
    species = [molecule("CH2", 0, 3), molecule("CH2", 0, 1), molecule("CH2", 1, 2)]
    together = _solve(species, registry, "b3lyp")
    for k, one in enumerate(species):
        assert together.energy[k] == pytest.approx(_solve(one, registry, "b3lyp").energy[0], abs=1e-9)


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_other_precisions_and_simd_agree_with_float64(registry, precision):
    # Level 2: iterations on the coarse grid move the effective Fock matrices of the history, too.
    radicals = distorted(molecule("CH3", 0, 2), 2)
    exact = _solve(radicals, registry, "b3lyp", grid=2)
    other = _solve(radicals, registry, "b3lyp", grid=2, backend="simd", precision=precision)
    bound = {"float32": 4e-5, "mixed": 2e-9}[precision]  # 1 meV is the aim of float32, docs/precision.md
    np.testing.assert_allclose(other.energy, exact.energy, rtol=0, atol=bound)
    np.testing.assert_allclose(other.s_squared, 0.75, rtol=0, atol=1e-6)
    assert other.rung == ["", ""]


@pytest.mark.parametrize(("name", "multiplicity"), [("CH3", 2), ("O2", 3)])
def test_direct_minimisation_and_damping_reach_the_energy_of_diis(registry, monkeypatch, name, multiplicity):
    system = molecule(name, 0, multiplicity)
    by_diis = _solve(system, registry, "b3lyp")
    plain = recovery.iterate
    refused = lambda run, *_, **__: np.zeros(len(run.batch), dtype=bool)  # noqa: E731
    monkeypatch.setattr(
        recovery, "iterate", lambda *a, damped=False: (plain if damped else refused)(*a, damped=damped)
    )
    damped = _solve(system, registry, "b3lyp")
    monkeypatch.setattr(recovery, "iterate", refused)
    minimised = _solve(system, registry, "b3lyp")
    assert (damped.rung, minimised.rung) == ([recovery.DAMPED], [recovery.MINIMISED])
    for found in (damped, minimised):
        assert found.energy[0] == pytest.approx(by_diis.energy[0], abs=2e-9)
        np.testing.assert_allclose(found.orbital_energies, by_diis.orbital_energies, rtol=0, atol=1e-5)


def test_stability_is_refused_by_name(registry):
    with pytest.raises(scfx.ConfigError, match=r"scf\.stability.*unrestricted"):
        _solve(molecule("CH3", 0, 2), registry, stability=True)
