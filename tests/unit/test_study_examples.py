"""The prepared studies are what docs/studies.md and their comments say."""

from __future__ import annotations

import re
import tomllib

import numpy as np
import pytest
from scfx_study.options import StudyOptions

import scfx
from scfx.config.file import Config

NAMES = ("precision", "basis", "stages", "grid", "geometry", "ipu", "hard", "forces")


def load(project_root, name):
    return Config.load(project_root / "examples" / f"study_{name}.toml")


def available(registry, config, options):
    """Whether every backend that a study names is here."""
    asked = {o["backend"] for o in options.options if "backend" in o} | {config.scf.backend}
    here = {o.name for o in registry.offers("backends") if o.status == "available"} | {"auto"}
    return asked <= here


@pytest.mark.parametrize("name", NAMES)
def test_a_prepared_study_passes_every_check(project_root, registry, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = load(project_root, name)
    (task,) = config.tasks(registry)
    if not available(registry, config, task.options):
        pytest.skip("a backend that it compares is not here")
    path = str(project_root / "examples" / f"study_{name}.toml")
    study = task.study(scfx.TaskContext(config.scf, registry, None, path, config.scf_lists))
    labels = [o.label for o in study.options]
    assert all(p.option in labels for p in study.settings.published)
    assert len({o.spec_hash + o.key for o in study.options}) == len(labels)


def test_every_prepared_study_is_documented(project_root):
    text = (project_root / "docs" / "studies.md").read_text(encoding="utf-8")
    for path in (project_root / "examples").glob("study_*.toml"):
        assert f"examples/{path.name}" in text, path.name
    for name in StudyOptions.model_fields:
        assert f"`{name}`" in text, f"docs/studies.md does not mention the option {name}"


def test_the_papers_b3lyp_is_the_one_with_vwn5(project_root):
    # Mathiasen et al. (2023) compute B3LYP with VWN5 correlation (docs/studies.md).
    for name in ("precision", "basis", "geometry", "ipu"):
        assert load(project_root, name).scf.functional == "b3lyp5"


def test_each_stage_is_alone_in_float32(project_root):
    from scfx.config.precision import STAGES

    table = tomllib.loads((project_root / "examples" / "study_stages.toml").read_text())["task"][0]
    lowered = [
        [stage for stage in STAGES if o["precision"].get(stage) == "float32"]
        for o in table["options"]
        if isinstance(o["precision"], dict)
    ]
    assert sorted(s for stages in lowered for s in stages) == sorted(set(STAGES) - {"accumulation"})
    assert all(len(stages) <= 1 for stages in lowered)


def test_the_molecules_have_9_to_11_heavy_atoms_25_of_each(project_root):
    from scfx_dataset.molecules import read_molecule

    lines = (project_root / "examples" / "study_gdb.smi").read_text().split()
    heavy = [read_molecule(line).n_heavy for line in lines]
    assert {n: heavy.count(n) for n in set(heavy)} == {9: 25, 10: 25, 11: 25}


def test_the_qm9_sample_is_qm9s_geometry_of_gdb_1_to_133885(project_root):
    import pyarrow.parquet as pq

    table = pq.read_table(project_root / "examples" / "study_qm9.parquet")
    assert table.num_rows == 400
    assert "CC0" in table.schema.metadata[b"source"].decode()
    numbers = [int(re.fullmatch(r"gdb (\d+)", name).group(1)) for name in table["name"].to_pylist()]
    assert numbers == sorted(set(numbers))
    assert 1 <= numbers[0] < numbers[-1] <= 133885


def test_the_hard_set_is_thirty_systems_each_with_a_reason(project_root):
    lines = (project_root / "examples" / "hard30.xyz").read_text().splitlines()
    systems, groups, at = [], [], 0
    while at < len(lines):
        natm, comment = int(lines[at]), lines[at + 1]
        info = dict(re.findall(r'(\w+)=("[^"]*"|\S+)', comment))
        rows = [line.split() for line in lines[at + 2 : at + 2 + natm]]
        assert info["why"].strip('"')
        groups.append(info["group"].strip('"'))
        systems.append(
            scfx.System.from_arrays(
                [r[0] for r in rows],
                np.array([r[1:] for r in rows], dtype=float),
                charge=int(info["charge"]),
                multiplicity=int(info["multiplicity"]),
            )
        )
        at += 2 + natm
    assert len(systems) == 30
    assert set(groups) == {
        "small gap", "stretched bond", "transition state", "near-degenerate orbitals", "unusual valence", "anion",
    }  # fmt: skip
    assert sum(s.charge < 0 for s in systems) == 5
    assert sum(s.multiplicity > 1 for s in systems) == 2


def test_the_hard_set_is_what_its_script_writes(project_root, tmp_path, monkeypatch):
    import runpy
    import sys

    pytest.importorskip("rdkit")
    monkeypatch.setattr(sys, "argv", ["hard_set.py", str(tmp_path / "again.xyz")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(project_root / "benchmarks" / "hard_set.py"), run_name="__main__")
    assert ended.value.code == 0
    again = (tmp_path / "again.xyz").read_text().splitlines()
    kept = (project_root / "examples" / "hard30.xyz").read_text().splitlines()
    # Embedded molecules may differ between versions of RDKit; the others are arithmetic.
    embedded = ("nitrosomethane", "s-tetrazine", "hexatriene")
    frames = [_frames(lines) for lines in (again, kept)]
    assert frames[0].keys() == frames[1].keys()
    for name, lines in frames[1].items():
        if name not in embedded:
            assert frames[0][name] == lines, name


def _frames(lines):
    out, at = {}, 0
    while at < len(lines):
        natm = int(lines[at])
        name = re.search(r'name="([^"]*)"', lines[at + 1]).group(1)
        out[name] = lines[at : at + 2 + natm]
        at += 2 + natm
    return out
