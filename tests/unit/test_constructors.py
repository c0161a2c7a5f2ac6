"""The doors of `System`: what an object of another program says is honoured, or refused with what to do."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from molecules import molecule

import scfx
from scfx.model.conversion import as_system, as_systems
from scfx.model.system import BOHR_IN_ANGSTROM

WATER = np.array([[0.0, 0.0, 0.1173], [0.0, 0.7572, -0.4692], [0.0, -0.7572, -0.4692]])
OXYGEN = [[0, 0, 0], [0, 0, 1.208]]


# ---- arrays ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbols_or_numbers": [8.7, 1, 1]}, "an atomic number is a whole number, got 8.7"),
        ({"symbols_or_numbers": np.array([8.7, 1, 1])}, "got .*8.7"),
        ({"multiplicity": 2.5}, "multiplicity is a whole number, got 2.5"),
        ({"charge": -0.9999999}, "charge is a whole number, got -0.9999999"),
        ({"charge": True}, "charge is a whole number, got True"),
        ({"charge": "plus"}, "charge is a whole number, got 'plus'"),
        ({"charge": float("nan")}, "got nan"),
        ({"charge": None}, "charge is a whole number, got None"),
        ({"unit": "ang."}, "unit: got 'ang.', expected 'angstrom' or 'bohr'"),
        ({"symbols_or_numbers": ["O", "D", "H"]}, "write H"),
    ],
)
def test_nothing_is_truncated(arguments, message):
    with pytest.raises(scfx.InputError, match=message):
        scfx.System.from_arrays(**{"symbols_or_numbers": [8, 1, 1], "positions": WATER, **arguments})


def test_numbers_that_are_whole_are_taken_in_any_form():
    plain = scfx.System.from_arrays(["O", "H", "H"], WATER, charge=1, multiplicity=2)
    for numbers in (
        [8.0, 1.0, 1.0],
        np.array([8, 1, 1], dtype=np.int8),
        ["8", "1.0", "H"],
        ["O1", "h2", "H3"],
    ):
        system = scfx.System.from_arrays(numbers, WATER, "ANG", charge=np.int64(1), multiplicity=2.0)  # type: ignore[arg-type]
        assert system == plain
        assert (type(system.charge), type(system.multiplicity)) == (int, int)


def test_what_nobody_stated_is_recorded_and_does_not_make_another_system():
    stated = scfx.System.from_arrays(["O", "H", "H"], WATER, "angstrom", 0, 1)
    assumed = scfx.System.from_arrays(["O", "H", "H"], WATER)
    assert stated.assumed == frozenset()
    assert assumed.assumed == {"charge", "multiplicity", "unit"}
    assert stated == assumed
    assert scfx.System(stated.atomic_numbers, stated.positions).assumed == {"charge", "multiplicity"}


def test_systems_are_equal_by_value():
    water = molecule("H2O")
    assert water == scfx.System(water.atomic_numbers, water.positions, name="another name")
    assert hash(water) == hash(scfx.System(water.atomic_numbers, 0.0 - (0.0 - water.positions)))
    moved = scfx.System(water.atomic_numbers, water.positions + 1e-12)
    others = [
        moved, scfx.System(water.atomic_numbers, water.positions, multiplicity=3),
        scfx.System(water.atomic_numbers, water.positions, charge=2), water.with_ghosts([1], multiplicity=2),
        molecule("H2"), "H2O",
    ]  # fmt: skip
    assert all(water != other for other in others)
    assert len({water, moved, scfx.System(water.atomic_numbers, water.positions)}) == 2


# ---- ASE ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def oxygen():
    ase = pytest.importorskip("ase")
    return ase.Atoms("O2", positions=OXYGEN)


@pytest.mark.parametrize(
    ("info", "charge", "multiplicity", "assumed"),
    [
        ({}, 0, 1, {"charge", "multiplicity"}),
        ({"charge": 0, "multiplicity": 3}, 0, 3, set()),
        ({"charge": 1, "spin": 2}, 1, 2, set()),
        ({"charge": 1.0, "spin": np.int64(4)}, 1, 4, set()),
        ({"total_charge": -1}, -1, 2, {"multiplicity"}),
        ({"Charge": 0, "uhf": 2}, 0, 3, set()),
        ({"spin": 3, "multiplicity": 3}, 0, 3, {"charge"}),
        ({"spin": 2, "multiplicity": 3}, 0, 3, {"charge"}),
    ],
)
def test_ase_info_is_honoured(oxygen, info, charge, multiplicity, assumed):
    oxygen.info.update(info)
    system = scfx.System.from_ase(oxygen)
    assert (system.charge, system.multiplicity, system.assumed) == (charge, multiplicity, assumed)


def test_ase_initial_charges_and_moments_add_up(oxygen):
    oxygen.set_initial_magnetic_moments([1.0, 1.0])
    assert scfx.System.from_ase(oxygen).multiplicity == 3
    oxygen.set_initial_charges([0.5, 0.5])
    oxygen.set_initial_magnetic_moments([0.5, 0.5])
    system = scfx.System.from_ase(oxygen)
    assert (system.charge, system.multiplicity, system.assumed) == (1, 2, frozenset())
    # The argument goes before the record.
    assert scfx.System.from_ase(oxygen, charge=0, multiplicity=3).charge == 0


@pytest.mark.parametrize(
    ("info", "charges", "moments", "message"),
    [
        ({"charge": 0.4}, None, None, "charge is a whole number, got 0.4"),
        ({"charge": 0, "total_charge": 1}, None, None, "contradict"),
        ({"spin": 2}, None, None, "write multiplicity=3"),
        ({"spin": 5, "multiplicity": 3}, None, None, "contradict"),
        ({"charge": 1}, [1, 1], None, "charge = 1, but initial charges add up to 2"),
        ({}, [0.3, 0.3], None, "add up to 0.6, which is no whole number"),
        ({"multiplicity": 1}, None, [1, 1], "multiplicity = 1, but initial magnetic moments add up to 3"),
        ({}, None, [1, -1], "broken-symmetry"),
        ({}, None, [[0, 0, 1], [0, 0, 1]], "vectors by atom"),
    ],
)
def test_what_ase_atoms_cannot_mean_is_refused(oxygen, info, charges, moments, message):
    oxygen.info.update(info)
    if charges is not None:
        oxygen.set_initial_charges(charges)
    if moments is not None:
        oxygen.set_initial_magnetic_moments(moments)
    with pytest.raises(scfx.InputError, match=message):
        scfx.System.from_ase(oxygen)
    assert scfx.System.from_ase(oxygen, charge=0, multiplicity=3).multiplicity == 3  # the remedy


def test_periodic_ase_atoms_are_refused(oxygen):
    oxygen.set_cell([9, 9, 9])
    assert scfx.System.from_ase(oxygen).natm == 2  # a box alone is not periodic
    oxygen.set_pbc([False, False, True])
    with pytest.raises(scfx.InputError, match=r"set atoms.pbc = False"):
        scfx.System.from_ase(oxygen)


def test_what_our_exports_write_comes_back_with_its_charge_and_multiplicity(tmp_path):
    import scfx_dataset
    from dataset_fake import run_fake
    from scfx_dataset.exports import export

    ase_io, connect = pytest.importorskip("ase.io"), pytest.importorskip("ase.db").connect
    source = tmp_path / "m.smi"
    source.write_text("C[NH3+]\n[CH3]\n[O-]C=O\nC/C=C\\C\n")
    assert run_fake(molecules=str(source), output=str(tmp_path / "out")) == 0
    dataset = scfx_dataset.open(tmp_path / "out")
    for form in ("extxyz", "ase"):
        export(dataset, form, tmp_path / f"e.{'db' if form == 'ase' else form}")
    wanted = {(r["charge"], r["multiplicity"]) for r in dataset.to_table().to_pylist()}
    frames = ase_io.read(tmp_path / "e.extxyz", ":")
    assert {(s.charge, s.multiplicity) for s in map(scfx.System.from_ase, frames)} == wanted
    ours = scfx.System.all_from_xyz(tmp_path / "e.extxyz")
    assert [scfx.System.from_ase(frame) for frame in frames] == ours
    assert all(not {"charge", "multiplicity"} & system.assumed for system in ours)
    rows = [row.toatoms(add_additional_information=True) for row in connect(str(tmp_path / "e.db")).select()]
    assert {(s.charge, s.multiplicity) for s in map(scfx.System.from_ase, rows)} == wanted


# ---- QCSchema ----------------------------------------------------------------------------------------------------


def schema(**more):
    return {
        "schema_name": "qcschema_molecule", "symbols": ["O", "H", "H"],
        "geometry": (WATER / BOHR_IN_ANGSTROM).ravel().tolist(), **more,
    }  # fmt: skip


def test_qcschema_ghosts_are_ghosts():
    system = scfx.System.from_qcschema(schema(real=[True, True, False], molecular_multiplicity=2))
    assert (system.n_electrons, system.ghost.tolist()) == (9, [False, False, True])


def test_qcschema_charges_of_fragments_make_the_molecules():
    parts = {"fragments": [[0, 1], [2]], "fragment_charges": [-1.0, 1.0], "fragment_multiplicities": [1, 1]}
    system = scfx.System.from_qcschema(schema(**parts))
    assert (system.charge, system.multiplicity, system.assumed) == (0, 1, frozenset())
    assert scfx.System.from_qcschema(schema()).assumed == {"charge", "multiplicity"}
    stated = schema(molecular_charge=1.0, molecular_multiplicity=2, name="cation")
    system = scfx.System.from_qcschema(stated)
    assert (system.charge, system.multiplicity, system.name) == (1, 2, "cation")


def test_an_object_with_the_schemas_fields_is_taken():
    class Molecule:
        def model_dump(self):
            return schema(molecular_charge=-1)

    assert scfx.System.from_qcschema(Molecule()).multiplicity == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"molecular_charge": 0.4}, "molecular_charge is a whole number, got 0.4"),
        ({"molecular_charge": -0.9999999999}, "molecular_charge is a whole number, got -0.9999999999"),
        ({"molecular_multiplicity": 1.5}, "molecular_multiplicity is a whole number"),
        ({"molecular_charge": 0, "fragment_charges": [1, 0]}, "molecular_charge = 0, but fragment_charges add up to 1"),
        ({"fragment_multiplicities": [2, 2]}, "state molecular_multiplicity"),
        ({"fragments": [[0], [1]]}, "do not name each of the 3 atoms once"),
        ({"real": [True]}, "1 entries of real"),
        ({"geometry": [0.0, 0.0]}, "3 symbols, but 2 numbers"),
        ({"geometry": None}, "there is no 'geometry'"),
    ],
)  # fmt: skip
def test_what_a_qcschema_molecule_cannot_mean_is_refused(more, message):
    with pytest.raises(scfx.InputError, match=message):
        scfx.System.from_qcschema(schema(**more))


def test_an_atomic_input_is_told_to_hand_over_its_molecule():
    given = {
        "schema_name": "qcschema_input",
        "molecule": schema(),
        "driver": "energy",
        "model": {"method": "hf"},
    }
    with pytest.raises(scfx.InputError, match=r"qcschema_input.*from_qcschema\(it\['molecule'\]\)"):
        scfx.System.from_qcschema(given)
    with pytest.raises(scfx.InputError, match="expected a mapping"):
        scfx.System.from_qcschema("water.json")


# ---- PySCF -------------------------------------------------------------------------------------------------------


def test_periodic_cells_and_unbuilt_molecules_of_pyscf_are_refused():
    from pyscf import gto
    from pyscf.pbc import gto as pbc

    cell = pbc.Cell(atom="He 0 0 0", a=np.eye(3) * 4, basis="sto-3g", verbose=0).build()
    for door in (scfx.System.from_pyscf, as_system):
        with pytest.raises(scfx.InputError, match=r"periodic Cell.*cell.to_mol"):
            door(cell)
    with pytest.raises(scfx.InputError, match=r"call mole.build\(\) first"):
        scfx.System.from_pyscf(gto.Mole(atom="He 0 0 0"))
    basis = {"He": "sto-3g", "ghost": gto.basis.load("sto-3g", "H")}
    nameless = gto.M(atom="He 0 0 0; ghost 0 0 2", basis=basis, verbose=0)
    with pytest.raises(scfx.InputError, match="names no element"):
        scfx.System.from_pyscf(nameless)


# ---- RDKit and SMILES --------------------------------------------------------------------------------------------


def embedded(smiles, hydrogens=True, conformers=1):
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom

    parsed = Chem.MolFromSmiles(smiles)
    built = Chem.AddHs(parsed) if hydrogens else parsed
    rdDistGeom.EmbedMultipleConfs(built, conformers, randomSeed=7)
    return built


def test_an_rdkit_molecule_is_taken_as_it_is():
    built = embedded("C[NH3+]")
    system = scfx.System.from_rdkit(built)
    np.testing.assert_allclose(system.positions_angstrom, built.GetConformer().GetPositions(), atol=1e-14)
    assert (system.charge, system.multiplicity, system.assumed) == (1, 1, {"multiplicity"})
    assert scfx.System.from_rdkit(embedded("[CH3]")).multiplicity == 2
    assert scfx.System.from_rdkit(built, charge=0).multiplicity == 2  # not the structure's charge: the lowest
    several = embedded("CCO", conformers=2)
    assert scfx.System.from_rdkit(several, conformer=0) != scfx.System.from_rdkit(several, conformer=1)


def test_what_an_rdkit_molecule_lacks_is_refused():
    from rdkit import Chem
    from rdkit.Chem import AllChem

    flat = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.Compute2DCoords(flat)  # type: ignore[attr-defined]
    for built, message in (
        (Chem.MolFromSmiles("CCO"), "has no conformer"),
        (embedded("CCO", hydrogens=False), "6 hydrogen atoms have no position; use Chem.AddHs"),
        (embedded("CCO", conformers=3), "3 conformers; say which"),
        (flat, "drawing in two dimensions"),
        ("CCO", "expected an rdkit.Chem.Mol"),
    ):
        with pytest.raises(scfx.InputError, match=message):
            scfx.System.from_rdkit(built)
    with pytest.raises(scfx.InputError, match="there is no conformer 5"):
        scfx.System.from_rdkit(embedded("CCO"), conformer=5)


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("O=O", "OO is a triplet in its ground state.*multiplicity=3"),
        ("S=O", "triplet in its ground state"),
        ("[Fe+2]", "does not tell the spin of Fe"),
        ("[Cu+2].[O-2]", "does not tell the spin of Cu"),
        ("Cl[Ti](Cl)(Cl)Cl", "spin of Ti"),
        ("[C]", "its ground state has 2"),
        ("[B]", "its ground state has 1"),
        ("C*", "dummy atom"),
    ],
)
def test_where_a_structure_does_not_tell_the_spin_it_is_asked_for(smiles, message):
    with pytest.raises(scfx.InputError, match=message):
        scfx.System.from_smiles(smiles)


def test_the_spin_of_a_structure_may_be_stated():
    assert scfx.System.from_smiles("O=O", multiplicity=3).assumed == frozenset()
    assert scfx.System.from_smiles("[Fe+2]", multiplicity=5).n_alpha == 14
    assert scfx.System.from_smiles("[O][O]").multiplicity == 3
    assert scfx.System.from_smiles("[O]").multiplicity == 3
    assert scfx.System.from_smiles("[Zn+2]").multiplicity == 1
    assert scfx.System.from_smiles("[CH2]").assumed == {"multiplicity"}


@pytest.mark.parametrize(
    "smiles", ["[Na+].[Cl-]", "C[NH3+].[Cl-]", "CC(=O)[O-].[NH4+]", "O.O.O", "[K+].[Br-].O"]
)
def test_fragments_of_a_salt_are_apart_and_in_contact(smiles):
    from rdkit import Chem

    system = scfx.System.from_smiles(smiles)
    fragments = Chem.GetMolFrags(Chem.AddHs(Chem.MolFromSmiles(Chem.MolToSmiles(Chem.MolFromSmiles(smiles)))))
    nearest = min(
        np.linalg.norm(system.positions_angstrom[i] - system.positions_angstrom[j])
        for k, one in enumerate(fragments) for other in fragments[:k] for i in one for j in other
    )  # fmt: skip
    # Sums of van der Waals radii: 2.4 angstrom for two hydrogens, some 5 for the heaviest here.
    assert 2.0 < nearest < 5.2


# ---- anything ----------------------------------------------------------------------------------------------------


def test_whatever_people_have_becomes_a_system(tmp_path):
    from pyscf import gto

    ase = pytest.importorskip("ase")
    water = molecule("H2O")
    path = tmp_path / "water.xyz"
    path.write_text(
        "3\n\n"
        + "".join(f"{s} {x:.12f} {y:.12f} {z:.12f}\n" for s, (x, y, z) in zip("OHH", WATER, strict=True))
    )
    mole = gto.M(atom=list(zip("OHH", WATER.tolist(), strict=True)), verbose=0)
    things = [water, path, str(path), ase.Atoms("OH2", positions=WATER), mole, schema()]
    for thing in things:
        np.testing.assert_allclose(as_system(thing).positions, water.positions, atol=1e-10)
        assert len(as_systems(thing)) == 1
    assert len(as_systems(things)) == len(things)
    assert as_system("CCO") == scfx.System.from_smiles("CCO")
    assert as_system(embedded("CCO")).natm == 9


def test_what_is_no_molecule_is_told_the_constructors():
    with pytest.raises(
        scfx.InputError, match=r"got int 8, expected a scfx.System; make one with System.from_arrays"
    ):
        as_systems(8)
    with pytest.raises(scfx.InputError, match=r"systems\[1\]: got ndarray"):
        as_systems([molecule("H2O"), WATER])
    with pytest.raises(scfx.InputError, match=r"systems\[0\]: RDKit cannot parse"):
        as_systems(["C1CC"])


INTERRUPTED = """
import os, signal, threading, time
from scfx import System
from scfx.execution.sheltered import Sheltered

heard, done = [], False
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
SMILES = ("OC(=O)CC(C)C1CCC2C1(C)CCC1C2CCC2CCCCC12C", "CC(C)CC(N)C(=O)O")
before = [System.from_smiles(s).positions.tobytes() for s in SMILES]

def kick():
    while not done:
        os.killpg(0, signal.SIGINT)
        time.sleep(0.002)

threading.Thread(target=kick, daemon=True).start()
assert [System.from_smiles(s).positions.tobytes() for s in SMILES] == before
done = True
assert heard
signal.signal(signal.SIGINT, signal.default_int_handler)
sleep = Sheltered("time:sleep")
threading.Timer(0.5, os.killpg, (0, signal.SIGINT)).start()
try:
    sleep(60)
except KeyboardInterrupt:
    print("interrupted", sleep(0))
"""


def test_ctrl_c_is_heard_while_rdkit_embeds_and_changes_no_geometry():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said, _ = process.communicate(timeout=120)
    assert (process.returncode, said) == (0, "interrupted None\n")
