"""docs/datasets.md and the examples say what the code does."""

from __future__ import annotations

import re
import tomllib

import pytest
from dataset_fake import run_fake, write_smiles
from scfx_dataset.options import DatasetOptions, Embedding, Filters, Limits
from scfx_dataset.schema import SCHEMA

from scfx.config.file import Config


@pytest.fixture
def text(project_root):
    return (project_root / "docs" / "datasets.md").read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_every_option_and_column_is_documented(text):
    for model in (DatasetOptions, Filters, Limits, Embedding):
        for name in model.model_fields:
            assert f"`{name}`" in text, f"docs/datasets.md does not mention the option {name}"
    for name in SCHEMA.names:
        assert f"`{name}`" in text, f"docs/datasets.md does not mention the column {name}"


def test_documented_defaults_are_the_real_ones(text):
    stated = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", text.partition("## Sources")[0], flags=re.MULTILINE))
    real = {name: field.default for name, field in DatasetOptions.model_fields.items()}
    # Of options that are empty unless they are given, the table says nothing.
    plain = {
        name for name, default in real.items() if default != "" and isinstance(default, (int, float, str))
    }
    assert plain <= set(stated)
    for name, default in stated.items():
        assert str(real[name]) == default.strip("`").strip('"'), name


def test_documented_configurations_are_valid(text, project_root):
    examples = [path.read_text() for path in sorted((project_root / "examples").glob("*.toml"))]
    found = 0
    for source in [*blocks(text, "toml"), *examples]:
        for task in Config.from_table(tomllib.loads(source)).task:
            if task["name"] == "dataset":
                DatasetOptions.model_validate({k: v for k, v in task.items() if k != "name"})
                found += 1
    assert found >= 2


def test_documented_python_runs(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_fake(molecules=write_smiles(tmp_path / "m.smi"), output="out/demo")
    source = "\n".join(blocks(text, "python"))
    exec(compile(source, "docs/datasets.md", "exec"), {})


def test_the_example_molecules_have_nine_heavy_atoms(project_root):
    from scfx_dataset.molecules import read_molecule

    lines = (project_root / "examples" / "gdb9.smi").read_text().splitlines()
    molecules = [read_molecule(line) for line in lines]
    assert all(m.n_heavy == 9 for m in molecules)
    assert len({m.smiles for m in molecules}) == len(lines) == 120
