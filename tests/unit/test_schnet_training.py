"""Trainings: the published schedule, resuming bit for bit, several processes, several targets."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import schnet_data
from cut_training import Killed, killed_in_step

import scfx

torch = pytest.importorskip("torch", reason="the schnet extra is not installed")

from scfx_schnet import checkpoint, schedule, split  # noqa: E402
from scfx_schnet.batch import pack  # noqa: E402
from scfx_schnet.fidelity import Form  # noqa: E402
from scfx_schnet.job import TrainingJob  # noqa: E402
from scfx_schnet.objective import median_mae  # noqa: E402
from scfx_schnet.options import TrainingOptions  # noqa: E402
from scfx_schnet.sources import DataOptions, open_data  # noqa: E402
from scfx_schnet.training import Training  # noqa: E402

from scfx.errors import ConfigError, InputError  # noqa: E402

SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("schnet")
    schnet_data.write_table(path / "m.parquet", 120)
    return path


def make_job(folder, seed=0, targets=("gap",), model="schnet-tiny", start=None, **options) -> TrainingJob:
    molecules = open_data(DataOptions(path=str(folder / "m.parquet")), folder / "cache")
    parts = split.split_by_molecule(molecules.keys, 0.2, 0.1, seed=0)
    options = {"steps": 12, "batch_size": 8, "checkpoint_every": 5, "log_every": 1, "threads": 1, **options}
    return TrainingJob(
        molecules, split.subset(molecules.keys, parts.pool, 60, seed), parts.validation, parts.test, targets,
        {"name": model}, TrainingOptions(**options), seed, start,
    )  # fmt: skip


def weights(path: Path) -> dict:
    return torch.load(path / "model.pt", weights_only=True)["model"]


def logged_rows(path: Path) -> list[dict[str, str]]:
    with (path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_training_that_is_cut_off_ends_with_the_weights_of_one_that_is_not(folder, tmp_path, registry):
    whole = Training(make_job(folder), tmp_path / "whole", registry).train()
    with killed_in_step(8):
        Training(make_job(folder), tmp_path / "cut", registry).train()
    assert (tmp_path / "cut" / "checkpoint.pt").exists()
    resumed = Training(make_job(folder), tmp_path / "cut", registry)
    result = resumed.train()
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    assert result["validation_mae_ev"] == whole["validation_mae_ev"]
    logged = logged_rows(tmp_path / "cut")
    assert [int(row["step"]) for row in logged] == [*range(1, 13), 12]  # nothing twice, nothing missing


RUN = """
import os, signal, sys, torch
sys.path.insert(0, sys.argv[3])
from pathlib import Path
import scfx
from test_schnet_training import make_job
from scfx_schnet.processes import processes
from scfx_schnet.training import Training
save, killed_at = torch.save, int(sys.argv[4])
def killed(content, file):
    if content.get("step") == killed_at:
        file.write(b"half of a checkpoint")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    save(content, file)
torch.save = killed
with processes() as group:
    Training(make_job(Path(sys.argv[1])), Path(sys.argv[2]), scfx.Registry.discover(), group).train()
