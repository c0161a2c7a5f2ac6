"""What goes wrong on real machines: kills, races, damage, full and read-only disks. No row may be lost or doubled."""

from __future__ import annotations

import json
import os
import re
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
from scfx_dataset import task
from scfx_dataset.commands import dataset as commands

import scfx
from scfx.jobs.commits import read_commit
from scfx.jobs.records import sealed
from scfx.jobs.store import LocalStore

#: What is asked here is asked of rows, files and exit codes.
pytestmark = pytest.mark.usefixtures("quick_reports")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_smiles(tmp_path_factory.mktemp("source") / "molecules.smi")


@pytest.fixture(scope="module")
def reference(tmp_path_factory, source):
    """Shard id -> checksum of a run that nothing disturbs."""
    return undisturbed(tmp_path_factory.mktemp("undisturbed") / "reference", source)


@pytest.mark.parametrize(("workers", "kills"), [(1, 3), (2, 3)])
def test_a_job_killed_and_resumed_ends_with_the_same_bytes(tmp_path, source, reference, workers, kills):
    # Slow enough that a busy machine does not finish the rows before the kill.
    kill_and_resume(source, tmp_path / "out", tmp_path / "log", reference, kills, workers, 0.03)


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
    record = {k: v for k, v in json.loads(path.read_text()).items() if k != "check"}
    path.write_text(json.dumps(sealed({**record, "plan_id": "another"})))
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


#: What an undisturbed run leaves beside plan, attempts and commits.
DERIVED = {"README.md", "failures.parquet", "gaps.png", "report.html", "summary.json"}


def _entries(output):
    """Names of all files, attempts by their shard."""
    names = {str(p.relative_to(output)) for p in output.rglob("*") if p.is_file()}
    return {re.sub(r"-[0-9a-f]{12}\.parquet", "", name) for name in names}


@pytest.mark.parametrize("step", range(12))
def test_a_run_killed_after_its_last_shard_ends_the_next_time_with_everything(
    tmp_path, source, step, monkeypatch
):
    # Dies at each write of what is derived, and at each removal of what is not needed any more.
    output = tmp_path / "out"
    usual = tmp_path / "usual"
    options = {"molecules": source, "limit": 3}
    assert run_fake(output=str(usual), **options) == 0
    assert {str(p) for p in _entries(usual)} >= DERIVED
    steps = [0]

    class Killed(BaseException):
        pass

    def counting(method, after):
        def killing(self, *arguments):
            if after:
                result = method(self, *arguments)
            steps[0] += 1
            if steps[0] == step + 1:
                raise Killed
            return result if after else method(self, *arguments)

        return killing

    with monkeypatch.context() as patched:
        genuine_tidy = task.remove_orphans

        def tidy(plan):
            plan.store.write_new(f"attempts/{plan.shards[0].id}-{'0' * 12}.parquet", b"an attempt that lost")
            for after in (False, True):
                patched.setattr(LocalStore, "replace", counting(LocalStore.replace, after))
            patched.setattr(LocalStore, "remove", counting(LocalStore.remove, False))
            return genuine_tidy(plan)

        patched.setattr(task, "remove_orphans", tidy)
        if step < 11:
            with pytest.raises(Killed):
                run_fake(output=str(output), **options)
        else:
            assert run_fake(output=str(output), **options) == 0  # 11 steps are all there are
    assert run_fake(output=str(output), **options) == 0
    assert _entries(output) == _entries(usual)
    assert json.loads((output / "summary.json").read_text())["complete"]


def test_derived_files_of_fewer_rows_are_made_again(tmp_path, source, quick_reports):
    # The first report is of half the rows; then a run is killed after its last shard: its summary is of old.
    output = tmp_path / "out"
    run_fake(molecules=source, output=str(output), **OPTIONS)
    path = output / "summary.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps({**summary, "digest": "of fewer rows"}))
    (output / "README.md").write_text("old")
    assert run_fake(molecules=source, output=str(output), **OPTIONS) == 0
    assert json.loads(path.read_text())["digest"] == summary["digest"]
    assert "# fake/none" in (output / "README.md").read_text()
    for damage in ("", "[]", "{"):  # a power cut leaves such files
        path.write_text(damage)
        assert run_fake(molecules=source, output=str(output), **OPTIONS) == 0
        assert json.loads(path.read_text())["digest"] == summary["digest"]


def test_leftovers_of_kills_are_removed_and_nothing_else(tmp_path, source, reference, quick_reports):
    output = tmp_path / "out"
    options = {"molecules": source, "output": str(output), **OPTIONS}
    plan, _ = make_task(options).plan(scfx.TaskContext(FakeSpec(), None, None))
    name = "0123456789abcdef" * 2
    left = [
        f".{name}.tmp",
        f"commits/.{name}.tmp",
        f"commits/.probe-{name}",
        "plan/manifest00000-0123.parquet",
    ]
    kept = [f".{name}.db", ".hidden", "notes.txt"]  # an export that goes on, and what users put there
    for each in [*left, *kept]:
        (output / each).write_bytes(b"half")
    assert run_fake(**options) == 0
    assert not any((output / each).exists() for each in left)
    assert all((output / each).exists() for each in kept)
    assert checksums(output) == reference
    plan.verify()


def test_a_temporary_file_that_another_run_tidied_away_is_written_again(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    store.create()
    genuine, taken = os.link, []

    def link(temporary, target):
        if len(taken) < 2:
            taken.append(temporary)
            os.unlink(temporary)
        genuine(temporary, target)

    monkeypatch.setattr(os, "link", link)
    assert store.put_if_absent("commits/a.json", b"x")
    assert len(taken) == 2
    assert store.read("commits/a.json") == b"x"
