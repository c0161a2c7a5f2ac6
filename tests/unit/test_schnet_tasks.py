"""The scaling and finetune tasks from their configuration to tables and figures; the fits."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
import tomllib
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import schnet_data
from filelock import FileLock
from rich.console import Console

torch = pytest.importorskip("torch", reason="the schnet extra is not installed")

from scfx_schnet import fit  # noqa: E402
from scfx_schnet.finetune import FinetuneTask  # noqa: E402
from scfx_schnet.finetune_report import compare  # noqa: E402
from scfx_schnet.options import TrainingOptions  # noqa: E402
from scfx_schnet.processes import Processes  # noqa: E402
from scfx_schnet.runs import Runs  # noqa: E402
from scfx_schnet.scaling import ScalingTask  # noqa: E402

import scfx  # noqa: E402
from scfx.abstract import TaskContext  # noqa: E402
from scfx.config.file import Config  # noqa: E402
from scfx.contracts.labels import AbstractDataset, AbstractLabels  # noqa: E402
from scfx.errors import ConfigError, InputError  # noqa: E402

TRAINING = {"steps": 6, "batch_size": 4, "threads": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    schnet_data.write_table(folder / "cheap.parquet", 60, conformers=2)
    schnet_data.write_table(folder / "better.parquet", 60, conformers=2, shift=0.5)
    schnet_data.write_table(folder / "fewer.parquet", 20, seed=4)
    return folder


def context(registry) -> TaskContext:
    from rich.console import Console

    return TaskContext(spec=None, registry=registry, console=Console(quiet=True))


def scaling(data, output, registry, **options) -> int:
    table = {
        "output": str(output), "data": {"path": str(data / "cheap.parquet")}, "model": "schnet-tiny",
        "sizes": [8, 16], "seeds": [0, 1], "training": TRAINING, "split": {"validation": 0.2, "test": 0.2}, **options,
    }  # fmt: skip
    return ScalingTask(ScalingTask.Options.model_validate(table)).run(context(registry))


def test_a_scaling_run_reports_every_size_seed_and_curve(data, tmp_path, registry):
    curves = [{"name": "short"}, {"name": "long", "sizes": [16], "training": {"steps": 12}}]
    assert scaling(data, tmp_path, registry, curves=curves, reference={"paper": 285}) == 0
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["curve"], r["size"], r["seed"]) for r in rows] == [
        ("short", "8", "0"), ("short", "16", "0"), ("short", "8", "1"), ("short", "16", "1"),
        ("long", "16", "0"), ("long", "16", "1"),
    ]  # fmt: skip
    assert {r["examples"] for r in rows if r["curve"] == "short"} == {"24"}  # whatever the size
    summary = json.loads((tmp_path / "summary.json").read_text())
    errors = [float(r["validation_gap_mae_mev"]) for r in rows[1:4:2]]
    assert 1000 * summary["short"]["sizes"]["16"]["validation_mae_ev"]["mean"][0] == pytest.approx(
        np.mean(errors), abs=1e-3
    )
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    assert "| 16 | 2 |" in (tmp_path / "summary.md").read_text()


def test_what_is_done_is_not_done_again_and_other_options_are_refused(data, tmp_path, registry, monkeypatch):
    assert scaling(data, tmp_path, registry, sizes=[8], seeds=[0]) == 0
    from scfx_schnet import runs

    class Never:
        def __init__(self, *_):
            raise AssertionError("this run was done already")

    monkeypatch.setattr(runs, "Training", Never)
    assert scaling(data, tmp_path, registry, sizes=[8], seeds=[0]) == 0
    assert scaling(data, tmp_path, registry, report_only=True) == 1  # three runs are missing
    with pytest.raises(InputError, match="another configuration"):
        scaling(data, tmp_path, registry, sizes=[8], seeds=[0], training={**TRAINING, "steps": 7})


def test_errors_are_of_the_rows_that_are_set_apart_now_and_of_the_trained_network(
    data, tmp_path, registry, monkeypatch
):
    # Equal sums of both shares leave the same pool, so the same networks.
    first, second = ({"validation": a, "test": b} for a, b in ((0.3, 0.1), (0.1, 0.3)))
    common = {"sizes": [16], "seeds": [0]}
    assert scaling(data, tmp_path / "fresh", registry, split=second, **common) == 0
    assert scaling(data, tmp_path / "changed", registry, split=first, **common) == 0
    from scfx_schnet import runs

    monkeypatch.setattr(runs.Training, "train", None)  # nothing is trained again
    assert scaling(data, tmp_path / "changed", registry, split=second, report_only=True, **common) == 1
    few = {**TRAINING, "evaluate_rows": 1}
    for training in (TRAINING, few):
        assert scaling(data, tmp_path / "changed", registry, split=second, training=training, **common) == 0
        fresh, changed = (
            json.loads((tmp_path / name / "summary.json").read_text())["curve"]
            for name in ("fresh", "changed")
        )
        for kind in ("validation_mae_ev", "test_mae_ev"):
            assert changed["sizes"]["16"][kind] == fresh["sizes"]["16"][kind]
        same = changed["sizes"]["16"]["train_mae_ev"] == fresh["sizes"]["16"]["train_mae_ev"]
        assert same is (training is TRAINING)


def test_a_report_is_of_the_runs_that_its_configuration_asks_for(data, tmp_path, registry, capsys):
    energies = {"targets": ["energy", "gap"], "sizes": [16], "seeds": [0]}
    assert scaling(data, tmp_path, registry, **energies) == 0
    for wrong in ({"targets": ["gap", "energy"]}, {"model": "painn-small"}, {"training": {"steps": 999}}):
        with pytest.raises(InputError, match="another configuration"):
            scaling(data, tmp_path, registry, report_only=True, **{**energies, **wrong})
    assert finetune(data, tmp_path / "tuned", registry, seeds=[0]) == 0
    assert finetune(data, tmp_path / "tuned", registry, seeds=[0], report_only=True) == 0
    with pytest.raises(InputError, match="another configuration"):
        finetune(data, tmp_path / "tuned", registry, seeds=[0], report_only=True, training={"steps": 999})
    assert finetune(data, tmp_path / "nothing", registry, report_only=True) == 1


def test_what_was_trained_is_kept_when_what_comes_after_is_stopped(data, tmp_path, registry, monkeypatch):
    from scfx_schnet import runs
    from scfx_schnet.examination import Examination

    def stopped(*_):
        raise KeyboardInterrupt

    judged = {
        "sizes": [16],
        "seeds": [0],
        "curves": [{"name": "one", "judge": {"path": str(data / "better.parquet")}}],
    }
    with monkeypatch.context() as patch:
        patch.setattr(Examination, "largest", stopped)
        assert scaling(data, tmp_path, registry, **judged) == 130
    assert scaling(data, tmp_path, registry, report_only=True, **judged) == 1
    monkeypatch.setattr(runs.Training, "train", None)
    assert scaling(data, tmp_path, registry, **judged) == 0
    assert "judged_mae_ev" in json.loads((tmp_path / "runs/one/n16-seed0/result.json").read_text())


def test_a_training_that_diverges_is_an_error_and_no_result(data, tmp_path, registry):
    training = {**TRAINING, "schedule": {"name": "constant", "peak": 1e30}}
    with pytest.raises(ConfigError, match="diverged") as error:
        scaling(data, tmp_path, registry, training=training)
    assert error.value.key == "task.training.schedule"
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.parametrize(("options", "key"), [
    ({"curves": [{"name": "cheap"}, {"name": "better", "data": "better", "against": "cheap"}]},
     "task.curves.better.against"),  # each by its own labels
    ({"curves": [{"name": "few"}, {"name": "many", "molecules": 500}]}, "task.curves.many.molecules"),
    ({"curves": [{"name": "one"}, {"name": "two", "model": "schnet-tinny"}]}, "task.curves.two.model"),
    ({"sizes": [8, 8]}, "task.sizes"),
    ({"seeds": [1, 0, 1]}, "task.seeds"),
    ({"curves": [{"name": "one", "seeds": [0, 0]}]}, "task.curves.one.seeds"),
])  # fmt: skip
def test_what_would_mislead_is_refused_before_the_first_training(
    data, tmp_path, registry, monkeypatch, options, key
):
    from scfx_schnet import runs

    monkeypatch.setattr(runs.Training, "train", None)
    for curve in options.get("curves", ()):
        if isinstance(curve.get("data"), str):
            curve["data"] = {"path": str(data / "better.parquet")}
    with pytest.raises(ConfigError) as error:
        scaling(data, tmp_path, registry, **options)
    assert error.value.key.startswith(key)


@pytest.mark.parametrize("options", [{"sizes": [-5]}, {"seeds": [-1]}, {"curves": [{"name": ".."}]}])
def test_numbers_and_names_that_there_are_not_are_refused(options, data, tmp_path, registry):
    with pytest.raises(ValueError, match=r"greater|pattern"):
        scaling(data, tmp_path, registry, **options)


def test_elements_that_no_training_row_has_are_refused_without_forces_too(tmp_path, registry):
    def changed(name, carbon):
        table = pq.read_table(schnet_data.write_table(tmp_path / name, 60)).to_pydict()
        chosen = [carbon if "Cl" in s else None for s in table["smiles"]]
        for row, z in zip(table["atomic_numbers"], chosen, strict=True):
            row[0] = z or row[0]
        pq.write_table(pa.table(table), tmp_path / name)

    changed("cheap.parquet", 17)
    assert scaling(tmp_path, tmp_path / "gap", registry, sizes=[2], seeds=[0]) == 0
    with pytest.raises(ConfigError, match="Cl, which no training row has") as error:
        scaling(tmp_path, tmp_path / "energy", registry, targets=["energy"], sizes=[2], seeds=[0])
    assert error.value.key == "task.curves.curve.sizes"


def test_kinds_of_labels_are_judged_by_the_better_ones_and_by_their_cost(
    data, tmp_path, registry, monkeypatch
):
    from scfx_schnet import runs

    judge = {"path": str(data / "better.parquet")}
    curves = [
        {"name": "cheap", "seconds_per_label": 0.1},
        {"name": "better", "data": judge, "seconds_per_label": 1.0},
    ]
    training = {**TRAINING, "steps": 60, "batch_size": 16}
    assert scaling(data, tmp_path, registry, curves=curves, seeds=[0], sizes=[60], training=training) == 0
    # A judge who comes later judges the networks that are there.
    monkeypatch.setattr(runs.Training, "train", None)
    curves = [{**curve, "judge": judge} for curve in curves]
    assert scaling(data, tmp_path, registry, curves=curves, seeds=[0], sizes=[60], training=training) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    cheap, better = (summary[name]["sizes"]["60"] for name in ("cheap", "better"))
    # The labels differ by an offset of 0.5 eV, which a line takes away.
    assert cheap["judged_mae_ev"]["mean"][0] == pytest.approx(0.5, abs=0.25)
    assert cheap["judged_line_mae_ev"]["mean"][0] < 0.5 * cheap["judged_mae_ev"]["mean"][0]
    assert better["judged_mae_ev"]["mean"][0] < cheap["judged_mae_ev"]["mean"][0]
    for name in ("judged.png", "equal_compute.png"):
        assert (tmp_path / name).stat().st_size > 5_000


@pytest.mark.parametrize(("curve", "key"), [
    ({"data": {"path": "nowhere.parquet"}}, "task.curves.second.data.path"),
    ({"judge": {"path": "nowhere.parquet"}}, "task.curves.second.judge.path"),
    ({"sizes": [16, 400]}, "task.curves.second.sizes"),  # of 120 rows
])  # fmt: skip
def test_what_a_later_curve_lacks_is_said_before_the_first_training(
    data, tmp_path, registry, monkeypatch, curve, key
):
    from scfx_schnet import runs

    class Never:
        def __init__(self, *_):
            raise AssertionError("something was trained")

    monkeypatch.setattr(runs, "Training", Never)
    with pytest.raises(ConfigError) as error:
        scaling(data, tmp_path, registry, curves=[{"name": "first"}, {"name": "second", **curve}])
    assert error.value.key == key


def finetune(data, output, registry, **options) -> int:
    table = {
        "output": str(output), "model": "schnet-tiny", "training": TRAINING, "sizes": [16], "seeds": [0, 1],
        "data": {"path": str(data / "cheap.parquet")}, "split": {"validation": 0.2, "test": 0.2},
        "pretraining": {"data": {"path": str(data / "fewer.parquet")}, "training": {"steps": 9}}, **options,
    }  # fmt: skip
    return FinetuneTask(FinetuneTask.Options.model_validate(table)).run(context(registry))


def test_fine_tuning_starts_from_pretrained_weights_and_sees_no_molecule_of_theirs(data, tmp_path, registry):
    assert finetune(data, tmp_path, registry) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    # The 20 molecules of the pre-training set are 20 of these 60, with two conformers each.
    assert summary["facts"]["molecules_removed"] == 20
    assert summary["facts"]["rows_removed"] == 40
    runs = {p.parent.relative_to(tmp_path / "runs").as_posix() for p in tmp_path.glob("runs/*/*/result.json")}
    both = {f"{way}/n16-seed{seed}" for way in ("scratch", "pretrained") for seed in (0, 1)}
    assert runs == both | {"pretraining/seed0", "pretraining/seed1"}
    assert (tmp_path / "finetune.png").exists()
    # A network of another shape cannot go on from these weights.
    given = {
        "data": {"path": str(data / "fewer.parquet")},
        "model": str(tmp_path / "runs/pretraining/seed0/model.pt"),
    }
    with pytest.raises(ConfigError, match="schnet-laptop"):
        finetune(data, tmp_path / "other", registry, model="schnet-laptop", pretraining=given)
    with pytest.raises(ConfigError, match="same for both"):
        finetune(data, tmp_path / "other", registry, finetuning={"steps": 7})
    # Given as it is, it does what its own pre-training did, and the summary says how long that was.
    assert finetune(data, tmp_path / "given", registry, pretraining=given, seeds=[0]) == 0
    name = "runs/pretrained/n16-seed0/result.json"
    own, later = (json.loads((folder / name).read_text()) for folder in (tmp_path, tmp_path / "given"))
    assert own["test_mae_ev"] == later["test_mae_ev"]
    assert json.loads((tmp_path / "given/summary.json").read_text())["facts"]["pretraining"]["steps"] == 9


def test_a_given_network_was_trained_on_the_labels_whose_molecules_are_removed(data, tmp_path, registry):
    assert finetune(data, tmp_path, registry, seeds=[0]) == 0
    model = tmp_path / "runs/pretraining/seed0/model.pt"
    fewer = {"path": str(data / "fewer.parquet")}
    for wrong, match in (
        ({"data": {**fewer, "limit": 20}}, "not trained on the labels in pretraining.data"),
        ({"data": fewer, "training": {"steps": 5}}, "Leave them out"),
        ({"data": fewer, "rows": 10}, "Leave them out"),
    ):
        with pytest.raises(ConfigError, match=match) as error:
            finetune(data, tmp_path / "other", registry, pretraining={**wrong, "model": str(model)})
        assert error.value.key == "task.pretraining.model"
    # What went on from other labels has seen their molecules too.
    tuned = {"data": fewer, "model": str(tmp_path / "runs/pretrained/n16-seed0/model.pt")}
    with pytest.raises(ConfigError, match="alone"):
        finetune(data, tmp_path / "other", registry, pretraining=tuned)
    for name, content in (("garbage.pt", b"garbage"), ("empty.pt", b"")):
        (tmp_path / name).write_bytes(content)
    torch.save({"weight": torch.zeros(2)}, tmp_path / "state.pt")
    for name in ("garbage.pt", "empty.pt", "state.pt", "runs", "nowhere.pt"):
        with pytest.raises(ConfigError, match=r"model\.pt") as error:
            finetune(
                data, tmp_path / "other", registry, pretraining={"data": fewer, "model": str(tmp_path / name)}
            )
        assert error.value.key == "task.pretraining.model"
    content = torch.load(model, weights_only=True)
    del content["learnt"]
    torch.save(content, model)
    with pytest.raises(ConfigError, match="older version"):
        finetune(data, tmp_path / "other", registry, pretraining={"data": fewer, "model": str(model)})


def test_fine_tuning_without_test_rows_reports_validation_and_one_seed_has_no_interval(
    data, tmp_path, registry
):
    assert finetune(data, tmp_path, registry, seeds=[0], split={"validation": 0.3, "test": 0.0}) == 0
    assert "(one seed) |" in (tmp_path / "summary.md").read_text()
    assert json.loads((tmp_path / "summary.json").read_text())["facts"]["test"] == 0
    with pytest.raises(ConfigError) as error:
        finetune(data, tmp_path, registry, finetuning={"atom_energies": {"6": -1.0}})
    assert error.value.key == "task.finetuning.atom_energies"


def test_the_gain_is_paired_by_seed_with_students_interval():
    scratch, pretrained = [54.0, 56.0, 55.0], [31.0, 30.0, 32.0]
    results = [
        {"size": 10, "seed": seed, "start": way, "test_mae_ev": [mev / 1000]}
        for way, values in (("scratch", scratch), ("pretrained", pretrained))
        for seed, mev in enumerate(values)
    ]
    found = compare(results)[10]["ways"]["pretrained"]
    gains = np.subtract(scratch, pretrained)
    # t(0.975, 2 degrees of freedom) = 4.3027 (any table of Student's distribution).
    half = 4.3027 * gains.std(ddof=1) / math.sqrt(3)
    assert found["gain"] == pytest.approx(gains.mean())
    assert found["low"] == pytest.approx(gains.mean() - half, rel=1e-4)
    assert found["high"] == pytest.approx(gains.mean() + half, rel=1e-4)


def test_two_processes_do_not_train_one_run(tmp_path, registry):
    (tmp_path / "n10-seed0").mkdir()
    job, runs = SimpleNamespace(identity=dict, asked=""), Runs(tmp_path, registry, Processes(), None)
    other = FileLock(tmp_path / "n10-seed0" / ".lock")
    with other, pytest.raises(scfx.InputError, match="another process"):
        runs.train("n10-seed0", job, {})
    with pytest.raises(AttributeError):  # alone it goes on, to what this job lacks
        runs.train("n10-seed0", job, {})


#: Asks the networks that are there by a judge, in processes of which the second is late to read what is there.
ASKED_AGAIN = """
import json, sys, time
from rich.console import Console
from scfx.abstract import TaskContext
from scfx.registry import Registry
from scfx_schnet import runs
from scfx_schnet.scaling import ScalingTask

