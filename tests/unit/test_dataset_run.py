"""Running: labels belong to their geometries, failures stay in the data, and bytes do not depend on how it ran."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scfx_dataset
from dataset_fake import SMILES, FakeSpec, fake_energy, make_task, run_fake, write_smiles
from rich.console import Console
from scfx_dataset.schema import LABELS, SCHEMA

import scfx
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV


@pytest.fixture
def source(tmp_path):
    return write_smiles(tmp_path / "molecules.smi")


def run(tmp_path, source, output="out", spec=None, **options):
    options = {"conformers": 3, "shard_rows": 9, "batch_size": 4, **options}
    code = run_fake(spec, molecules=source, output=str(tmp_path / output), **options)
    return code, scfx_dataset.open(tmp_path / output)


def checksums(path):
    """Shard id -> checksum of its data."""
    records = [json.loads(p.read_text()) for p in sorted((path / "commits").glob("*.json"))]
    return {record["shard"]: record["sha256"] for record in records}


def test_every_label_belongs_to_the_geometry_in_its_row(tmp_path, source):
    # The paper's generator could pair a label with the wrong geometry after a failure.
    code, dataset = run(tmp_path, source, spec=FakeSpec(bad_input=("CC=O", "FC(F)F"), not_converged=("CNC",)))
    assert code == 0
    rows = dataset.filter("ok").to_table().to_pylist()
    assert len(rows) == 3 * (len(SMILES) - 3)
    for row in rows:
        positions = np.array(row["positions_angstrom"]) / BOHR_IN_ANGSTROM
        energy = fake_energy(row["atomic_numbers"], positions) * HARTREE_IN_EV
        assert row["energy_ev"] == pytest.approx(energy, abs=1e-9)
        assert row["gap_ev"] == pytest.approx(row["lumo_ev"] - row["homo_ev"], abs=1e-12)
        assert row["dipole_debye"] == pytest.approx(np.linalg.norm(row["dipole_vector_debye"]))


def test_the_committed_rows_are_the_planned_ones_in_order(tmp_path, source):
    _, dataset = run(tmp_path, source)
    table = dataset.to_table(["row_id", "conformer", "smiles"])
    assert table["row_id"].to_pylist() == list(range(3 * len(SMILES)))
    assert table["conformer"].to_pylist() == [0, 1, 2] * len(SMILES)
    assert len(dataset) == table.num_rows
    assert dataset.complete
    assert dataset.verify() == []


def test_failed_and_unconverged_rows_are_kept_with_a_reason_and_null_labels(tmp_path):
    source = write_smiles(tmp_path / "m.smi", [*SMILES, "C1#CC1", "C1CC"])
    spec = FakeSpec(bad_input=("CC=O",), not_converged=("CNC",), bug=("CO",))
    code, dataset = run(tmp_path, source, spec=spec)
    assert code == 0
    table = dataset.filter(("failed", "not_converged")).to_table()
    reasons = {}
    for row in table.to_pylist():
        assert all(row[label] is None for label in LABELS)
        reasons[row["input_smiles"]] = (row["status"], row["reason"])
    assert reasons["CC=O"] == ("failed", "InputError: this molecule is refused")
    assert reasons["CO"] == ("failed", "RuntimeError: a bug")
    assert reasons["C1CC"] == ("failed", "RDKit cannot parse this SMILES")
    assert reasons["C1#CC1"][0] == "failed"
    assert "ETKDGv3 found no conformer" in reasons["C1#CC1"][1]
    assert reasons["CNC"][0] == "not_converged"
    assert "recovery ladder" in reasons["CNC"][1]
    assert table.num_rows == 3 * 4 + 1
    assert dataset.summary()["statuses"] == {"ok": 51, "not_converged": 3, "failed": 10, "poison": 0}
    ledger = pq.read_table(tmp_path / "out" / "failures.parquet")
    assert ledger["row_id"].to_pylist() == table["row_id"].to_pylist()
    assert ledger["reason"].to_pylist() == table["reason"].to_pylist()


def test_one_and_two_workers_and_other_batches_give_the_same_bytes(tmp_path, source):
    _, one = run(tmp_path, source, "one")
    code, two = run(tmp_path, source, "two", workers=2, batch_size=1)
    assert code == 0
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")
    assert one.to_table().equals(two.to_table())


def test_a_finished_dataset_is_left_alone(tmp_path, source):
    log = tmp_path / "log"
    spec = FakeSpec(log=str(log))
    run(tmp_path, source, spec=spec)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.is_file()}
    console = Console(width=200, file=io.StringIO())
    code, _ = run(tmp_path, source, spec=spec, console=console, progress="plain")
    assert code == 0
    assert "nothing to do" in console.file.getvalue()
    assert len(log.read_text().splitlines()) == 3 * len(SMILES)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


def test_parts_together_make_the_whole(tmp_path, source):
    _, whole = run(tmp_path, source, "whole")
    code, first = run(tmp_path, source, "parts", part="0/2")
    assert code == 0
    assert not first.complete
    _, both = run(tmp_path, source, "parts", part="1/2")
    assert both.complete
    assert checksums(tmp_path / "whole") == checksums(tmp_path / "parts")
    assert both.to_table().equals(whole.to_table())


def test_an_interruption_stops_cleanly_and_says_how_to_go_on(tmp_path, source):
    console = Console(width=200, file=io.StringIO())
    options = {"molecules": source, "output": str(tmp_path / "out"), "shard_rows": 4, "progress": "plain"}
    assert run_fake(FakeSpec(interrupts=("CCC",)), console, **options) == 130
    assert "run the same command again to go on" in console.file.getvalue()
    done = checksums(tmp_path / "out")
    assert 0 < len(done) < len(scfx_dataset.open(tmp_path / "out").plan.shards)
    assert run_fake(FakeSpec(), console, **options) == 0
    assert "resuming" in console.file.getvalue()
    assert checksums(tmp_path / "out").items() >= done.items()
    assert scfx_dataset.open(tmp_path / "out").verify() == []


def test_a_fault_that_is_no_property_of_a_row_is_raised_not_recorded(tmp_path, source):
    with pytest.raises(scfx.ScfxError, match="RuntimeError: a bug"):
        run(tmp_path, source, spec=FakeSpec(bug=SMILES))
    assert checksums(tmp_path / "out") == {}


def test_a_dataset_without_any_label_is_not_a_success(tmp_path, source):
    code, dataset = run(tmp_path, source, spec=FakeSpec(not_converged=SMILES))
    assert code == 1
    assert dataset.summary()["statuses"]["not_converged"] == 3 * len(SMILES)
    assert not (tmp_path / "out" / "gaps.png").exists()


def test_names_and_metadata_state_the_units(tmp_path, source):
    _, dataset = run(tmp_path, source)
    units = {"_ev": b"eV", "_angstrom": b"angstrom", "_debye": b"debye"}
    for path in (tmp_path / "out" / "attempts").glob("*.parquet"):
        schema = pq.read_schema(path)
        assert schema.remove_metadata().equals(SCHEMA.remove_metadata())
        for field in schema:
            assert field.metadata[b"description"]
            for suffix, unit in units.items():
                if field.name.endswith(suffix):
                    assert field.metadata[b"unit"] == unit
        stored = json.loads(schema.metadata[b"scfx"])
        assert stored["spec_hash"] == "hash-of-fake"
        assert stored["versions"]["scfx"] == scfx.__version__
    schema = dataset.to_table().schema
    assert schema.field("positions_angstrom").type == pa.list_(pa.list_(pa.float64(), 3))
    assert schema.field("energy_ev").metadata[b"unit"] == b"eV"


def test_card_summary_and_histogram_are_written(tmp_path):
    source = write_smiles(tmp_path / "m.smi", [*SMILES, "OCC", "CS"])
    _, dataset = run(tmp_path, source, filters={"elements": ["H", "C", "N", "O", "F"]}, license="cc0-1.0")
    text = (tmp_path / "out" / "README.md").read_text()
    header = text.split("---")[1]
    assert "license: cc0-1.0" in header
    assert "- n<1K" in header
    assert "data_files: attempts/*[0-9a-f].parquet" in header
    for expected in (
        "| ok | 60 |",
        "| filter `elements` | 1 |",
        "earlier line | 1 |",
        "hash-of-fake",
        "Known limits",
    ):
        assert expected in text
    assert (tmp_path / "out" / "gaps.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["statuses"]["ok"] == 60
    assert summary["gap_ev"]["n"] == 60
    gaps = dataset.to_table(["gap_ev"])["gap_ev"].to_numpy()
    assert summary["gap_ev"]["mean"] == pytest.approx(gaps.mean())
    assert 0 < summary["compile_share"] < 1
    assert summary["last_run"]["labels"] == 60


@pytest.mark.parametrize("mode", ["rich", "plain", "json", "quiet"])
def test_each_progress_mode_reports_in_its_own_way(tmp_path, source, mode, capfd, monkeypatch):
    monkeypatch.setattr("scfx.jobs.progress._INTERVAL", 0.0)
    options = {"molecules": source, "output": str(tmp_path / "out"), "shard_rows": 5, "progress": mode}
    console = Console(width=160, file=io.StringIO(), force_terminal=mode == "rich")
    assert run_fake(FakeSpec(not_converged=("CO",)), console, **options) == 0
    shown, errors = console.file.getvalue(), capfd.readouterr().err
    if mode == "json":
        lines = [json.loads(line) for line in errors.splitlines()]
        assert lines[-1]["summary"]["statuses"]["ok"] == 19
        assert lines[-2]["rows"] == lines[-2]["total"] == 20
        assert {"labels_per_second", "eta_seconds", "statuses"} <= lines[0].keys()
    elif mode == "plain":
        assert "labels/s" in shown
        assert "1 not converged" in shown
        assert "ETA" in shown
    elif mode == "rich":
        assert "20/20" in shown
        assert "1 not converged" in shown
    else:
        assert (shown, errors) == ("", "")


def test_reading_asks_for_what_exists(tmp_path, source):
    _, dataset = run(tmp_path, source)
    with pytest.raises(scfx.InputError, match="holds no dataset"):
        scfx_dataset.open(tmp_path)
    with pytest.raises(scfx.InputError, match="expected one of ok"):
        dataset.filter("good")
    with pytest.raises(scfx.InputError, match="no column 'gap'"):
        dataset.to_table(["gap"])
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(scfx.InputError, match="not the plan of an scfx dataset"):
        scfx_dataset.open(tmp_path)


def test_an_unfinished_dataset_can_be_read(tmp_path, source):
    task = make_task({"molecules": source, "output": str(tmp_path / "out")})
    task.plan(scfx.TaskContext(FakeSpec(), None, None))
    dataset = scfx_dataset.open(tmp_path / "out")
    assert len(dataset) == 0
    assert dataset.to_table().schema.names == SCHEMA.names
    assert dataset.summary()["rows"] == 0
    assert "0 of 20 planned rows" in repr(dataset)
