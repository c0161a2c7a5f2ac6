"""The geometry tasks as jobs: whatever ends them, running them again gives the bytes of an undisturbed run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys

import geometry_fake
import pyarrow.parquet as pq
import pytest
from dataset_kills import environment, lines, wait_for, wait_until_gone
from geometry_fake import Death, DyingSolver, SpringSolver, made, optimize, run_task, write_starts
from molecules import distorted, molecule
from scfx_geometry.frequencies_task import FrequenciesTask, FrequenciesWork
from scfx_geometry.optimize_task import OptimizeTask, OptimizeWork
from scfx_geometry.sources import SourceMolecule
from scfx_geometry.work import item_of

import scfx
from scfx.jobs import Attempt, open_results

PATHS = {"shard_rows": 2, "checkpoint_seconds": 0}
TASKS = {
    "optimize": {"trajectory": True},
    "frequencies": {},
    "sample": {"samples": 3, "method": {"kind": "dynamics", "warm_up": 4, "interval": 2}},
    "torsion": {"samples": 3, "method": {"kind": "torsion", "atoms": [1, 0, 2, 3]}},
    "relaxation": {"samples": 3, "method": {"kind": "relaxation"}},
}
#: The others walk their paths as these do.
FAST = ("optimize", "frequencies", "sample")


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    systems = distorted(molecule("NH3"), 4, size=0.2)
    return write_starts(tmp_path_factory.mktemp("starts") / "starts.xyz", systems)


@pytest.fixture
def bucket(monkeypatch):
    """The address of a bucket on an S3 server of the test's own."""
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    where = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=where, region_name="us-east-1").create_bucket(Bucket="geometries")
    yield f"s3://geometries/{{}}?endpoint_url={where}&region_name=us-east-1"
    server.stop()


def task_of(kind):
    return kind if kind in geometry_fake.TASKS else "sample"


