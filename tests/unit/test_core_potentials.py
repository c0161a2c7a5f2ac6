"""Effective core potentials: against PySCF (libcint and libecp through its own Mole), and where they are refused."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import scfx
from scfx.abstract import AbstractBasisSource
from scfx.energy.integral_sources import IntegralSources
from scfx.model.basis import BasisSet, CorePotential
from scfx.model.batch import Batch
from scfx.model.elements import core_electrons_by_angular_momentum
from scfx.registry import Need

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


def test_simd_borrows_the_core_potentials_and_says_so():
    # The reference is the backend that has them, which agrees with PySCF above.
    fluorine = scfx.System.from_arrays(["F", "F"], [[0, 0, 0], [0, 0, 1.41]])
    systems = [scfx.System.from_arrays(*HYDROGEN_IODIDE), fluorine]
    options = {"functional": "hf", "basis": "def2-svp", "properties": ["gradient"], "convergence": "tight"}
    lent = scfx.solve(systems, backend="simd", **options).raise_for_status()
    own = scfx.solve(systems[:1], backend="libcint", **options)
    assert lent.energy[0] == pytest.approx(own.energy[0], abs=1e-9)
    np.testing.assert_allclose(lent.orbital_energies[0], own.orbital_energies[0], atol=1e-8)
    np.testing.assert_allclose(lent.gradient[0], own.gradient[0], atol=1e-7)
    assert lent.provenance["backend"] == "simd"
    assert lent.provenance["borrowed"] == {"one_electron": ["libcint"]}
    assert own.provenance["borrowed"] == {}
    # A row takes nothing from elsewhere because of its company; a solver need not be told the elements.
    alone = scfx.Solver(backend="simd", **options).solve(systems[1:])
    assert alone.energy[0] == lent.energy[1]
    assert np.array_equal(alone.gradient[0], lent.gradient[1])
    assert alone.provenance["borrowed"] == {}


def test_entries_of_one_batch_take_their_one_electron_part_from_who_has_it():
    shells = [scfx.Shell.normalised(0, [0.5], [1.0]), scfx.Shell.normalised(1, [0.4], [1.0])]
    potential = CorePotential(2, ((-1, 2, 1.5, 3.0),))
    basis = BasisSet("one structure", {2: shells, 4: shells}, core_potentials={4: potential})
    heavy, light = (
        scfx.System(np.array([z], dtype=np.int32), np.zeros((1, 3)), charge=0, multiplicity=1) for z in (4, 2)
    )
    batch = Batch.from_systems([light, heavy, light], basis)
    registry = scfx.Registry.discover()
    simd, libcint = registry.backend("simd"), registry.backend("libcint")
    sources = IntegralSources(simd, lambda: libcint)
    found, own = sources.one_electron(batch), simd.one_electron(batch)
    for matrix, mine, theirs in zip(found, own, libcint.one_electron(batch), strict=True):
        assert np.array_equal(matrix[[0, 2]], mine[[0, 2]])
        assert np.array_equal(matrix[1], theirs[1])
    assert abs(found.nuclear[1] - own.nuclear[1]).max() > 0.1
    assert sources.borrowed([batch]) == {"one_electron": ["libcint"]}


class _WithG(AbstractBasisSource):
    name = "minimal with g"

    def shells(self, atomic_number):
        exponent = 0.3 if atomic_number == 1 else 1.2
        higher = [scfx.Shell.normalised(l, [exponent], [1.0]) for l in (1, 4)] if atomic_number > 1 else []
        return [*(scfx.Shell.normalised(0, [a * exponent], [1.0]) for a in (4.0, 0.5)), *higher]

    def definition(self):
        return {"basis": self.name}


@pytest.mark.parametrize(
    ("functional", "properties"),
    [("lda", []), pytest.param("pbe0", ["gradient"], marks=pytest.mark.slow)],
    ids=["LDA", "PBE0 with gradient"],
)
def test_integrals_over_g_functions_are_borrowed_whole(functional, properties):
    hydride = scfx.System.from_arrays(["Li", "H"], [[0, 0, 0], [0.3, 0.4, 1.5]])
    options = {
        "functional": functional,
        "basis": _WithG(),
        "grid": 0,
        "properties": properties,
        "convergence": "tight",
    }
    lent = scfx.solve(hydride, backend="simd", **options).raise_for_status()
    own = scfx.solve(hydride, backend="libcint", **options)
    assert lent.energy[0] == pytest.approx(own.energy[0], abs=1e-9)
    if properties:
        np.testing.assert_allclose(lent.gradient[0], own.gradient[0], atol=1e-7)
    assert lent.provenance["borrowed"] == {"one_electron": ["libcint"], "two_electron": ["libcint"]}
    assert "; libcint: " in lent.provenance["kernels"]


def test_backend_that_may_not_borrow_is_refused_and_auto_takes_one_that_has_all():
    registry = scfx.Registry.discover()
    with pytest.raises(scfx.CapabilityError, match=r"effective core potentials are asked.*'libcint'"):
        registry.backend("ipu", need=Need(ecp=True))
    assert registry.backend("auto", need=Need(ecp=True)).name == "libcint"
    alone = scfx.Registry.from_plugins({"simd": importlib.import_module("scfx_simd")})
    with pytest.raises(scfx.CapabilityError, match="simd: effective core potentials are asked"):
        alone.backend("simd", need=Need(ecp=True))
    ready = registry.backend("simd")
    assert registry.backend(ready, need=Need(ecp=True, max_angular_momentum=4)) is ready
    with pytest.raises(scfx.CapabilityError, match="k shells are asked, it goes up to i"):
        registry.backend(ready, need=Need(max_angular_momentum=7))


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
