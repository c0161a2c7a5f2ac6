"""Basis sets: names, numbers, order and what is refused. PySCF's own tables and integrals are the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import scfx_bse
from scfx_bse.names import exchange_name
from scfx_bse.qm9 import QM9Source
from scfx_bse.source import BasisSetExchangeSource, published

from scfx.errors import BasisError
from scfx.model.basis import BasisSet, Shell
from scfx.model.batch import Batch
from scfx.model.elements import SYMBOLS
from scfx.model.system import System

ELEMENTS = (1, 6, 7, 8, 9, 16, 17)


def _pyscf_shells(name: str, z: int):
    """(angular momentum, exponents, normalised coefficients) in the order of PySCF's AOs."""
    from pyscf import gto

    mole = gto.M(atom=f"{SYMBOLS[z]} 0 0 0", basis=name, spin=None, verbose=0)
    for shell in range(mole.nbas):
        for coefficients in mole._libcint_ctr_coeff(shell).T:
            kept = coefficients != 0
            yield mole.bas_angular(shell), mole.bas_exp(shell)[kept], coefficients[kept]


@pytest.mark.parametrize(
    ("name", "version"),
    # Version 0 is the old exchange's data, PySCF's source for Pople's sets; later versions hold more digits.
    [
        *((name, 0) for name in ("sto-3g", "3-21g", "6-31g", "6-31g*", "6-31+g*")),
        *((name, None) for name in ("6-311g**", "def2-svp", "cc-pvdz", "cc-pvtz", "aug-cc-pvdz", "pcseg-1")),
    ],
)
def test_shells_equal_pyscfs_in_number_order_and_normalisation(name, version):
    source = BasisSetExchangeSource(name, version=version)
    for z in ELEMENTS:
        ours = source.shells(z)
        theirs = list(_pyscf_shells(name, z))
        assert [shell.angular_momentum for shell in ours] == [momentum for momentum, _, _ in theirs]
        for shell, (_, exponents, coefficients) in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(shell.exponents, exponents)
            np.testing.assert_allclose(shell.coefficients, coefficients, rtol=1e-12)


@pytest.mark.parametrize("name", ["sto-3g", "3-21g", "6-31g", "6-31g*"])
def test_latest_pople_tables_differ_from_pyscfs_in_late_digits_only(name):
    source = BasisSetExchangeSource(name)
    for z in (1, 6, 7, 8, 9):
        for shell, (_, exponents, coefficients) in zip(source.shells(z), _pyscf_shells(name, z), strict=True):
            np.testing.assert_allclose(shell.exponents, exponents, rtol=1e-4)
            np.testing.assert_allclose(shell.coefficients, coefficients, rtol=1e-4)


@pytest.mark.parametrize(("name", "cart"), [("6-31g*", True), ("def2-svp", False), ("cc-pvdz", False)])
def test_ao_order_gives_pyscfs_overlap_matrix(name, cart):
    from pyscf import gto

    from scfx.testing import reference_integrals

    positions = np.array([[0.0, 0.1, 0.2], [1.5, 0.9, -0.3], [-1.1, 0.8, 1.2]])
    system = System(np.array([8, 1, 1], dtype=np.int32), positions)
    version = 0 if name == "6-31g*" else None
    source = BasisSetExchangeSource(name, version=version)
    batch = Batch.from_systems([system], BasisSet.from_source(source, [1, 8]))
    atoms = list(zip("OHH", positions.tolist(), strict=True))
    mole = gto.M(atom=atoms, unit="bohr", basis=name, cart=cart, verbose=0)
    found = reference_integrals.one_electron(batch)
    np.testing.assert_allclose(found.overlap[0], mole.intor("int1e_ovlp"), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.dipole[0], mole.intor("int1e_r"), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["sto-3g", "6-31g*", "def2-tzvp", "cc-pvtz"])
