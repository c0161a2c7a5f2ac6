"""What goes wrong on real machines: kills, races, damage, full and read-only disks. No row may be lost or doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import scfx_dataset
from dataset_fake import SMILES, run_fake, write_smiles
from scfx_dataset.commands import dataset as commands
from scfx_dataset.commits import read_commit
from scfx_dataset.store import LocalStore

import scfx

PROGRAM = Path(__file__).parent.parent / "support" / "dataset_fake.py"
OPTIONS = {"conformers": 3, "shard_rows": 6, "batch_size": 2}


@pytest.fixture
def source(tmp_path):
    return write_smiles(tmp_path / "molecules.smi")


@pytest.fixture
def reference(tmp_path, source):
    """Shard id -> checksum of a run that nothing disturbs."""
    assert run_fake(molecules=source, output=str(tmp_path / "reference"), **OPTIONS) == 0
    return checksums(tmp_path / "reference")


def checksums(path):
    records = [json.loads(p.read_text()) for p in sorted((Path(path) / "commits").glob("*.json"))]
    return {record["shard"]: record["sha256"] for record in records}


def committed_systems(path):
    """Names, as the solver's log has them, of all rows in committed shards."""
    table = scfx_dataset.open(path).to_table(["smiles", "conformer"])
    return {f"{row['smiles']} conformer {row['conformer']}" for row in table.to_pylist()}


def start(source, output, log, delay, workers, **popen):
    support = str(PROGRAM.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([support, *(p for p in sys.path if p)])}
    arguments = [sys.executable, str(PROGRAM), source, str(output), str(log), str(delay), str(workers)]
    return subprocess.Popen(arguments, env=environment, start_new_session=True, **popen)


def lines(log):
    return log.read_text().splitlines() if log.exists() else []


def wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "the run makes no progress"
        time.sleep(0.005)


