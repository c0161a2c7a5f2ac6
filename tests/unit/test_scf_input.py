"""What cannot be computed as asked is refused before any work, with what to change; edge cases are right."""

from __future__ import annotations

import re

import numpy as np
import pytest
from molecules import GEOMETRIES, distorted, molecule
from pyscf_oracle import orbital_energies, pyscf_solved

import scfx
from scfx.abstract import AbstractBasisSource
from scfx.config.spec import LINEAR_DEPENDENCE
from scfx.model.basis import Shell


def _solve(systems, registry, **options):
    options = {
        "functional": "hf",
        "basis": "sto-3g",
        "grid": 0,
        "threads": 1,
        "backend": "libcint",
        **options,
    }
    return scfx.solve(systems, registry=registry, **options)


# ---- refused ---------------------------------------------------------------------------------------------------------


def test_open_shell_with_a_restricted_reference_is_refused(registry):
    with pytest.raises(
        scfx.InputError, match=r"scf\.reference: 'restricted' needs multiplicity 1, systems\[1\]"
    ):
        _solve([molecule("H2O"), molecule("CH3")], registry, reference="restricted")


def test_element_outside_the_basis_is_named(registry):
    gold = scfx.System.from_arrays(["Au"], [[0, 0, 0]], multiplicity=2)
    with pytest.raises(scfx.InputError, match=r"(?i)6-31g.*Au"):
        _solve(gold, registry, basis="6-31g")


def test_electrons_beyond_the_basis_are_refused(registry):
    with pytest.raises(scfx.InputError, match=r"scf\.basis: .* has 1 functions .* too few for 2 occupied"):
        _solve(scfx.System.from_arrays(["H"], [[0, 0, 0]], charge=-2, multiplicity=2), registry)


def test_bare_nuclei_are_refused(registry):
    with pytest.raises(scfx.InputError, match="has no electrons"):
        _solve(scfx.System.from_arrays(["H"], [[0, 0, 0]], charge=1), registry)


def test_what_is_not_a_system_is_refused(registry):
    with pytest.raises(scfx.InputError, match=r"systems\[1\]: got int 3, expected a scfx\.System"):
        _solve([molecule("H2"), 3], registry)
    with pytest.raises(scfx.InputError, match=r"systems\[0\]: cannot read 'water\.xyz'"):
        _solve(["water.xyz"], registry)
    with pytest.raises(scfx.InputError, match="at least one System"):
        _solve([], registry)


def test_memory_budget_too_small_says_what_is_needed(registry):
    stored = {"name": "libcint", "storage": "stored"}
    with pytest.raises(scfx.ResourceError, match=r"scf\.memory_budget: .*CH4"):
        _solve(molecule("CH4"), registry, backend=stored, memory_budget=1000)


def test_integrals_that_do_not_fit_are_recomputed(registry):
    stored = _solve(molecule("CH3OH"), registry)
    direct = _solve(
        molecule("CH3OH"), registry, memory_budget=60_000
    )  # a few shell pairs of the 45 kB and more
    forced = _solve(molecule("CH3OH"), registry, backend={"name": "libcint", "storage": "direct"})
    assert direct.converged[0]
    assert direct.energy[0] == pytest.approx(stored.energy[0], abs=1e-10)
    assert forced.energy[0] == pytest.approx(stored.energy[0], abs=1e-10)


def test_small_memory_budget_cuts_batches_and_changes_no_bit(registry):
    waters = distorted(molecule("H2O"), 4)
    whole, cut = _solve(waters, registry), _solve(waters, registry, memory_budget=12_000)
    assert whole.energy.tolist() == cut.energy.tolist()


# ---- edge cases ------------------------------------------------------------------------------------------------------


def test_hydrogen_atom_has_no_self_interaction_in_hartree_fock(registry):
    # One electron: J and K cancel, and the orbital energy is the energy.
    result = _solve(molecule("H"), registry, basis="6-31g").raise_for_status()
    assert result.energy[0] == pytest.approx(-0.49823291, abs=1e-8)  # PySCF 2.14, UHF/6-31G
    assert result.homo[0] == pytest.approx(result.energy[0], abs=1e-10)
    assert result.s_squared[0] == pytest.approx(0.75, abs=1e-12)


@pytest.mark.parametrize("functional", ["hf", "b3lyp"])
def test_one_electron_of_one_spin_is_computed_as_in_pyscf(registry, functional):
    ours = _solve(molecule("H2", 1), registry, functional=functional, basis="6-31g").raise_for_status()
    theirs = pyscf_solved(molecule("H2", 1), functional, "6-31g", 0, registry)
    assert ours.energy[0] == pytest.approx(theirs.e_tot, abs=1e-8)


