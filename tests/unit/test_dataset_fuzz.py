"""The real protocol under a fuzzer of moments, bytes and answers. SCFX_FUZZ_SECONDS (60) for each of the five tests;
SCFX_FUZZ_SEED (1) says which. A failure prints the seed of its round.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import scfx_dataset
from dataset_fake import SMILES, FakeSpec, run_fake, write_smiles
from dataset_fuzz import Where, check_all, mutate, run_disturbed
from dataset_kills import OPTIONS, undisturbed
from object_server import Disturbance, disturbed_server
from ray_cluster import ray_cluster

import scfx
from scfx.jobs import object_clients
from scfx.jobs.commits import compact, drop_damaged

SECONDS = float(os.environ.get("SCFX_FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("SCFX_FUZZ_SEED", "1"))
FEW = SMILES[:8]


@pytest.fixture(autouse=True)
def quick_reports(monkeypatch):
    monkeypatch.setattr("scfx_dataset.report.html_report", lambda *arguments: "<html>")
    monkeypatch.setattr("scfx_dataset.report._distribution", lambda *arguments: b"png")


@pytest.fixture
def source(tmp_path):
    return write_smiles(tmp_path / "m.smi", FEW)


@pytest.fixture
def reference(tmp_path, source):
    return undisturbed(tmp_path / "reference", source)


def rounds(name):
    """(seed of the round, its generator) until the time is up; at least three."""
    end, number = time.monotonic() + SECONDS, 0
    while number < 3 or time.monotonic() < end:
        seed = 100_000 * SEED + number
        try:
            yield seed, random.Random(f"{name} {seed}")
        except BaseException:
            print(f"{name}: round {seed}")
            raise
        number += 1


def repair(output: Path, options) -> None:
    """What the messages say: run; take back what is damaged; where the plan is, make it again. Then run again."""
    told: list[str] = []
    for _ in range(4):
        try:
            code = run_fake(**options)
            told += (problems := scfx_dataset.open(output).verify())
            if code == 0 and not problems:
                return
        except scfx.ScfxError as error:
            told.append(str(error))
        try:
            opened = scfx_dataset.open(output)
            drop_damaged(opened.plan, opened.problem_of)
        except scfx.InputError as error:  # the plan cannot be read
            told.append(str(error))
            (output / "plan.json").unlink(missing_ok=True)
    raise AssertionError("what the messages say does not repair it:\n" + "\n".join(told))


@pytest.mark.slow
def test_no_change_of_bytes_goes_unseen_or_beyond_repair(tmp_path, source, reference):
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert run_fake(molecules=source, output=str(whole), **OPTIONS) == 0
    assert run_fake(FakeSpec(interrupts=("CC#N",)), molecules=source, output=str(half), **OPTIONS) == 130
    done: Counter[str] = Counter()
    for _, chance in rounds("bytes"):
        output = tmp_path / "out"
        shutil.copytree(chance.choice((whole, half)), output)
        if chance.random() < 0.3:
            compact(scfx_dataset.open(output).plan)
        for _ in range(chance.randint(1, 3)):
            mutate(output, chance, done)
        repair(output, {"molecules": source, "output": str(output), **OPTIONS})
        check_all(output, reference)
        shutil.rmtree(output)
    print(f"{done.total()} mutations: {dict(sorted(done.items()))}")


def disturbed_rounds(name, tmp_path, source, reference, wheres):
    """Runs disturbed by signals, then one that nothing disturbs, then all that must be true; again until time is up."""
    done: Counter[str] = Counter()
    for _, chance in rounds(name):
        where = chance.choice(wheres)
        output, log = tmp_path / "out", tmp_path / "log"
        log.write_text("")
        for _ in range(chance.randint(1, 3)):
            run_disturbed(source, output, log, chance, done, OPTIONS["conformers"], where)
        for part in where.parts or ("",):
            code = run_fake(molecules=source, output=str(output), part=part, **OPTIONS)
            assert code == 0
        check_all(output, reference)
        shutil.rmtree(output)
    print(f"{done.total()} events: {dict(sorted(done.items()))}")


@pytest.mark.slow
def test_no_moment_of_a_signal_loses_doubles_or_changes_a_row(tmp_path, source, reference):
    disturbed_rounds("moments", tmp_path, source, reference, [Where()])


@pytest.mark.slow
def test_no_moment_of_a_signal_loses_a_row_of_parts_that_run_side_by_side(tmp_path, source, reference):
    wheres = [Where(parts=("0/2", "1/2")), Where(parts=("0/3", "1/3", "2/3"))]
    disturbed_rounds("parts", tmp_path, source, reference, wheres)


@pytest.mark.slow
def test_no_moment_of_a_signal_loses_a_row_on_ray(tmp_path, source, reference):
    pytest.importorskip("ray")
    with ray_cluster() as cluster:
        disturbed_rounds("ray", tmp_path, source, reference, [Where(cluster)])


@pytest.fixture
def disturbance():
    return Disturbance(random.Random(0))


@pytest.fixture
def bucket(monkeypatch, disturbance):
    """A function: the address of a new, empty prefix on a real HTTP server, whose answers are disturbed."""
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    server = "http://{}:{}".format(*running.get_host_and_port())
    boto3.client("s3", endpoint_url=server, region_name="us-east-1").create_bucket(Bucket="datasets")
    with disturbed_server(server, disturbance) as address:
        yield lambda name: f"s3://datasets/{name}?endpoint_url={address}&region_name=us-east-1"
    running.stop()


@pytest.mark.slow
def test_a_store_that_answers_500_late_or_not_at_all_loses_no_row(
    tmp_path, source, reference, bucket, disturbance, monkeypatch
):
    # Waiting between repetitions is not what is tested.
    at_once = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=2), "base": 2}
    monkeypatch.setattr(object_clients, "RETRIES", {**object_clients.RETRIES, "backoff": at_once})
    done, said = disturbance.done, set()
    for seed, chance in rounds("answers"):
        output = bucket(str(seed))
        disturbance.chance, disturbance.share = chance, 0.25
        options = {"molecules": source, "output": output, **OPTIONS}
        for _ in range(6):
            try:
                if run_fake(**options) == 0:
                    break
            except scfx.ScfxError as error:
                done["stopped with an error"] += 1
                said.add(str(error))
        disturbance.share = 0.0
        assert run_fake(**options) == 0
        check_all(output, reference)
        assert len(scfx_dataset.open(output).plan.store.names("attempts")) == len(reference)
    clear = ("Committed shards are safe", "cannot write to", "cannot be read")
    assert all(any(words in text for words in clear) for text in said), said
    print(f"{done.total()} answers: {dict(sorted(done.items()))}")
