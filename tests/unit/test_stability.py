"""Is a solution a minimum? Lowest eigenvalues of the orbital Hessian against PySCF's matrices, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import molecule

import scfx
from scfx.properties.davidson import lowest_eigenvalue
from scfx.results import Stability

STRETCHED_HYDROGEN = scfx.System.from_arrays("HH", [[0, 0, 0], [0, 0, 1.6]])
OXYGEN = scfx.System.from_arrays("OO", [[0, 0, 0], [0, 0, 1.207]], multiplicity=3)
CYANIDE_RADICAL = scfx.System.from_arrays("CN", [[0, 0, 0], [0, 0, 1.17]], multiplicity=2)


def _lowest(product, size):
    matrix = np.array([product(row) for row in np.eye(size)])
    return float(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[0])


def _pyscf(system, functional, grid=0):
    """(internal, external) from PySCF's whole matrices; its internal ones are 4 (RHF) and 2 (UHF) times A + B."""
    from pyscf import dft, gto, scf
    from pyscf.scf.stability import _gen_hop_rhf_external
    from pyscf.soscf import newton_ah

    mole = gto.M(
        atom=list(zip(system.symbols, system.positions, strict=True)), unit="bohr", basis="6-31g",
        charge=system.charge, spin=system.multiplicity - 1, verbose=0,
    )  # fmt: skip
    if functional == "hf":
        field = (scf.UHF if mole.spin else scf.RHF)(mole)
    else:
        field = (dft.UKS if mole.spin else dft.RKS)(mole)
        field.xc, field.grids.level, field.small_rho_cutoff = functional, grid, 0
    field.conv_tol, field.conv_tol_grad, field.max_cycle = 1e-12, 1e-6, 300
    field.kernel()
    assert field.converged
    make = newton_ah.gen_g_hop_uhf if mole.spin else newton_ah.gen_g_hop_rhf
    gradient, product, _ = make(field, field.mo_coeff, field.mo_occ, with_symmetry=False)
    if mole.spin:
        return _lowest(product, gradient.size), None
    _, _, external, _ = _gen_hop_rhf_external(field, with_symmetry=False)
    return _lowest(product, gradient.size) / 2, _lowest(external, gradient.size)


def _ours(systems, functional, **options):
    result = scfx.solve(
        systems, functional=functional, basis="6-31g", grid=0,
        **{"backend": "libcint", "convergence": "tight", "stability": True, **options},
    )  # fmt: skip
    assert result.converged.all()
    return result.stability


CASES = {
    "H2": (STRETCHED_HYDROGEN, "externally unstable"),
    "H2O": (molecule("H2O"), "stable"),
    "O2": (OXYGEN, "stable"),
    "CN": (CYANIDE_RADICAL, "stable"),
}


@pytest.mark.parametrize("name", CASES)
def test_lowest_eigenvalues_of_hartree_fock_are_pyscfs(name):
    system, verdict = CASES[name]
    (found,) = _ours(system, "hf")
    assert found.verdict == verdict
    assert (found.internal, found.external) == pytest.approx(_pyscf(system, "hf"), abs=2e-6)


@pytest.mark.parametrize(
    ("name", "functional"),
    [
        ("H2", "svwn"),
        pytest.param("O2", "pbe0", marks=pytest.mark.slow),
        pytest.param("H2O", "b3lyp", marks=pytest.mark.slow),
        pytest.param("O2", "tpss", marks=pytest.mark.slow),
        pytest.param("H2", "wb97x", marks=pytest.mark.slow),
        pytest.param("H2O", "m06-2x", marks=pytest.mark.slow),
    ],
)
def test_lowest_eigenvalues_of_functionals_are_pyscfs(name, functional):
    # PySCF leaves points of low density out of the second derivative: 1e-5.
    system, _ = CASES[name]
    (found,) = _ours(system, functional)
    assert (found.internal, found.external) == pytest.approx(_pyscf(system, functional), abs=1e-5)


