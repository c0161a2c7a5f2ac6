"""Basis sets from files: the same numbers as by name, and errors that say what to change."""

from __future__ import annotations

import numpy as np
import pytest
from scfx_bse.file import BasisFileSource
from scfx_bse.source import BasisSetExchangeSource

import scfx
from scfx.errors import ConfigError


@pytest.fixture
def written(tmp_path):
    """Write a Basis Set Exchange basis to a file of some format; its path."""
    import basis_set_exchange

    def write(name, fmt, file):
        elements = [1, 8] if name != "def2-svp" else [1, 53]
        path = tmp_path / file
        # Version 1 of the Pople sets is not what scfx takes by name; the comparison asks for it.
        path.write_text(basis_set_exchange.get_basis(name, elements=elements, fmt=fmt), encoding="utf-8")
        return str(path)

    return write


def _same(a, b, z):
    for mine, theirs in zip(a.shells(z), b.shells(z), strict=True):
        assert mine.signature == theirs.signature
        np.testing.assert_allclose(mine.exponents, theirs.exponents, rtol=1e-9)
        np.testing.assert_allclose(mine.coefficients, theirs.coefficients, rtol=1e-7)


@pytest.mark.parametrize(
    ("fmt", "file", "cartesian"),
    [("nwchem", "a.nw", None), ("gaussian94", "a.gbs", True), ("json", "a.json", None)],
)
def test_file_gives_the_shells_of_the_basis_it_holds(written, fmt, file, cartesian):
    source = BasisFileSource(written("6-31g*", fmt, file), cartesian=cartesian)
    for z in (1, 8):
        _same(source, BasisSetExchangeSource("6-31g*", version=1), z)


@pytest.mark.parametrize(("fmt", "file"), [("nwchem", "b.nw"), ("gaussian94", "b.gbs")])
def test_core_potential_in_a_file_is_read(written, fmt, file):
    source = BasisFileSource(written("def2-svp", fmt, file), cartesian=False)
    expected = BasisSetExchangeSource("def2-svp").core_potential(53)
    assert source.core_potential(53).n_core == expected.n_core
    np.testing.assert_allclose(sorted(source.core_potential(53).terms), sorted(expected.terms), rtol=1e-9)


def test_water_in_a_basis_from_a_file_has_the_energy_of_the_basis_by_name(written):
    # Crawford's water (see tests/unit/test_references.py) would do; any geometry does.
    water = scfx.System.from_arrays("OHH", [[0, 0, 0], [0, 0.757, 0.587], [0, -0.757, 0.587]])
    path = written("6-31g*", "nwchem", "water.nw")
    by_file = scfx.solve(water, functional="hf", basis={"name": "file", "path": path})
    by_name = scfx.solve(water, functional="hf", basis={"name": "6-31g*", "version": 1})
    assert by_file.energy[0] == pytest.approx(by_name.energy[0], abs=1e-10)


def test_renaming_a_file_does_not_change_what_it_defines(written):
    a, b = written("6-31g*", "nwchem", "a.nw"), written("6-31g*", "nwchem", "b.nw")
    assert BasisFileSource(a).definition() == BasisFileSource(b).definition()
    other = written("sto-3g", "nwchem", "c.nw")
    assert BasisFileSource(a).definition() != BasisFileSource(other).definition()


def test_gaussian_file_with_d_functions_must_say_cartesian_or_spherical(written):
    with pytest.raises(ConfigError, match=r"Cartesian \(6D\) or spherical \(5D\); set cartesian"):
        BasisFileSource(written("6-31g*", "gaussian94", "a.gbs"))
    BasisFileSource(written("sto-3g", "gaussian94", "b.gbs"))  # s and p are the same either way


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.nw", None, "there is no file"),
        ("a.basis", "H S", "does not tell its format"),
        ("a.nw", "this is not a basis set\n", "cannot be read as nwchem|holds no shells"),
    ],
)
def test_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        scfx.solve(scfx.System.from_arrays(["He"], [[0, 0, 0]]), basis={"name": "file", "path": str(path)})
