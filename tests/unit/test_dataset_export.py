"""Exports: what another program reads back is the label and the geometry, in its unit."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import scfx_dataset
from dataset_fake import SMILES, FakeSpec, run_fake, write_smiles
from scfx_dataset.exports import FORMATS, TARGETS, default_name, export, export_beside

import scfx
from scfx.cli import main
from scfx.model.system import BOHR_IN_ANGSTROM, DIPOLE_AU_IN_DEBYE


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    source = write_smiles(folder / "m.smi", [*SMILES[:8], "C/C=C\\F"])
    spec = FakeSpec(not_converged=("CO",))
    assert run_fake(spec, molecules=source, output=str(folder / "out"), conformers=2, shard_rows=6) == 0
    return scfx_dataset.open(folder / "out")


@pytest.fixture(scope="module")
def rows(dataset):
    return {row["row_id"]: row for row in dataset.filter("ok").to_table().to_pylist()}


def test_qm1b_has_its_columns_in_ev_and_bohr(dataset, rows, tmp_path):
    assert export(dataset, "qm1b", tmp_path / "x.parquet") == len(rows) == 16
    table = pq.read_table(tmp_path / "x.parquet")
    # README of github.com/graphcore-research/qm1b-dataset, "Dataset schema".
    assert table.column_names == [
        "smile", "atoms", "z", "energy", "homo", "lumo", "N", "std", "y", "pos",
    ]  # fmt: skip
    by_energy = {row["energy_ev"]: row for row in rows.values()}
    for found in table.to_pylist():
        row = by_energy[found["energy"]]
        assert (found["smile"], found["z"], found["y"]) == (
            row["smiles"],
            row["atomic_numbers"],
            row["gap_ev"],
        )
        assert np.allclose(
            np.array(found["pos"]) * BOHR_IN_ANGSTROM, row["positions_angstrom"], atol=1e-14, rtol=0
        )
        assert found["std"] is None
    ethanol = next(r for r in table.to_pylist() if r["smile"] == "CCO")
    assert ethanol["atoms"] == "CCOHHHHHH"


def test_a_qm1b_export_is_a_source_of_the_same_geometries(dataset, rows, tmp_path):
    export(dataset, "qm1b", tmp_path / "x.parquet")
    code = run_fake(molecules=str(tmp_path / "x.parquet"), geometry="given", output=str(tmp_path / "again"))
    assert code == 0
    again = scfx_dataset.open(tmp_path / "again").to_table(["energy_ev"])["energy_ev"].to_numpy()
    # The fake energy depends on every coordinate; bohr to angstrom and back costs a few ulp.
    assert np.allclose(
        np.sort(again), np.sort([row["energy_ev"] for row in rows.values()]), atol=1e-9, rtol=0
    )


def test_ase_reads_extended_xyz_with_labels_and_smiles(dataset, rows, tmp_path):
    io = pytest.importorskip("ase.io")
    export(dataset, "extxyz", tmp_path / "x.extxyz")
    frames = io.read(tmp_path / "x.extxyz", ":")
    assert len(frames) == len(rows)
    for atoms in frames:
        row = rows[atoms.info["row_id"]]
        assert atoms.numbers.tolist() == row["atomic_numbers"]
        assert atoms.positions.tolist() == row["positions_angstrom"]
        assert atoms.get_potential_energy() == row["energy_ev"]
        assert [atoms.info[name] for name in TARGETS] == [row[name] for name in TARGETS]
        assert atoms.info["smiles"] == row["smiles"]
        assert not atoms.pbc.any()
        in_e_bohr = np.array(row["dipole_vector_debye"]) / DIPOLE_AU_IN_DEBYE
        assert np.allclose(atoms.get_dipole_moment(), in_e_bohr * BOHR_IN_ANGSTROM, rtol=1e-14, atol=0)


def test_ase_databases_hold_energy_and_dipole_in_ases_units(dataset, rows, tmp_path):
    db = pytest.importorskip("ase.db")
    export(dataset, "ase", tmp_path / "x.db")
    connection = db.connect(tmp_path / "x.db")
    assert len(connection) == len(rows)
    for found in connection.select():
        row = rows[found.row_id]
        assert found.energy == row["energy_ev"]
        in_e_bohr = np.array(row["dipole_vector_debye"]) / DIPOLE_AU_IN_DEBYE
        assert np.allclose(
            found.dipole, in_e_bohr * BOHR_IN_ANGSTROM, rtol=1e-5
        )  # ASE's own debye has 6 digits
        assert np.array_equal(found.toatoms().positions, row["positions_angstrom"])
        assert found.data["smiles"] == row["smiles"]


def test_an_ase_database_is_a_source_of_the_same_geometries_and_states(tmp_path):
    pytest.importorskip("ase.db")
    source = write_smiles(tmp_path / "m.smi", ["C[NH3+]", "[CH3]", "[O-]C=O", "C/C=C\\C"])
    assert run_fake(molecules=source, output=str(tmp_path / "out")) == 0
    first = scfx_dataset.open(tmp_path / "out")
    export(first, "ase", tmp_path / "x.db")
    assert run_fake(molecules=str(tmp_path / "x.db"), geometry="given", output=str(tmp_path / "again")) == 0
    first, again = (
        sorted(each.to_table().to_pylist(), key=lambda row: row["smiles"])
        for each in (first, scfx_dataset.open(tmp_path / "again"))
    )
    assert [row["smiles"] for row in again] == [row["smiles"] for row in first]
    for one, other in zip(first, again, strict=True):
        for name in ("charge", "multiplicity", "atomic_numbers"):
            assert other[name] == one[name]
        # To bohr and back costs an ulp.
        assert np.allclose(other["positions_angstrom"], one["positions_angstrom"], atol=1e-14, rtol=0)
        assert other["energy_ev"] == pytest.approx(one["energy_ev"], abs=1e-9)


def test_a_database_row_that_is_periodic_is_one_failed_row(tmp_path):
    connect = pytest.importorskip("ase.db").connect
    from ase import Atoms

    with connect(str(tmp_path / "x.db")) as database:
        database.write(Atoms("OH", [[0, 0, 0], [0, 0, 0.97]]))
        database.write(Atoms("He", cell=[4, 4, 4], pbc=True))
    assert run_fake(molecules=str(tmp_path / "x.db"), geometry="given", output=str(tmp_path / "out")) == 0
    rows = scfx_dataset.open(tmp_path / "out").to_table().to_pylist()
    assert sorted(row["status"] for row in rows) == ["failed", "ok"]
    assert any("pbc" in row["reason"] for row in rows)
    assert next(row["multiplicity"] for row in rows if row["status"] == "ok") == 2
    (tmp_path / "y.db").write_bytes(b"SQLite format 3\0 and then nothing of it")
    with pytest.raises(scfx.InputError, match="as an ASE database"):
        run_fake(molecules=str(tmp_path / "y.db"), geometry="given", output=str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_no_two_formats_default_to_one_file():
    names = [default_name(form) for form in FORMATS]
    assert len(set(names)) == len(names)
    assert {"export.parquet", "export-qm1b.parquet", "export.extxyz", "export-ase.db"} <= set(names)


def test_a_refused_run_leaves_no_folder(tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    (tmp_path / "mine").mkdir()
    for output in (tmp_path / "new" / "deep", tmp_path / "mine"):
        with pytest.raises(scfx.InputError):
            run_fake(molecules=str(tmp_path / "bad.csv"), output=str(output))
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "mine").iterdir()) == []  # a folder that was there stays


def test_pytorch_geometric_loads_the_collated_graphs(dataset, rows, tmp_path):
    pytest.importorskip("torch_geometric")
    from torch_geometric.data import InMemoryDataset

    export(dataset, "pyg", tmp_path / "x.pt")
    graphs = InMemoryDataset()
    graphs.load(str(tmp_path / "x.pt"))
    assert len(graphs) == len(rows)
    for graph in graphs:
        row = rows[int(graph.row_id)]
        assert graph.z.tolist() == row["atomic_numbers"]
        assert graph.pos.tolist() == row["positions_angstrom"]
        assert graph.y.tolist() == [[row[name] for name in TARGETS]]


def test_one_parquet_file_has_all_columns_units_and_provenance(dataset, rows, tmp_path):
    export(dataset, "parquet", tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.sort_by("row_id").to_pylist() == list(rows.values())
    assert table.schema.field("gap_ev").metadata[b"unit"] == b"eV"
    assert dataset.plan.plan_id.encode() in table.schema.metadata[b"scfx"]


def test_exported_parts_are_disjoint_and_complete(dataset, rows, tmp_path, capsys):
    smiles = []
    for part in ("train", "validation", "test"):
        arguments = [
            "--format",
            "qm1b",
            "--part",
            part,
            "--fractions",
            "0.5,0.25,0.25",
            "-o",
            f"{tmp_path}/{part}",
        ]
        assert main(["dataset", "export", dataset.plan.store.where(), *arguments]) == 0
        smiles.append(set(pq.read_table(f"{tmp_path}/{part}")["smile"].to_pylist()))
    assert sum(map(len, smiles)) == len(set.union(*smiles)) == 8
    assert "positions in bohr" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--fractions", "0.5,0.25,0.25"],
            "--fractions: the format 'qm1b' has all molecules in one file; say with",
        ),
        (["--seed", "0"], "--seed: the format 'qm1b' has all molecules in one file"),
        (
            ["--part", "train", "--fractions", "0.9,-0.1,0.1"],
            "expected positive numbers whose sum is at most 1",
        ),
        (["--part", "test", "--fractions", "0.9,0.1,0"], "--part: the share of test is 0"),
        (["--part", "train", "--fractions", "0.9"], "expected three numbers as 0.8,0.1,0.1"),
    ],
)
def test_what_is_said_of_parts_is_heeded_or_refused(dataset, tmp_path, capsys, arguments, said):
    command = ["dataset", "export", dataset.plan.store.where(), "--format", "qm1b", "-o", f"{tmp_path}/x"]
    assert main([*command, *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()


def test_parts_for_a_format_of_one_file_are_refused_in_a_bucket_too(dataset, monkeypatch):
    monkeypatch.setattr(type(dataset.plan.store), "local_path", lambda *arguments: None)
    with pytest.raises(scfx.InputError, match="'qm1b' is one file; export one part at a time"):
        export_beside(dataset, "qm1b", parts=dataset.split({"train": 0.5}))


def test_a_file_that_exists_is_not_overwritten_and_formats_are_named(dataset, tmp_path, capsys):
    (tmp_path / "x.parquet").write_text("mine")
    with pytest.raises(scfx.InputError, match="exists"):
        export(dataset, "qm1b", tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").read_text() == "mine"
    with pytest.raises(scfx.InputError, match="qm1b, extxyz, ase, pyg, parquet"):
        export(dataset, "qm2b", tmp_path / "y")
    assert main(["dataset", "export", str(tmp_path), "--format", "nothing"]) == 2
    assert "expected one of qm1b" in capsys.readouterr().err
    assert all(form.folder != form.ending.startswith(".") for form in FORMATS.values())
