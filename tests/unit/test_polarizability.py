"""Polarizabilities by coupled-perturbed equations and by finite fields, against PySCF's finite fields."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import molecule

import scfx
from scfx.properties.polarizability import TOLERANCE, conjugate_gradients

TRIPLET = scfx.System.from_arrays("HN", [[0, 0, 1.04], [0, 0, 0]], multiplicity=3)
FIELD = 2e-3


def _pyscf(system, functional, basis="sto-3g", grid=0, shared=False):
    """dμ/dE by the five-point formula over PySCF's dipoles in fields, e²·a0²/hartree."""
    from pyscf import dft, gto, scf

    mole = gto.M(
        atom=list(zip(system.symbols, system.positions, strict=True)), unit="bohr", basis=basis,
        charge=system.charge, spin=system.multiplicity - 1, verbose=0,
    )  # fmt: skip
    core, dipole = scf.hf.get_hcore(mole), mole.intor("int1e_r")
    out = np.zeros((3, 3))
    for axis in range(3):
        for multiple, weight in ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12)):
            if functional == "hf":
                field = (scf.ROHF if shared else scf.UHF if mole.spin else scf.RHF)(mole)
            else:
                field = (dft.UKS if mole.spin else dft.RKS)(mole)
                field.xc, field.grids.level, field.small_rho_cutoff = functional, grid, 0
            field.conv_tol, field.conv_tol_grad = 1e-12, 1e-8
            field.get_hcore = lambda *_, m=multiple, a=axis: core + m * FIELD * dipole[a]
            field.kernel()
            density = field.make_rdm1()
            total = density.sum(axis=0) if density.ndim == 3 else density
            out[:, axis] -= weight / FIELD * np.einsum("xij,ij->x", dipole, total)
    return out


def _ours(system, functional, method="coupled-perturbed", **options):
    (found,) = scfx.solve(
        system, functional, "sto-3g", properties=[{"name": "polarizability", "method": method}], grid=0,
        **{"convergence": "tight", **options},
    ).properties["polarizability"]  # fmt: skip
    return found


SLOW = pytest.mark.slow


@pytest.mark.parametrize("method", ["coupled-perturbed", pytest.param("finite-field", marks=SLOW)])
@pytest.mark.parametrize("system", [molecule("H2O"), pytest.param(TRIPLET, marks=SLOW)])
def test_polarizability_of_hartree_fock_is_pyscfs(system, method):
    np.testing.assert_allclose(_ours(system, "hf", method), _pyscf(system, "hf"), atol=1e-5)


@pytest.mark.slow
def test_polarizability_of_orbitals_that_both_spins_share_is_pyscfs():
    found = _ours(TRIPLET, "hf", "finite-field", reference="restricted-open")
    np.testing.assert_allclose(found, _pyscf(TRIPLET, "hf", shared=True), atol=1e-5)


@pytest.mark.parametrize(
    ("system", "functional"),
    [
        pytest.param(molecule("H2O"), "svwn", marks=SLOW),
        pytest.param(molecule("H2"), "pbe", marks=SLOW),
        pytest.param(molecule("H2O"), "b3lyp", marks=SLOW),
        pytest.param(TRIPLET, "pbe0", marks=SLOW),
        pytest.param(molecule("H2O"), "tpss", marks=SLOW),
        pytest.param(molecule("H2O"), "wb97x", marks=SLOW),
    ],
)
def test_polarizability_of_functionals_is_pyscfs(system, functional):
    np.testing.assert_allclose(_ours(system, functional), _pyscf(system, functional), atol=1e-4)


def test_functional_without_second_derivative_has_it_by_finite_fields_only():
    host = {"name": "libxc", "xc": "lda,vwn"}
    with pytest.raises(scfx.InputError, match=r"scf\.properties: 'polarizability'.*method = 'finite-field'"):
        scfx.Solver(functional=host, properties=["polarizability"])
    with pytest.raises(scfx.InputError, match=r"scf\.properties: 'polarizability'.*VV10"):
        scfx.Solver(functional="wb97m-v", properties=["polarizability"])
    scfx.Solver(functional="wb97m-v", properties=[{"name": "polarizability", "method": "finite-field"}])
    found = _ours(molecule("H2"), host, "finite-field")
    np.testing.assert_allclose(found, _pyscf(molecule("H2"), "lda,vwn"), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "restricted-open"}, "both spins share"),
        ({"precision": "float32", "method": "finite-field"}, "precision = 'float64' or 'mixed'"),
        ({"convergence": "qm1b", "method": "finite-field"}, r"scf\.convergence = 'qm1b'"),
        ({"method": "guess"}, "method is 'guess', expected 'coupled-perturbed' or 'finite-field'"),
    ],
)
def test_polarizability_is_refused_where_it_cannot_be_had(options, message):
    method = options.pop("method", "coupled-perturbed")
    with pytest.raises(scfx.InputError, match=message):
        scfx.Solver(functional="hf", properties=[{"name": "polarizability", "method": method}], **options)


def test_polarizability_does_not_depend_on_company_and_turns_with_the_molecule():
    water = molecule("H2O")
    turn, _ = np.linalg.qr(np.array([[1.0, 0.3, -0.2], [0.1, 1.0, 0.4], [0.2, -0.5, 1.0]]))
    turned = scfx.System.from_arrays(water.atomic_numbers, water.positions @ turn.T, "bohr")
    solver = scfx.Solver(functional="hf", convergence="tight", properties=["alpha"])
    both = scfx.Solver(functional="hf", convergence="tight", properties=["polarizability", "alpha"])
    found = both.solve([water, turned]).properties
    first, second = found["polarizability"]
    assert found["isotropic_polarizability"][0] == pytest.approx(np.trace(first) / 3, rel=1e-14)
    assert (
        solver.solve([water]).properties["isotropic_polarizability"][0]
        == found["isotropic_polarizability"][0]
    )
    np.testing.assert_allclose(second, turn @ first @ turn.T, atol=1e-6)


def _solved(matrix, right):
    search = conjugate_gradients(np.diag(matrix), right)
    vector = next(search)
    while True:
        try:
            vector = search.send(matrix @ vector)
        except StopIteration as stop:
            return stop.value


def test_saddle_has_no_polarizability_and_says_why():
    with pytest.raises(scfx.PropertyError, match="no minimum"):
        _solved(np.diag([1.0, -0.5, 2.0]), np.ones(3))


def test_conjugate_gradients_solve_what_they_are_given():
    rng = np.random.default_rng(3)
    noise = 0.1 * rng.standard_normal((40, 40))
    matrix = np.diag(np.linspace(0.4, 9.0, 40)) + noise @ noise.T
    right = rng.standard_normal(40)
    solution, left = _solved(matrix, right)
    np.testing.assert_allclose(right - matrix @ solution, left, atol=1e-10)
    assert np.linalg.norm(left) <= TOLERANCE * np.linalg.norm(right)
