"""Commits in an object store happen exactly once, whatever becomes of requests and answers: S3, Google, Azure."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from object_server import memory_server

import scfx
from scfx.jobs import object_clients
from scfx.jobs.stores import open_store

pytest.importorskip("obstore")

#: Variables of a user's own that say where and who; the tests say it themselves.
_OTHERS = (
    "AWS_PROFILE", "AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION",
)  # fmt: skip


@pytest.fixture(autouse=True)
def credentials(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in _OTHERS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "GOOGLE_BEARER_TOKEN": "z",
        "AZURE_SKIP_SIGNATURE": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server():
    with memory_server() as (address, handler):
        handler.address = address
        yield handler


@pytest.fixture(params=["s3", "gs", "az"])
def store(request, server, monkeypatch):
    # obstore waits 100 ms before its first repetition.
    quick = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=2), "base": 2}
    monkeypatch.setattr(object_clients, "RETRIES", {"max_retries": 3, "backoff": quick})
    more = "&account_name=me" if request.param == "az" else ""
    return open_store(f"{request.param}://bucket/some/prefix?endpoint_url={server.address}{more}")


def test_a_store_keeps_its_promises(store):
    store.create()
    assert store.put_if_absent("commits/a.json", b"first")
    assert not store.put_if_absent("commits/a.json", b"second")
    assert store.read("commits/a.json") == b"first"
    assert store.sizes("commits") == {"commits/a.json": 5}
    assert store.leftovers() == []
    store.write_new("attempts/a", b"0123456789")
    with pytest.raises(FileExistsError, match="exists already"):
        store.write_new("attempts/a", b"again")
    with store.reader("attempts/a") as handle:
        handle.seek(-4, 2)
        assert handle.read(2) == b"67"
    with store.writer("plan/m") as handle:
        handle.write(b"piece by piece")
    assert store.size("plan/m") == 14
    store.replace("summary.json", b"old")
    store.replace("summary.json", b"new")
    assert store.read("summary.json") == b"new"
    store.remove("attempts/a")
    store.remove("attempts/a")
    assert not store.exists("attempts/a")
    with pytest.raises(FileNotFoundError):
        store.read("attempts/a")
    assert pickle.loads(pickle.dumps(store)).where("x") == store.where("x")


@pytest.mark.parametrize(
    "faults",
    [["500"], ["cut"], ["done, 500"], ["done, cut"], ["done, cut", "500", "cut"], ["409"], ["409", "409"]],
    ids=", then ".join,
)
def test_a_commit_is_ours_whatever_becomes_of_requests_and_answers(store, server, faults):
    server.faults.extend(faults)
    assert store.put_if_absent("commits/a.json", b"ours")
    assert list(server.objects.values()) == [b"ours"]
    server.faults.extend(faults)
    assert not store.put_if_absent("commits/a.json", b"theirs")
    assert list(server.objects.values()) == [b"ours"]


def test_reading_listing_and_removing_outlast_faults(store, server):
    store.replace("commits/a", b"0123456789")
    for fault in ("500", "cut", "half"):
        server.faults.append(fault)
        assert store.read("commits/a") == b"0123456789"
        server.faults.append(fault)
        assert store.read_range("commits/a", 2, 8) == b"234567"
    for fault in ("500", "cut"):
        server.faults.append(fault)
        assert store.names("commits") == ["commits/a"]
        server.faults.append(fault)
        assert store.size("commits/a") == 10
    server.faults.append("done, 500")
    store.remove("commits/a")
    assert not server.objects


def test_errors_are_those_of_a_folder_and_say_where(store, server):
    server.faults.append("403")
    with pytest.raises(PermissionError, match=f"{store.where('commits/a')}: "):
        store.put_if_absent("commits/a", b"x")
    server.faults.extend(["500"] * 100)
    with pytest.raises(OSError, match=f"{store.where('commits/a')}: .*500"):
        store.read("commits/a")
    with pytest.raises(scfx.InputError, match=f"cannot write to {store.where()}: "):
        store.create()
    server.faults.clear()
    server.faults.extend(["409"] * 10)
    with pytest.raises(OSError, match="kept conflicting"):
        store.put_if_absent("commits/a", b"x")


def test_a_bucket_of_another_region_says_how_to_name_the_region(server):
    store = open_store(f"s3://bucket/some/prefix?endpoint_url={server.address}")
    remedy = r"is in another region: name .*s3://bucket/some/prefix\?region_name=REGION, or in AWS_REGION"
    for fault in ("other region, 301", "other region, 400"):
        server.faults.extend([fault] * 100)
        with pytest.raises(
            scfx.InputError, match=f"cannot write to s3://bucket/some/prefix: .*The bucket {remedy}"
        ):
            store.create()
        server.faults.clear()
    server.faults.append("other region, 400")  # without a body, which the answer to HEAD never has
    with pytest.raises(OSError, match=f"Perhaps the bucket {remedy}"):
        store.exists("a")


def test_a_conditional_write_that_timed_out_is_repeated_and_is_ours(server, monkeypatch):
    monkeypatch.setattr(object_clients, "QUICK", {"timeout": timedelta(seconds=0.5)})
    store = open_store(f"s3://bucket?endpoint_url={server.address}")
    late = threading.Event()
    server.faults.append(late)
    assert store.put_if_absent("commits/a.json", b"ours")
    # The first request is carried out at last, and finds the second one there.
    late.set()
    assert not store.put_if_absent("commits/a.json", b"theirs")
    server.faults.append(threading.Event())
    store.remove("commits/a.json")


def test_an_interrupt_is_heard_while_a_request_waits(server):
    store = open_store(f"s3://bucket/x?endpoint_url={server.address}")
    never = threading.Event()  # the server's answer waits 30 s for it
    server.faults.append(never)

    def interrupt_once_it_waits():
        while not server.requests:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    # A process in the background of a script may have been started with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt_once_it_waits, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            store.read("commits/a")
        assert time.monotonic() - began < 25
    finally:
        signal.signal(signal.SIGINT, before)
        never.set()


def test_a_folder_needs_no_client_and_a_forked_process_is_told_what_to_do(server, tmp_path):
    program = f"""
