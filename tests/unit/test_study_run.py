"""A study computes each option once, resumes after a kill, and pairs labels of one geometry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dataset_fake import fake_energy, write_smiles
from study_fake import DELAY, LOG, SHIFT, fake_study

from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

SMILES = ("CCO", "COC", "CC=O", "FC(F)F", "CO")


@pytest.fixture
def molecules(tmp_path):
    return write_smiles(tmp_path / "m.smi", SMILES)


@pytest.fixture
def log(tmp_path, monkeypatch):
    """What the solver was given, as lines 'precision SMILES conformer k'."""
    path = tmp_path / "log"
    monkeypatch.setenv(LOG, str(path))
    return lambda: path.read_text().splitlines() if path.exists() else []


def test_the_table_has_every_option_and_conformer_with_the_label_of_its_geometry(molecules, tmp_path):
    table = fake_study(molecules, str(tmp_path / "out")).table()
    assert isinstance(table, pd.DataFrame)
    assert table.groupby("option").size().to_dict() == {"float64": 15, "float32": 15}
    for _, row in table[table["status"] == "ok"].iterrows():
        positions = np.array([list(p) for p in row["positions_angstrom"]]) / BOHR_IN_ANGSTROM
        energy = fake_energy(row["atomic_numbers"], positions) * HARTREE_IN_EV
        shift = SHIFT * HARTREE_IN_EV if row["option"] == "float32" else 0.0
        assert abs(row["energy_ev"] - energy) == pytest.approx(shift, abs=1e-8)


def test_a_row_that_fails_in_one_option_is_left_out_of_all_and_counted(molecules, tmp_path):
    study = fake_study(molecules, str(tmp_path / "out"))
    table = study.table()
    lost = table[table["smiles"] == "FC(F)F"]
    assert lost.groupby("option")["status"].unique().map(list).to_dict() == {
        "float64": ["ok"], "float32": ["not_converged"],
    }  # fmt: skip
    assert not lost["used"].any()
    assert table[table["smiles"] != "FC(F)F"]["used"].all()
    assert set(study.statistics()["n"]) == {12}
    cost = study.cost().set_index("option")
    assert cost.loc["float32", ["ok", "not_converged"]].tolist() == [12, 3]
    assert cost.loc["float32", "convergence_rate"] == pytest.approx(12 / 15)


def test_relative_energies_are_to_the_mean_over_the_used_conformers_of_a_molecule(molecules, tmp_path):
    table = fake_study(molecules, str(tmp_path / "out")).table()
    used = table[table["used"]]
    for _, group in used.groupby(["option", "molecule"]):
        np.testing.assert_allclose(
            group["relative_energy_ev"], group["energy_ev"] - group["energy_ev"].mean(), atol=1e-9
        )
    assert table.loc[~table["used"], "relative_energy_ev"].isna().all()


def test_a_molecule_of_one_conformer_has_no_relative_energy(molecules, tmp_path):
    study = fake_study(molecules, str(tmp_path / "out"), conformers=1)
    assert study.table()["relative_energy_ev"].isna().all()
    assert study.statistics().set_index("quantity").loc["relative_energy", "n"] == 0


def test_a_study_that_is_not_finished_reports_what_is_there_and_computes_nothing(molecules, tmp_path, log):
    whole = fake_study(molecules, str(tmp_path / "out"))
    whole.table()
    commits = sorted((whole.labels / whole.reference.key / "commits").iterdir())
    assert len(commits) == 3
    commits[-1].unlink()
    before = len(log())
    partial = fake_study(molecules, str(tmp_path / "out"), report_only=True)
    assert not partial.complete()
    table = partial.table()
    assert len(log()) == before
    left = set(table.loc[table["option"] == partial.reference.label, "entry"])
    assert 0 < len(left) < 15
    assert set(table.loc[table["used"], "entry"]) <= left
    text = partial.report().read_text()
    assert "This study is not finished" in text
    assert f"{15 - int(table['used'].sum()) // 2} of 15 planned" in text


def test_adding_an_option_to_a_finished_study_computes_only_that_one(molecules, tmp_path, log):
    first = fake_study(molecules, str(tmp_path / "out")).table()
    assert len(log()) == 30
    more = fake_study(molecules, str(tmp_path / "out"), ("float64", "float32", "mixed")).table()
    added = log()[30:]
    assert len(added) == 15
    assert {line.split()[0] for line in added} == {"mixed"}
    old = more[more["option"] != "mixed"].reset_index(drop=True)
    columns = [c for c in first.columns if c not in ("atomic_numbers", "positions_angstrom")]
    pd.testing.assert_frame_equal(old[columns], first[columns])
    fake_study(molecules, str(tmp_path / "out"), ("mixed", "float64"), reference="mixed").table()
    assert len(log()) == 45, "taking an option away, or another reference, computes nothing"


def test_studies_may_share_their_labels(molecules, tmp_path, log):
    shared = str(tmp_path / "labels")
    fake_study(molecules, str(tmp_path / "one"), labels=shared).table()
    fake_study(molecules, str(tmp_path / "two"), ("float64", "mixed"), labels=shared).table()
    assert sorted({line.split()[0] for line in log()[30:]}) == ["mixed"]


def test_other_molecules_are_other_labels(molecules, tmp_path, log):
    fake_study(molecules, str(tmp_path / "out")).table()
    Path(molecules).write_text("CCO\nCN\n")
    table = fake_study(molecules, str(tmp_path / "out")).table()
    assert len(log()) == 30 + 12
    assert set(table["smiles"]) == {"CCO", "CN"}


def test_a_killed_study_resumes_to_the_same_table(molecules, tmp_path):
    whole = fake_study(molecules, str(tmp_path / "whole")).table()
    program = Path(__file__).parents[1] / "support" / "study_fake.py"
    environment = {**os.environ, DELAY: "0.25", "SCFX_SHAPE_CHECKS": "0"}
    output = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, str(program), molecules, str(output)], env=environment)
    try:
        # After the first shard of the second option: one option is whole, one is begun.
        _wait(lambda: len(_commits(output)) >= 4, process)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    finally:
        process.kill()
    done = _commits(output)
    assert 4 <= len(done) < 6
    before = {path: path.read_bytes() for path in done}
    resumed = fake_study(molecules, str(output)).table()
    assert all(path.read_bytes() == content for path, content in before.items())
    columns = [c for c in whole.columns if c not in ("atomic_numbers", "positions_angstrom")]
    pd.testing.assert_frame_equal(resumed[columns], whole[columns])
    for a, b in zip(resumed["positions_angstrom"], whole["positions_angstrom"], strict=True):
        np.testing.assert_array_equal(np.stack(a), np.stack(b))


def _commits(output: Path) -> list[Path]:
    return sorted(output.glob("labels/*/commits/*.json"))


def _wait(condition, process) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the study ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_options_with_geometries_of_their_own_are_paired_by_molecule_and_conformer(molecules, tmp_path):
    other = tmp_path / "other.smi"
    other.write_text("CO\nCCO\nCN\n")  # another order, one molecule that the first file lacks
    table = fake_study(
        [molecules, str(other)], str(tmp_path / "out"), ("float64",),
        reference={"molecules": molecules}, conformers=2,
    ).table()  # fmt: skip
    used = table[table["used"]]
    assert set(used["smiles"]) == {"CO", "CCO"}
    for _, group in used.groupby("entry"):
        assert group[["smiles", "conformer"]].drop_duplicates().shape[0] == 1
        assert len(group) == 2
        assert group["molecule"].nunique() == 1


def test_a_dataset_that_exists_gives_its_geometries(molecules, tmp_path):
    first = fake_study(molecules, str(tmp_path / "first"), ("float64", "mixed"))
    table = first.table()
    dataset = first.labels / first.reference.key
    again = fake_study(str(dataset), str(tmp_path / "second"), geometry="given", conformers=1).table()
    mine = again[again["option"] == "float64"]
    assert len(mine) == 15
    wanted = table[table["option"] == "float64"]
    assert set(np.round(mine["energy_ev"], 9)) == set(np.round(wanted["energy_ev"], 9))


def test_scfx_run_makes_tables_plots_and_a_report(molecules, tmp_path, capsys):
    from study_fake import fake_registry

    from scfx.cli import main

    config = tmp_path / "study.toml"
    config.write_text(
        f'[scf]\nfunctional = "b3lyp5"\ngrid = 0\nprecision = ["float64", "float32"]\n[[task]]\nname = "study"\n'
        f'molecules = "{molecules}"\nconformers = 3\nreference = "float64"\ntraces = 0\nworkers = 1\n'
        f'progress = "quiet"\noutput = "{tmp_path / "out"}"\n'
    )
    assert main(["run", str(config)], registry=fake_registry()) == 0
    out = tmp_path / "out"
    written = {p.relative_to(out).as_posix() for p in out.rglob("*") if "labels" not in p.parts}
    names = ("histograms", "parity", "densities", "spread", "pareto")
    assert written >= {f"plots/{name}.{kind}" for name in names for kind in ("svg", "png")}
    assert written >= {"report.html", "study.json", "table.parquet", "statistics.csv", "cost.csv"}
    assert main(["run", str(config), "--set", "task.study.conformer=2"], registry=fake_registry()) == 2
    assert "task.study.conformer: unknown key; did you mean 'conformers'?" in capsys.readouterr().err