def wait_until_gone(process, seconds=30):
    """Until the last process of the killed run's session has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("workers outlive their parent")


@pytest.mark.parametrize(("workers", "kills"), [(1, 6), (2, 2)])
def test_a_job_killed_at_random_moments_and_resumed_ends_with_the_same_bytes(
    tmp_path, source, reference, workers, kills
):
    chance = random.Random(workers)
    output, log = tmp_path / "out", tmp_path / "log"
    killed, settled = 0, []
    while True:
        # Slow enough that a busy machine does not finish the rows before the kill.
        process = start(source, output, log, 0.03, workers)
        if killed < kills:
            # At least a shard's rows further, so that each run gets somewhere; then a moment anywhere.
            goal = len(lines(log)) + chance.randint(2, 8)
            wait_for(lambda goal=goal: len(lines(log)) >= goal, process)
            time.sleep(chance.uniform(0.0, 0.1))
            process.send_signal(signal.SIGKILL)  # no error if it is done
        if process.wait() != -signal.SIGKILL:
            break
        killed += 1
        # Workers follow their parent within a second; what they commit until then counts.
        wait_until_gone(process)
        if (output / "plan.json").exists():
            settled.append((len(lines(log)), committed_systems(output)))
    assert process.returncode == 0
    assert killed == kills
    assert checksums(output) == reference
    assert scfx_dataset.open(output).verify() == []
    table = scfx_dataset.open(output).to_table(["row_id"])
    assert table["row_id"].to_pylist() == list(range(3 * len(SMILES)))
    # Shards were committed before kills, and none of those was computed again.
    assert any(names for _, names in settled)
    solved = lines(log)
    for position, names in settled:
        assert not names & set(solved[position:])
    assert len(list((output / "attempts").iterdir())) == len(reference)


def test_two_runs_on_one_output_at_once_give_one_correct_dataset(tmp_path, source, reference):
    output = tmp_path / "out"
    processes = [start(source, output, tmp_path / f"log{i}", 0.01, 1) for i in range(2)]
    assert [p.wait(timeout=120) for p in processes] == [0, 0]
    assert checksums(output) == reference
    dataset = scfx_dataset.open(output)
    assert dataset.verify() == []
    assert dataset.to_table(["row_id"])["row_id"].to_pylist() == list(range(3 * len(SMILES)))
    assert not list((output / "commits").glob(".*"))


def test_sigterm_stops_as_cleanly_as_an_interrupt(tmp_path, source, reference):
    output, log = tmp_path / "out", tmp_path / "log"
    process = start(source, output, log, 0.02, 1)
    wait_for(lambda: len(lines(log)) > 8, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    assert 0 < len(checksums(output)) < len(reference)
    assert run_fake(molecules=source, output=str(output), **OPTIONS) == 0
    assert checksums(output) == reference


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_stops_within_seconds_and_says_how_to_go_on(tmp_path, source, reference, workers):
    output, log = tmp_path / "out", tmp_path / "log"
    process = start(
        source, output, log, 0.05, workers, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(lambda: len(lines(log)) > 8, process)
    # As a terminal does it: to every process of the group, workers included.
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    said, _ = process.communicate(timeout=60)
    # A batch of two takes 0.1 s; the rest is the shutdown of Python on a loaded machine.
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    wait_until_gone(process)
    done = checksums(output)
    assert len(done) < len(reference)
    assert run_fake(molecules=source, output=str(output), **OPTIONS) == 0
    assert checksums(output) == reference


def test_a_damaged_shard_is_detected_and_made_again(tmp_path, source, reference):
    from click.testing import CliRunner

    output = tmp_path / "out"
    run_fake(molecules=source, output=str(output), **OPTIONS)
    dataset = scfx_dataset.open(output)
    victim = dataset.plan.shards[2]
    path = output / read_commit(dataset.plan, victim)["attempt"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(scfx.InputError, match="damaged: its checksum"):
        dataset.to_table()
    assert len(dataset.verify()) == 1
    result = CliRunner().invoke(commands, ["verify", str(output)])
    assert result.exit_code == 1
    assert "damaged" in result.output
    result = CliRunner().invoke(commands, ["verify", "--drop-damaged", str(output)])
    assert "took back 1 commits" in result.output
    assert run_fake(molecules=source, output=str(output), **OPTIONS) == 0
    assert checksums(output) == reference
    assert scfx_dataset.open(output).verify() == []
    assert CliRunner().invoke(commands, ["verify", str(output)]).exit_code == 0


def test_a_missing_shard_stops_a_resume_with_the_way_out(tmp_path, source):
    output = tmp_path / "out"
    run_fake(molecules=source, output=str(output), **OPTIONS)
    next((output / "attempts").iterdir()).unlink()
    with pytest.raises(scfx.InputError, match="is missing, its commit says") as caught:
        run_fake(molecules=source, output=str(output), **OPTIONS)
    assert "verify --drop-damaged" in str(caught.value)


def test_a_commit_of_another_plan_is_refused(tmp_path, source):
    output = tmp_path / "out"
    run_fake(molecules=source, output=str(output), **OPTIONS)
    path = next((output / "commits").iterdir())
    path.write_text(json.dumps({**json.loads(path.read_text()), "plan_id": "another"}))
    with pytest.raises(scfx.InputError, match="belongs to another plan"):
        scfx_dataset.open(output).to_table()


def test_an_output_that_cannot_be_written_is_a_clear_error(tmp_path, source):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(scfx.InputError, match=r"task.output: cannot write to"):
        run_fake(molecules=source, output=str(blocked / "out"))
    if os.geteuid() != 0:  # the superuser may write everywhere
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        with pytest.raises(scfx.InputError, match=r"task.output: cannot write to"):
            run_fake(molecules=source, output=str(locked / "out"))


def test_a_full_disk_stops_the_run_and_leaves_no_half_file(tmp_path, source, reference, monkeypatch):
    output = tmp_path / "out"
    genuine, count = os.fsync, [0]

    def full(descriptor):
        count[0] += 1
        if count[0] > 12:
            raise OSError(28, "No space left on device")
        genuine(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(scfx.ScfxError, match="No space left on device") as caught:
            run_fake(molecules=source, output=str(output), **OPTIONS)
    assert "Committed shards are safe" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert 0 < len(checksums(output)) < len(reference)
    assert not list((output / "commits").glob(".*"))
    assert run_fake(molecules=source, output=str(output), **OPTIONS) == 0
    assert checksums(output) == reference


def test_a_commit_survives_an_error_right_after_it(tmp_path, source, reference, monkeypatch):
    # The link exists, then syncing the folder fails: the file that the commit names must stay.
    output = tmp_path / "out"
    genuine = LocalStore._sync_folder

    def failing(self, name):
        genuine(self, name)
        if name.startswith("commits/"):
            raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "_sync_folder", failing)
        with pytest.raises(scfx.ScfxError, match="Input/output error"):
            run_fake(molecules=source, output=str(output), **OPTIONS)
    assert scfx_dataset.open(output).verify() == []
    assert len(checksums(output)) == 1
    assert run_fake(molecules=source, output=str(output), **OPTIONS) == 0
    assert checksums(output) == reference


def test_put_if_absent_lets_the_first_win(tmp_path):
    store = LocalStore(tmp_path)
    store.create()
    assert store.put_if_absent("commits/a.json", b"first")
    assert not store.put_if_absent("commits/a.json", b"second")
    assert store.read("commits/a.json") == b"first"
    assert store.names("commits") == ["commits/a.json"]
    assert len(list((tmp_path / "commits").iterdir())) == 1
