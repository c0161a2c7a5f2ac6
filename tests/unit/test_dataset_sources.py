"""Sources: whatever a geometry or a molecule is stored in, the row holds the same molecule and the same positions."""

from __future__ import annotations

import bz2
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scfx_dataset
from dataset_fake import FakeSpec, make_task, run_fake, write_smiles
from scfx_dataset.options import Limits
from scfx_dataset.sources.sdf import read_sdf

import scfx
from scfx.model.system import BOHR_IN_ANGSTROM

#: What is asked here is asked of rows, files and exit codes.
pytestmark = pytest.mark.usefixtures("quick_reports")

# Record 1 of QM9 (Ramakrishnan et al., Sci. Data 1, 140022, 2014, CC0), shortened by four properties and with one
# exponent put in Mathematica's form, as record 3 and others have it.
METHANE = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t-40.47893\t
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 2.150416*^-3\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923
1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078
C\tC\t
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""
POSITIONS = np.array([
    [-0.0126981359, 1.0858041578, 0.0080009958],
    [0.002150416, -0.0060313176, 0.0019761204],
    [1.0117308433, 1.4637511618, 0.0002765748],
    [-0.540815069, 1.4475266138, -0.8766437152],
    [-0.5238136345, 1.4379326443, 0.9063972942],
])  # fmt: skip
NUMBERS = [6, 1, 1, 1, 1]
METHANE_KEY = "VNWKTOKETHGBQD-UHFFFAOYSA-N"  # methane, NIST Chemistry WebBook


def rows(tmp_path, molecules, output="out", **options):
    """The plan's rows, in order."""
    task = make_task({
        "molecules": str(molecules), "output": str(tmp_path / output), "geometry": "given", **options,
    })  # fmt: skip
    plan = task.plan(scfx.TaskContext(FakeSpec(), None, None))[0]
    found = [row for shard in plan.shards for row in plan.rows(shard).to_pylist()]
    return sorted(found, key=lambda row: row["row_id"]), plan


def assert_is_methane(row, atol=0.0):
    assert row["atomic_numbers"] == NUMBERS
    assert np.allclose(row["positions_angstrom"], POSITIONS, rtol=0, atol=atol)
    assert row["smiles"] == "C"
    assert (row["charge"], row["multiplicity"], row["geometry"]) == (0, 1, "given")


def qm9_folder(path):
    path.mkdir()
    (path / "dsgdb9nsd_000001.xyz").write_text(METHANE)
    (path / "dsgdb9nsd_000002.xyz").write_text(
        METHANE.replace("gdb 1", "gdb 2").replace("1.0858041578", "1.09")
    )
    return path


def test_qm9s_own_records_keep_their_positions_and_the_smiles_of_the_relaxed_geometry(tmp_path):
    single = tmp_path / "dsgdb9nsd_000001.xyz"
    single.write_text(METHANE.replace("C\tC\t", "[CH4]\tC\t"))
    (row,), _ = rows(tmp_path, single)
    assert_is_methane(row)
    assert row["name"] == "gdb 1"
    assert row["input_smiles"] == "C"


def test_qm9_as_folder_and_as_archive_is_one_dataset_of_rows(tmp_path):
    folder = qm9_folder(tmp_path / "qm9")
    archive = tmp_path / "dsgdb9nsd.xyz.tar.bz2"
    with tarfile.open(archive, "w:bz2") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)
    (a, _), (b, _) = rows(tmp_path, folder, "a"), rows(tmp_path, archive, "b")
    assert [{k: v for k, v in row.items() if k != "shard"} for row in a] == [
        {k: v for k, v in row.items() if k != "shard"} for row in b
    ]
    # Two geometries of one molecule are two conformers of it, not a duplicate.
    assert [(row["molecule"], row["conformer"], row["name"]) for row in a] == [
        (0, 0, "gdb 1"),
        (0, 1, "gdb 2"),
    ]


