"""Datasets live on: finished folders answer, updates need a word, growing and joining compute only what is new."""

from __future__ import annotations

import io
import json

import pytest
import scfx_dataset
from dataset_fake import SMILES, FakeSpec, make_task, run_fake, write_smiles
from dataset_kills import checksums, lines
from rich.console import Console
from scfx_dataset import plan, task, work
from scfx_dataset.plan import current_versions

import scfx

OPTIONS = {"conformers": 2, "shard_rows": 4, "batch_size": 4}
OTHERS = {**current_versions(), "numpy": "99.0"}


@pytest.fixture(autouse=True)
def quick_reports(monkeypatch):
    monkeypatch.setattr("scfx_dataset.report.html_report", lambda *arguments: "<html>")
    monkeypatch.setattr("scfx_dataset.report._distribution", lambda *arguments: b"png")


@pytest.fixture
def updated(monkeypatch):
    """A function after whose call numpy is another version."""

    def update():
        for module in (plan, task, work):
            monkeypatch.setattr(module, "current_versions", lambda: OTHERS)

    return update


def run(tmp_path, smiles, output="out", spec=None, **options):
    """(exit code, the dataset, what was said, names of the systems that were solved)"""
    source, log = write_smiles(tmp_path / f"{output}.smi", smiles), tmp_path / f"{output}.log"
    console = Console(width=300, file=io.StringIO())
    before = len(lines(log))
    spec = spec or FakeSpec(log=str(log))
    options = {**OPTIONS, "progress": "plain", **options}
    code = run_fake(spec, console, molecules=source, output=str(tmp_path / output), **options)
    dataset = scfx_dataset.open(tmp_path / output)
    return code, dataset, console.file.getvalue(), lines(log)[before:]


def test_a_finished_folder_answers_after_an_update(tmp_path, updated):
    run(tmp_path, SMILES[:4])
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.is_file()}
    updated()
    code, _, said, solved = run(tmp_path, SMILES[:4])
    assert (code, solved) == (0, [])
    assert "nothing to do" in said
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


def test_an_unfinished_job_goes_on_with_other_versions_only_if_that_is_said_and_rows_say_so(
    tmp_path, updated
):
    interrupted = FakeSpec(interrupts=("CC=O",))
    assert run(tmp_path, SMILES[:6], spec=interrupted)[0] == 130
    done = checksums(tmp_path / "out")
    assert done
    updated()
    with pytest.raises(scfx.InputError, match="begun with other versions") as caught:
        run(tmp_path, SMILES[:6])
    assert f"versions.numpy: {current_versions()['numpy']!r} there, '99.0' now" in str(caught.value)
    assert "task.continue_with_other_versions = true" in str(caught.value)
    assert checksums(tmp_path / "out") == done
    code, dataset, _, _ = run(tmp_path, SMILES[:6], continue_with_other_versions=True)
    assert code == 0
    assert checksums(tmp_path / "out").items() >= done.items()
    assert dataset.verify() == []
    made = {json.loads(v)["numpy"] for v in dataset.to_table(["versions"])["versions"].to_pylist()}
    assert made == {current_versions()["numpy"], "99.0"}
    summary = dataset.summary()
    assert {m["versions"]["numpy"]: m["rows"] for m in summary["made_with"]} == {
        current_versions()["numpy"]: 12 - summary["made_with"][1]["rows"],
        "99.0": summary["made_with"][1]["rows"],
    }
    assert sum(m["rows"] for m in summary["made_with"]) == 12
    assert "numpy 99.0" in (tmp_path / "out" / "README.md").read_text()
    # The metadata of each file and every row of it agree.
    import pyarrow.parquet as pq

    for path in (tmp_path / "out" / "attempts").iterdir():
        table = pq.read_table(path)
        stated = json.loads(table.schema.metadata[b"scfx"])["versions"]
        assert {json.dumps(json.loads(v), sort_keys=True) for v in table["versions"].to_pylist()} == {
            json.dumps(stated, sort_keys=True)
        }