read = runs.Runs._trained

def late(self, *given):
    time.sleep(0 if self._group.first else 0.5)
    return read(self, *given)

runs.Runs._trained = late
context = TaskContext(spec=None, registry=Registry.discover(), console=Console(quiet=True))
sys.exit(ScalingTask(ScalingTask.Options.model_validate(json.loads(sys.argv[1]))).run(context))
"""


def test_processes_that_ask_trained_networks_again_keep_in_step(data, tmp_path, registry):
    assert scaling(data, tmp_path, registry, seeds=[0]) == 0
    table = {
        "output": str(tmp_path), "data": {"path": str(data / "cheap.parquet")}, "model": "schnet-tiny",
        "sizes": [8, 16], "seeds": [0], "training": TRAINING,
        "split": {"validation": 0.2, "test": 0.2},
        "curves": [{"name": "curve", "judge": {"path": str(data / "better.parquet")}}],
    }  # fmt: skip
    script = tmp_path / "again.py"
    script.write_text(ASKED_AGAIN)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    done = subprocess.run(
        [sys.executable, *launcher, json.dumps(table)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for size in (8, 16):
        result = json.loads((tmp_path / f"runs/curve/n{size}-seed0/result.json").read_text())
        assert result["judged_rows"] == 48


def test_a_folder_that_cannot_be_locked_is_said(tmp_path, registry, monkeypatch, capsys):
    def refuse(lock, *args, **kwargs):
        raise OSError("no locks available")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    runs = Runs(tmp_path, registry, Processes(), Console(width=200))
    with pytest.raises(AttributeError):
        runs.train("n10-seed0", SimpleNamespace(identity=dict, asked=""), {})
    assert "cannot be locked (no locks available)" in capsys.readouterr().out


def made_up(exponent, sizes, train_share, noise=0.0, seeds=3):
    random = np.random.default_rng(0)
    return [
        {
            "size": n,
            "validation_mae_ev": [(v := 3.0 * n**-exponent * math.exp(noise * random.normal()))],
            "train_mae_ev": [share * v],
        }
        for n, share in zip(sizes, train_share, strict=True)
        for _ in range(seeds)
    ]


def test_a_power_law_is_found_again_and_its_interval_covers_it():
    law = fit.fit_power_law(made_up(0.3, (100, 316, 1000), (0.0, 0.1, 0.3), noise=0.03))
    assert law is not None
    assert law.exponent == pytest.approx(0.3, abs=0.03)
    assert law.exponent_low < 0.3 < law.exponent_high
    assert law.at(500) == pytest.approx(3.0 * 500**-0.3, rel=0.05)


def test_only_sizes_that_their_data_limits_are_fitted():
    # Beyond 1,000 the training error is near the validation error: the budget limits, the curve flattens.
    runs = made_up(0.3, (100, 316, 1000, 3162, 10_000), (0.0, 0.1, 0.3, 0.8, 1.0))
    for run in runs:
        run["validation_mae_ev"][0] = max(run["validation_mae_ev"][0], 0.3)
    law = fit.fit_power_law(runs)
    assert law is not None
    assert law.sizes == (100, 316, 1000)
    assert law.exponent == pytest.approx(0.3)
    assert fit.fit_power_law(made_up(0.3, (100, 316, 1000), (0.1, 0.2, 0.9))) is None


def test_training_and_validation_meet_where_their_curves_do():
    shares = (0.1, 0.5, 1.0)
    found = fit.meeting_size(made_up(0.3, (100, 1000, 10_000), shares))
    # ln(validation / train) falls linearly in ln(size) from ln 2 to 0 between 1,000 and 10,000; it is ln 1.1 at
    expected = 1000 * 10 ** (1 - math.log(1.1) / math.log(2))
    assert found == {"size": round(expected), "extrapolated": False}
    assert fit.meeting_size(made_up(0.3, (100, 1000), (0.1, 0.5)))["extrapolated"]


@pytest.mark.parametrize(("options", "key"), [
    ({"targets": ["dipole"]}, "task.targets"), ({"curves": [{"name": "a"}, {"name": "a"}]}, "task.curves"),
    ({"curves": [{"name": "a", "training": {"step": 3}}]}, "task.curves.a.training.step"),
])  # fmt: skip
def test_mistakes_in_a_configuration_are_named_by_their_key(data, tmp_path, registry, options, key):
    with pytest.raises(ConfigError) as error:
        scaling(data, tmp_path, registry, **options)
    assert error.value.key == key


def test_curves_without_sizes_or_seeds_are_refused():
    from scfx_schnet.scaling import Curve

    for none in ("sizes", "seeds"):
        with pytest.raises(ValueError, match=none):
            Curve.model_validate({"name": "empty", none: []})


class ArchiveDataset(AbstractDataset):
    """A third party's dataset: one Parquet file, with a property of its own that is a number."""

    planned, complete, identity = 120, True, ""

    def __init__(self, path):
        table = pq.read_table(path)
        extra = {"homo_ev": table["gap_ev"], "lumo_ev": table["gap_ev"], "status": ["ok"] * table.num_rows}
        for name, values in extra.items():
            table = table.append_column(name, pa.chunked_array([values]) if name == "status" else values)
        metadata = {"property": "charge_spread", "unit": "elementary charge"}
        field = pa.field("charge_spread_column", pa.float64(), metadata=metadata)
        spread = pa.array([0.001 * len(z) for z in table["atomic_numbers"].to_pylist()])
        self._table = table.append_column(field, spread)
        self.identity = str(path)

    schema = property(lambda self: self._table.schema)

    def __len__(self):
        return self._table.num_rows

    def filter(self, status):
        return self

    def shards(self, columns=None):
        yield self.to_table(columns)

    def to_table(self, columns=None):
        return self._table if columns is None else self._table.select(columns)

    def summary(self):
        return {
            "statuses": {"ok": len(self)},
            "worker_seconds": {"scf": 12.0},
            "labels_per_worker_second": 1.0,
        }


