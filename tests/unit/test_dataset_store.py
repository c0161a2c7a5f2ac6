"""Both stores keep the promises that commits rest on; the one for S3 against a real HTTP server (moto's)."""

from __future__ import annotations

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq
import pytest
import scfx_dataset
from dataset_fake import SMILES, FakeSpec, run_fake, write_smiles
from object_server import memory_server

import scfx
from scfx.cli import main
from scfx.jobs.commits import drop_damaged, read_commit
from scfx.jobs.store import LocalStore
from scfx.jobs.stores import open_store

OPTIONS = {"conformers": 2, "shard_rows": 8, "batch_size": 4}


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def credentials(monkeypatch):
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bucket(server, credentials):
    """The address of a new, empty prefix."""
    import boto3

    client = boto3.client("s3", endpoint_url=server, region_name="us-east-1")
    client.create_bucket(Bucket="datasets")
    yield f"s3://datasets/some/prefix?endpoint_url={server}&region_name=us-east-1"
    for entry in client.list_objects_v2(Bucket="datasets").get("Contents", ()):
        client.delete_object(Bucket="datasets", Key=entry["Key"])
    client.delete_bucket(Bucket="datasets")


@pytest.fixture
def quick_bucket(credentials):
    """The address of a new prefix on a server that costs no time; what S3 itself would say is for `bucket`."""
    with memory_server() as (address, _):
        yield f"s3://datasets/some/prefix?endpoint_url={address}&region_name=us-east-1"


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    made = open_store(tmp_path if request.param == "folder" else request.getfixturevalue("bucket"))
    made.create()
    return made


def test_put_if_absent_lets_the_first_win(store):
    assert store.put_if_absent("commits/a.json", b"first")
    assert not store.put_if_absent("commits/a.json", b"second")
    assert store.read("commits/a.json") == b"first"
    assert store.names("commits") == ["commits/a.json"]
    assert store.sizes("commits") == {"commits/a.json": 5}


def test_of_many_writers_at_once_one_wins(store):
    def put(i):
        return open_store(store.url).put_if_absent("commits/a.json", str(i).encode())

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, range(8)))
    assert sum(won) == 1
    assert store.read("commits/a.json") == str(won.index(True)).encode()


def test_files_are_written_once_read_in_parts_and_replaced_only_where_derived(store):
    store.write_new("attempts/a", b"0123456789")
    with pytest.raises(FileExistsError):
        store.write_new("attempts/a", b"again")
    with store.reader("attempts/a") as handle:
        handle.seek(-4, 2)
        assert handle.read(2) == b"67"
        handle.seek(1)
        assert handle.read() == b"123456789"
    store.replace("summary.json", b"old")
    store.replace("summary.json", b"new")
    assert store.read("summary.json") == b"new"
    with contextlib.suppress(RuntimeError), store.writer("plan/half") as handle:
        handle.write(b"half")
        raise RuntimeError
    assert not store.exists("plan/half")
    assert store.size("plan/half") is None
    with pytest.raises(FileNotFoundError):
        store.read("plan/half")
    store.remove("attempts/a")
    store.remove("attempts/a")
    assert store.names("attempts") == []


def test_a_parquet_file_is_written_and_read_by_row_group(store):
    import pyarrow as pa

    with (
        store.writer("plan/m.parquet") as handle,
        pq.ParquetWriter(handle, pa.schema([("a", pa.int64())])) as out,
    ):
        for i in range(3):
            out.write_table(pa.table({"a": [i, i + 10]}))
    with store.reader("plan/m.parquet") as handle, pq.ParquetFile(handle) as found:
        assert found.read_row_group(1)["a"].to_pylist() == [1, 11]


def test_a_write_whose_answer_was_lost_is_not_taken_for_somebody_elses(bucket):
    # The client repeats it, and the repetition finds the first one there: the commit is ours all the same.
    store = open_store(bucket)
    store.replace("commits/a.json", b"ours")
    assert store.put_if_absent("commits/a.json", b"ours")
    assert not store.put_if_absent("commits/a.json", b"theirs")


def test_a_dataset_in_a_bucket_has_the_bytes_of_one_in_a_folder(tmp_path, quick_bucket):
    bucket = quick_bucket
    source = write_smiles(tmp_path / "m.smi", SMILES[:8])
    assert run_fake(molecules=source, output=str(tmp_path / "folder"), **OPTIONS) == 0
    # Interrupted, resumed with worker processes, and resumed when there is nothing left.
    assert run_fake(FakeSpec(interrupts=("CC#N",)), molecules=source, output=bucket, **OPTIONS) == 130
    half = len(scfx_dataset.open(bucket))
    assert run_fake(molecules=source, output=bucket, workers=2, **OPTIONS) == 0
    assert run_fake(molecules=source, output=bucket, **OPTIONS) == 0
    here, there = scfx_dataset.open(tmp_path / "folder"), scfx_dataset.open(bucket)
    assert half < len(there) == len(here) == 16
    assert [read_commit(here.plan, s)["sha256"] for s in here.plan.shards] == [
        read_commit(there.plan, s)["sha256"] for s in there.plan.shards
    ]
    assert there.verify() == []
    assert there.to_table().equals(here.to_table())
    store = open_store(bucket)
    assert b"license" in store.read("README.md")
    # A damaged shard is seen, taken back and made again.
    victim = read_commit(there.plan, there.plan.shards[1])["attempt"]
    store.replace(victim, store.read(victim)[:-1] + b"?")
    assert "damaged" in there.verify()[0]
    assert drop_damaged(there.plan, there.problem_of) == 1
    assert run_fake(molecules=source, output=bucket, **OPTIONS) == 0
    assert scfx_dataset.open(bucket).to_table().equals(here.to_table())