@pytest.mark.parametrize("functional", ["hf", "b3lyp"])
def test_without_an_empty_orbital_there_is_no_lumo(registry, functional):
    result = _solve(molecule("He"), registry, functional=functional).raise_for_status()
    assert np.isfinite(result.energy[0])
    assert np.isfinite(result.homo[0])
    assert np.isnan(result.lumo[0])
    assert np.isnan(result.gap[0])


def test_orbital_energies_of_a_molecule_whose_orbitals_symmetry_fixes(registry):
    # H2 in a minimal basis: the guess commutes with its Fock matrix, but is not idempotent.
    ours = _solve(molecule("H2"), registry).raise_for_status()
    theirs = pyscf_solved(molecule("H2"), "hf", "sto-3g", 0, registry)
    np.testing.assert_allclose(ours.orbital_energies[0], orbital_energies(theirs), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("symbol", "multiplicity"), [("O", 3), ("N", 4), ("Ne", 1), ("F", 2)])
def test_single_atoms(registry, symbol, multiplicity):
    atom = scfx.System.from_arrays([symbol], [[0.0, 0.0, 0.0]], multiplicity=multiplicity)
    ours = _solve(atom, registry, basis="6-31g").raise_for_status()
    theirs = pyscf_solved(atom, "hf", "6-31g", 0, registry)
    assert ours.energy[0] == pytest.approx(theirs.e_tot, abs=1e-8)
    np.testing.assert_allclose(np.linalg.norm(ours.dipole), 0.0, atol=1e-8)


class NearlyDependent(AbstractBasisSource):
    """6-31G's two s functions of hydrogen, and a third that is the second but for 1e-6 of its exponent."""

    name = "nearly-dependent"

    def shells(self, atomic_number: int) -> tuple[Shell, ...]:
        assert atomic_number == 1
        inner = Shell.normalised(0, [18.7311370, 2.8253937, 0.6401217], [0.03349460, 0.23472695, 0.81375733])
        return (inner, *(Shell.normalised(0, [0.1612778 * f], [1.0]) for f in (1.0, 1.000001)))

    def definition(self) -> dict[str, str]:
        return {"basis": self.name}


def test_linearly_dependent_functions_are_dropped(registry):
    assert LINEAR_DEPENDENCE > 1e-12  # what the pair's overlap eigenvalue is, about
    dependent = _solve(molecule("H2"), registry, basis=NearlyDependent()).raise_for_status()
    plain = _solve(molecule("H2"), registry, basis="6-31g").raise_for_status()
    assert dependent.nao[0] == 6
    assert dependent.n_orbitals[0] == 4
    assert np.isfinite(dependent.orbital_energies[0]).sum() == 4
    assert dependent.energy[0] == pytest.approx(plain.energy[0], abs=1e-6)
    assert dependent.gap[0] == pytest.approx(plain.gap[0], abs=1e-5)


def test_linear_dependence_threshold_is_the_users_to_choose(registry):
    # cc-pVDZ on water has overlap eigenvalues on both sides of 0.05.
    water = molecule("H2O")
    kept = _solve(water, registry, basis="cc-pvdz")
    fewer = _solve(water, registry, basis="cc-pvdz", linear_dependence_threshold=0.05)
    assert kept.n_orbitals[0] == kept.nao[0] > fewer.n_orbitals[0]
    assert fewer.energy[0] > kept.energy[0]  # variational: fewer functions
    assert kept.provenance["spec_hash"] != fewer.provenance["spec_hash"]


def test_threshold_that_leaves_too_few_orbitals_fails_the_entry_with_its_reason(registry):
    result = _solve(
        [molecule("H2O"), molecule("H2")], registry, basis="sto-3g", linear_dependence_threshold=0.9
    )
    assert result.status[0] is scfx.Status.FAILED
    assert re.search(r"scf\.linear_dependence_threshold: only \d+ of 7 combinations", result.reason[0])
    assert np.isnan(result.energy[0])
    assert not result.converged[0]
    with pytest.raises(scfx.ConvergenceError, match=r"scf\.linear_dependence_threshold"):
        result.raise_for_status()


def test_molecules_of_the_tables_are_what_they_say():
    # The geometries that other tests use: no two atoms closer than 0.7 angstrom, and every one a valid System.
    for name, (symbols, _) in GEOMETRIES.items():
        system = molecule(name)
        assert len(symbols) == system.natm
        if system.natm > 1:
            i, j = np.triu_indices(system.natm, 1)
            assert (
                np.linalg.norm(system.positions_angstrom[i] - system.positions_angstrom[j], axis=1).min()
                > 0.7
            )


@pytest.mark.parametrize("x64", [False, True])
def test_callers_jax_settings_are_respected(registry, x64):
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(x64):
        _solve(molecule("H2"), registry)
        assert jnp.ones(1).dtype == (jnp.float64 if x64 else jnp.float32)
