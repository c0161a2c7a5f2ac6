"""Basis sets that people name and the Basis Set Exchange has not: composed by the field's rules, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from pyscf import gto
from scfx_bse.composed import composed
from scfx_bse.source import published

import scfx
from scfx.errors import BasisError, UnknownNameError
from scfx.model.elements import SYMBOLS


@pytest.fixture(scope="module")
def registry():
    return scfx.Registry.discover()


def _numbers(shells):
    """Shells without their order and without whether they are Cartesian."""
    return sorted((momentum, exponents, coefficients) for momentum, exponents, coefficients, _ in shells)


# The Exchange has the calendar sets in the "+d" form only, which differs from the other on Al to Ar alone.
@pytest.mark.parametrize(
    ("name", "theirs"),
    [(f"{month}-cc-pV{x}Z", f"{month}-cc-pV({x}+d)Z")
     for month, zetas in {"jul": "DTQ", "jun": "DTQ", "may": "TQ", "apr": "Q", "maug": "DTQ"}.items() for x in zetas],
)  # fmt: skip
def test_calendar_sets_are_the_exchanges_own(name, theirs):
    made = composed(name)
    assert made is not None
    for z in (1, 2, *range(5, 11)):
        if z in published(theirs).shells and z in made.shells:
            assert _numbers(made.shells[z]) == _numbers(published(theirs).shells[z]), SYMBOLS[z]
    assert {1, 6, 8, 17, 35} <= set(made.shells)


def test_months_take_diffuse_functions_away_one_momentum_at_a_time(registry):
    # Papajak et al. 2011: none on hydrogen; from jul to apr the highest one more is gone from the other atoms.
    def count(name, z):
        return len(registry.basis(name).shells(z))

    full = count("aug-cc-pvqz", 8)
    assert [count(f"{month}-cc-pvqz", 8) for month in ("jul", "jun", "may", "apr")] == [
        full, full - 1, full - 2, full - 3,
    ]  # fmt: skip
    assert {count(f"{month}-cc-pvqz", 1) for month in ("jul", "jun", "may", "apr")} == {count("cc-pvqz", 1)}


@pytest.mark.parametrize("name", ["jul-cc-pvdz", "JUL-cc-pVDZ", "jul_cc_pvdz", "heavy-aug-cc-pVDZ"])
def test_spellings_of_a_calendar_set_are_one_basis_set(registry, name):
    assert registry.basis(name).definition() == registry.basis("jul-cc-pVDZ").definition()


def test_a_month_that_would_leave_no_p_is_refused(registry):
    with pytest.raises(UnknownNameError, match=r"may-cc-pvdz.* is not defined.*jun-cc-pVDZ or maug-cc-pVDZ"):
        registry.basis("may-cc-pvdz")


# Names that the Exchange has too: the rule must give its numbers.
@pytest.mark.parametrize(
    "name",
    [
        "6-311G(d,p)",
        "6-311+G(2d,p)",
        "6-311++G(2d,2p)",
        "6-311++G(3df,3pd)",
        "6-311G(2df,2pd)",
        "6-311+G(d,p)",
    ],
)
def test_the_rule_of_6_311g_gives_the_sets_that_the_exchange_has(name):
    made = composed(name)
    assert made is not None
    theirs = published(name.replace("+G(d,p)", "+G**"), 0)
    both = set(made.shells) & set(theirs.shells)
    assert {1, 6, 9} <= both
    for z in both:
        assert _numbers(made.shells[z]) == _numbers(theirs.shells[z]), SYMBOLS[z]


@pytest.mark.parametrize(
    "name",
    ["6-311G(2d,p)", "6-311G(2df,p)", "6-311+G(2df,2p)", "6-311++G(3df,2pd)", "6-311G(3d,p)", "6-311G(2d)"],
)
@pytest.mark.parametrize("symbol", ["H", "C", "F"])
def test_other_polarisation_of_6_311g_is_pyscfs(registry, name, symbol):
    ours = registry.basis(name).shells(SYMBOLS.index(symbol))
    theirs = gto.basis.load(name.lower(), symbol)
    np.testing.assert_allclose(
        sorted((s.angular_momentum, len(s.exponents), max(s.exponents)) for s in ours),
        sorted((row[0], len(row) - 1, max(p[0] for p in row[1:])) for row in theirs),
    )
    assert not any(s.cartesian for s in ours)


def test_two_polarisation_functions_split_the_one_by_four():
    # Frisch, Pople, Binkley 1984: 2d is 2 and 1/2 times d; 3d is 4, 1 and 1/4 times, to the digits printed.
    def exponents(name, z):
        made = composed(name)
        assert made is not None
        return [s[1][0] for s in made.shells[z] if s[0] == 2]

    for z in (6, 8, 14, 16):
        (one,) = exponents("6-311G(df,p)", z)
        np.testing.assert_allclose(exponents("6-311G(2df,p)", z), [2 * one, one / 2], rtol=2e-3)
        np.testing.assert_allclose(exponents("6-311G(3df,p)", z), [4 * one, one, one / 4], rtol=2e-3)


@pytest.mark.parametrize("name", ["3-21G*", "3-21G(*)", "321g*"])
def test_3_21g_star_has_d_on_the_second_row_alone(registry, name):
    basis = registry.basis(name)
    for z in (1, 6, 8, 9):
        assert [repr(s) for s in basis.shells(z)] == [repr(s) for s in registry.basis("3-21g").shells(z)]
    for z in range(11, 19):
        (d,) = (s for s in basis.shells(z) if s.angular_momentum == 2)
        theirs = [row for row in gto.basis.load("3-21g*", SYMBOLS[z]) if row[0] == 2]
        assert [d.exponents[0]] == [row[1][0] for row in theirs]
        assert d.cartesian  # as 3-21G and 6-31G* are in Gaussian
    with pytest.raises(BasisError, match="covers H-Ar"):
        basis.shells(35)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("6-31+G(2d,p)", r"programs split the d exponents of 6-31G differently.*6-311\+G\(2d,p\)"),
        ("6-31G(2d,p)", r"programs split.*6-31G\(2df,p\)"),
        ("3-21G**", r"3-21G\* has d functions on Na to Ar only"),
        ("6-311+G(3d2f,2p)", r"no basis set '6-311\+G\(3d2f,2p\)'; near it"),
        ("def2-tzvppdd", r"near it: def2-TZVPPD"),
        ("nonsense", r"for instance sto-3g"),
    ],
)  # fmt: skip
def test_what_no_rule_composes_is_refused_with_what_is_near(registry, name, message):
    with pytest.raises(UnknownNameError, match=message):
        registry.basis(name)


def test_a_composed_basis_set_has_a_hash_of_its_numbers_and_an_energy(registry):
    one, other = registry.basis("6-311g(2d,p)"), registry.basis("6-311G(2d,p)")
    assert one.definition() == other.definition()
    assert one.definition() != registry.basis("6-311g(d,p)").definition()
    hydrogen = scfx.System.from_arrays("HF", [[0, 0, 0], [0, 0, 0.92]])
    found = scfx.solve(hydrogen, functional="hf", basis="6-311G(2d,p)", backend="libcint", registry=registry)
    mole = gto.M(atom="H 0 0 0; F 0 0 0.92", basis="6-311g(2d,p)", verbose=0)
    assert found.energy[0] == pytest.approx(mole.RHF().kernel(), abs=2e-7)
