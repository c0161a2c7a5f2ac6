"""Columns of properties: derived from descriptors, with unit in name and metadata, and exported."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pyarrow as pa
import pytest
import scfx_dataset
from scfx_dataset.exports import FORCES
from scfx_dataset.findings import collect_findings
from scfx_dataset.force_findings import BIN_LOG, NET_FORCE, ForceFindings
from scfx_dataset.report import up_to_date
from scfx_dataset.summary import as_text

import scfx
from scfx.cli import main
from scfx.jobs.commits import missing_data
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

CONFIG = """
[scf]
functional = "pbe"
basis = "sto-3g"
backend = "libcint"
grid = 0
properties = {properties}

[[task]]
name = "dataset"
molecules = "frames.xyz"
geometry = "given"
output = "{output}"
workers = 1
progress = "quiet"
"""
FRAMES = (
    "3\nfirst\nO 0.0 0.0 0.1\nH 0.0 0.76 -0.49\nH 0.0 -0.75 -0.48\n"
    "3\nsecond\nO 0.0 0.0 0.1\nH 0.0 0.77 -0.49\nH 0.0 -0.75 -0.5\n"
)
PROPERTIES = """["gradient", "energy_components", "dipole", { name = "mbis_charges", max_iterations = 2 },
    "density_matrix", "fock_matrix", "overlap_matrix", "orbital_coefficients"]"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("properties")
    (where / "frames.xyz").write_text(FRAMES)
    (where / "config.toml").write_text(CONFIG.format(properties=PROPERTIES, output=where / "out"))
    assert main(["run", str(where / "config.toml")]) == 0
    return where


