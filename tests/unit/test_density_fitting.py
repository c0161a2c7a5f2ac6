"""Density fitting against PySCF's with the same auxiliary basis, and against the exact integrals."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import molecule

import scfx
from scfx.errors import ScfxError

FIT = {"name": "libcint", "density_fitting": "def2-universal-jkfit"}


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
    ours = scfx.solve(water, functional=xc, basis="def2-svp", backend=FIT, grid=0).raise_for_status()
    assert ours.energy[0] == pytest.approx(_pyscf(water, xc), abs=1e-8)


def test_fitted_energy_of_a_radical_with_attenuated_exchange_is_pyscfs():
    radical = scfx.System.from_arrays("NH", [[0, 0, 0], [0, 0, 1.04]], multiplicity=3)
    ours = scfx.solve(radical, functional="camb3lyp", basis="def2-svp", backend=FIT, grid=0)
    assert ours.energy[0] == pytest.approx(_pyscf(radical, "camb3lyp", spin=2), abs=1e-8)


def test_fitting_j_alone_keeps_exchange_exact():
    # Weigend (2002): errors of RI-J and RI-JK with these sets are some 1e-5 hartree an atom; K dominates them.
    water = molecule("H2O")
    options = {"functional": "hf", "basis": "def2-svp"}
    exact = scfx.solve(water, backend="libcint", **options).energy[0]
    both = scfx.solve(water, backend=FIT, **options).energy[0]
    coulomb = scfx.solve(water, backend=FIT | {"fitted": "j"}, **options).energy[0]
    assert 0 < abs(coulomb - exact) < 1e-4
    assert 0 < abs(both - exact) < 1e-4
    assert coulomb != both


def test_cartesian_orbitals_are_fitted_with_a_small_error():
    water = molecule("H2O")
    options = {"functional": "hf", "basis": "6-31g*"}
    exact = scfx.solve(water, backend="libcint", **options)
    fitted = scfx.solve(water, backend=FIT, **options)
    assert fitted.energy[0] == pytest.approx(exact.energy[0], abs=2e-4)
    np.testing.assert_allclose(fitted.orbital_energies, exact.orbital_energies, atol=2e-3)


def test_auxiliary_basis_enters_the_spec_hash():
    def of(backend):
        return scfx.Solver(functional="hf", basis="def2-svp", backend=backend).spec_hash

    assert len({of("libcint"), of(FIT), of(FIT | {"fitted": "j"})}) == 3


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"precision": "float32"}, "density fitting stores float64 integrals only"),
        ({"density_fitting": "no-such-basis"}, {}, "no-such-basis"),
        ({"fitted": "k"}, {}, "scf.backend.fitted: got 'k'"),
        ({}, {"memory_budget": 100_000, "threads": 1}, "memory_budget"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, options, message):
    with pytest.raises(ScfxError, match=message):
        scfx.solve(molecule("H2O"), functional="hf", basis="def2-svp", backend=FIT | change, **options)