class Archive(AbstractLabels):
    Options = TrainingOptions  # nobody makes labels here

    def row_options(self, options):
        raise NotImplementedError

    elements = make = row_options

    def reads(self, path):
        return str(path).endswith("cheap.parquet")

    def open(self, path):
        return ArchiveDataset(path)


def test_a_property_of_a_third_partys_dataset_is_a_target_and_errors_are_in_its_unit(data, tmp_path):
    import scfx_schnet

    class Plugin:
        @scfx.hookimpl
        def scfx_register_labels(self):
            return [scfx.Offer("archive", f"{__name__}:Archive", summary="a reader of another format")]

    registry = scfx.Registry.from_plugins({"scfx_schnet": scfx_schnet, "theirs": Plugin()})
    options = {"sizes": [16], "seeds": [0]}
    with pytest.raises(ConfigError, match=r"task.targets: 'charge_spred': .*did you mean 'charge_spread'"):
        scaling(data, tmp_path / "typo", registry, targets=["charge_spred"], **options)
    assert scaling(data, tmp_path, registry, targets=["charge_spread", "gap"], **options) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())["curve"]
    assert summary["facts"]["units"] == {"charge_spread": "elementary charge", "gap": "eV"}
    # Molecules of 3 to 8 atoms: the property is 0.003 to 0.008, and no error of eV was taken for it.
    assert 0 < summary["sizes"]["16"]["validation_mae_ev"]["mean"][0] < 0.02
    assert summary["facts"]["seconds_per_label"] == 0.1
    with (tmp_path / "results.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert 0 < float(row["validation_charge_spread_mae_thousandths"]) < 20
    assert float(row["validation_gap_mae_mev"]) > 0
    assert "MAE of the charge_spread in 10⁻³ elementary charge" in (tmp_path / "summary.md").read_text()


def test_the_examples_are_valid(project_root, registry):
    found = []
    for path in sorted((project_root / "examples").glob("*.toml")):
        table = tomllib.loads(path.read_text())
        if {"scaling", "finetune", "potential"} & {task["name"] for task in table["task"]}:
            assert Config.from_table(table).tasks(registry), path
            found.append(path.stem)
    assert len(found) >= 10
    assert {"potential", "potential_finetune", "study_label_quality"} <= set(found)


def test_every_option_is_documented(project_root):
    from scfx_schnet.dynamics import DynamicsOptions
    from scfx_schnet.finetune import FinetuneOptions, Pretraining
    from scfx_schnet.options import TrainingOptions
    from scfx_schnet.potential_task import PotentialOptions
    from scfx_schnet.relaxation import RelaxationOptions
    from scfx_schnet.scaling import Curve, ScalingOptions, SplitOptions
    from scfx_schnet.sources import DataOptions

    text = (project_root / "docs" / "schnet.md").read_text(encoding="utf-8")
    for model in (
        FinetuneOptions,
        Pretraining,
        TrainingOptions,
        Curve,
        ScalingOptions,
        SplitOptions,
        DataOptions,
        DynamicsOptions,
        PotentialOptions,
        RelaxationOptions,
    ):
        for name in model.model_fields:
            assert f"`{name}`" in text, f"docs/schnet.md does not mention {name} of {model.__name__}"