"""


def command(folder, out, killed_at) -> list[str]:
    return ["-c", RUN, str(folder), str(out), str(Path(__file__).parent), str(killed_at)]


@pytest.fixture
def environment():
    path = os.pathsep.join([str(SUPPORT), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def test_a_training_killed_by_the_system_resumes_to_the_same_weights(folder, tmp_path, registry, environment):
    # In the middle of writing its second checkpoint: nothing is closed, and half a file lies beside the first one.
    out = tmp_path / "killed"
    ended = subprocess.run([sys.executable, *command(folder, out, 10)], env=environment, timeout=300)
    assert ended.returncode == -signal.SIGKILL
    resumed = Training(make_job(folder), out, registry)
    resumed._resume()
    assert resumed.step == 5
    resumed.train()
    Training(make_job(folder), tmp_path / "whole", registry).train()
    assert equal(weights(out), weights(tmp_path / "whole"))


def test_two_processes_train_like_one(folder, tmp_path, registry, environment):
    # PyTorch's own DistributedDataParallel over gloo, as torchrun starts it; sums differ in their order only.
    script = tmp_path / "run.py"
    script.write_text(RUN)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    arguments = [str(folder), str(tmp_path / "two"), str(Path(__file__).parent), "-1"]
    done = subprocess.run(
        [sys.executable, *launcher, *arguments], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    Training(make_job(folder), tmp_path / "one", registry).train()
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=2e-3, atol=2e-4)
    start = Training(make_job(folder), tmp_path / "start", registry).model.state_dict()
    assert not torch.allclose(start["lin1.weight"], two["lin1.weight"], atol=1e-3)


def test_a_batch_that_processes_cannot_share_is_refused():
    from scfx_schnet.processes import Processes

    with pytest.raises(ConfigError, match="multiple of the 3"):
        Processes(0, 3).check(32)


def test_a_checkpoint_of_another_training_is_refused(folder, tmp_path, registry, monkeypatch):
    monkeypatch.setattr(Training, "errors", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        Training(make_job(folder), tmp_path, registry).train()
    with pytest.raises(InputError, match="another training"):
        Training(make_job(folder, seed=1), tmp_path, registry).train()


def test_one_cycle_is_that_of_torch():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=50)
    ours = schedule.OneCycle()
    for step in range(50):
        rate, momentum = ours.at(step, 50)
        assert rate == pytest.approx(theirs.get_last_lr()[0], rel=1e-6)
        assert momentum == pytest.approx(optimizer.param_groups[0]["betas"][0], rel=1e-6)
        optimizer.step()
        if step < 49:
            theirs.step()


def test_the_published_schedule_is_the_papers():
    # Mathiasen et al. 2023: 5e-4, linear warm-up over 2,500 updates, then a factor 0.96 every 9,600.
    rate = [schedule.PublishedSchedule().at(step, 10**6)[0] for step in range(30_000)]
    assert rate[0] == pytest.approx(5e-4 / 2500)
    assert rate[1249] == pytest.approx(2.5e-4)
    assert rate[2499] == rate[2500] == rate[12_099] == 5e-4
    assert rate[12_100] == pytest.approx(5e-4 * 0.96)
    assert rate[2500 + 2 * 9600] == pytest.approx(5e-4 * 0.96**2)


def test_a_network_learns_several_targets_at_once(folder, tmp_path, registry):
    job = make_job(folder, targets=("gap", "energy"), steps=160, checkpoint_every=1000)
    result = Training(job, tmp_path, registry).train()
    lazy = median_mae(job.molecules, job.rows, job.rows, job.targets)
    for mae, baseline in zip(result["train_mae_ev"], lazy, strict=True):
        assert mae < 0.75 * baseline
    network, standardiser, targets = checkpoint.load_model(tmp_path / "model.pt", registry)
    assert targets == ("gap", "energy")
    rows = job.validation
    with torch.no_grad():
        out = network(job.molecules.pack(rows)).numpy()
    found = standardiser.to_ev(out, job.molecules.atom_counts(rows))
    assert np.abs(found - job.molecules.targets(rows, targets)).mean(axis=0) == pytest.approx(
        result["validation_mae_ev"], rel=1e-4
    )


def test_bfloat16_trains_to_a_like_error(folder, tmp_path, registry):
    jobs = {
        p: make_job(folder, steps=60, precision=p, checkpoint_every=1000) for p in ("float32", "bfloat16")
    }
    mae = {p: Training(job, tmp_path / p, registry).train()["train_mae_ev"][0] for p, job in jobs.items()}
    job = jobs["float32"]
    (lazy,) = median_mae(job.molecules, job.rows, job.rows, job.targets)
    assert max(mae.values()) < 0.5 * lazy
    assert mae["bfloat16"] != mae["float32"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns in many ways while it looks at a network
def test_a_compiled_network_trains_to_the_same_error(folder, tmp_path, registry, monkeypatch):
    # Minutes of compiling on CPU; torch.compile is meant for GPUs, where this test runs as well. It cannot look into
    # the checks of shapes, which are the tests' own.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    jobs = {c: make_job(folder, steps=20, compile=c, checkpoint_every=1000) for c in (False, True)}
    mae = {
        c: Training(job, tmp_path / str(c), registry).train()["train_mae_ev"][0] for c, job in jobs.items()
    }
    assert mae[True] == pytest.approx(mae[False], rel=1e-3)


def test_tensorboard_events_and_early_metrics_are_written(folder, tmp_path, registry):
    pytest.importorskip("tensorboard", reason="the schnet extra is not installed")
    Training(make_job(folder, steps=32, log_every=8, tensorboard=True), tmp_path, registry).train()
    assert list((tmp_path / "events").iterdir())
    rows = logged_rows(tmp_path)
    early = [int(row["step"]) for row in rows if row["validation_mae_ev"]]
    assert early == [1, 2, 4, 8, 16, 32]


def test_averaged_weights_follow_the_trained_ones(folder, tmp_path, registry):
    training = Training(make_job(folder, ema=0.5), tmp_path, registry)
    with torch.no_grad():
        for parameter in training.model.parameters():
            parameter.zero_()
        for parameter in training.average.parameters():
            parameter.fill_(1.0)
    training.step = 10**6
    training._average()
    assert all(torch.equal(p, torch.full_like(p, 0.5)) for p in training.average.parameters())


class Noisy(torch.nn.Module):
    """A plugin's network with statistics of its own and noise: sums over atoms, batch norm, dropout."""

    def __init__(self, num_targets: int):
        super().__init__()
        self.embedding = torch.nn.Embedding(100, 8)
        self.rest = torch.nn.Sequential(
            torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), torch.nn.Linear(8, num_targets)
        )

    def forward(self, batch):
        atoms = 100.0 + self.embedding(batch.numbers)
        return self.rest(atoms.new_zeros(batch.n_molecules, 8).index_add(0, batch.molecule, atoms))