def options_of(kind, starts):
    return {"molecules": starts, **PATHS, **TASKS[kind]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an undisturbed run makes of some starts, by kind; and how often it solves."""
    known = {}

    def of(kind, starts):
        if (kind, starts) not in known:
            folder, springs = tmp_path_factory.mktemp(kind) / "out", SpringSolver()
            options = options_of(kind, starts)
            assert run_task(task_of(kind), lambda *_: springs, output=str(folder), **options)[0] == 0
            known[kind, starts] = made(folder), len(springs.calls)
        return known[kind, starts]

    return of


@pytest.mark.parametrize(
    "kind", [kind if kind in FAST else pytest.param(kind, marks=pytest.mark.slow) for kind in TASKS]
)
def test_a_run_that_dies_again_and_again_goes_on_within_its_paths_to_the_same_bytes(
    tmp_path, starts, whole, kind
):
    options = {**options_of(kind, starts), "output": str(tmp_path / "out")}
    bytes_of_whole, solved = whole(kind, starts)
    code, lives = None, 0
    # Five calls a life, of which at most the last is done again: it goes on, it does not begin again.
    while code is None and lives <= solved / 4:
        dying, lives = DyingSolver(5), lives + 1
        with contextlib.suppress(Death):
            code, _ = run_task(task_of(kind), lambda *_, dying=dying: dying, **options)
    assert code == 0
    assert lives > 1
    assert made(tmp_path / "out") == bytes_of_whole
    assert not list((tmp_path / "out" / "attempts").glob("*checkpoint*"))


def test_a_damaged_checkpoint_is_left_alone_and_the_record_says_so(tmp_path, starts, whole):
    options = {**options_of("optimize", starts), "output": str(tmp_path / "out")}
    with pytest.raises(Death):
        optimize(DyingSolver(3), **options)
    (checkpoint,) = (tmp_path / "out" / "attempts").glob("*checkpoint*")
    checkpoint.write_bytes(checkpoint.read_bytes()[:200])
    assert optimize(SpringSolver(), **options)[0] == 0
    assert made(tmp_path / "out") == whole("optimize", starts)[0]
    records = [json.loads(path.read_text()) for path in (tmp_path / "out" / "commits").glob("*.json")]
    assert sum("checkpoint_left_alone" in record for record in records) == 1


def test_parts_and_workers_make_the_bytes_of_one_run(tmp_path, starts, whole):
    options = {**options_of("optimize", starts), "output": str(tmp_path / "out")}
    log = str(tmp_path / "log")
    assert optimize(SpringSolver(), part="1/2", **options)[0] == 0
    assert not (tmp_path / "out" / "geometries.parquet").exists()  # not complete
    with pytest.raises(scfx.ConfigError, match="it was begun, and not every shard is committed"):
        run_task(
            "frequencies", lambda *_: SpringSolver(), molecules=options["output"], output=str(tmp_path / "f")
        )
    code, said = run_task("optimize", geometry_fake.Logging(log, 0.0), workers=2, **options)
    assert code == 0
    assert any("resuming: 1 of 2 shards" in line for line in said)
    assert made(tmp_path / "out") == whole("optimize", starts)[0]
    again = SpringSolver()
    code, said = optimize(again, **options)
    assert (code, again.calls) == (0, [])
    assert "nothing to do" in said[0]


def test_a_molecule_that_ends_its_process_is_a_row_that_says_so(starts):
    options = OptimizeTask.Options(molecules=starts, output="out")
    work = OptimizeWork(scfx.SCFSpec(), options, (1,), (), lambda *_: SpringSolver())
    item = item_of(1, SourceMolecule("b", molecule("H2")))
    poison = work.poison(item, "its process ended with signal 11", None)
    assert poison["status"] == "poison"
    (table, _), said = OptimizeTask(options)._contents([poison], [])
    (row,) = pq.read_table(io.BytesIO(table)).to_pylist()
    assert (row["index"], row["name"], row["status"]) == (1, "b", "not_relaxed")
    assert row["reason"] == "poison: its process ended with signal 11"
    assert said == "0 of 1 converged"


def test_a_worker_is_heard_of_with_every_geometry_that_ends(starts):
    """So one that displaces the atoms of a large molecule does not count as hung."""
    options = FrequenciesTask.Options(molecules=starts, output="out")
    work = FrequenciesWork(scfx.SCFSpec(), options, (1,), (), lambda *_: SpringSolver())
    work.begin(None)
    heard = []
    attempt = Attempt(None, None, {}, heard.append)
    work.compute_some([item_of(0, SourceMolecule("a", molecule("NH3")))], [0], attempt)
    assert len(heard) == 1 + 6 * 4 + 1  # the geometry, its displacements, the row
    assert [dict(each) for each in heard if each] == [{"ok": 1}]


def test_ctrl_c_stops_between_rounds_and_loses_nothing(tmp_path, starts, whole):
    class Interrupted(SpringSolver):
        def solve(self, systems, **options):
            if len(self.calls) == 6:
                raise KeyboardInterrupt
            return super().solve(systems, **options)

    options = {**options_of("optimize", starts), "output": str(tmp_path / "out")}
    code, said = optimize(Interrupted(), **options)
    assert code == 130
    assert "rows are left. Committed shards are safe" in said[-1]
    assert optimize(SpringSolver(), **options)[0] == 0
    assert made(tmp_path / "out") == whole("optimize", starts)[0]


# ---- folders of something else -------------------------------------------------------------------------------------


def test_a_folder_of_another_calculation_is_refused_naming_what_differs(tmp_path, starts):
    options = {"molecules": starts, "output": str(tmp_path / "out")}
    optimize(SpringSolver(), **options)
    with pytest.raises(scfx.InputError, match=r"work\.options\.criteria: 'gau' there, 'gau_tight' now"):
        optimize(SpringSolver(), criteria="gau_tight", **options)
    # How it is run is no other calculation.
    assert optimize(SpringSolver(), lanes=1, checkpoint_seconds=5.0, **options)[0] == 0


def test_files_that_are_no_jobs_are_not_written_over(tmp_path, starts):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "geometries.xyz").write_text("years of work")
    with pytest.raises(scfx.InputError, match=r"has a file 'geometries.xyz' that is no job's"):
        optimize(SpringSolver(), molecules=starts, output=str(tmp_path / "mine"))


def test_a_folder_of_before_the_job_service_is_refused_and_its_tables_are_read(tmp_path, starts):
    optimize(SpringSolver(), molecules=starts, output=str(tmp_path / "new"))
    old = tmp_path / "old"
    (old / "rows").mkdir(parents=True)
    # As RowStore of scfx 0.1's first days left it.
    (old / "plan.json").write_text(
        json.dumps(
            {"molecules_sha256": "0", "options": {}, "spec_hash": "0", "properties": [], "versions": {}},
            indent=1,
        )
    )
    (old / "rows" / "00000000.json").write_text("{}")
    (old / "geometries.parquet").write_bytes((tmp_path / "new" / "geometries.parquet").read_bytes())
    with pytest.raises(scfx.InputError, match="rows of an earlier scfx, a file each in rows/"):
        optimize(SpringSolver(), molecules=starts, output=str(old))
    code, _ = run_task(
        "frequencies", lambda *_: SpringSolver(), molecules=str(old), output=str(tmp_path / "f")
    )
    assert code == 0
    with pytest.raises(scfx.ConfigError, match="is the output of a frequencies task"):
        optimize(SpringSolver(), molecules=str(tmp_path / "f"), output=str(tmp_path / "g"))


# ---- object stores -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_chain_in_a_bucket_has_the_rows_of_one_in_folders(tmp_path, bucket, whole):
    springs = SpringSolver()
    relaxed = bucket.format("relaxed")
    starts = write_starts(tmp_path / "starts.xyz", distorted(molecule("H2"), 2, size=0.2))
    options = options_of("optimize", starts)
    with pytest.raises(Death):
        optimize(DyingSolver(3), output=relaxed, **options)
    assert optimize(springs, output=relaxed, **options)[0] == 0
    assert len(springs.calls) == whole("optimize", starts)[1] - 3
    store = open_results(relaxed).plan.store
    for name in ("geometries.parquet", "geometries.xyz", "trajectory.parquet", "trajectory.xyz"):
        assert store.read(name) == whole("optimize", starts)[0][name]
    code, _ = run_task("frequencies", lambda *_: springs, molecules=relaxed, output=str(tmp_path / "f"))
    assert code == 0
    assert pq.read_table(tmp_path / "f" / "frequencies.parquet").num_rows == 2


# ---- killed from outside -------------------------------------------------------------------------------------------


def kill_and_resume(tmp_path, kind, starts, whole, kills, workers):
    """SIGKILL to all processes of a run at `kills` random moments, each after at least one solve; then to the end."""
    chance, log = random.Random(20), tmp_path / "log"
    options = {**options_of(kind, starts), "output": str(tmp_path / "out"), "workers": workers}
    (tmp_path / "options.json").write_text(json.dumps(options))
    command = [
        sys.executable,
        geometry_fake.__file__,
        task_of(kind),
        str(tmp_path / "options.json"),
        str(log),
    ]
    done = 0
    while done < kills:
        run = subprocess.Popen([*command, "0.02"], env=environment(), start_new_session=True)
        wanted = len(lines(log)) + chance.randint(1, 3)
        wait_for(lambda wanted=wanted: len(lines(log)) >= wanted, run)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        if run.wait() == 0:
            break  # nothing is left to be killed
        wait_until_gone(run)
        done += 1
    assert run_task(task_of(kind), lambda *_: SpringSolver(), **{**options, "workers": 1})[0] == 0
    assert made(tmp_path / "out") == whole(kind, starts)[0]
    return done


def test_a_relaxation_job_that_is_killed_gives_the_same_bytes(tmp_path, starts, whole):
    assert kill_and_resume(tmp_path, "optimize", starts, whole, kills=2, workers=1) == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", TASKS)
def test_a_job_that_is_killed_at_twenty_random_moments_gives_the_same_bytes(tmp_path, whole, kind):
    starts = write_starts(tmp_path / "starts.xyz", distorted(molecule("CH4"), 40, size=0.2))
    workers = 2 if kind == "optimize" else 1
    assert kill_and_resume(tmp_path, kind, starts, whole, kills=20, workers=workers) == 20
