"""Other ways into the iterations: superposed atomic potentials, and ADIIS before CDIIS."""

from __future__ import annotations

import numpy as np
import pytest
from pyscf import gto, scf

import scfx
from scfx.grid import GridSpec
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch
from scfx.scf import potential_guess
from scfx.scf.adiis import DensityHistory, minimum_on_simplex, share, weights
from scfx.scf.purification import purified
from scfx.scf.step import build

WATER = "O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587"


@pytest.fixture(scope="module")
def registry() -> scfx.Registry:
    return scfx.Registry.discover()


@pytest.mark.parametrize("backend", ["simd", "libcint"])
def test_screening_matrix_is_pyscf_s_up_to_quadrature(backend, registry, monkeypatch):
    mole = gto.M(atom=WATER, basis="sto-3g", verbose=0)
    published = {s: np.array(gto.basis.load("sapgrasplarge", s)[0][1:], dtype=float) for s in ("O", "H")}
    system = scfx.System.from_arrays(["O", "H", "H"], mole.atom_coords(), unit="bohr")
    batch = Batch.from_systems([system], BasisSet.from_source(registry.basis("sto-3g"), [1, 8]))
    monkeypatch.setattr(potential_guess, "GRID", GridSpec(atom_grid=(60, 302), prune=False))
    source = registry.basis(potential_guess.PUBLISHED)
    found = potential_guess.screening_matrix(batch, registry.backend(backend), source)[0]
    np.testing.assert_allclose(found, scf.hf.make_sap(mole, published), atol=2e-6)


def test_screening_of_a_neutral_atom_is_that_of_its_electrons_far_away(registry):
    system = scfx.System.from_arrays(["O"], [[0.0, 0.0, 0.0]], multiplicity=3)
    batch = Batch.from_systems([system], BasisSet.from_source(registry.basis("sto-3g"), [8]))
    points = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 60.0]])
    near, far = potential_guess.screening_potential(
        batch, 0, registry.basis(potential_guess.PUBLISHED), points
    )
    assert far == pytest.approx(8 / 60.0, rel=1e-6)
    # <1/r> of the electrons of neutral oxygen, Hartree-Fock: 22.26 (C. F. Bunge et al., At. Data 53, 113 (1993)), less
    # the exchange potential of the local density approximation, (3 ρ/π)^(1/3) = 6.7 at ρ = 311 on the nucleus.
    assert near == pytest.approx(22.26 - 6.7, abs=1.0)


@pytest.mark.parametrize("indefinite", [False, True])
def test_weights_are_the_minimum_over_the_simplex(indefinite):
    random = np.random.default_rng(3)
    for k in (1, 2, 5):
        linear, square = random.normal(size=k), random.normal(size=(k, k))
        quadratic = 0.5 * (square + square.T) if indefinite else square @ square.T
        c = minimum_on_simplex(linear, quadratic)
        assert c.min() >= 0.0
        assert c.sum() == pytest.approx(1.0, abs=1e-12)
        others = random.dirichlet(np.full(k, 0.5), size=4000)
        model = others @ linear + 0.5 * np.einsum("ni,ij,nj->n", others, quadratic, others)
        assert linear @ c + 0.5 * c @ quadratic @ c <= model.min() + 1e-12


def test_adiis_finds_the_density_at_which_a_quadratic_energy_is_lowest():
    # E(D) = tr h D + ½ tr D K D: F = h + K D, and the model is exact.
    random = np.random.default_rng(5)
    h = random.normal(size=(1, 4, 4))
    densities = random.normal(size=(3, 1, 4, 4))
    focks = h + 2.0 * densities
    c = weights(densities, focks)

    def energy(d):
        return float(np.sum(h * d) + np.sum(d * d))

    best = energy(np.einsum("i,isab->sab", c, densities))
    for other in random.dirichlet(np.ones(3), size=500):
        assert best <= energy(np.einsum("i,isab->sab", other, densities)) + 1e-10
    history = DensityHistory(1, 3)
    for density, fock in zip(densities, focks, strict=True):
        history.add(0, density, fock)
    np.testing.assert_allclose(history.average(0), np.einsum("i,isab->sab", c, focks))
    assert (share(1.0), share(0.05), share(1e-5)) == (1.0, 0.5, 0.0)


def test_every_way_leads_to_one_energy_and_bits_depend_on_the_row_alone():
    water = gto.M(atom=WATER, basis="sto-3g", verbose=0)
    symbols, positions = ["O", "H", "H"], water.atom_coords()
    systems = [scfx.System.from_arrays(symbols, factor * positions, unit="bohr") for factor in (1.0, 1.6)]
    options = {"functional": "hf", "basis": "sto-3g", "backend": "simd", "recovery": False}
    compiled = build._cache_size()
    plain = scfx.solve(systems, **options).raise_for_status()
    assert build._cache_size() - compiled <= 1, "one shape of batch compiles one function"
    hashes = {plain.provenance["spec_hash"]}
    for guess, diis in (("sap", "cdiis"), ("core", "adiis"), ("sap", "adiis")):
        other = scfx.solve(systems, guess=guess, diis=diis, **options)
        np.testing.assert_allclose(other.raise_for_status().energy, plain.energy, atol=1e-8)
        hashes.add(other.provenance["spec_hash"])
    assert len(hashes) == 4
    alone = scfx.solve(systems[1], guess="sap", diis="adiis", **options)
    assert alone.energy[0] == other.energy[1]
    assert np.array_equal(alone.orbital_energies[0], other.orbital_energies[1])


def test_what_a_procedure_is_not_for_is_refused_with_a_remedy():
    iodide = scfx.System.from_arrays(["H", "I"], [[0, 0, 0], [0, 0, 1.609]])
    result = scfx.solve(iodide, functional="hf", basis="def2-svp", backend="libcint", guess="sap")
    assert "'sap' has potentials of all electrons" in result.reason[0]
    assert "use guess = 'atomic'" in result.reason[0]
    for options, word in (
        ({"reference": "restricted-open"}, "restricted-open"),
        ({"convergence": "qm1b"}, "the paper's CDIIS alone"),
    ):
        with pytest.raises(scfx.ConfigError, match=word) as caught:
            scfx.Solver(functional="hf", diis="adiis", backend="simd", **options)
        assert caught.value.key == "scf.diis"


def test_purifying_ends_at_a_determinant_or_says_that_none_is_near():
    rng = np.random.default_rng(3)
    half = rng.normal(size=(3, 3))
    overlap = half @ half.T + np.eye(3)
    lengths, vectors = np.linalg.eigh(overlap)
    back = vectors / np.sqrt(lengths)  # to a basis where the overlap is 1
    near, far = (back @ np.diag(numbers) @ back.T for numbers in ([1.3, 0.9, -0.1], [1.7, 0.9, -0.1]))
    np.testing.assert_allclose(purified(near, overlap), back @ np.diag([1.0, 1.0, 0.0]) @ back.T, atol=1e-12)
    # Without overflowing (a warning is an error here), and not to be taken for one of two electrons.
    assert abs(np.trace(purified(far, overlap) @ overlap) - 2.0) > 1.0