def test_every_shell_is_normalised(name):
    for z in ELEMENTS:
        for shell in BasisSetExchangeSource(name).shells(z):
            momentum, a = shell.angular_momentum, shell.exponents
            # ∫ r^(2l+2) R(r)² dr on a fine logarithmic grid
            r = np.exp(np.linspace(-14, 5, 20001))
            radial = r**momentum * (np.exp(-np.outer(r**2, a)) @ shell.coefficients)
            assert np.trapezoid(radial**2 * r**3, np.log(r)) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "expected"),
    # As the Exchange states it, shell by shell (function_type).
    [
        ("6-31g*", {2: True}),
        ("6-31g**", {2: True}),
        ("6-311g**", {2: False}),
        ("def2-tzvp", {2: False, 3: False}),
    ],
)
def test_cartesian_or_spherical_is_the_published_choice(name, expected):
    found = {s.angular_momentum: s.cartesian for s in BasisSetExchangeSource(name).shells(8)}
    assert {momentum: cart for momentum, cart in found.items() if momentum > 1} == expected
    assert not any(cart for momentum, cart in found.items() if momentum < 2)


@pytest.mark.parametrize("cartesian", [True, False])
def test_cartesian_or_spherical_can_be_overridden(cartesian):
    source = BasisSetExchangeSource("def2-tzvp", cartesian=cartesian)
    assert {s.cartesian for s in source.shells(8) if s.angular_momentum > 1} == {cartesian}
    plain = BasisSetExchangeSource("def2-tzvp")
    assert (source.definition()["sha256"] == plain.definition()["sha256"]) is (not cartesian)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("STO-3G", "STO-3G"),
        ("6-31g(d)", "6-31G*"),
        ("6-31G (d,p)", "6-31G**"),
        ("6-31+g(d)", "6-31+G*"),
        ("6-311++G(d,p)", "6-311++G**"),
        ("631g*", "6-31G*"),
        ("Def2SVP", "def2-SVP"),
        ("ccpvdz", "cc-pVDZ"),
        ("aug-cc-pVTZ", "aug-cc-pVTZ"),
        ("6-311++G(2d,2p)", "6-311++G(2d,2p)"),
    ],
)
def test_a_basis_set_is_found_by_the_spellings_in_use(spelling, name):
    assert exchange_name(spelling) == name
    assert scfx_bse.scfx_resolve_basis(spelling).shells(6)


def test_an_unknown_basis_set_is_an_error_that_names_the_near_ones():
    with pytest.raises(BasisError, match=r"no basis set '6-32g'; near it: 6-31G"):
        scfx_bse.scfx_resolve_basis("6-32g")
    with pytest.raises(BasisError, match=r"no basis set '6-32g'"):
        BasisSetExchangeSource("6-32g")


def test_no_two_exchange_names_fold_to_one():
    import basis_set_exchange

    names = basis_set_exchange.get_all_basis_names()
    assert {exchange_name(name) for name in names} >= set(names) - {"6-31G(d,p)", "6-311G(d,p)"}


@pytest.mark.parametrize(("twin", "name"), [("6-31G(d,p)", "6-31G**"), ("6-311G(d,p)", "6-311G**")])
def test_names_read_as_one_hold_the_same_numbers(twin, name):
    assert published(twin).shells == published(name).shells


def test_every_registered_basis_set_exists_and_its_aliases_mean_it():
    for offer in scfx_bse.scfx_register_basis_sets():
        if "basis" not in offer.options:
            continue
        meant = exchange_name(offer.options["basis"])
        assert meant is not None
        assert {exchange_name(alias) for alias in offer.aliases} <= {meant}


def test_an_element_outside_the_basis_set_is_refused_with_what_it_covers():
    with pytest.raises(BasisError, match=r"'6-31g\*' has no functions for Rb; it covers H-Kr"):
        BasisSetExchangeSource("6-31g*").shells(37)


@pytest.mark.parametrize(("name", "n_core"), [("def2-svp", 28), ("lanl2dz", 46), ("cc-pvdz-pp", 28)])
def test_core_potential_is_the_one_that_pyscf_has(name, n_core):
    # PySCF's tables list (l, exponents and coefficients by power of r), the local part as l = -1.
    from pyscf import gto

    potential = BasisSetExchangeSource(name).core_potential(53)
    electrons, parts = gto.basis.load_ecp(name, "I")
    theirs = sorted(
        (l, power, exponent, coefficient)
        for l, by_power in parts
        for power, terms in enumerate(by_power)
        for exponent, coefficient in terms
        if coefficient != 0.0
    )
    assert potential.n_core == electrons == n_core
    np.testing.assert_allclose(sorted(potential.terms), theirs, rtol=1e-6)