def test_the_same_geometry_twice_is_a_duplicate_and_counted(tmp_path):
    file = tmp_path / "twice.xyz"
    file.write_text(METHANE + METHANE)
    found, plan = rows(tmp_path, file)
    assert len(found) == 1
    assert plan.counts["duplicates"] == 1
    assert plan.counts["geometries"] == 1


def extended_xyz(positions=POSITIONS, **info):
    head = " ".join(f'{k}="{v}"' for k, v in info.items())
    lines = [
        f"{z} {x:.10f} {y:.10f} {w:.10f} 0.0"
        for z, (x, y, w) in zip("CHHHH", positions.tolist(), strict=True)
    ]
    return f"5\nProperties=species:S:1:pos:R:3:magnetic:R:1 {head}\n" + "\n".join(lines) + "\n"


def test_extended_xyz_states_smiles_charge_and_name(tmp_path):
    file = tmp_path / "frames.extxyz"
    file.write_text(extended_xyz(smiles="C", name="methane") + extended_xyz(POSITIONS + 1, charge=1))
    found, _ = rows(tmp_path, file)
    assert_is_methane(found[0])
    assert found[0]["name"] == "methane"
    # No SMILES: the formula stands for the molecule, and an odd number of electrons is a doublet.
    assert (found[1]["smiles"], found[1]["charge"], found[1]["multiplicity"]) == (None, 1, 2)


def test_frames_are_those_that_ase_reads(tmp_path):
    ase_io = pytest.importorskip("ase.io")
    file = tmp_path / "frames.xyz"
    file.write_text(extended_xyz() + extended_xyz(POSITIONS * 1.1) + extended_xyz(POSITIONS * 1.2))
    found, _ = rows(tmp_path, file)
    frames = ase_io.read(file, ":", format="extxyz")
    assert len(found) == len(frames) == 3
    for row, frame in zip(found, frames, strict=True):
        assert row["atomic_numbers"] == frame.numbers.tolist()
        assert np.array_equal(row["positions_angstrom"], frame.positions)


def test_a_bad_frame_is_one_failed_row_and_harms_no_other(tmp_path):
    file = tmp_path / "frames.xyz"
    bad = extended_xyz().replace("1.0858041578", "a-word")
    file.write_text(extended_xyz() + bad + extended_xyz(POSITIONS + 1) + "not a number\n")
    found, plan = rows(tmp_path, file)
    assert [bool(row["reason"]) for row in found] == [False, True, False, True]
    assert "frame 2: could not convert string to float" in found[1]["reason"]
    assert "expected the number of atoms, found 'not a number'" in found[3]["reason"]
    assert plan.counts["unreadable"] == 2


def test_a_smiles_that_is_not_the_geometrys_is_not_believed(tmp_path):
    file = tmp_path / "frames.xyz"
    file.write_text(extended_xyz(smiles="CC"))
    (row,), _ = rows(tmp_path, file)
    assert row["reason"] == "the SMILES is H6 C2 but the geometry is H4 C1"