def test_stable_as_it_is_stretched_until_the_coulson_fischer_point():
    # Szabo and Ostlund, section 3.8.7: beyond some 2.3 bohr the unrestricted solution of hydrogen lies lower.
    systems = [scfx.System.from_arrays("HH", [[0, 0, 0], [0, 0, r]], "bohr") for r in (1.4, 2.0, 2.6, 4.0)]
    found = _ours(systems, "hf", backend="simd", precision="mixed")
    assert [f.verdict for f in found] == ["stable", "stable", "externally unstable", "externally unstable"]
    alone = [_ours(s, "hf", precision="mixed", backend="simd")[0] for s in systems]
    assert found == alone


def test_symmetric_singlet_of_an_open_shell_is_unstable_towards_unrestricted_solutions():
    (found,) = _ours(scfx.System.from_arrays("OO", [[0, 0, 0], [0, 0, 1.207]]), "hf")
    assert found.verdict == "externally unstable"
    # The degenerate π* pair is half filled by one orbital of two; turning it about the axis costs nothing.
    assert found.internal == pytest.approx(0.0, abs=1e-7)


def test_unasked_there_is_no_stability_and_no_change_of_the_hash():
    assert scfx.solve(molecule("H2"), functional="hf").stability is None
    assert scfx.Solver(functional="hf", stability=True).spec_hash == scfx.Solver(functional="hf").spec_hash


def test_entry_that_did_not_converge_has_no_stability():
    result = scfx.solve(
        molecule("H2O"), functional="hf", stability=True, recovery=False, convergence={"max_iterations": 2}
    )
    assert not result.converged[0]
    assert result.stability == [None]


def test_nothing_to_rotate_is_stable():
    (found,) = _ours(scfx.System.from_arrays(["He"], [[0, 0, 0]]), "hf")
    assert found.verdict == "stable"
    result = scfx.solve(
        scfx.System.from_arrays(["He"], [[0, 0, 0]]), functional="hf", basis="sto-3g", stability=True
    )
    assert result.stability == [Stability(np.inf, np.inf)]
    assert result.stability[0].verdict == "stable"


def test_verdict_needs_every_eigenvalue_that_it_does_not_have():
    assert Stability(0.1, np.nan).verdict == Stability(np.nan).verdict == "unknown"
    assert Stability(-0.1, np.nan).verdict == "internally unstable"
    assert Stability(np.nan, -0.1).verdict == "externally unstable"
    assert Stability(0.1).verdict == Stability(0.0, -1e-5).verdict == "stable"


def test_product_that_is_not_finite_ends_the_search_without_an_eigenvalue():
    search = lowest_eigenvalue(np.arange(1.0, 9.0))
    next(search)
    with pytest.raises(StopIteration) as stop:
        search.send(np.full(8, np.nan))
    assert np.isnan(stop.value.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"functional": "wb97m-v"}, r"scf\.stability: needs the second derivative of the functional \(VV10"),
        ({"functional": {"name": "libxc", "xc": "pbe"}}, r"scf\.stability: needs the second derivative"),
        ({"functional": "hf", "precision": "float32"}, r"scf\.stability: eigenvalues near zero need float64"),
    ],
)
def test_stability_is_refused_where_it_cannot_be_had(options, message):
    with pytest.raises(scfx.InputError, match=message):
        scfx.Solver(stability=True, **options)


def _search(matrix):
    search = lowest_eigenvalue(np.diag(matrix))
    vector, products = next(search), 0
    while True:
        products += 1
        try:
            vector = search.send(matrix @ vector)
        except StopIteration as stop:
            return stop.value, products


def test_search_finds_the_lowest_eigenvalue_though_its_block_is_not_where_the_diagonal_is_lowest():
    # Two blocks that do not mix, as two symmetries: the second has the higher diagonal and the lower eigenvalue.
    rng = np.random.default_rng(7)
    size = 150
    first, second = (np.diag(np.linspace(low, 5.0, size)) for low in (0.3, 0.5))
    second[:6, :6] -= 0.2
    matrix = np.zeros((2 * size, 2 * size))
    matrix[:size, :size], matrix[size:, size:] = first, second
    noise = 0.02 * rng.standard_normal((size, size))
    matrix[:size, :size] += noise + noise.T
    expected = np.linalg.eigvalsh(matrix)[0]
    assert expected == pytest.approx(np.linalg.eigvalsh(matrix[size:, size:])[0])
    found, products = _search(matrix)
    assert found == pytest.approx(expected, abs=1e-8)
    assert products < 120
