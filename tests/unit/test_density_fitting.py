"""Density fitting against PySCF's with the same auxiliary basis, and against the exact integrals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from molecules import molecule

import scfx
from scfx.errors import ScfxError

FIT: dict[str, Any] = {"backend": "libcint", "density_fitting": "def2-universal-jkfit"}
FIT_J = FIT | {"density_fitting": {"basis": "def2-universal-jkfit", "fitted": "j"}}


def _pyscf(system, xc, spin=0):
    from pyscf import dft, gto

    mole = gto.M(
        atom=list(zip(system.symbols, system.positions, strict=True)), unit="bohr", basis="def2-svp",
        charge=system.charge, spin=spin, verbose=0,
    )  # fmt: skip
    field = dft.KS(mole, xc=xc).density_fit(auxbasis="def2-universal-jkfit")
    field.grids.level, field.conv_tol = 0, 1e-11
    return field.kernel()


@pytest.mark.parametrize("xc", ["pbe", "pbe0"])
def test_fitted_energy_is_pyscfs(xc):
    water = molecule("H2O")
    options = {"functional": xc, "basis": "def2-svp", "grid": 0, "convergence": "tight"}
    expected = _pyscf(water, xc)
    for backend in ("libcint", "simd"):
        ours = scfx.solve(water, **options, **FIT | {"backend": backend}).raise_for_status()
        assert ours.energy[0] == pytest.approx(expected, abs=1e-9)


def test_fitted_energy_of_a_radical_with_attenuated_exchange_is_pyscfs():
    radical = scfx.System.from_arrays("NH", [[0, 0, 0], [0, 0, 1.04]], multiplicity=3)
    expected = _pyscf(radical, "camb3lyp", spin=2)
    for backend in ("libcint", "simd"):
        ours = scfx.solve(
            radical, functional="camb3lyp", basis="def2-svp", grid=0, **FIT | {"backend": backend}
        )
        # The metric of erf is near to singular: rounding in it is worth some 1e-9 hartree.
        assert ours.energy[0] == pytest.approx(expected, abs=1e-8)


def test_fitting_j_alone_keeps_exchange_exact():
    # Weigend (2002): errors of RI-J and RI-JK with these sets are some 1e-5 hartree an atom; K dominates them.
    water = molecule("H2O")
    options = {"functional": "hf", "basis": "def2-svp"}
    exact = scfx.solve(water, backend="libcint", **options).energy[0]
    both = scfx.solve(water, **FIT, **options).energy[0]
    coulomb, by_simd = (
        scfx.solve(water, **FIT_J | {"backend": backend}, **options).energy[0]
        for backend in ("libcint", "simd")
    )
    assert by_simd == pytest.approx(coulomb, abs=1e-9)
    double, mixed = (
        scfx.solve(water, **FIT | {"backend": "simd", "precision": precision}, **options).energy[0]
        for precision in ("float64", "mixed")
    )
    assert mixed == double == pytest.approx(both, abs=1e-9)
    assert 0 < abs(coulomb - exact) < 1e-4
    assert 0 < abs(both - exact) < 1e-4
    assert coulomb != both


def test_cartesian_orbitals_are_fitted_with_a_small_error():
    water = molecule("H2O")
    options = {"functional": "hf", "basis": "6-31g*"}
    exact = scfx.solve(water, backend="libcint", **options)
    fitted = scfx.solve(water, **FIT, **options)
    assert fitted.energy[0] == pytest.approx(exact.energy[0], abs=2e-4)
    np.testing.assert_allclose(fitted.orbital_energies, exact.orbital_energies, atol=2e-3)


def test_auxiliary_basis_enters_the_spec_hash():
    def of(**options):
        return scfx.Solver(functional="hf", basis="def2-svp", **options).spec_hash

    assert len({of(backend="libcint"), of(**FIT), of(**FIT_J)}) == 3


def test_the_backends_old_option_works_and_says_what_replaced_it():
    old = {"name": "libcint", "density_fitting": "def2-universal-jkfit", "fitted": "j"}
    options = {"functional": "hf", "basis": "def2-svp"}
    with pytest.warns(FutureWarning, match=r"is now scf\.density_fitting"):
        solver = scfx.Solver(backend=old, **options)
    assert solver.spec_hash == scfx.Solver(**FIT_J, **options).spec_hash


def test_auto_is_the_set_that_is_published_with_the_basis():
    options = {"functional": "hf", "backend": "libcint"}
    auto = scfx.Solver(basis="def2-svp", density_fitting="auto", **options)
    assert auto.spec_hash == scfx.Solver(basis="def2-svp", **options | FIT).spec_hash
    with pytest.raises(scfx.ConfigError, match=r"scf\.density_fitting: no auxiliary basis .* 'sto-3g'"):
        scfx.Solver(basis="sto-3g", density_fitting="auto", **options)


def test_a_backend_without_the_integrals_is_refused():
    with pytest.raises(scfx.CapabilityError, match="no two- and three-index integrals"):
        scfx.Solver(functional="hf", backend="ipu", density_fitting="def2-universal-jkfit")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "float32"}, "with backend 'libcint' stores float64 integrals only"),
        ({"density_fitting": "no-such-basis"}, "no-such-basis"),
        ({"density_fitting": {"fitted": "k"}}, "fitted is 'k', expected 'jk' or 'j'"),
        ({"density_fitting": {"base": "auto"}}, "unknown key 'base'"),
        ({"memory_budget": 100_000, "threads": 1}, "memory_budget"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, message):
    with pytest.raises(ScfxError, match=message):
        scfx.solve(molecule("H2O"), functional="hf", basis="def2-svp", **FIT | change)