def test_sdf_gives_smiles_from_its_bonds_and_its_geometry(tmp_path):
    from rdkit import Chem

    molecule = Chem.AddHs(Chem.MolFromSmiles("C"))
    conformer = Chem.Conformer(5)
    for i, position in enumerate(POSITIONS):
        conformer.SetAtomPosition(i, position.tolist())
    molecule.AddConformer(conformer)
    molecule.SetProp("_Name", "methane")
    file = tmp_path / "molecules.sdf"
    with Chem.SDWriter(str(file)) as writer:
        writer.write(molecule)
    text = file.read_text()
    file.write_text(text + "broken\n\n\n nonsense\n$$$$\n" + text.replace("1.0858", "1.0900"))
    found, _ = rows(tmp_path, file)
    assert_is_methane(found[0], atol=5e-5)  # an SDF has four decimals
    assert found[1]["reason"] == "RDKit cannot read this block of the SDF"
    assert [row["name"] for row in found] == ["methane", "block 2", "methane"]
    # Data fields state charge and multiplicity, under any of their names.
    stated = [
        ("CHARGE", "1", 1, None), ("Total_Charge", "-1", -1, None), ("multiplicity", "3", None, 3),
        ("spin", "3", None, 3), ("PUBCHEM_TOTAL_CHARGE", "0", 0, None), ("n_unpaired", "2", None, 3),
        ("comment", "charge 1", None, None), ("charge", "", None, None), ("charge", "+1\n\n> <multiplicity>\n4", 1, 4),
    ]  # fmt: skip
    refused = [
        ("charge", "0.5", "charge is a whole number, got '0.5'"),
        ("spin", "2", "spin = 2 is read as the multiplicity"),
        ("charge", "1\n\n>  <net_charge>  (3)\n2", "charge = 1, net_charge = 2 contradict each other"),
    ]
    bodies = [f">  <{name}>\n{value}\n\n$$$$" for name, value, *_ in (*stated, *refused)]
    file.write_text("".join(text.replace("$$$$", body) for body in bodies))
    found = list(read_sdf(file, Limits()))
    read = [(record.charge, record.multiplicity) for record in found[: len(stated)]]
    assert read == [(charge, multiplicity) for _, _, charge, multiplicity in stated]
    for record, (_, _, message) in zip(found[len(stated) :], refused, strict=True):
        assert message in record.problem
    file.write_text(text.replace("$$$$", bodies[0]))
    (row,), _ = rows(tmp_path, file, "stated")
    assert (row["reason"], row["charge"], row["multiplicity"]) == ("", 1, 2)


def table(name="positions_angstrom", factor=1.0, **more):
    return pa.table({
        "smiles": ["C", "C"], "atomic_numbers": [NUMBERS, NUMBERS],
        name: [(POSITIONS * factor).tolist(), [[0.0, 0.0]]], "name": ["first", "second"], **more,
    })  # fmt: skip


def test_parquet_positions_come_in_the_unit_that_is_stated(tmp_path):
    pq.write_table(table(), tmp_path / "a.parquet")
    pq.write_table(table("positions_bohr", 1 / BOHR_IN_ANGSTROM), tmp_path / "b.parquet")
    pq.write_table(table("pos", 1 / BOHR_IN_ANGSTROM), tmp_path / "c.parquet")
    found, _ = rows(tmp_path, tmp_path / "a.parquet", "a")
    assert_is_methane(found[0])
    assert found[0]["name"] == "first"
    assert "5 atoms but positions of shape (1, 2)" in found[1]["reason"]
    assert_is_methane(rows(tmp_path, tmp_path / "b.parquet", "b")[0][0], atol=1e-15)
    assert_is_methane(rows(tmp_path, tmp_path / "c.parquet", "c", positions_unit="bohr")[0][0], atol=1e-15)
    with pytest.raises(scfx.InputError, match=r"task.positions_unit: .*'pos' without a unit"):
        rows(tmp_path, tmp_path / "c.parquet", "d")


def test_qm1bs_files_are_known_to_be_in_bohr(tmp_path):
    layout = {
        "smile": ["C"], "atoms": ["CHHHH"], "z": [NUMBERS], "energy": [0.0], "homo": [0.0], "lumo": [0.0], "N": [9],
        "std": [0.0], "y": [0.0], "pos": [(POSITIONS / BOHR_IN_ANGSTROM).tolist()],
    }  # fmt: skip
    pq.write_table(pa.table(layout), tmp_path / "qm1b_val.parquet")
    assert_is_methane(rows(tmp_path, tmp_path / "qm1b_val.parquet")[0][0], atol=1e-15)


def test_csv_may_hold_geometries_as_json(tmp_path):
    file = tmp_path / "m.csv"
    cell = json.dumps(POSITIONS.tolist())
    file.write_text(f'name,smiles,atomic_numbers,positions_angstrom\nmethane,C,"{NUMBERS}","{cell}"\n')
    (row,), _ = rows(tmp_path, file)
    assert_is_methane(row)
    assert row["name"] == "methane"


