"""Rows that kill, hang or fill the memory are found and recorded; nothing else is ever blamed for a dead process."""

from __future__ import annotations

import io
import json

import pytest
import scfx_dataset
from dataset_fake import SMILES, FakeSpec, run_fake, write_smiles
from rich.console import Console
from scfx_dataset.schema import LABELS

import scfx

#: What is asked here is asked of rows, files and exit codes.
pytestmark = pytest.mark.usefixtures("quick_reports")

OPTIONS = {"shard_rows": 2, "batch_size": 2, "quarantine_after": 1, "max_deaths": 2}


def run(source, output, spec=None, **options):
    """(exit code, dataset, what was said)"""
    console = Console(width=400, file=io.StringIO())
    options = {"workers": 2, "progress": "plain", **OPTIONS, **options}
    code = run_fake(spec, console, molecules=source, output=str(output), **options)
    return code, scfx_dataset.open(output), console.file.getvalue()


def checksums(path):
    records = [json.loads(p.read_text()) for p in sorted((path / "commits").glob("*.json"))]
    return {record["shard"]: record["sha256"] for record in records}


@pytest.fixture
def source(tmp_path):
    return write_smiles(tmp_path / "molecules.smi", SMILES[:6])


@pytest.fixture
def reference(tmp_path, source):
    assert run(source, tmp_path / "reference", workers=1)[0] == 0
    return tmp_path / "reference"


def test_rows_that_crash_hang_or_fill_the_memory_become_poison_and_no_other_row_does(
    tmp_path, source, reference
):
    spec = FakeSpec(dies=("CCO",), hangs=("CC#N",), allocates=("CC=O",))
    code, dataset, said = run(source, tmp_path / "out", spec, hang_seconds=8, worker_memory_gib=1.0)
    assert code == 0
    assert dataset.complete
    assert dataset.verify() == []
    rows = dataset.to_table().to_pylist()
    poison = {row["smiles"]: row for row in rows if row["status"] == "poison"}
    assert poison.keys() == {"CCO", "CC#N", "CC=O"}
    assert all(row[label] is None for row in poison.values() for label in LABELS if label in row)
    assert poison["CCO"]["reason"] == ("alone in a process, 2 times of 2: its process ended with exit code 7")
    assert "no batch was finished for 8 s (task.hang_seconds)" in poison["CC#N"]["reason"]
    assert "it had more than 1 GiB in memory (task.worker_memory_gib)" in poison["CC=O"]["reason"]
    assert said.count("death 2 of 2") == 3
    # The others are exactly what they are without the three, whatever died beside them.
    usual = [
        row for row in scfx_dataset.open(reference).to_table().to_pylist() if row["smiles"] not in poison
    ]
    assert [row for row in rows if row["status"] != "poison"] == usual


def test_a_kernel_that_segfaults_or_aborts_on_one_molecule_loses_that_row_only(tmp_path, source, reference):
    spec = FakeSpec(segfaults=("CCO",), aborts=("CC=O",))
    code, dataset, _ = run(source, tmp_path / "out", spec, max_deaths=1)
    assert code == 0
    rows = dataset.to_table().to_pylist()
    poison = {row["smiles"]: row["reason"] for row in rows if row["status"] == "poison"}
    assert poison.keys() == {"CCO", "CC=O"}
    assert "signal 11 (SIGSEGV)" in poison["CCO"]
    assert "signal 6 (SIGABRT)" in poison["CC=O"]
    usual = [
        row for row in scfx_dataset.open(reference).to_table().to_pylist() if row["smiles"] not in poison
    ]
    assert [row for row in rows if row["status"] != "poison"] == usual


def test_a_shard_that_dies_only_in_company_has_no_poison_and_the_usual_bytes(tmp_path, source, reference):
    code, dataset, said = run(source, tmp_path / "out", FakeSpec(dies_in_company=SMILES))
    assert code == 0
    assert "signal 9 (SIGKILL" in said
    assert dataset.summary()["statuses"]["poison"] == 0
    assert checksums(tmp_path / "out") == checksums(reference)


def test_preemption_is_not_charged(tmp_path, source, reference):
    # One death over a shard would suffice for trying its rows alone, and one more for blaming a row.
    left = tmp_path / "preemptions"
    left.write_text("\n".join("1234"))
    spec = FakeSpec(preemptions=str(left))
    code, _, said = run(source, tmp_path / "out", spec, max_deaths=1)
    assert code == 0
    assert said.count("told to end (SIGTERM); not counted") == 4
    assert "alone" not in said
    assert checksums(tmp_path / "out") == checksums(reference)


@pytest.mark.slow
def test_preemption_while_rows_are_tried_alone_is_not_charged_either(tmp_path, source, reference):
    left = tmp_path / "preemptions"
    left.write_text("")
    spec = FakeSpec(dies=("COC",), preemptions=str(left))
    output = tmp_path / "out"
    write = left.write_text

    class Listening(io.StringIO):
        def write(self, text):
            if "trying its rows alone" in text:
                write("\n".join("123"))
            return super().write(text)

    console = Console(width=400, file=Listening())
    options = {"molecules": source, "output": str(output), "workers": 2, "progress": "plain", **OPTIONS}
    assert run_fake(spec, console, **options) == 0
    assert left.read_text() == ""
    rows = scfx_dataset.open(output).to_table(["smiles", "status"]).to_pylist()
    assert [row["smiles"] for row in rows if row["status"] == "poison"] == ["COC"]


def test_a_machine_on_which_nothing_works_blames_no_row(tmp_path, source, reference):
    code, dataset, said = run(source, tmp_path / "out", FakeSpec(dies=SMILES), shard_rows=2, limit=2)
    assert code == 1
    assert len(dataset) == 0
    assert "blames the machine or the installation" in said
    # With the cause gone the rows are computed.
    code, dataset, _ = run(source, tmp_path / "out", shard_rows=2, limit=2)
    assert code == 0
    assert dataset.summary()["statuses"]["ok"] == 2


@pytest.mark.slow
def test_a_poison_conformer_leaves_the_pruning_of_its_siblings_as_it_is(tmp_path):
    # Conformers of one molecule depend on earlier ones where prune_rms is set, so they cannot be tried by themselves.
    source = write_smiles(tmp_path / "m.smi", ["CCCO", "CCO"])
    options = {"conformers": 4, "embedding": {"prune_rms": 0.3}, "shard_rows": 8}
    _, usual, _ = run(source, tmp_path / "usual", **options)
    _, dataset, _ = run(source, tmp_path / "out", FakeSpec(dies=("CCO",)), **options)
    usual, found = usual.to_table().to_pylist(), dataset.to_table().to_pylist()
    assert any("pruned" in row["reason"] for row in usual if row["smiles"] == "CCCO")
    assert [row for row in found if row["smiles"] == "CCCO"] == [
        row for row in usual if row["smiles"] == "CCCO"
    ]
    poison = [row["conformer"] for row in found if row["status"] == "poison"]
    assert poison == [row["conformer"] for row in usual if row["smiles"] == "CCO" and row["status"] == "ok"]


def test_a_process_that_is_always_ended_stops_the_run_instead_of_looping(tmp_path, source, monkeypatch):
    monkeypatch.setattr("scfx.jobs.plan_run.MOST_UNCHARGED", 3)
    left = tmp_path / "preemptions"
    left.write_text("\n".join("x" * 1000))
    with pytest.raises(scfx.ScfxError, match="something keeps ending the workers"):
        run(source, tmp_path / "out", FakeSpec(preemptions=str(left)), shard_rows=10)
