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
        ({"o1": "sto-3g", "H": "sto-3g"}, "scf.basis", "unknown key 'o1'; did you mean 'O1'"),
        ({"H1": "sto-33g", "default": "sto-3g"}, "scf.basis.H1", "unknown basis"),
        ({"H": "sto-33g", "default": "sto-3g"}, "scf.basis.H", "unknown basis"),
        ({"H": 3}, "scf.basis", "expected a name"),
        ({"default": "sto-3g", "cartesian": True}, "scf.basis", "unknown key 'cartesian'"),
    ],
)
def test_what_is_no_basis_by_element_is_refused_with_its_place(registry, basis, key, message):
    with pytest.raises(scfx.ConfigError, match=message) as caught:
        scfx.SCFSpec.create({"basis": basis}).resolve(registry)
    assert caught.value.key == key


def test_atoms_with_a_label_have_their_own_functions_as_in_pyscf(registry, tmp_path):
    from pyscf import gto, scf

    atoms = "O1 0 0 0; H1 0 0.757 0.587; H2 0 -0.757 0.587"
    basis = {"O1": "6-31g", "H2": "6-31g", "default": "sto-3g"}
    mole = gto.M(atom=atoms, basis={"O1": "6-31g", "H1": "sto-3g", "H2": "6-31g"}, verbose=0)
    path = tmp_path / "water.xyz"
    path.write_text("3\n\n" + atoms.replace("; ", "\n") + "\n")
    labels, positions = ["O1", "h1", "H2"], mole.atom_coords(unit="ANG")
    doors = [
        scfx.System.from_xyz(path),
        scfx.System.from_pyscf(mole),
        scfx.System.from_arrays(labels, positions, "angstrom"),
        scfx.System.from_arrays("OHH", positions, "angstrom").with_labels(labels),
        scfx.System.from_qcschema(
            {"symbols": ["O", "H", "H"], "geometry": mole.atom_coords(), "atom_labels": ["1", "1", "2"]}
        ),
    ]
    assert {system.labels for system in doors} == {("O1", "H1", "H2")}
    # The other hydrogen in front: the order of the atoms within a batch is not that of the molecule.
    turned = scfx.System.from_arrays(["H2", "H1", "O1"], positions[::-1], "angstrom")
    solver = scfx.Solver(functional="hf", basis=basis, backend="libcint", registry=registry)
    result = solver.solve([doors[0], turned])
    assert result.nao.tolist() == [mole.nao, mole.nao] == [12, 12]
    assert result.energy == pytest.approx(scf.RHF(mole).kernel(), abs=1e-7)
    assert result.provenance["basis"] == "H2: 6-31g, O1: 6-31g, others: sto-3g"
    plain = {"O": "6-31g", "H": "6-31g"}
    assert (
        len({scfx.Solver(functional="hf", basis=b, registry=registry).spec_hash for b in (basis, plain)}) == 2
    )


def test_core_potentials_and_shells_follow_the_label(registry):
    basis = registry.basis({"I1": "def2-svp", "default": "sto-3g"})
    pair = scfx.System.from_arrays(["I", "I1"], [[0, 0, 0], [0, 0, 5.0]], "bohr")
    batch = scfx.Batch.from_systems([pair], scfx.BasisSet.from_source(basis, [53]))
    charges = dict(zip(batch.atom_order[0].tolist(), batch.nuclear_charges[0].tolist(), strict=True))
    assert charges == {0: 53.0, 1: 25.0}
    assert batch.n_alpha.tolist() == [(106 - 28) // 2]
    with pytest.raises(scfx.CapabilityError, match="core potential"):
        scfx.SCFSpec.create({"basis": {"I1": "def2-svp", "default": "sto-3g"}, "backend": "simd"}).resolve(
            registry, [53]
        )


def test_a_label_that_no_atom_has_is_refused_with_those_that_exist(registry):
    water = scfx.System.from_arrays(["O", "H1", "H2"], molecule("H2O").positions, "bohr")
    for system, message in (
        (water, r"scf.basis.O1: System\(H2O.* has no atom 'O1'; its labels are H1, H2"),
        (molecule("H2O"), "its atoms have no labels"),
    ):
        with pytest.raises(scfx.InputError, match=message):
            scfx.solve(system, "hf", {"O1": "6-31g", "default": "sto-3g"}, registry=registry)
    with pytest.raises(scfx.InputError, match="atom 1 is H, its label 'O2' names another element"):
        water.with_labels(["O1", "O2", "H"])
    assert water.with_labels().labels == ("O1", "H2", "H3")
    assert water.with_ghosts([1]).without_ghosts().labels == ("O", "H2")
    assert scfx.System.from_arrays(["@O1", "H"], [[0, 0, 0], [0, 0, 2.0]], multiplicity=2).labels == (
        "O1",
        "H",
    )


def test_datasets_refuse_labels_and_say_why(registry):
    from scfx_dataset.solvers import describe

    spec = scfx.SCFSpec.create({"basis": {"O1": "6-31g", "default": "sto-3g"}})
    with pytest.raises(scfx.ConfigError, match="atoms have no labels") as caught:
        describe(spec, registry, None)
    assert caught.value.key == "scf.basis.O1"