def test_a_worker_with_other_versions_than_the_plan_computes_nothing(tmp_path, monkeypatch):
    # A node of a cluster that was installed differently.
    monkeypatch.setattr(work, "current_versions", lambda: OTHERS)
    with pytest.raises(scfx.InputError, match="has other versions than the plan"):
        run(tmp_path, SMILES[:2])
    assert checksums(tmp_path / "out") == {}


def test_a_folder_from_before_an_option_existed_is_the_same_dataset(tmp_path):
    run(tmp_path, SMILES[:3])
    path = tmp_path / "out" / "plan.json"
    record = json.loads(path.read_text())
    del record["check"], record["identity"]["options"]["limits"]
    del record["identity"]["options"]["filters"]["single_fragment"]
    path.write_text(json.dumps(record))
    code, _, said, solved = run(tmp_path, SMILES[:3])
    assert (code, solved) == (0, [])
    assert "nothing to do" in said
    with pytest.raises(scfx.InputError, match=r"options.limits.atoms: 1000 there, 7 now"):
        run(tmp_path, SMILES[:3], limits={"atoms": 7})


def test_a_folder_of_an_earlier_format_answers_and_goes_on_only_if_that_is_said(tmp_path):
    assert run(tmp_path, SMILES[:4], spec=FakeSpec(interrupts=("CC=O",)))[0] == 130
    path = tmp_path / "out" / "plan.json"
    record = {k: v for k, v in json.loads(path.read_text()).items() if k != "check"}
    record["identity"]["format_version"] = 2
    path.write_text(json.dumps(record))
    for commit in (tmp_path / "out" / "commits").iterdir():
        commit.unlink()
    with pytest.raises(scfx.InputError, match="format_version: 2 there, 3 now"):
        run(tmp_path, SMILES[:4])
    _, dataset, _, solved = run(tmp_path, SMILES[:4], continue_with_other_versions=True)
    assert len(solved) == 8
    assert dataset.verify() == []
    assert "assumed" not in dataset.to_table().column_names
    code, _, said, solved = run(tmp_path, SMILES[:4])
    assert (code, solved) == (0, [])
    assert "nothing to do" in said


@pytest.mark.parametrize(
    ("embedding", "workers"),
    [({}, 1), ({}, 2), ({"prune_rms": 0.2}, 1), ({"displacement_angstrom": 0.05}, 1)],
)
def test_a_dataset_that_grows_computes_only_what_is_new_and_has_the_bytes_of_a_fresh_one(
    tmp_path, embedding, workers
):
    options = {"embedding": embedding}
    spec = FakeSpec(not_converged=("CO",), bad_input=("COC",))
    few, many = [*SMILES[:8], "C1#CC1", "C1CC"], [*SMILES[:12], "C1#CC1", "C1CC"]
    run(tmp_path, few, "small", spec, **options)
    code, fresh, _, _ = run(tmp_path, many, "fresh", spec, conformers=3, **options)
    assert code == 0
    log = tmp_path / "grown.log"
    counted = FakeSpec(log=str(log), not_converged=("CO",), bad_input=("COC",))
    small = str(tmp_path / "small")
    code, grown, _, solved = run(
        tmp_path, many, "grown", counted, conformers=3, take_over=small, workers=workers, **options
    )
    assert code == 0
    assert checksums(tmp_path / "grown") == checksums(tmp_path / "fresh")
    assert grown.to_table().equals(fresh.to_table())
    if not embedding.get("prune_rms"):  # conformers that depend on each other are taken over by molecule
        old = {f"{s} conformer {k}" for s in few for k in (0, 1)}
        assert not old & set(solved)
        assert len(solved) == len(set(solved)) > 0
    found = grown.summary()
    assert sum(found["taken_over"].values()) == (0 if embedding.get("prune_rms") else 2 * 9)
    assert fresh.summary()["taken_over"] == {}