@pytest.fixture(scope="module")
def noisy():
    class Plugin:
        @scfx.hookimpl
        def scfx_register_models(self):
            return [scfx.Offer("noisy", f"{__name__}:Noisy", summary="batch norm and dropout")]

    return scfx.Registry.from_plugins({"theirs": Plugin()})


def test_a_network_is_evaluated_with_the_statistics_that_it_was_trained_on(folder, tmp_path, noisy):
    job = make_job(folder, model="noisy", steps=100, checkpoint_every=1000)
    training = Training(job, tmp_path, noisy)
    result = training.train()
    trained, kept = training.model.state_dict(), weights(tmp_path)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(trained[f"rest.0.{name}"], kept[f"rest.0.{name}"])
    # Sums of hundreds of atoms' features: with the statistics of the start the error was a thousand times the spread.
    (lazy,) = median_mae(job.molecules, job.rows, job.rows, job.targets)
    assert result["train_mae_ev"][0] < 2 * lazy


def test_what_a_network_draws_at_random_is_a_function_of_seed_and_step(folder, tmp_path, noisy):
    job = make_job(folder, model="noisy")
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    Training(job, tmp_path / "whole", noisy).train()
    assert torch.equal(torch.random.get_rng_state(), before)  # a training is alone with its generator
    torch.manual_seed(2)
    with killed_in_step(8):
        Training(job, tmp_path / "cut", noisy).train()
    torch.manual_seed(3)
    Training(job, tmp_path / "cut", noisy).train()
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    other = Training(make_job(folder, model="noisy", seed=1), tmp_path / "other", noisy)
    drawn = []
    for training in (Training(job, tmp_path / "again", noisy), other):
        for training.step in (0, 1):
            with training._chance():
                drawn.append(float(torch.rand(())))
    assert len(set(drawn)) == 4


def test_the_trained_network_below_a_correction_keeps_its_statistics(folder, tmp_path, noisy):
    job = make_job(folder, model="noisy")
    Training(job, tmp_path / "base", noisy).train()
    base = weights(tmp_path / "base")
    start = {f"base.{name}": value for name, value in base.items()}
    Training(replace(job, start=start, form=Form(delta=True)), tmp_path / "delta", noisy).train()
    after = weights(tmp_path / "delta")
    assert equal(base, {name: after[f"base.{name}"] for name in base})


def test_a_batch_of_padding_free_molecules_holds_exactly_their_atoms():
    batch = pack(*schnet_data.molecules(5, seed=2))
    natm = torch.bincount(batch.molecule)
    assert len(batch.first) == int((natm * (natm - 1) // 2).sum())
    assert bool((batch.molecule[batch.first] == batch.molecule[batch.second]).all())


@pytest.mark.parametrize(("options", "words"), [
    ({"precision": "float16", "device": "cpu"}, "float16"), ({"steps": 0}, "steps"),
    ({"schedule": {"name": "cosine"}}, "onecycle"),
])  # fmt: skip
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        TrainingOptions.model_validate(options)


def test_a_device_that_is_not_there_is_refused():
    from scfx_schnet.processes import Processes, choose_device

    with pytest.raises(ConfigError, match="nonsense"):
        choose_device("nonsense", Processes())
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no GPU"):
            choose_device("cuda", Processes())
