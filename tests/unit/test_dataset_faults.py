"""What goes wrong on real machines: kills, races, damage, full and read-only disks. No row may be lost or doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import scfx_dataset
from dataset_fake import SMILES, FakeSpec, make_task, run_fake, write_smiles
from dataset_kills import (
    OPTIONS,
    checksums,
    environment,
    kill_and_resume,
    kill_thirty_times,
    lines,
    start,
    undisturbed,
    wait_for,
    wait_until_gone,
)
from scfx_dataset.commands import dataset as commands
from scfx_dataset.commits import read_commit
from scfx_dataset.store import LocalStore

import scfx


@pytest.fixture
def source(tmp_path):
    return write_smiles(tmp_path / "molecules.smi")


@pytest.fixture
def reference(tmp_path, source):
    """Shard id -> checksum of a run that nothing disturbs."""
    return undisturbed(tmp_path / "reference", source)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_killed_three_times_and_resumed_ends_with_the_same_bytes(tmp_path, source, reference, workers):
    # Slow enough that a busy machine does not finish the rows before the kill.
    kill_and_resume(source, tmp_path / "out", tmp_path / "log", reference, 3, workers, 0.03)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_killed_thirty_times_and_resumed_ends_with_the_same_bytes(tmp_path, workers):
    kill_thirty_times(tmp_path, workers, 0.02)


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
    result = CliRunner().invoke(commands, ["verify", "--sample", "0", str(output)])
    assert result.exit_code == 1
    assert "damaged" in result.output
    result = CliRunner().invoke(commands, ["verify", "--drop-damaged", str(output)])
    assert "took back 1 commits" in result.output
    assert run_fake(molecules=source, output=str(output), **OPTIONS) == 0
    assert checksums(output) == reference
    assert scfx_dataset.open(output).verify() == []
    assert CliRunner().invoke(commands, ["verify", "--sample", "0", str(output)]).exit_code == 0


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


LIMITED = """
import resource, signal, sys
from dataset_fake import run_fake
import scfx
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that a write fails with EFBIG instead of killing
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    sys.exit(run_fake(molecules=sys.argv[1], output=sys.argv[2], conformers=3, shard_rows=30, batch_size=8))
except scfx.ScfxError as error:
    print(error)
    sys.exit(9)
"""


def test_a_file_that_the_system_refuses_to_write_is_a_clear_error_and_leaves_nothing_half(tmp_path, source):
    # The kernel's own limit on file size stands in for a full disk: shards of 30 rows take more than 8 KiB, commit
    # records less.
    output = tmp_path / "out"
    options = {"molecules": source, "conformers": 3, "shard_rows": 30, "batch_size": 8}
    assert run_fake(output=str(tmp_path / "usual"), **options) == 0
    sizes = [p.stat().st_size for p in (tmp_path / "usual" / "attempts").iterdir()]
    plan = max(p.stat().st_size for p in (tmp_path / "usual" / "plan").iterdir())
    limit = (max(plan, 2048) + min(sizes)) // 2
    assert plan < limit < min(sizes)
    command = [sys.executable, "-c", LIMITED, source, str(output), str(limit)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 9, done.stderr
    assert "File too large" in done.stdout
    assert "Committed shards are safe" in done.stdout
    assert list((output / "attempts").iterdir()) == list((output / "commits").iterdir()) == []
    assert run_fake(output=str(output), **options) == 0
    assert checksums(output) == checksums(tmp_path / "usual")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB, where this is permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_runs_full_stops_the_run_and_more_room_ends_it_with_the_same_bytes(
    small_disk, source, reference
):
    filler = small_disk / "filler"
    output = small_disk / "out"
    options = {"molecules": source, "output": str(output), **OPTIONS}
    make_task(options).plan(scfx.TaskContext(FakeSpec(), None, None))
    free = os.statvfs(small_disk)
    filler.write_bytes(b"x" * (free.f_bavail * free.f_bsize - 60_000))  # room for some shards
    with pytest.raises(scfx.ScfxError, match="No space left on device") as caught:
        run_fake(**options)
    assert "Committed shards are safe" in str(caught.value)
    done = checksums(output)
    assert 0 < len(done) < len(reference)
    assert scfx_dataset.open(output).verify() == []
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert run_fake(**options) == 0
    assert checksums(output) == reference


def test_a_file_system_that_is_read_only_is_a_clear_error_and_can_still_be_read(small_disk, source, tmp_path):
    output = small_disk / "out"
    options = {"molecules": source, "output": str(output), "limit": 3}
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert run_fake(**options) == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(scfx.InputError, match=r"task.output: cannot write to .*Read-only file system"):
        run_fake(**options)
    assert scfx_dataset.open(output).verify() == []
    assert scfx_dataset.open(output).to_table().num_rows == 3