def test_two_datasets_of_one_specification_are_joined_without_computing(tmp_path):
    run(tmp_path, SMILES[:6], "a")
    run(tmp_path, SMILES[4:10], "b")
    _, fresh, _, _ = run(tmp_path, SMILES[:10], "fresh")
    both = (str(tmp_path / "a"), str(tmp_path / "b"))
    code, joined, _, solved = run(tmp_path, SMILES[:10], "joined", take_over=both)
    assert (code, solved) == (0, [])
    assert joined.to_table().equals(fresh.to_table())
    taken = joined.summary()["taken_over"]
    assert sum(taken.values()) == 20
    assert taken[scfx_dataset.open(both[0]).plan.plan_id] == 12
    assert "rows were taken over" in (tmp_path / "joined" / "README.md").read_text()


def test_rows_of_another_level_or_made_otherwise_are_not_taken_over(tmp_path, updated):
    run(tmp_path, SMILES[:2], "old")
    old = str(tmp_path / "old")
    for change, named in (
        ({"spec": FakeSpec(level="other")}, "spec_hash"),
        ({"extras": ["mulliken_charges"]}, "options.extras"),
        ({"embedding": {"max_attempts": 3}}, "options.embedding.max_attempts"),
    ):
        with pytest.raises(scfx.InputError, match=r"task.take_over") as caught:
            run(tmp_path, SMILES[:3], "new", **{"take_over": old, **change})
        assert named in str(caught.value)
    with pytest.raises(scfx.InputError, match="holds no dataset"):
        run(tmp_path, SMILES[:3], "new", take_over=str(tmp_path))
    # Another seed makes other geometries: nothing is equal, and nothing is wrong.
    _, new, _, solved = run(tmp_path, SMILES[:3], "seed", take_over=old, seed=7)
    assert len(solved) == 6
    assert new.summary()["taken_over"] == {}
    updated()
    with pytest.raises(scfx.InputError, match="with other versions"):
        run(tmp_path, SMILES[:3], "new", take_over=old)
    assert not (tmp_path / "new").exists()
    _, new, _, solved = run(tmp_path, SMILES[:3], "new", take_over=old, continue_with_other_versions=True)
    assert len(solved) == 2
    made = [json.loads(v)["numpy"] for v in new.to_table(["versions"])["versions"].to_pylist()]
    assert sorted(made) == sorted([current_versions()["numpy"]] * 4 + ["99.0"] * 2)


def test_poison_is_not_taken_over(tmp_path):
    poisoned = FakeSpec(dies=("COC",))
    options = {"workers": 2, "quarantine_after": 1, "max_deaths": 1, "conformers": 1, "shard_rows": 1}
    run(tmp_path, SMILES[:3], "old", poisoned, **options)
    assert scfx_dataset.open(tmp_path / "old").summary()["statuses"]["poison"] == 1
    _, new, _, solved = run(
        tmp_path, SMILES[:3], "new", conformers=1, shard_rows=1, take_over=str(tmp_path / "old")
    )
    assert new.summary()["statuses"]["ok"] == 3
    assert solved == ["COC conformer 0"]


def test_a_damaged_row_is_not_taken_over_in_silence(tmp_path):
    run(tmp_path, SMILES[:2], "old")
    victim = next((tmp_path / "old" / "attempts").iterdir())
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    with pytest.raises(scfx.InputError, match="is damaged"):
        run(tmp_path, SMILES[:3], "new", take_over=str(tmp_path / "old"))


def test_one_word_of_the_command_line_goes_on(tmp_path, monkeypatch):
    from scfx.cli import main

    seen = []
    monkeypatch.setattr(
        "scfx_dataset.task.DatasetTask.run", lambda self, context: seen.append(self.options) or 0
    )
    config = tmp_path / "c.toml"
    config.write_text('[[task]]\nname = "dataset"\nmolecules = "m.smi"\noutput = "out"\n')
    assert main(["dataset", "run", str(config), "--continue-with-other-versions"]) == 0
    assert main(["dataset", "run", str(config)]) == 0
    assert [options.continue_with_other_versions for options in seen] == [True, False]
    assert make_task({"molecules": "m.smi", "output": "o", "take_over": "a"}).options.take_over == ("a",)
