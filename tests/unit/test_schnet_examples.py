"""The prepared comparisons of kinds of labels run as their comments say, from making the labels to the figures."""

from __future__ import annotations

import json
import shlex

import pytest
from dataset_fake import MANY, write_smiles

torch = pytest.importorskip("torch", reason="the schnet extra is not installed")

import scfx  # noqa: E402
from scfx.config.file import Config  # noqa: E402

#: As the examples, but of a size that takes seconds.
SMALL = (
    "task.scaling.training.steps=4", "task.scaling.training.batch_size=4", "task.scaling.training.threads=1",
    "task.scaling.seeds=[0]",
)  # fmt: skip


@pytest.fixture(scope="module")
def labelled(project_root, tmp_path_factory):
    """A working directory with the datasets that the comments of schnet_labels_better.toml make, labels made up."""
    folder = tmp_path_factory.mktemp("user")
    # Found in the working directory before the one beside the example; fluorine does not converge in the fake.
    write_smiles(folder / "study_gdb.smi", [s for s in MANY if "F" not in s][:40])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        small = ("task.dataset.conformers=2", "task.dataset.workers=1", "task.dataset.progress=quiet")
        for command in commands(project_root / "examples" / "schnet_labels_better.toml"):
            assert run(project_root, command, *small) == 0
        many = "scfx run examples/schnet_labels_better.toml --set task.dataset.output=out/qm1b-mini"
        assert run(project_root, shlex.split(many), *small, "task.dataset.conformers=4") == 0
    return folder


def commands(path):
    """The `scfx run` lines of a file's comments; a backslash continues a line."""
    comments = [line.lstrip("#").strip() for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(comments).replace("\\\n", " ")
    lines = [line.partition("   (")[0] for line in text.splitlines() if line.startswith("scfx run ")]
    return [shlex.split(line) for line in lines]


def run(project_root, command, *overrides):
    """What `scfx run` does with a configuration and its --set options, with labels that cost nothing."""
    import scfx_schnet
    from rich.console import Console
    from study_fake import fake_registry

    assert command[:2] == ["scfx", "run"]
    given = [value for flag, value in zip(command[3::2], command[4::2], strict=True) if flag == "--set"]
    path = project_root / command[2]
    config = Config.load(path, [*given, *overrides])
    registry = fake_registry(scfx_schnet)
    context = scfx.TaskContext(config.scf, registry, Console(quiet=True), str(path), config.scf_lists)
    return max(task.run(context) for task in config.tasks(registry))


def test_the_comments_make_every_dataset_that_the_comparison_of_labels_reads(project_root, labelled):
    table = Config.load(project_root / "examples" / "schnet_variants.toml").task[0]
    read = {
        table["data"]["path"],
        *(c[k]["path"] for c in table["curves"] for k in ("data", "judge") if k in c),
    }
    assert len(read) == 4
    for path in read:
        assert (labelled / path / "plan.json").exists(), path


@pytest.mark.parametrize(("name", "curves", "figure", "sizes"), [
    ("variants", {"sto-3g_float32", "sto-3g_float64", "sto-3g_relaxed", "6-31gs"}, "judged.png",
     ["task.scaling.sizes=[8,16]"]),
    ("equal_compute", {"many_sto-3g", "few_6-31gs"}, "equal_compute.png",
     ["task.scaling.curves.many_sto-3g.sizes=[8,32]", "task.scaling.curves.few_6-31gs.sizes=[8,16]"]),
])  # fmt: skip
def test_kinds_of_labels_are_compared_as_the_example_says(
    project_root, labelled, monkeypatch, name, curves, figure, sizes
):
    monkeypatch.chdir(labelled)
    path = project_root / "examples" / f"schnet_{name}.toml"
    (command,) = commands(path)
    assert run(project_root, command, *SMALL, *sizes) == 0
    output = labelled / Config.load(path).task[0]["output"]
    summary = json.loads((output / "summary.json").read_text())
    assert set(summary) == curves
    for curve in summary.values():
        for row in curve["sizes"].values():
            # By the judge's labels of the same molecules, which are a fifth for validation and a fifth for test.
            assert row["judged_rows"] > 0
            assert row["judged_line_mae_ev"]["mean"][0] > 0
        assert curve["facts"]["seconds_per_label"] > 0
    assert (output / figure).stat().st_size > 5_000