def test_report_and_exports_go_to_the_bucket_or_to_a_file_here(tmp_path, quick_bucket, monkeypatch, capsys):
    bucket = quick_bucket
    source = write_smiles(tmp_path / "m.smi", SMILES[:3])
    assert run_fake(molecules=source, output=bucket, **OPTIONS) == 0
    store = open_store(bucket)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    store.remove("report.html")
    assert main(["dataset", "report", bucket]) == 0
    assert main(["dataset", "report", bucket, "-o", "r.html"]) == 0
    assert store.read("report.html") == (tmp_path / "here" / "r.html").read_bytes()
    # qm1b is written piece by piece, an ASE database by SQLite.
    pytest.importorskip("ase")
    for form, name in (("qm1b", "export-qm1b.parquet"), ("ase", "export-ase.db")):
        assert main(["dataset", "export", bucket, "--format", form]) == 0
        assert f"wrote 6 rows to s3://datasets/some/prefix/{name}" in capsys.readouterr().out
        assert main(["dataset", "export", bucket, "--format", form, "-o", name]) == 0
        assert main(["dataset", "export", bucket, "--format", form]) == 2
        assert "exists; remove it" in capsys.readouterr().err
    assert store.read("export-qm1b.parquet") == (tmp_path / "here" / "export-qm1b.parquet").read_bytes()
    assert store.read("export-ase.db").startswith(b"SQLite format 3")
    for command in (["report"], ["export", "--format", "qm1b"]):
        assert main(["dataset", *command, bucket, "-o", f"{store.where()}/x"]) == 2
        assert "expected a file of this machine" in capsys.readouterr().err
    assert {p.name for p in (tmp_path / "here").iterdir()} == {
        "r.html",
        "export-qm1b.parquet",
        "export-ase.db",
    }


def test_a_bucket_that_is_not_there_and_a_malformed_address_are_clear_errors(server, credentials):
    with pytest.raises(scfx.InputError, match="cannot write to s3://nowhere/x"):
        open_store(f"s3://nowhere/x?endpoint_url={server}&region_name=us-east-1").create()
    with pytest.raises(scfx.InputError, match=r"unknown: endpoint$"):
        open_store("s3://bucket/x?endpoint=http://localhost")
    with pytest.raises(scfx.InputError, match="no store for ftp://"):
        open_store("ftp://bucket/x")


def test_a_server_without_conditional_writes_is_refused(credentials):
    class Overwrites(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_DELETE = do_PUT

        def log_message(self, *arguments):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Overwrites)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{running.server_port}"
        with pytest.raises(scfx.InputError, match="does not honour conditional writes"):
            open_store(f"s3://bucket/x?endpoint_url={address}&region_name=us-east-1").create()
    finally:
        running.shutdown()
        running.server_close()


def test_a_file_system_without_links_is_refused(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    store.create()

    def refuse(*arguments):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    with pytest.raises(scfx.InputError, match="makes no hard links"):
        store.put_if_absent("commits/a.json", b"x")
    assert list((tmp_path / "commits").iterdir()) == []


def test_readers_use_the_compacted_records_and_never_believe_them_over_a_commit(tmp_path):
    from click.testing import CliRunner
    from scfx_dataset.commands import dataset as commands

    source, output = write_smiles(tmp_path / "m.smi", SMILES[:8]), tmp_path / "out"
    options = {"molecules": source, "output": str(output), **OPTIONS}
    assert run_fake(FakeSpec(interrupts=("CC#N",)), **options) == 130
    assert "compacted" in CliRunner().invoke(commands, ["compact", str(output)]).output
    assert (output / "commits.parquet").exists()
    assert run_fake(**options) == 0
    dataset = scfx_dataset.open(output)
    assert len(dataset) == 16
    assert dataset.verify() == []
    # A commit that is gone does not count because a copy of it exists.
    (output / "commits" / f"{dataset.plan.shards[0].id}.json").unlink()
    assert len(scfx_dataset.open(output)) == 16 - dataset.plan.shards[0].rows
    assert run_fake(**options) == 0
    record = json.loads((output / "commits" / f"{dataset.plan.shards[0].id}.json").read_text())
    assert (output / record["attempt"]).exists()
