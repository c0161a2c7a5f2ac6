"""Basis sets by element."""

from __future__ import annotations

import pytest
from molecules import molecule

import scfx
from scfx.model.system import BOHR_IN_ANGSTROM


def test_each_element_has_its_own_functions_as_in_pyscf(registry):
    from pyscf import gto, scf

    water = molecule("H2O")
    atoms = list(zip(water.symbols, (water.positions * BOHR_IN_ANGSTROM).tolist(), strict=True))
    mole = gto.M(atom=atoms, basis={"O": "def2-svp", "H": "def2-tzvp"}, verbose=0)
    result = scfx.solve(water, "hf", {"O": "def2-svp", "H": "def2-tzvp"}, "libcint", registry=registry)
    assert result.nao.tolist() == [mole.nao]
    assert result.energy[0] == pytest.approx(scf.RHF(mole).kernel(), abs=1e-7)
    assert result.provenance["basis"] == "H: def2-tzvp, O: def2-svp"


def test_the_other_elements_have_the_default(registry):
    forms = (
        {"H": "sto-3g", "default": "def2-svp"},
        {"name": "def2-svp", "H": "sto-3g"},
        {"O": "def2-svp", "default": {"name": "sto-3g"}},
    )
    sizes = [sum(s.nfunc for z in (8, 1) for s in registry.basis(form).shells(z)) for form in forms]
    assert sizes == [15, 15, 15]  # 14 of oxygen, one of hydrogen
    assert registry.basis({"O": "sto-3g"}).shells(1) == ()
    options = {"name": "6-31g*", "cartesian": False, "H": "sto-3g"}
    assert [s.nfunc for s in registry.basis(options).shells(8)][-1] == 5
    with pytest.raises(scfx.InputError, match=r"basis 'O: sto-3g' has no functions for H"):
        scfx.solve(molecule("H2O"), "hf", {"O": "sto-3g"}, registry=registry)


def test_the_hash_is_of_what_each_element_has(registry):
    def digest(basis):
        resolved = scfx.SCFSpec.create({"basis": basis}).resolve(registry)
        assert isinstance(basis, str) or resolved.names["basis"].startswith(("O: def2-svp", "N: def2-svp"))
        return resolved.spec_hash

    mixed = {"O": "def2-svp", "default": "sto-3g"}
    assert (
        digest(mixed) == digest({"name": "sto-3g", "O": "def2-svp"}) == digest(dict(reversed(mixed.items())))
    )
    assert (
        len(
            {
                digest(b)
                for b in (
                    mixed,
                    "sto-3g",
                    "def2-svp",
                    {"O": "def2-svp"},
                    {"N": "def2-svp", "default": "sto-3g"},
                )
            }
        )
        == 5
    )


def test_a_core_potential_comes_with_its_elements_basis(registry):
    mixed = registry.basis({"I": "def2-svp", "default": "sto-3g"})
    assert mixed.core_potential(53).n_core == 28
    assert mixed.core_potential(1) is None


@pytest.mark.parametrize(
    ("basis", "key", "message"),
    [
        ({"o": "sto-3g", "H": "sto-3g"}, "scf.basis", "unknown key 'o'; did you mean 'O'"),
        ({"H": "sto-3g", "default": "sto-3g", "name": "sto-3g"}, "scf.basis", "keep one of them"),
        ({"H": "sto-33g", "default": "sto-3g"}, "scf.basis.H", "unknown basis"),
        ({"H": 3}, "scf.basis", "expected a name"),
        ({"default": "sto-3g", "cartesian": True}, "scf.basis", "unknown key 'cartesian'"),
    ],
)
def test_what_is_no_basis_by_element_is_refused_with_its_place(registry, basis, key, message):
    with pytest.raises(scfx.ConfigError, match=message) as caught:
        scfx.SCFSpec.create({"basis": basis}).resolve(registry)
    assert caught.value.key == key
