"""The Ray executor on a real cluster of this machine: same bytes, same poison, no blame for a lost node."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys

import pytest
import scfx_dataset
from dataset_fake import SMILES, write_smiles
from dataset_kills import (
    checksums,
    committed_systems,
    environment,
    kill_and_resume,
    kill_thirty_times,
    lines,
    start,
    undisturbed,
    wait_for,
    wait_until_gone,
    wait_until_quiet,
)
from ray_cluster import ray_cluster

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs ray", allow_module_level=True)


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_smiles(tmp_path_factory.mktemp("source") / "molecules.smi")


@pytest.fixture(scope="module")
def reference(tmp_path_factory, source):
    """Shard id -> checksum of a run here that nothing disturbs."""
    return undisturbed(tmp_path_factory.mktemp("undisturbed") / "reference", source)


def test_a_job_on_ray_gives_the_bytes_of_a_local_one_and_each_part_its_own(
    tmp_path, source, reference, cluster
):
    output, log = tmp_path / "out", tmp_path / "log"
    process = start(
        source,
        output,
        log,
        0.0,
        2,
        cluster.address,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert checksums(output) == reference
    assert len(lines(log)) == len(set(lines(log))) == 3 * len(SMILES)


def test_a_job_on_ray_killed_and_resumed_ends_with_the_same_bytes(tmp_path, source, reference, cluster):
    kill_and_resume(source, tmp_path / "out", tmp_path / "log", reference, 1, 2, 0.1, cluster.address)


@pytest.mark.slow
def test_a_job_on_ray_killed_thirty_times_and_resumed_ends_with_the_same_bytes(tmp_path, cluster):
    # Slower than here: actors follow their driver after a second or two, and the rows until then are solved too.
    kill_thirty_times(tmp_path, 2, 0.2, cluster.address)


def drive(code, **arguments):
    """Python in a process of its own, as Ray's driver: pytest's would keep Ray's state from test to test."""
    text = "\n".join(f"{name} = {value!r}" for name, value in arguments.items())
    program = f"import dataset_fake, signal, sys\nfrom dataset_fake import *\n{text}\n{code}"
    return subprocess.Popen(
        [sys.executable, "-c", program], env=environment(), start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


POISON = """
spec = FakeSpec(dies=("CCO",), hangs=("CC=O",))
options = {"molecules": source, "shard_rows": 3, "batch_size": 2, "quarantine_after": 1, "max_deaths": 2}
options |= {"hang_seconds": 20, "workers": 2, "progress": "plain", "output": output}
executor = {"executor": {"name": "ray", "address": address}} if address else {}
sys.exit(run_fake(spec, **options, **executor))
"""


@pytest.mark.slow
def test_a_crash_on_ray_is_the_same_poison_as_here(tmp_path, cluster):
    source = write_smiles(tmp_path / "m.smi", SMILES[:6])
    for name, address in (("ray", cluster.address), ("here", "")):
        process = drive(POISON, source=source, output=str(tmp_path / name), address=address)
        said, _ = process.communicate(timeout=580)
        assert process.returncode == 0, said
    rows = scfx_dataset.open(tmp_path / "ray").to_table().to_pylist()
    assert [row["smiles"] for row in rows if row["status"] == "poison"] == ["CCO", "CC=O"]
    assert checksums(tmp_path / "ray") == checksums(tmp_path / "here")


@pytest.mark.slow
def test_a_lost_actor_is_not_charged_and_its_shard_is_computed_by_another(
    tmp_path, source, reference, cluster
):
    output, log = tmp_path / "out", tmp_path / "log"
    process = start(
        source,
        output,
        log,
        0.2,
        2,
        cluster.address,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: len(lines(log)) > 2, process)
    found = cluster.actors()
    assert found
    os.kill(found[0], signal.SIGKILL)
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert "its actor was lost" in said
    assert "not counted" in said
    assert checksums(output) == reference


OWN = """
spec = FakeSpec(log=log, delay=0.05)
options = {"molecules": source, "conformers": 3, "shard_rows": 6, "batch_size": 2, "progress": "plain"}
sys.exit(run_fake(spec, **options, output=output, workers=2, executor="ray"))
"""


@pytest.mark.slow
def test_without_an_address_a_cluster_is_started_and_ctrl_c_stops_it_cleanly(
    tmp_path, source, reference, monkeypatch
):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    output, log = tmp_path / "out", tmp_path / "log"
    process = drive(OWN, source=source, output=str(output), log=str(log))
    wait_for(lambda: len(committed_after(output)) > 0, process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    wait_until_gone(process)
    wait_until_quiet(log)
    assert 0 < len(checksums(output)) < len(reference)
    done = committed_systems(output)
    position = len(lines(log))
    process = drive(OWN, source=source, output=str(output), log=str(log))
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    assert checksums(output) == reference
    assert not done & set(lines(log)[position:])


def committed_after(output):
    return list((output / "commits").glob("*.json")) if output.exists() else []


def test_a_cluster_that_is_not_there_is_a_clear_error(tmp_path, source):
    code = 'run_fake(molecules=source, output=output, executor={"name": "ray", "address": "127.0.0.1:1"})'
    process = drive(code, source=source, output=str(tmp_path / "out"))
    said, _ = process.communicate(timeout=200)
    assert "task.executor.address: Ray does not reach the cluster at '127.0.0.1:1'" in said


WITHOUT = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] == "ray" else find(name, *rest)
run_fake(molecules=source, output=output, executor="ray")
"""


def test_without_ray_the_executor_says_what_to_install(tmp_path, source):
    process = drive(WITHOUT, source=source, output=str(tmp_path / "out"))
    said, _ = process.communicate(timeout=200)
    assert process.returncode != 0
    assert "task.executor" in said.splitlines()[-1] or "task.executor" in said
    assert "pip install" in said
    assert "ray" in said


ELSEWHERE = """
import sys, types
# A solver that only the driver knows: the cluster cannot import it.
module = types.ModuleType("only_here")
exec("from dataset_fake import make_fake\\ndef make(*a): return make_fake(*a)", module.__dict__)
sys.modules["only_here"] = module
module.make.__module__ = "only_here"
import dataset_fake
dataset_fake.make_fake = module.make
run_fake(molecules=source, output=output, progress="plain", executor={"name": "ray", "address": address})
"""


@pytest.mark.slow
def test_a_node_that_cannot_start_an_actor_stops_the_run_with_the_reason(tmp_path, source, cluster):
    process = drive(ELSEWHERE, source=source, output=str(tmp_path / "out"), address=cluster.address)
    said, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "must be installed on every node" in said, said
    assert "only_here" in said