def test_the_definition_changes_with_the_numbers_and_not_with_the_spelling():
    digest = BasisSetExchangeSource("6-31g*").definition()
    assert digest == BasisSetExchangeSource("6-31G(d)").definition()
    others = [BasisSetExchangeSource("6-31g**"), BasisSetExchangeSource("6-31g*", version=1)]
    assert len({digest["sha256"], *(other.definition()["sha256"] for other in others)}) == 3


def test_a_version_that_does_not_exist_is_refused():
    with pytest.raises(BasisError, match="version 99"):
        BasisSetExchangeSource("sto-3g", version=99)


def test_redundant_primitives_of_a_general_contraction_leave_its_space():
    import basis_set_exchange

    # Oxygen, cc-pVDZ: the s shells as published and as kept must span one space, so the projection of each published
    # contraction onto the kept ones is the contraction itself.
    data = basis_set_exchange.get_basis("cc-pvdz", elements=[8])["elements"]["8"]["electron_shells"][0]
    exponents = np.array([float(a) for a in data["exponents"]])
    kept = [s for s in BasisSetExchangeSource("cc-pvdz").shells(8) if s.angular_momentum == 0]

    def overlap(one: Shell, two: Shell) -> float:
        total = one.exponents[:, None] + two.exponents
        # ∫ r² exp(-p r²) dr = √π / (4 p^(3/2))
        return float(one.coefficients @ (np.sqrt(np.pi) / 4 / total**1.5) @ two.coefficients)

    metric = np.array([[overlap(one, two) for two in kept] for one in kept])
    for row in data["coefficients"]:
        shell = Shell.normalised(0, exponents, np.array([float(c) for c in row]))
        projection = np.array([overlap(shell, other) for other in kept])
        assert projection @ np.linalg.solve(metric, projection) == pytest.approx(1.0, abs=1e-10)


def test_qm9_basis_has_cartesian_d_and_spherical_f():
    # Ramakrishnan et al., Sci. Data 1, 140022 (2014), with Gaussian 09: 6D, 7F; exponents as in scfx_bse.qm9.
    source = QM9Source()
    f_exponents = {6: 0.8, 7: 1.0, 8: 1.4, 9: 1.85}
    for z, exponent in f_exponents.items():
        polarisation = [s for s in source.shells(z) if s.angular_momentum > 1]
        assert [(s.angular_momentum, s.exponents.tolist(), s.cartesian) for s in polarisation] == [
            (2, [1.6], True),
            (2, [0.4], True),
            (3, [exponent], False),
        ]
    assert [s.exponents.tolist() for s in source.shells(1) if s.angular_momentum == 1] == [[1.1]]
    assert BasisSet.from_source(source, [6]).nao(6) == 9 + 12 + 7


def test_qm9_d_exponents_split_the_exponent_of_6_31g_star_by_two():
    for z in (6, 7, 8, 9):
        (star,) = (s for s in BasisSetExchangeSource("6-31g*").shells(z) if s.angular_momentum == 2)
        split = [s.exponents[0] for s in QM9Source().shells(z) if s.angular_momentum == 2]
        assert split == [2 * star.exponents[0], star.exponents[0] / 2]


def test_qm9_basis_refuses_other_elements():
    with pytest.raises(BasisError, match="no functions for S; it covers H, C-F"):
        QM9Source().shells(16)


@pytest.mark.slow
def test_qm9_basis_reproduces_qm9s_water():
    # QM9 record dsgdb9nsd_000003: geometry (angstrom), U0 - zpve, HOMO and LUMO in hartree.
    from scfx import solve

    positions = [
        [-0.0343604951, 0.9775395708, 0.0076015923],
        [0.0647664923, 0.0205721989, 0.0015346341],
        [0.8717903737, 1.3007924048, 0.0006931336],
    ]
    water = System.from_arrays(["O", "H", "H"], positions)
    result = solve(
        [water], functional="b3lyp", basis="6-31g(2df,p)-qm9", backend="libcint", precision="float64", grid=4
    )
    assert result.energy[0] == pytest.approx(-76.426077, abs=5e-6)
    assert result.homo[0] == pytest.approx(-0.2928, abs=1e-4)
    assert result.lumo[0] == pytest.approx(0.0687, abs=1e-4)
