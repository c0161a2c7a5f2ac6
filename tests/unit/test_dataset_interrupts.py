"""Signals, closed terminals and stopped jobs: no library swallows them, and no row pays for them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import scfx_dataset
from dataset_fake import FakeSpec, run_fake, write_smiles
from dataset_kills import (
    OPTIONS,
    checksums,
    children,
    environment,
    lines,
    start,
    undisturbed,
    wait_for,
    wait_until_gone,
)
from rich.console import Console

from scfx.jobs import process as processes

#: What is asked here is asked of rows, files and exit codes.
pytestmark = pytest.mark.usefixtures("quick_reports")

#: Embedding each of these takes tens of milliseconds, nearly all of it inside RDKit.
RINGS = (
    "C1CC2CCC3CCC4CCCC5CCC(C1)C2C3C45",
    "C1CC2CCC3CCC4CCCC5CCC(C1)C2C3C45O",
    "CC1CC2CCC3CCC4CCCC5CCC(C1)C2C3C45",
    "C1CC2CCC3CC(F)C4CCCC5CCC(C1)C2C3C45",
)


@pytest.fixture(scope="module")
def rings(tmp_path_factory):
    """(file of molecules, shard id -> checksum of a run that nothing disturbs)"""
    folder = tmp_path_factory.mktemp("rings")
    source = write_smiles(folder / "rings.smi", RINGS)
    return source, undisturbed(folder / "reference", source)


def test_rdkit_takes_sigint_for_itself():
    # Why all of this: if it fails, RDKit has changed and scfx.execution.sheltered may be simplified.
    program = f"""
import os, signal, threading, time
from scfx_dataset.conformers import embed
from scfx_dataset.options import Embedding
def kick():
    while True:
        time.sleep(0.01); os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, lambda *_: None)
threading.Thread(target=kick, daemon=True).start()
print(sum(c.positions is None for c in embed({RINGS[0]!r}, range(1, 31), Embedding()).conformers))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert int(done.stdout) > 0, done.stderr


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_job_interrupted_while_rdkit_embeds_ends_with_the_same_bytes(tmp_path, rings, workers):
    source, reference = rings
    output, log = tmp_path / "out", tmp_path / "log"
    log.write_text("")
    codes = []
    while 0 not in codes:
        assert len(codes) < 12
        process = start(source, output, log, 0.0, workers, stderr=subprocess.DEVNULL)
        before = len(lines(log))
        # After the first row of this run the embedding thread is some molecules ahead.
        wait_for(lambda before=before: len(lines(log)) > before, process)
        if len(codes) < 2 and process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        codes.append(process.wait(timeout=60))
        wait_until_gone(process)
    assert set(codes) <= {0, 130}
    assert checksums(output) == reference
    statuses = scfx_dataset.open(output).summary()["statuses"]
    assert statuses["ok"] == 3 * len(RINGS)


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupts_of_the_processes_that_embed_change_nothing(tmp_path, rings, workers):
    # Sharper than a terminal: they get one every few milliseconds, and the command itself none.
    source, reference = rings
    output = tmp_path / "out"
    process = start(source, output, tmp_path / "log", 0.0, workers, stderr=subprocess.DEVNULL)
    sent = 0
    while process.poll() is None:
        for pid in children(process.pid):
            try:
                os.kill(pid, signal.SIGINT)
                sent += 1
            except ProcessLookupError:
                continue
        time.sleep(0.005)
    assert process.returncode == 0
    assert sent > 20
    assert checksums(output) == reference


def test_no_library_in_a_worker_catches_signals_but_for_python():
    # BLAS, OpenMP, PySCF, RDKit, XLA, Arrow: what they do with SIGINT, SIGTERM and SIGHUP is what the kernel does.
    program = """
import scfx, scfx_dataset.label, pyarrow, rdkit.Chem, pyscf.gto, jax, scipy.linalg, numpy, re, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have had it ignored
scfx.solve(scfx.System.from_arrays(["H", "H"], [[0, 0, 0], [0, 0, 0.74]], "angstrom"), functional="hf", basis="sto-3g",
           backend="libcint")
status = open("/proc/self/status").read()
caught = int(re.search(r"SigCgt:\\s*([0-9a-f]+)", status)[1], 16)
print([n for n in (1, 2, 15) if caught >> (n - 1) & 1])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split("\n")[0] == "[2]", done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_batch_queue_and_a_closed_terminal_stop_as_cleanly_as_ctrl_c(tmp_path, rings, number):
    source, reference = rings
    output, log = tmp_path / "out", tmp_path / "log"
    usual = signal.signal(number, signal.SIG_DFL)  # also where the tests run under nohup; a child inherits it
    try:
        process = start(source, output, log, 0.05, 1, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(number, usual)
    wait_for(lambda: len(lines(log)) > 6, process)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "run the same command again to go on" in said
    assert 0 < len(checksums(output)) < len(reference)
    assert run_fake(molecules=source, output=str(output), **OPTIONS) == 0
    assert checksums(output) == reference


def test_nohup_is_respected(tmp_path, rings):
    source, reference = rings
    output, log = tmp_path / "out", tmp_path / "log"
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does; a child inherits it
    try:
        process = start(source, output, log, 0.02, 1, stderr=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGHUP, usual)
    wait_for(lambda: len(lines(log)) > 3, process)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 0
    assert checksums(output) == reference


@pytest.mark.parametrize("mode", ["plain", "rich"])
def test_a_reader_of_the_progress_that_goes_away_does_not_stop_the_job(tmp_path, rings, mode, monkeypatch):
    monkeypatch.setattr("scfx.jobs.progress._INTERVAL", 0.0)
    source, reference = rings

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    console = Console(width=100, file=Gone(), force_terminal=mode == "rich")
    options = {"molecules": source, "output": str(tmp_path / "out"), "progress": mode, **OPTIONS}
    assert run_fake(FakeSpec(), console, **options) == 0
    assert checksums(tmp_path / "out") == reference


def test_time_in_which_nobody_looked_is_no_hanging(monkeypatch):
    # Ctrl-Z for an hour, or a full pipe: the worker was stopped too, or its news wait to be read.
    class Stopped(processes.WorkerProcess):
        def __init__(self, limit):
            self._job = type("Job", (), {"worker_memory": None, "hang_seconds": limit})
            self._silent, self._looked, self._killed_because = 0.0, 0.0, ""
            self.killed = False

        def _kill(self, why):
            self.killed = True

    clock = [0.0]
    monkeypatch.setattr(processes.time, "monotonic", lambda: clock[0])
    worker = Stopped(10.0)
    clock[0] = 7200.0
    worker.check_limits()
    assert not worker.killed
    for _ in range(40):
        clock[0] += 0.25
        worker.check_limits()
    assert worker.killed


def test_an_embedding_process_that_is_killed_is_an_error_that_says_so_and_nothing_is_committed(
    tmp_path, rings
):
    source, reference = rings
    output, log = tmp_path / "out", tmp_path / "log"
    process = start(source, output, log, 0.0, 1, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: Path(output / "plan.json").exists(), process)
    while process.poll() is None:
        for pid in children(process.pid):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_text()
                if "scfx_dataset.conformers:embed" in command:
                    os.kill(pid, signal.SIGKILL)
            except (OSError, ProcessLookupError):
                continue
        time.sleep(0.001)
    said = process.communicate()[0]
    assert process.returncode != 0
    assert "the process that embeds conformers ended (exit code -9)" in said
    assert checksums(output).items() <= reference.items()
    assert run_fake(molecules=source, output=str(output), **OPTIONS) == 0
    assert checksums(output) == reference