def test_a_source_without_geometries_cannot_give_them(tmp_path):
    source = write_smiles(tmp_path / "m.smi")
    with pytest.raises(scfx.InputError, match=r"task.geometry = 'given'.*read as 'smiles'"):
        rows(tmp_path, source)
    xyz = tmp_path / "m.xyz"
    xyz.write_text(extended_xyz())
    (row,), _ = rows(tmp_path, xyz, geometry="embed")
    assert "no SMILES to embed" in row["reason"]


def test_options_of_embedding_are_refused_for_given_geometries():
    common = {"molecules": "x.xyz", "output": "out", "geometry": "given"}
    with pytest.raises(ValueError, match=r"embedding.relax and embedding.prune_rms are for"):
        make_task({**common, "embedding": {"relax": "mmff94"}})
    with pytest.raises(ValueError, match="would compute the same geometry several times"):
        make_task({**common, "conformers": 2})


def test_labels_of_given_geometries_are_those_of_the_positions_of_the_source(tmp_path):
    folder = qm9_folder(tmp_path / "qm9")
    assert run_fake(molecules=str(folder), output=str(tmp_path / "out"), geometry="given") == 0
    first, second = scfx_dataset.open(tmp_path / "out").to_table().to_pylist()
    assert first["status"] == second["status"] == "ok"
    assert np.allclose(first["positions_angstrom"], POSITIONS, rtol=0, atol=1e-15)
    assert (first["inchikey"], first["geometry"], first["embedding_seed"]) == (METHANE_KEY, "given", None)
    assert first["geometry_id"] != second["geometry_id"]


def test_displaced_copies_differ_from_each_other_and_are_the_same_in_every_run(tmp_path):
    folder = qm9_folder(tmp_path / "qm9")
    options = {"molecules": str(folder), "geometry": "given", "conformers": 40}
    for name in ("a", "b"):
        run_fake(output=str(tmp_path / name), embedding={"displacement_angstrom": 0.05}, **options)
    a, b = (scfx_dataset.open(tmp_path / name).to_table() for name in ("a", "b"))
    assert a.equals(b)
    assert set(a["geometry"].to_pylist()) == {"given+displaced:0.05"}
    assert a["conformer"].to_pylist() == list(range(80))  # two geometries of methane, 40 copies of each
    assert len(set(a["geometry_id"].to_pylist())) == 80
    moved = np.array(a["positions_angstrom"].to_pylist())[:40] - POSITIONS
    # 600 normal deviates: the standard error of their deviation is 0.05 / sqrt(1200).
    assert moved.std() == pytest.approx(0.05, abs=4 * 0.05 / np.sqrt(1200))


def test_a_dataset_is_a_source_of_geometries_for_another_level(tmp_path):
    source = write_smiles(tmp_path / "m.smi", ["CCO", "CO"])
    run_fake(molecules=source, output=str(tmp_path / "first"), conformers=2)
    code = run_fake(FakeSpec(level="second"), molecules=str(tmp_path / "first"), output=str(tmp_path / "second"),
                    geometry="given")  # fmt: skip
    assert code == 0
    first, second = (
        scfx_dataset.open(tmp_path / name).to_table().to_pylist() for name in ("first", "second")
    )
    there = {f"row {row['row_id']}": row for row in first}
    assert sorted(there) == sorted(row["name"] for row in second)
    for b in second:
        a = there[b["name"]]
        assert np.allclose(a["positions_angstrom"], b["positions_angstrom"], rtol=0, atol=1e-14)
        assert a["energy_ev"] == pytest.approx(b["energy_ev"], abs=1e-10)
        assert (a["smiles"], a["conformer"], a["charge"]) == (b["smiles"], b["conformer"], b["charge"])


def test_compressed_text_is_read_as_such(tmp_path):
    file = tmp_path / "frames.xyz.bz2"
    file.write_bytes(bz2.compress(extended_xyz(smiles="C").encode()))
    assert_is_methane(rows(tmp_path, file)[0][0])
    broken = tmp_path / "broken.tar.bz2"
    broken.write_bytes(b"nothing of the kind")
    with pytest.raises(scfx.InputError, match="cannot read"):
        rows(tmp_path, broken, "broken")