import os, signal, sys
from scfx.jobs.stores import open_store
open_store({str(tmp_path)!r}).create()
assert not {{"obstore", "boto3"}} & set(sys.modules)
store = open_store("s3://bucket/x?endpoint_url={server.address}")
store.replace("a", b"x")
if os.fork() == 0:
    signal.alarm(10)
    try:
        store.read("a")
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    os._exit(0)
os.wait()
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60).stdout
    assert said.startswith("InputError s3://bucket/x: this process was forked")
    assert 'multiprocessing_context="spawn"' in said


def test_credentials_and_places_come_from_the_environment_and_the_profile(server, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.address)
    open_store("s3://bucket/x").replace("a", b"x")
    assert server.objects == {"/bucket/x/a": b"x"}
    # Those of a profile are read by boto3, and refused in words where it is missing.
    pytest.importorskip("boto3")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        f"[profile lab]\nregion = eu-north-1\nendpoint_url = {server.address}\n"
        "aws_access_key_id = a\naws_secret_access_key = b\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "lab")
    open_store("s3://bucket/x").replace("b", b"y")
    assert server.objects["/bucket/x/b"] == b"y"
    # A request is signed for a region: that of the profile, of the environment before it, of the address before both.
    for variable, address, region in (
        (None, "s3://bucket/x", "eu-north-1"),
        ("AWS_DEFAULT_REGION", "s3://bucket/x", "us-west-2"),
        ("AWS_REGION", "s3://bucket/x", "us-west-2"),
        ("AWS_REGION", "s3://bucket/x?region_name=sa-east-1", "sa-east-1"),
    ):
        with monkeypatch.context() as patched:
            if variable:
                patched.setenv(variable, "us-west-2")
            open_store(address).size("b")
        assert f"/{region}/s3/aws4_request" in server.signatures[-1]
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(scfx.InputError, match=r"the profile of s3:// addresses: .*nobody"):
        open_store("s3://bucket/x")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(scfx.InputError, match=r'AWS_PROFILE=nobody is read by boto3.*"scfx\[s3\]"'):
        open_store("s3://bucket/x")


def test_malformed_addresses_and_a_missing_library_are_clear_errors(monkeypatch):
    for address, what in {
        "s3://bucket/x?endpoint=http://a": r"after a '\?' any of endpoint_url, region_name; unknown: endpoint$",
        "gs://bucket/x?region_name=a": "any of endpoint_url; unknown: region_name$",
        "az:///x": "expected az://bucket/prefix",
        "s3://bucket/run#2": "a '#' cannot be in it$",
        "s3://bucket/x?region_name=": "has no value after region_name$",
        "s3://bucket/a//b": "an empty part",
        "s3://bucket/a/../b": "leads outside",
        "ftp://bucket/x": "no store for ftp:// addresses; give a folder, or s3://bucket/prefix, gs",
    }.items():
        with pytest.raises(scfx.InputError, match=what):
            open_store(address)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(scfx.InputError, match=r'gs:// addresses need obstore: pip install "scfx\[cloud\]"'):
        open_store("gs://bucket/x")
