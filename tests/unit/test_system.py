"""Systems: where they come from, and what is refused before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import molecule

import scfx
from scfx.model.system import BOHR_IN_ANGSTROM

WATER_ANGSTROM = np.array([[0.0, 0.0, 0.1173], [0.0, 0.7572, -0.4692], [0.0, -0.7572, -0.4692]])


@pytest.fixture
def water():
    return molecule("H2O")


def _same(system, water):
    np.testing.assert_array_equal(system.atomic_numbers, water.atomic_numbers)
    np.testing.assert_allclose(system.positions, water.positions, rtol=0, atol=1e-12)
    assert (system.charge, system.multiplicity) == (water.charge, water.multiplicity)


def test_positions_are_kept_in_bohr(water):
    np.testing.assert_allclose(water.positions, WATER_ANGSTROM / BOHR_IN_ANGSTROM, rtol=1e-15)
    np.testing.assert_allclose(water.positions_angstrom, WATER_ANGSTROM, rtol=0, atol=1e-15)
    assert water.symbols == ("O", "H", "H")
    assert (water.natm, water.n_electrons, water.n_alpha, water.n_beta) == (3, 10, 5, 5)
    assert repr(water) == "System(H2O, charge=0, multiplicity=1)"


def test_symbols_and_atomic_numbers_mean_the_same(water):
    _same(scfx.System.from_arrays([8, 1, 1], WATER_ANGSTROM), water)
    _same(scfx.System.from_arrays(["o", "H", "h"], WATER_ANGSTROM), water)
    _same(scfx.System.from_arrays(["O", "H", "H"], WATER_ANGSTROM / BOHR_IN_ANGSTROM, unit="bohr"), water)


def test_arrays_of_a_system_are_its_own_and_read_only(water):
    mine = np.array(water.positions)
    system = scfx.System(water.atomic_numbers, mine)
    mine[0, 0] = 9.0
    assert system.positions[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        system.positions[0, 0] = 1.0


def test_xyz_file_is_one_geometry(tmp_path, water):
    lines = [
        f"{s} {x:.10f} {y:.10f} {z:.10f}" for s, (x, y, z) in zip(water.symbols, WATER_ANGSTROM, strict=True)
    ]
    path = tmp_path / "water.xyz"
    path.write_text("\n".join(["3", "water", *lines, ""]))
    _same(scfx.System.from_xyz(path), water)
    assert scfx.System.from_xyz(path, charge=1).multiplicity == 2  # the lowest that nine electrons can have
    assert scfx.System.from_xyz(path, charge=1, multiplicity=4).n_alpha == 6


@pytest.mark.parametrize(
    "text",
    ["", "three\n\n", "2\n\nH 0 0 0\n", "1\n\nH 0 0\n", "1\n\nH zero 0 0\n", "1\n\nQq 0 0 0\n"],
    ids=["empty", "no count", "too few lines", "two numbers", "no number", "no element"],
)
def test_malformed_xyz_is_an_input_error(tmp_path, text):
    path = tmp_path / "broken.xyz"
    path.write_text(text)
    with pytest.raises(scfx.InputError):
        scfx.System.from_xyz(path)


def test_missing_xyz_is_an_input_error(tmp_path):
    with pytest.raises(scfx.InputError, match=r"nowhere\.xyz"):
        scfx.System.from_xyz(tmp_path / "nowhere.xyz")


def test_smiles_gives_one_conformer_per_seed():
    pytest.importorskip("rdkit")
    first, again = scfx.System.from_smiles("CCO", seed=7), scfx.System.from_smiles("CCO", seed=7)
    np.testing.assert_array_equal(first.positions, again.positions)
    assert not np.allclose(first.positions, scfx.System.from_smiles("CCO", seed=8).positions)
    np.testing.assert_array_equal(
        first.positions, scfx.System.from_smiles("OCC", seed=7).positions
    )  # canonical first
    assert first.symbols == ("C", "C", "O", "H", "H", "H", "H", "H", "H")
    assert scfx.System.from_smiles("C[NH3+]").charge == 1
    assert scfx.System.from_smiles("[CH3]").multiplicity == 2


@pytest.mark.parametrize("smiles", ["C1CC", "not a molecule", ""])
def test_smiles_that_cannot_be_read_is_an_input_error(smiles):
    pytest.importorskip("rdkit")
    with pytest.raises(scfx.InputError):
        scfx.System.from_smiles(smiles)


def test_pyscf_molecule_keeps_geometry_charge_and_spin(water):
    from pyscf import gto

    atoms = list(zip(water.symbols, WATER_ANGSTROM.tolist(), strict=True))
    _same(scfx.System.from_pyscf(gto.M(atom=atoms, verbose=0)), water)
    cation = scfx.System.from_pyscf(gto.M(atom=atoms, charge=1, spin=1, verbose=0))
    assert (cation.charge, cation.multiplicity) == (1, 2)


def test_ghost_atoms_bring_no_electrons():
    from pyscf import gto

    mole = gto.M(atom="He 0 0 0; ghost-He 0 0 2", basis={"He": "sto-3g", "ghost-He": "sto-3g"}, verbose=0)
    system = scfx.System.from_pyscf(mole)
    assert (system.symbols, system.ghost.tolist(), system.n_electrons) == (("He", "He"), [False, True], 2)
    assert repr(system) == "System(He, charge=0, multiplicity=1, ghosts=1)"


def test_ase_atoms_keep_charge_and_spin_from_info(water):
    ase = pytest.importorskip("ase")
    atoms = ase.Atoms("OH2", positions=WATER_ANGSTROM)
    _same(scfx.System.from_ase(atoms), water)
    atoms.info.update(charge=1, spin=2)
    assert (scfx.System.from_ase(atoms).charge, scfx.System.from_ase(atoms).multiplicity) == (1, 2)
    assert scfx.System.from_ase(atoms, charge=-1, multiplicity=2).n_electrons == 11


def test_qcschema_molecule_is_in_bohr(water):
    schema = {
        "schema_name": "qcschema_molecule",
        "symbols": ["O", "H", "H"],
        "geometry": (WATER_ANGSTROM / BOHR_IN_ANGSTROM).ravel().tolist(),
        "molecular_charge": 0.0,
        "molecular_multiplicity": 1,
    }
    _same(scfx.System.from_qcschema(schema), water)


# ---- what is refused -----------------------------------------------------------------------------------------------


def test_impossible_multiplicity_names_the_possible_ones():
    with pytest.raises(
        scfx.InputError, match=r"10 electrons \(charge 0\) cannot have multiplicity 2; possible: 1, 3"
    ):
        scfx.System.from_arrays(["O", "H", "H"], WATER_ANGSTROM, multiplicity=2)
    with pytest.raises(scfx.InputError, match="possible: 2"):
        scfx.System.from_arrays(["H"], [[0, 0, 0]], multiplicity=4)
    with pytest.raises(scfx.InputError, match="at least 1"):
        scfx.System.from_arrays(["H"], [[0, 0, 0]], multiplicity=0)


def test_charge_beyond_the_nuclei_is_refused():
    with pytest.raises(scfx.InputError, match="removes more electrons"):
        scfx.System.from_arrays(["H"], [[0, 0, 0]], charge=2)


def test_coincident_nuclei_ask_about_the_unit():
    with pytest.raises(scfx.InputError, match=r"atoms 0 and 1 .* coincident nuclei.*unit"):
        scfx.System.from_arrays(["H", "H"], [[0, 0, 0], [0, 0, 0]])
    with pytest.raises(scfx.InputError, match="expected 'angstrom' or 'bohr'"):
        scfx.System.from_arrays(["H"], [[0, 0, 0]], unit="nm")


def test_unknown_elements_are_named():
    with pytest.raises(scfx.InputError, match="Xx"):
        scfx.System.from_arrays(["Xx"], [[0, 0, 0]])
    with pytest.raises(scfx.InputError, match="atomic number"):
        scfx.System.from_arrays([0], [[0, 0, 0]])


@pytest.mark.usefixtures("without_shape_checks")
def test_malformed_arrays_are_refused():
    with pytest.raises(scfx.InputError, match="at least one atom"):
        scfx.System.from_arrays([], np.zeros((0, 3)))
    with pytest.raises(scfx.InputError, match=r"positions have shape \(1, 3\), expected \(2, 3\)"):
        scfx.System.from_arrays(["H", "H"], [[0, 0, 0]])
    with pytest.raises(scfx.InputError, match="not finite"):
        scfx.System.from_arrays(["H", "H"], [[0, 0, 0], [0, 0, np.nan]])
