"""Effective core potentials: against PySCF (libcint and libecp through its own Mole), and where they are refused."""

from __future__ import annotations

import numpy as np
import pytest

import scfx
from scfx.abstract import AbstractBasisSource
from scfx.model.basis import BasisSet
from scfx.model.elements import core_electrons_by_angular_momentum

# Bond lengths of Huber and Herzberg (1979), angstrom; methyl bromide's of Graner, J. Mol. Spectrosc. 90, 394 (1981).
HYDROGEN_IODIDE = (["H", "I"], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.609]])
METHYL_BROMIDE = (
    ["C", "Br", "H", "H", "H"],
    [[0, 0, 0], [0, 0, 1.934], [1.03, 0, -0.36], [-0.515, 0.892, -0.36], [-0.515, -0.892, -0.36]],
)


def _pyscf(symbols, positions, basis, xc):
    from pyscf import dft, gto, scf

    atoms = list(zip(symbols, positions, strict=True))
    heavy = {s: basis for s in symbols if s in ("Br", "I")}
    mole = gto.M(atom=atoms, basis=basis, ecp=heavy, verbose=0)
    field = scf.RHF(mole) if xc == "hf" else dft.RKS(mole, xc=xc)
    if xc != "hf":
        field.grids.level = 1
    field.conv_tol = 1e-11
    return mole, field, field.kernel()


@pytest.mark.parametrize(
    ("geometry", "basis", "functional"),
    [(HYDROGEN_IODIDE, "def2-svp", "pbe0"), (METHYL_BROMIDE, "lanl2dz", "hf")],
    ids=["HI/def2-SVP", "CH3Br/LANL2DZ"],
)
def test_molecule_with_core_potential_agrees_with_pyscf(geometry, basis, functional):
    mole, field, energy = _pyscf(*geometry, basis, functional)
    # PySCF's own conversion, so that positions agree to the last digit.
    system = scfx.System.from_arrays(geometry[0], mole.atom_coords(), unit="bohr")
    result = scfx.solve(system, functional=functional, basis=basis, backend="libcint", grid=1)
    assert result.raise_for_status().energy[0] == pytest.approx(energy, abs=1e-9)
    np.testing.assert_allclose(result.orbital_energies[0], field.mo_energy, atol=1e-6)
    np.testing.assert_allclose(result.dipole[0], field.dip_moment(unit="au", verbose=0), atol=1e-5)


def test_elements_with_and_without_core_potentials_may_share_a_batch():
    # One call, two structures and two kinds of atoms: each as if it were alone.
    systems = [scfx.System.from_arrays(*geometry) for geometry in (HYDROGEN_IODIDE, METHYL_BROMIDE)]
    options = {"functional": "hf", "basis": "def2-svp", "backend": "libcint"}
    together = scfx.solve(systems, **options)
    for system, energy in zip(systems, together.energy, strict=True):
        assert scfx.solve(system, **options).energy[0] == energy


def test_backend_without_core_potentials_is_refused_with_the_one_that_has_them():
    system = scfx.System.from_arrays(*HYDROGEN_IODIDE)
    with pytest.raises(scfx.CapabilityError, match=r"effective core potentials are asked.*'libcint'"):
        scfx.solve(system, functional="hf", basis="def2-svp", backend="simd")
    assert (
        scfx.solve(system, functional="hf", basis="def2-svp", backend="auto").provenance["backend"]
        == "libcint"
    )
    # A solver that was not told the elements finds out when it meets them.
    solver = scfx.Solver(functional="hf", basis="def2-svp", backend="simd")
    with pytest.raises(scfx.InputError, match="core potentials for I, which backend 'simd' cannot"):
        solver.solve(system)


def test_charge_that_reaches_into_the_replaced_core_is_refused():
    bare = scfx.System.from_arrays(["I"], [[0.0, 0.0, 0.0]], charge=40, multiplicity=2)
    with pytest.raises(scfx.InputError, match="replaces 28 electrons"):
        scfx.solve(bare, functional="hf", basis="def2-svp", backend="libcint")


def test_core_potential_enters_the_definition_of_a_basis():
    source = scfx.Registry.discover().basis("def2-svp")
    assert source.core_potential(53).n_core == 28  # the small-core potential of Peterson et al. (2003)
    assert source.core_potential(6) is None
    assert "core_potentials" in source.definition()
    assert "core_potentials" not in scfx.Registry.discover().basis("6-31g").definition()


@pytest.mark.parametrize("n_core", [2, 10, 18, 28, 36, 46, 54, 60, 68, 78])
def test_core_shells_hold_the_electrons_that_the_potential_replaces(n_core):
    shells = core_electrons_by_angular_momentum(n_core)
    assert sum(shells) == n_core
    assert all(electrons % (4 * l + 2) == 0 for l, electrons in enumerate(shells))


def test_source_without_core_potentials_needs_no_word_about_them():
    class Minimal(AbstractBasisSource):
        name = "minimal"

        def shells(self, atomic_number):
            return [scfx.Shell.normalised(0, [1.0], [1.0])]

        def definition(self):
            return {"basis": self.name}

    basis = BasisSet.from_source(Minimal(), [1])
    assert basis.core_potentials == {}
    assert basis.n_core(1) == 0