def test_rows_carry_forces_and_what_says_how_good_they_are(folder):
    dataset = scfx_dataset.open(folder / "out")
    rows = dataset.to_table().to_pylist()
    assert len(rows) == 2
    for row in rows:
        system = scfx.System.from_arrays(row["atomic_numbers"], row["positions_angstrom"])
        result = scfx.solve(system, "pbe", "sto-3g", "libcint", grid=0, properties="gradient")
        assert row["energy_ev"] == result.energy[0] * HARTREE_IN_EV
        forces = -result.gradient[0] * HARTREE_IN_EV / BOHR_IN_ANGSTROM
        np.testing.assert_allclose(row["forces_ev_per_angstrom"], forces, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(row["net_force_ev_per_angstrom"], 0.0, atol=1e-9)
        assert np.abs(row["net_torque_ev"]).max() < 0.1  # of the coarsest grid
        assert row["orbital_gradient_hartree"] < 1e-7
        assert row["electrons_on_grid"] == pytest.approx(10.0, abs=0.02)
        assert sum(dict(row["energy_components_ev"]).values()) == pytest.approx(row["energy_ev"], abs=1e-7)


def test_summary_and_report_show_forces_with_net_force_and_torque(folder):
    dataset = scfx_dataset.open(folder / "out")
    rows = dataset.to_table().to_pylist()
    forces = np.concatenate([row["forces_ev_per_angstrom"] for row in rows])
    sizes = np.linalg.norm(forces, axis=1)
    found = dataset.summary()["forces"]
    on_atom = found["force_on_atom_ev_per_angstrom"]
    assert (found["rows"], found["rows_without"], on_atom["n"]) == (2, 0, 6)
    assert on_atom["rms"] == pytest.approx(np.sqrt((sizes**2).mean()))
    assert on_atom["largest"] == sizes.max()
    assert on_atom["row_id"] == int(sizes.argmax()) // 3
    torques = [np.linalg.norm(row["net_torque_ev"]) for row in rows]
    assert found["net_torque_ev"]["largest"] == pytest.approx(max(torques))
    assert found["net_force_ev_per_angstrom"]["largest"] < 1e-9
    centres, counts = collect_findings(dataset).forces.atoms.histogram()
    assert counts @ centres / 6 == pytest.approx(sizes.mean(), abs=0.01)  # half a bin
    text = as_text(dataset.summary())
    assert f"largest {sizes.max():.3f} eV/angstrom" in text
    assert "net torque root mean square" in text
    page = (folder / "out" / "report.html").read_text()
    for shown in ("<h2>Forces</h2>", "kernel density of net force and net torque", f"{max(torques):.3g}"):
        assert shown in page
    assert (folder / "out" / "forces.png").read_bytes().startswith(b"\x89PNG")
    assert up_to_date(dataset)


def test_forces_without_a_value_are_counted_apart():
    table = pa.Table.from_pylist(
        [
            {"row_id": 7, "status": "ok", FORCES: [[3.0, 4.0, 0.0]], NET_FORCE: [0.0, 0.0, 1e-6]},
            {"row_id": 8, "status": "ok", FORCES: None, NET_FORCE: None},
            {"row_id": 9, "status": "failed", FORCES: None, NET_FORCE: None},
        ]
    )
    found = ForceFindings()
    found.add(table)
    found.add(table.slice(1))
    assert (found.rows, found.without) == (1, 2)
    assert found.atoms.as_dict() == {"n": 1, "rms": 5.0, "largest": 5.0, "row_id": 7}
    assert found.net_force.histogram()[0] == pytest.approx([-6], abs=BIN_LOG)
    assert found.net_torque.n == 0


def test_a_property_that_fails_nulls_its_own_column_and_the_row_says_why(folder):
    rows = scfx_dataset.open(folder / "out").to_table().to_pylist()
    assert [row["status"] for row in rows] == ["ok", "ok"]
    for row in rows:
        assert row["mbis_charges"] is None
        ((name, reason),) = row["property_reasons"]
        assert name == "mbis_charges"
        assert "has not converged after 2 iterations" in reason


def test_columns_have_unit_meaning_and_axes_in_their_metadata(folder):
    schema = scfx_dataset.open(folder / "out").schema
    field = schema.field("forces_ev_per_angstrom")
    assert field.type == pa.list_(pa.list_(pa.float64()))
    assert field.metadata[b"unit"] == b"eV/angstrom"
    assert field.metadata[b"property"] == b"gradient"
    assert field.metadata[b"axes"] == b"atom xyz"
    assert schema.field("energy_components_ev").type == pa.map_(pa.string(), pa.float64())
    assert schema.names.count("dipole_vector_debye") == 1  # every dataset has it


def test_extended_xyz_carries_forces_that_ase_reads(folder):
    from ase.io import read

    target = folder / "x.extxyz"
    assert main(["dataset", "export", str(folder / "out"), "--format", "extxyz", "-o", str(target)]) == 0
    rows = scfx_dataset.open(folder / "out").to_table().to_pylist()
    frames = read(target, ":")
    assert len(frames) == len(rows)
    for atoms, row in zip(frames, rows, strict=True):
        np.testing.assert_array_equal(atoms.get_forces(), row["forces_ev_per_angstrom"])
        assert atoms.get_potential_energy() == row["energy_ev"]


def test_ase_database_carries_forces(folder):
    from ase.db import connect

    target = folder / "x.db"
    assert main(["dataset", "export", str(folder / "out"), "--format", "ase", "-o", str(target)]) == 0
    rows = scfx_dataset.open(folder / "out").to_table().to_pylist()
    with connect(str(target)) as database:
        for entry, row in zip(database.select(), rows, strict=True):
            np.testing.assert_array_equal(entry.forces, row["forces_ev_per_angstrom"])


def test_matrices_are_in_a_file_beside_the_rows_that_is_committed_with_them(folder):
    dataset = scfx_dataset.open(folder / "out")
    (table,) = dataset.matrices()
    assert table.column_names == [
        "row_id", "density_matrix", "fock_matrix_hartree", "overlap_matrix", "orbital_coefficients",
    ]  # fmt: skip
    assert dataset.matrix_schema.field("fock_matrix_hartree").metadata[b"unit"] == b"hartree"
    assert not {"density_matrix", "overlap_matrix"} & set(dataset.schema.names)
    rows = dataset.to_table().to_pylist()
    assert table["row_id"].to_pylist() == [row["row_id"] for row in rows]
    for row, found in zip(rows, table.drop("row_id").to_pylist(), strict=True):
        density, fock, overlap, orbitals = (np.array(value) for value in found.values())
        assert density.shape == fock.shape == (1, 7, 7)
        assert np.trace(density[0] @ overlap) == pytest.approx(10, abs=1e-10)
        np.testing.assert_allclose(orbitals[0].T @ overlap @ orbitals[0], np.eye(7), atol=1e-10)
        energies = np.diag(orbitals[0].T @ fock[0] @ orbitals[0]) * HARTREE_IN_EV
        assert energies[4:6] == pytest.approx([row["homo_ev"], row["lumo_ev"]], abs=1e-3)
    # Both files are named by one commit: without the second the shard is not whole.
    (name,) = (path.name for path in (folder / "out" / "attempts").glob("*.matrices.parquet"))
    # Readers of the card, as Hugging Face's, take the rows alone: the columns of the other file are not theirs.
    pattern = re.search(r"data_files: (\S+)", (folder / "out" / "README.md").read_text())[1]
    assert [path.name for path in (folder / "out").glob(pattern)] == [name.replace(".matrices", "")]
    copied = folder / "copied"
    shutil.copytree(folder / "out", copied)
    (copied / "attempts" / name).unlink()
    (problem,) = scfx_dataset.open(copied).verify()
    assert f"{name}' cannot be read" in problem
    assert missing_data(scfx_dataset.open(copied).plan)[0].startswith(f"attempts/{name} is missing")


def test_a_dataset_without_matrices_says_how_to_have_them(tmp_path):
    from dataset_fake import run_fake, write_smiles

    run_fake(molecules=write_smiles(tmp_path / "m.smi", ["C"]), output=str(tmp_path / "out"))
    with pytest.raises(
        scfx.InputError, match=r'has no matrices: ask for them in scf.properties \(such as "density'
    ):
        next(scfx_dataset.open(tmp_path / "out").matrices())
